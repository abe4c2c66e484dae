// Writing of Zarr documents.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>

#include "refs/zarr_metadata.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

using WriteJson = nlohmann::ordered_json;

constexpr std::array<std::string_view, 7> kCompressors = {"zlib", "gzip", "bz2",  "lzma",
                                                          "zstd", "lz4",  "blosc"};

bool is_compressor(const std::string& id) {
  return std::find(kCompressors.begin(), kCompressors.end(), id) != kCompressors.end();
}

/// Text that this component made itself.
WriteJson own_json(const std::string& text) {
  return WriteJson::parse(text, nullptr, /*allow_exceptions=*/false);
}

Result<WriteJson> codec_config(const codec::CodecSpec& spec) {
  WriteJson config = own_json(spec.config);
  if (!config.is_object()) {
    return fail(Code::kInternal, "codec " + spec.id + " without a JSON object: " + spec.config);
  }
  return config;
}

Result<WriteJson> numcodecs_json(const codec::CodecSpec& spec) {
  UPWELL_TRY(const WriteJson config, codec_config(spec));
  WriteJson out = WriteJson::object();
  out["id"] = spec.id;
  for (const auto& [key, value] : config.items()) out[key] = value;
  return out;
}

bool is_nan_fill(const DataType& type, const Bytes& fill) {
  if (type.kind != Kind::kFloat) return false;
  auto json = fill_json(type, fill);
  return json && *json == "\"NaN\"";
}

/// The bytes of `fill` in the view's type.
std::optional<Bytes> fill_in_view(const Array& array, const ZarrView& view) {
  if (!array.fill) return std::nullopt;
  if (view.type == array.type) return array.fill;
  auto json = fill_json(array.type, *array.fill);
  if (!json) return std::nullopt;
  auto fill = parse_fill(view.type, *json);
  return fill ? *fill : std::nullopt;
}

bool same_value(const DataType& type, const std::optional<Bytes>& a,
                const std::optional<Bytes>& b) {
  const Bytes zeros(type.size, 0);
  if (a.value_or(zeros) == b.value_or(zeros)) return true;
  return a && b && is_nan_fill(type, *a) && is_nan_fill(type, *b);
}

std::vector<std::string> dimension_names(const Array& array) {
  std::vector<std::string> names(array.shape.size());
  for (size_t i = 0; i < names.size(); ++i) {
    if (i < array.dimensions.size()) names[i] = array.dimensions[i];
  }
  // Unknown dimensions of one array must differ: xarray refuses repeated ones.
  size_t number = 0;
  for (std::string& name : names) {
    while (name.empty()) {
      std::string invented = fmt::format("phony_dim_{}", number++);
      if (std::find(names.begin(), names.end(), invented) == names.end()) name = invented;
    }
  }
  return names;
}

Result<WriteJson> attributes_object(const Attributes& attributes, std::string_view without) {
  WriteJson out = WriteJson::object();
  for (const Attribute& attribute : attributes) {
    if (attribute.name == without) continue;
    if (attribute.null_space) {
      out.push_back({own_json(json_text(attribute.name)).get<std::string>(), nullptr});
      continue;
    }
    auto text = value_json(attribute.value);
    if (!text) return fail(std::move(text).error().with("attribute " + attribute.name));
    out.push_back({own_json(json_text(attribute.name)).get<std::string>(), own_json(*text)});
  }
  return out;
}

// --- v3 -----------------------------------------------------------------------------------------

WriteJson named_json(const std::string& name, WriteJson configuration = WriteJson::object()) {
  WriteJson out = WriteJson::object();
  out["name"] = name;
  if (!configuration.empty()) out["configuration"] = std::move(configuration);
  return out;
}

Result<WriteJson> v3_type_json(const DataType& type) {
  switch (type.kind) {
    case Kind::kString:
      return named_json("null_terminated_bytes", {{"length_bytes", type.size}});
    case Kind::kUnicode:
      return named_json("fixed_length_utf32", {{"length_bytes", type.size}});
    case Kind::kOpaque:
      return named_json("raw_bytes", {{"length_bytes", type.size}});
    case Kind::kDatetime:
      return named_json("numpy.datetime64", {{"unit", type.tag}, {"scale_factor", 1}});
    case Kind::kTimedelta:
      return named_json("numpy.timedelta64", {{"unit", type.tag}, {"scale_factor", 1}});
    default: {
      UPWELL_TRY(const std::string name, to_zarr3(type));
      return WriteJson(name);
    }
  }
}

/// Codecs of numcodecs that change values rather than bytes come before "bytes" in v3.
bool is_array_codec(const std::string& id) {
  return id == "delta" || id == "fixedscaleoffset" || id == "quantize" || id == "bitround" ||
         id == "packbits" || id == "astype";
}

/// Configurations come from whoever made the set: numcodecs has a number for the shuffle, others
/// its word.
Result<WriteJson> v3_blosc_json(const WriteJson& config, uint32_t item_size) {
  const auto is = [&](const char* name, bool (WriteJson::*type)() const noexcept) {
    return !config.contains(name) || (config[name].*type)();
  };
  const bool is_word = config.contains("shuffle") && config["shuffle"].is_string();
  if (!is("cname", &WriteJson::is_string) || !is("clevel", &WriteJson::is_number_integer) ||
      !is("blocksize", &WriteJson::is_number_integer) ||
      (!is_word && !is("shuffle", &WriteJson::is_number_integer)))
    return fail(Code::kInvalidData, "blosc: its configuration is not one: " + config.dump());
  WriteJson out = WriteJson::object();
  out["typesize"] = std::max<uint32_t>(item_size, 1);
  out["cname"] = config.value("cname", "lz4");
  out["clevel"] = config.value("clevel", 5);
  if (is_word) {
    out["shuffle"] = config["shuffle"];
  } else {
    const int shuffle = config.value("shuffle", 1);
    // -1 (automatic) is what numcodecs decides by item size.
    out["shuffle"] = shuffle == 0                      ? "noshuffle"
                     : shuffle == 2                    ? "bitshuffle"
                     : shuffle == -1 && item_size == 1 ? "bitshuffle"
                                                       : "shuffle";
  }
  out["blocksize"] = config.value("blocksize", 0);
  return named_json("blosc", std::move(out));
}

Result<WriteJson> v3_codec_json(const codec::CodecSpec& spec, uint32_t item_size) {
  UPWELL_TRY(WriteJson config, codec_config(spec));
  if (spec.id == "zstd") {
    if (!config.contains("level")) config["level"] = 0;
    if (!config.contains("checksum")) config["checksum"] = false;
    return named_json("zstd", std::move(config));
  }
  if (spec.id == "gzip") return named_json("gzip", std::move(config));
  if (spec.id == "crc32c") return named_json("crc32c");
  if (spec.id == "vlen-utf8" || spec.id == "vlen-bytes") return named_json(spec.id);
  if (spec.id == "blosc") return v3_blosc_json(config, item_size);
  return named_json("numcodecs." + spec.id, std::move(config));
}

Result<WriteJson> v3_codecs_json(const ZarrView& view) {
  WriteJson out = WriteJson::array();
  if (view.fortran_order && view.chunk_shape.size() > 1) {
    WriteJson order = WriteJson::array();
    for (size_t i = view.chunk_shape.size(); i > 0; --i) order.push_back(i - 1);
    out.push_back(named_json("transpose", {{"order", std::move(order)}}));
  }
  size_t next = 0;
  for (; next < view.codecs.size() && is_array_codec(view.codecs[next].id); ++next) {
    UPWELL_TRY(WriteJson codec, v3_codec_json(view.codecs[next], view.type.size));
    out.push_back(std::move(codec));
  }
  const bool vlen = next < view.codecs.size() && view.codecs[next].id.starts_with("vlen-");
  if (!vlen) {
    // Elements of one byte have no order, and the specification then leaves it out.
    WriteJson config = WriteJson::object();
    const bool plain = view.type.kind == Kind::kString || view.type.kind == Kind::kOpaque;
    if (view.type.size > 1 && !plain) {
      config["endian"] = view.type.order == ByteOrder::kBig ? "big" : "little";
    }
    out.push_back(named_json("bytes", std::move(config)));
  }
  for (; next < view.codecs.size(); ++next) {
    if (is_array_codec(view.codecs[next].id)) {
      return fail(Code::kUnsupported, "codec " + view.codecs[next].id +
                                          " after a codec of bytes has no place in Zarr v3");
    }
    UPWELL_TRY(WriteJson codec, v3_codec_json(view.codecs[next], view.type.size));
    out.push_back(std::move(codec));
  }
  return out;
}

Result<WriteJson> v3_fill_json(const Array& array, const ZarrView& view) {
  const auto fill = fill_in_view(array, view);
  UPWELL_TRY(const std::string text, fill_json(view.type, fill.value_or(Bytes(view.type.size, 0))));
  return own_json(text);
}

/// As xarray's FillValueCoder: float64 of a float array in base64, everything else as it is.
Result<WriteJson> v3_attributes(const Array& array, const ZarrView& view) {
  UPWELL_TRY(WriteJson out, attributes_object(array.attributes, "_FillValue"));
  if (const Attribute* fill = find_attribute(array.attributes, "_FillValue")) {
    const bool floating = view.type.kind == Kind::kFloat && fill->value.count() == 1;
    if (floating && fill->value.type.is_number()) {
      out["_FillValue"] = encode_fill_attribute(fill->value.number(0));
    } else {
      UPWELL_TRY(const std::string text, value_json(fill->value));
      out["_FillValue"] = own_json(text);
    }
  }
  return out;
}

using NodeVisit = std::function<Result<>(const std::string& prefix, const Group*, const Array*)>;

Result<> visit_nodes(const std::string& prefix, const Group& group, const NodeVisit& visit) {
  UPWELL_CHECK(visit(prefix, &group, nullptr));
  for (const Array& array : group.arrays) {
    auto done = visit(prefix + array.name + "/", nullptr, &array);
    if (!done) return fail(std::move(done).error().with("/" + prefix + array.name));
  }
  for (const Group& child : group.groups) {
    UPWELL_CHECK(visit_nodes(prefix + child.name + "/", child, visit));
  }
  return {};
}

ZarrView view_of(const ViewOf& view, const std::string& prefix, const Array& array) {
  if (!view) return stored_view(array);
  return view("/" + prefix.substr(0, prefix.size() - 1), array);
}

}  // namespace

ZarrView stored_view(const Array& array) {
  ZarrView view;
  view.type = array.type;
  view.chunk_shape = array.chunk_shape;
  if (!array.segments.empty() && array.segments.front().layout) {
    const SegmentLayout& layout = *array.segments.front().layout;
    view.type = layout.type;
    view.chunk_shape = layout.chunk_shape;
    view.codecs = layout.codecs;
    view.fortran_order = layout.fortran_order;
  }
  return view;
}

Zarr2Fill zarr2_fill(const Array& array, const ZarrView& view) {
  Zarr2Fill out;
  const std::optional<Bytes> fill = fill_in_view(array, view);
  if (const Attribute* attribute = find_attribute(array.attributes, "_FillValue")) {
    out.fill = stored_element(view.type, attribute->value);
  } else if (fill && is_nan_fill(view.type, *fill)) {
    out.fill = fill;
  }
  if (view.type.kind == Kind::kVlenString && view.type.size == 0 && !out.fill) out.fill = fill;
  if (view.type.has_vlen()) return out;
  // zarr-python 2 leaves memory as it is where fill_value is null.
  out.store_missing = !out.fill || !same_value(view.type, out.fill, fill);
  return out;
}

Result<std::string> zarr2_array_json(const Array& array, const ZarrView& view) {
  WriteJson out = WriteJson::object();
  Shape chunks = view.chunk_shape;
  for (uint64_t& extent : chunks) extent = std::max<uint64_t>(extent, 1);
  out["chunks"] = chunks;
  const size_t n = view.codecs.size();
  const bool split = n > 0 && is_compressor(view.codecs[n - 1].id);
  out["compressor"] = nullptr;
  if (split) {
    UPWELL_TRY(out["compressor"], numcodecs_json(view.codecs[n - 1]));
  }
  if (view.keys.separator != '.') out["dimension_separator"] = std::string(1, view.keys.separator);
  UPWELL_TRY(const std::string dtype, to_numpy(view.type));
  out["dtype"] = dtype.starts_with('[') ? own_json(dtype) : WriteJson(dtype);
  const Zarr2Fill fill = zarr2_fill(array, view);
  out["fill_value"] = nullptr;
  if (fill.fill) {
    UPWELL_TRY(const std::string text, fill_json(view.type, *fill.fill));
    out["fill_value"] = own_json(text);
  }
  WriteJson filters = WriteJson::array();
  for (size_t i = 0; i < n - (split ? 1 : 0); ++i) {
    UPWELL_TRY(WriteJson filter, numcodecs_json(view.codecs[i]));
    filters.push_back(std::move(filter));
  }
  out["filters"] = filters.empty() ? WriteJson() : std::move(filters);
  out["order"] = view.fortran_order ? "F" : "C";
  out["shape"] = array.shape;
  out["zarr_format"] = 2;
  return out.dump();
}

Result<std::string> zarr2_attributes_json(const Array& array, const ZarrView& view) {
  const bool in_zarray = zarr2_fill(array, view).fill.has_value();
  UPWELL_TRY(WriteJson out, attributes_object(array.attributes, in_zarray ? "_FillValue" : ""));
  out["_ARRAY_DIMENSIONS"] = WriteJson::array();
  for (const std::string& name : dimension_names(array)) {
    out["_ARRAY_DIMENSIONS"].push_back(own_json(json_text(name)));
  }
  return out.dump();
}

Result<std::string> zarr2_attributes_json(const Group& group) {
  UPWELL_TRY(const WriteJson out, attributes_object(group.attributes, ""));
  return out.dump();
}

std::string zarr2_group_json() { return R"({"zarr_format":2})"; }

Result<std::string> zarr3_array_json(const Array& array, const ZarrView& view) {
  WriteJson out = WriteJson::object();
  out["zarr_format"] = 3;
  out["node_type"] = "array";
  out["shape"] = array.shape;
  UPWELL_TRY(out["data_type"], v3_type_json(view.type));
  Shape chunks = view.chunk_shape;
  for (uint64_t& extent : chunks) extent = std::max<uint64_t>(extent, 1);
  out["chunk_grid"] = named_json("regular", {{"chunk_shape", chunks}});
  out["chunk_key_encoding"] = named_json(view.keys.c_prefix ? "default" : "v2",
                                         {{"separator", std::string(1, view.keys.separator)}});
  UPWELL_TRY(out["fill_value"], v3_fill_json(array, view));
  UPWELL_TRY(out["codecs"], v3_codecs_json(view));
  UPWELL_TRY(out["attributes"], v3_attributes(array, view));
  WriteJson names = WriteJson::array();
  for (const std::string& name : dimension_names(array)) {
    names.push_back(own_json(json_text(name)));
  }
  out["dimension_names"] = std::move(names);
  return out.dump();
}

Result<std::string> zarr3_group_json(const Group& group) {
  WriteJson out = WriteJson::object();
  out["zarr_format"] = 3;
  out["node_type"] = "group";
  UPWELL_TRY(out["attributes"], attributes_object(group.attributes, ""));
  return out.dump();
}

Result<std::vector<ZarrDocument>> zarr2_documents(const Group& root, const ViewOf& view) {
  std::vector<ZarrDocument> out;
  UPWELL_CHECK(visit_nodes(
      "", root, [&](const std::string& prefix, const Group* group, const Array* array) -> Result<> {
        if (group) {
          out.emplace_back(prefix + ".zgroup", zarr2_group_json());
          UPWELL_TRY(std::string attributes, zarr2_attributes_json(*group));
          out.emplace_back(prefix + ".zattrs", std::move(attributes));
          return {};
        }
        const ZarrView how = view_of(view, prefix, *array);
        UPWELL_TRY(std::string document, zarr2_array_json(*array, how));
        UPWELL_TRY(std::string attributes, zarr2_attributes_json(*array, how));
        out.emplace_back(prefix + ".zarray", std::move(document));
        out.emplace_back(prefix + ".zattrs", std::move(attributes));
        return {};
      }));
  return out;
}

Result<std::vector<ZarrDocument>> zarr3_documents(const Group& root, const ViewOf& view) {
  std::vector<ZarrDocument> out;
  UPWELL_CHECK(visit_nodes(
      "", root, [&](const std::string& prefix, const Group* group, const Array* array) -> Result<> {
        auto document = group ? zarr3_group_json(*group)
                              : zarr3_array_json(*array, view_of(view, prefix, *array));
        UPWELL_TRY(std::string text, std::move(document));
        out.emplace_back(prefix + "zarr.json", std::move(text));
        return {};
      }));
  return out;
}

Result<std::string> zarr2_consolidated_json(const std::vector<ZarrDocument>& documents) {
  WriteJson metadata = WriteJson::object();
  for (const auto& [key, text] : documents) {
    WriteJson document = own_json(text);
    if (document.is_discarded()) return fail(Code::kInternal, key + " is not JSON");
    metadata.push_back({own_json(json_text(key)).get<std::string>(), std::move(document)});
  }
  WriteJson out = WriteJson::object();
  out["metadata"] = std::move(metadata);
  out["zarr_consolidated_format"] = 1;
  return out.dump();
}

Result<std::string> zarr3_consolidated_json(const std::vector<ZarrDocument>& documents) {
  constexpr std::string_view kName = "zarr.json";
  WriteJson root;
  WriteJson metadata = WriteJson::object();
  for (const auto& [key, text] : documents) {
    WriteJson document = own_json(text);
    if (document.is_discarded()) return fail(Code::kInternal, key + " is not JSON");
    if (key == kName) {
      root = std::move(document);
    } else if (key.ends_with(kName)) {
      const std::string path = key.substr(0, key.size() - kName.size() - 1);
      metadata.push_back({own_json(json_text(path)).get<std::string>(), std::move(document)});
    }
  }
  if (!root.is_object()) return fail(Code::kInternal, "no root zarr.json to consolidate");
  WriteJson consolidated = WriteJson::object();
  consolidated["kind"] = "inline";
  consolidated["must_understand"] = false;
  consolidated["metadata"] = std::move(metadata);
  root["consolidated_metadata"] = std::move(consolidated);
  return root.dump();
}

Result<bool> has_missing_chunks(const Array& array) {
  uint64_t covered = 0;
  constexpr uint64_t kPositions = 4096;
  constexpr uint64_t kMostAsked = 1024;
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs;
  for (const Segment& segment : array.segments) {
    covered += element_count(segment.shape);
    const uint64_t n = segment.chunks ? segment.chunks->size() : 0;
    if (n > kMostAsked && segment.chunks->asks_for_each()) return true;
    for (uint64_t begin = 0; begin < n; begin += kPositions) {
      const uint64_t count = std::min(kPositions, n - begin);
      positions.resize(count);
      refs.assign(count, {});
      for (uint64_t i = 0; i < count; ++i) positions[i] = begin + i;
      UPWELL_CHECK(segment.chunks->lookup(positions, refs.data()));
      for (const ChunkRef& ref : refs) {
        if (ref.state == ChunkRef::State::kMissing) return true;
      }
    }
  }
  return covered < element_count(array.shape);
}

}  // namespace upwell::refs
