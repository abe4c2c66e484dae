#pragma once
// JSON values of Zarr documents: attributes and fill values. Internal to refs/.

#include <optional>
#include <string>
#include <string_view>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// Text that starts so stood bare in the JSON (NaN, Infinity, -Infinity), as Python writes it.
inline constexpr std::string_view kBareMark = "\x01";
/// `tag` of attributes that hold JSON text (see parse_zarr_attributes).
inline constexpr const char* kJsonTag = "json";
/// Documents deeper than this are refused.
inline constexpr int kMaxJsonDepth = 64;

/// Strict JSON of what Python's json module writes: bare NaN and infinities become strings with
/// kBareMark. kInvalidData when it is nested deeper than kMaxJsonDepth.
Result<std::string> strict_json(std::string_view text);

/// JSON of one attribute's value: a scalar when it has one element, else a (flat) list.
Result<std::string> value_json(const Values& values);

/// The member "attributes" of a zarr.json, in its order.
Result<Attributes> parse_zarr3_attributes(std::string_view zarr_json);

/// `json`: the text of a "fill_value". nullopt for null. Bytes as stored in `type`; empty text for
/// variable-length strings gives nullopt too (there is nothing to store).
Result<std::optional<Bytes>> parse_fill(const DataType& type, std::string_view json);
/// The reverse (base64 for S, V and structured types, as zarr-python reads them in v2 and v3).
Result<std::string> fill_json(const DataType& type, ByteSpan stored);

/// A number that xarray's FillValueCoder wrote into an attribute of Zarr v3: base64 of a
/// little-endian double.
std::string encode_fill_attribute(double value);
std::optional<double> decode_fill_attribute(std::string_view text);

/// One attribute value as one element stored in `type`; nullopt when it is not one element or its
/// value does not fit the type exactly (a float type takes the nearest).
std::optional<Bytes> stored_element(const DataType& type, const Values& value);

/// JSON string literal; text that is not UTF-8 is taken as Latin-1.
std::string json_text(std::string_view text);

}  // namespace upwell::refs
