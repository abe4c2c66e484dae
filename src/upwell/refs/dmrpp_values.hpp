#pragma once
// Values that stand in a DMR++ document itself: fill values, attributes, and whole variables.
// Internal to refs/.

#include <optional>
#include <string_view>
#include <vector>

#include "cube/dataset.hpp"
#include "refs/dmrpp_xml.hpp"

namespace upwell::refs {

/// A whole number. kInvalidData, naming `what` it should be.
Result<uint64_t> dmrpp_number(std::string_view text, const char* what);

/// Words between blanks and any of ",[]".
std::vector<std::string_view> dmrpp_words(std::string_view text);

/// Types of DAP4 by name ("Int16"); nullopt for others. Strings are of variable length.
std::optional<DataType> dap4_type(std::string_view name);

/// The fill value as stored in `type`; nullopt where the text says nothing of it
/// ("unsupported-..."). Members of a structure follow each other, separated by spaces; one 0 is for
/// all. kInvalidData when the text does not fit the type.
Result<std::optional<Bytes>> dmrpp_fill(const DataType& type, std::string_view text);

/// Attributes of a group or variable.
Result<Attributes> dmrpp_attributes(const XmlElement& owner);

/// Whole variables that are in the document, as one inline chunk.
struct DmrppInline {
  DataType type;
  std::vector<codec::CodecSpec> codecs;
  std::shared_ptr<const HeapResolver> heap;
  Bytes chunk;
};
/// The element compact, missingdata, vlsa or specialstructuredata of a variable with `count`
/// elements of `type` (structures with strings of variable length for the last one).
Result<DmrppInline> dmrpp_inline(const XmlElement& data, const DataType& type, uint64_t count);

}  // namespace upwell::refs
