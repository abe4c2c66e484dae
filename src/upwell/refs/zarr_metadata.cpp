// Reading of Zarr documents, and chunk keys. Writing is in zarr_write.cpp.

#include "refs/zarr_metadata.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

using ReadJson = nlohmann::json;

constexpr size_t kMaxRank = 64;
constexpr uint64_t kMaxElements = uint64_t{1} << 62;
constexpr uint32_t kMaxItem = 1U << 30;
constexpr int kMaxNesting = 16;

tl::unexpected<Error> bad_field(const char* field, const std::string& why) {
  return fail(Code::kInvalidData, fmt::format("\"{}\": {}", field, why));
}

Result<ReadJson> parse_document(std::string_view text) {
  UPWELL_TRY(const std::string strict, strict_json(text));
  ReadJson document = ReadJson::parse(strict, nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) return fail(Code::kInvalidData, "not JSON");
  if (!document.is_object()) return fail(Code::kInvalidData, "not a JSON object");
  return document;
}

/// The field as a list of extents, none of them absurd.
Result<Shape> extents(const ReadJson& object, const char* field) {
  const auto it = object.find(field);
  if (it == object.end() || !it->is_array()) return bad_field(field, "missing or not a list");
  if (it->size() > kMaxRank) return bad_field(field, "more than 64 dimensions");
  Shape shape;
  uint64_t product = 1;
  for (const ReadJson& extent : *it) {
    if (!extent.is_number_unsigned()) return bad_field(field, "extents must be whole numbers");
    shape.push_back(extent.get<uint64_t>());
    if (shape.back() != 0 && product > kMaxElements / shape.back()) {
      return bad_field(field, "more than 2^62 elements");
    }
    product *= std::max<uint64_t>(shape.back(), 1);
  }
  return shape;
}

/// Checks the chunk shape and repairs what zero-length axes leave: chunk 0 where the shape is 0.
Result<Shape> checked_chunks(Shape chunks, const Shape& shape, const char* field) {
  if (chunks.size() != shape.size()) {
    return bad_field(field,
                     fmt::format("{} extents for {} dimensions", chunks.size(), shape.size()));
  }
  for (size_t i = 0; i < chunks.size(); ++i) {
    if (chunks[i] != 0) continue;
    if (shape[i] != 0) return bad_field(field, fmt::format("axis {} has chunks of length 0", i));
    chunks[i] = 1;
  }
  return chunks;
}

/// A codec in numcodecs form: {"id": ..., parameters}.
Result<codec::CodecSpec> numcodecs_spec(const ReadJson& object, const char* field) {
  if (!object.is_object() || !object.contains("id") || !object["id"].is_string()) {
    return bad_field(field, "a codec without \"id\"");
  }
  ReadJson config = object;
  codec::CodecSpec spec;
  spec.id = config["id"].get<std::string>();
  config.erase("id");
  spec.config = config.dump();
  return spec;
}

Result<std::vector<codec::CodecSpec>> zarr2_codecs(const ReadJson& document) {
  std::vector<codec::CodecSpec> codecs;
  const ReadJson filters = document.value("filters", ReadJson());
  if (!filters.is_null() && !filters.is_array()) return bad_field("filters", "not a list");
  for (const ReadJson& filter : filters) {
    UPWELL_TRY(codec::CodecSpec spec, numcodecs_spec(filter, "filters"));
    codecs.push_back(std::move(spec));
  }
  const ReadJson compressor = document.value("compressor", ReadJson());
  if (!compressor.is_null()) {
    UPWELL_TRY(codec::CodecSpec spec, numcodecs_spec(compressor, "compressor"));
    codecs.push_back(std::move(spec));
  }
  return codecs;
}

/// "|O" says nothing of the elements: the first filter does.
Result<> settle_object_type(DataType& type, const std::vector<codec::CodecSpec>& codecs) {
  if (type.kind != Kind::kVlenString) return {};
  if (codecs.empty()) return fail(Code::kUnsupported, "data type |O without an object codec");
  const std::string& id = codecs.front().id;
  if (id != "vlen-utf8" && id != "vlen-bytes") {
    return fail(Code::kUnsupported, fmt::format("object codec \"{}\" is not read", id));
  }
  type.utf8 = id == "vlen-utf8";
  return {};
}

/// Takes _ARRAY_DIMENSIONS out of the attributes.
Result<std::vector<std::string>> take_dimensions(Attributes& attributes, size_t rank) {
  std::vector<std::string> names(rank);
  const auto it = std::find_if(attributes.begin(), attributes.end(),
                               [](const Attribute& a) { return a.name == "_ARRAY_DIMENSIONS"; });
  if (it == attributes.end()) return names;
  const bool texts = it->value.type.kind == Kind::kVlenString && it->value.type.tag != kJsonTag;
  const size_t n = texts ? it->value.count() : 0;
  if (n != rank) {
    return bad_field("_ARRAY_DIMENSIONS", fmt::format("{} names for {} dimensions", n, rank));
  }
  for (size_t i = 0; i < n; ++i) names[i] = it->value.text(i);
  attributes.erase(it);
  return names;
}

/// Fill attributes that are text in JSON, but numbers in the array.
void settle_fill_attributes(Array& array) {
  if (!array.type.is_number()) return;
  for (Attribute& attribute : array.attributes) {
    if (attribute.name != "_FillValue" && attribute.name != "missing_value") continue;
    const auto& type = attribute.value.type;
    if (type.kind != Kind::kVlenString || attribute.value.count() != 1) continue;
    if (auto number = decode_fill_attribute(attribute.value.text(0))) {
      attribute.value = make_number(*number);
    }
  }
}

void add_fill_attribute(Array& array) {
  if (!array.fill || find_attribute(array.attributes, "_FillValue")) return;
  if (!array.type.is_number() && array.type.kind != Kind::kString) return;
  Attribute attribute{"_FillValue", {}, false};
  attribute.value.type = memory_type(array.type);
  attribute.value.data.resize(attribute.value.type.size);
  if (!to_memory(array.type, *array.fill, 1, attribute.value.data)) return;
  array.attributes.push_back(std::move(attribute));
}

Result<> check_item(const DataType& type) {
  if (type.size > kMaxItem) return fail(Code::kInvalidData, "data type larger than 1 GiB");
  return {};
}

/// Everything that v2 and v3 share once type, shape, chunks and codecs are known.
void fill_in(ZarrArray& out, DataType type, Shape shape, Shape chunks,
             std::vector<codec::CodecSpec> codecs, std::optional<Bytes> fill) {
  out.layout = std::make_shared<SegmentLayout>();
  out.layout->type = type;
  out.layout->chunk_shape = chunks;
  out.layout->codecs = std::move(codecs);
  out.layout->fill = fill;
  out.array.type = std::move(type);
  out.array.shape = std::move(shape);
  out.array.chunk_shape = std::move(chunks);
  out.array.fill = std::move(fill);
}

// --- v3 -----------------------------------------------------------------------------------------

struct V3Named {
  std::string name;
  ReadJson configuration = ReadJson::object();
};

Result<V3Named> v3_named(const ReadJson& json, const char* field) {
  if (json.is_string()) return V3Named{json.get<std::string>(), ReadJson::object()};
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) {
    return bad_field(field, "an entry without \"name\"");
  }
  V3Named named{json["name"].get<std::string>(), json.value("configuration", ReadJson::object())};
  if (!named.configuration.is_object()) return bad_field(field, "configuration is not an object");
  return named;
}

Result<uint32_t> v3_size(const V3Named& type, const char* key, uint32_t unit) {
  const ReadJson n = type.configuration.value(key, ReadJson());
  if (!n.is_number_unsigned() || n.get<uint64_t>() > kMaxItem / unit) {
    return bad_field("data_type", fmt::format("{} without a proper {}", type.name, key));
  }
  return static_cast<uint32_t>(n.get<uint64_t>()) * unit;
}

Result<DataType> v3_type(const ReadJson& json, int depth = 0);

/// Fields as [name, data_type] (zarr-python) or {"name":, "data_type":} (zarr-extensions).
Result<DataType> v3_compound(const V3Named& named, int depth) {
  const ReadJson fields = named.configuration.value("fields", ReadJson());
  if (!fields.is_array() || fields.empty() || depth > kMaxNesting) {
    return bad_field("data_type", "a structured type without proper fields");
  }
  DataType type;
  type.kind = Kind::kCompound;
  uint64_t offset = 0;
  for (const ReadJson& field : fields) {
    const bool pair = field.is_array() && field.size() == 2;
    const ReadJson name = pair                ? field[0]
                          : field.is_object() ? field.value("name", ReadJson())
                                              : ReadJson();
    if (!name.is_string()) return bad_field("data_type", "a field without a name");
    UPWELL_TRY(DataType part,
               v3_type(pair ? field[1] : field.value("data_type", ReadJson()), depth + 1));
    if (part.has_vlen()) return fail(Code::kUnsupported, "a field of variable length is not read");
    const uint32_t size = part.size;
    type.members.push_back({name.get<std::string>(), static_cast<uint32_t>(offset),
                            std::make_shared<const DataType>(std::move(part))});
    offset += size;
    if (offset > kMaxItem) return bad_field("data_type", "larger than 1 GiB");
  }
  type.size = static_cast<uint32_t>(offset);
  return type;
}

Result<DataType> v3_type(const ReadJson& json, int depth) {
  UPWELL_TRY(const V3Named named, v3_named(json, "data_type"));
  DataType type;
  if (named.name == "null_terminated_bytes") {
    UPWELL_TRY(const uint32_t size, v3_size(named, "length_bytes", 1));
    return DataType::fixed_string(size);
  }
  if (named.name == "raw_bytes") {
    UPWELL_TRY(type.size, v3_size(named, "length_bytes", 1));
    type.kind = Kind::kOpaque;
    return type;
  }
  if (named.name == "fixed_length_utf32") {
    UPWELL_TRY(type.size, v3_size(named, "length_bytes", 1));
    type.kind = Kind::kUnicode;
    return type;
  }
  if (named.name == "numpy.datetime64" || named.name == "numpy.timedelta64") {
    const ReadJson unit = named.configuration.value("unit", ReadJson());
    const ReadJson scale = named.configuration.value("scale_factor", ReadJson(1));
    if (!unit.is_string() || !scale.is_number_unsigned() || scale == 0) {
      return bad_field("data_type", json.dump() + " is not a unit of time");
    }
    type = DataType::integer(8);
    type.kind = named.name == "numpy.datetime64" ? Kind::kDatetime : Kind::kTimedelta;
    type.tag = (scale == 1 ? "" : scale.dump()) + unit.get<std::string>();
    return type;
  }
  if (named.name == "structured" || named.name == "struct") return v3_compound(named, depth);
  if (named.name == "variable_length_utf8" || named.name == "variable_length_bytes" ||
      named.name == "bytes") {
    type = DataType::vlen_string();
    type.utf8 = named.name == "variable_length_utf8";
    return type;
  }
  return from_zarr3(named.name);
}

Result<ChunkKeys> v3_keys(const ReadJson& document) {
  const ReadJson json = document.value("chunk_key_encoding", ReadJson("default"));
  UPWELL_TRY(const V3Named named, v3_named(json, "chunk_key_encoding"));
  if (named.name != "default" && named.name != "v2") {
    return fail(Code::kUnsupported, "chunk_key_encoding \"" + named.name + "\" is not read");
  }
  ChunkKeys keys{named.name == "v2" ? '.' : '/', named.name == "default"};
  const ReadJson separator = named.configuration.value("separator", ReadJson());
  if (separator == ".") keys.separator = '.';
  if (separator == "/") keys.separator = '/';
  return keys;
}

Result<Shape> v3_chunks(const ReadJson& document, const Shape& shape) {
  UPWELL_TRY(const V3Named grid, v3_named(document.value("chunk_grid", ReadJson()), "chunk_grid"));
  if (grid.name != "regular") {
    return fail(Code::kUnsupported, "chunk_grid \"" + grid.name + "\" is not read");
  }
  UPWELL_TRY(Shape chunks, extents(grid.configuration, "chunk_shape"));
  return checked_chunks(std::move(chunks), shape, "chunk_shape");
}

Result<> v3_dimensions(const ReadJson& document, Array& array) {
  array.dimensions.assign(array.shape.size(), "");
  const ReadJson names = document.value("dimension_names", ReadJson());
  if (names.is_null()) return {};
  if (!names.is_array() || names.size() != array.shape.size()) {
    return bad_field("dimension_names", "not one name per dimension");
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i].is_string()) array.dimensions[i] = names[i].get<std::string>();
  }
  return {};
}

/// A field that this reader does not know may change what the others mean.
Result<> check_fields(const ReadJson& document) {
  constexpr std::string_view kKnown[] = {
      "zarr_format",         "node_type",  "shape",  "data_type",  "chunk_grid",
      "chunk_key_encoding",  "fill_value", "codecs", "attributes", "dimension_names",
      "storage_transformers"};
  for (const auto& [name, value] : document.items()) {
    if (std::find(std::begin(kKnown), std::end(kKnown), name) != std::end(kKnown)) continue;
    const bool optional = value.is_object() && value.value("must_understand", ReadJson()) == false;
    if (!optional) return fail(Code::kUnsupported, "field \"" + name + "\" is not understood");
  }
  const ReadJson transformers = document.value("storage_transformers", ReadJson());
  if (transformers.is_null() || transformers.empty()) return {};
  return fail(Code::kUnsupported, "storage_transformers are not read");
}

Result<ZarrArray> v3_array(const ReadJson& document, Attributes attributes) {
  UPWELL_CHECK(check_fields(document));
  UPWELL_TRY(Shape shape, extents(document, "shape"));
  UPWELL_TRY(DataType type, v3_type(document.value("data_type", ReadJson())));
  UPWELL_CHECK(check_item(type));
  UPWELL_TRY(Shape chunks, v3_chunks(document, shape));
  UPWELL_TRY(ZarrCodecs codecs,
             parse_zarr3_codecs(document.value("codecs", ReadJson()).dump(), chunks, type));
  const ReadJson fill_value = document.value("fill_value", ReadJson());
  std::optional<Bytes> fill;
  if (type.kind == Kind::kOpaque && fill_value.is_array() && fill_value.size() == type.size) {
    fill.emplace();
    for (const ReadJson& byte : fill_value) {
      fill->push_back(byte.is_number_unsigned() ? static_cast<uint8_t>(byte.get<unsigned>()) : 0);
    }
  } else {
    UPWELL_TRY(fill, parse_fill(type, fill_value.dump()));
  }
  ZarrArray out;
  UPWELL_TRY(out.keys, v3_keys(document));
  fill_in(out, std::move(type), std::move(shape), std::move(codecs.chunk_shape),
          std::move(codecs.specs), std::move(fill));
  out.layout->fortran_order = codecs.fortran_order;
  out.shards = std::move(codecs.shards);
  out.array.attributes = std::move(attributes);
  UPWELL_CHECK(v3_dimensions(document, out.array));
  settle_fill_attributes(out.array);
  return out;
}

}  // namespace

std::string chunk_key(const ChunkKeys& keys, const Shape& index) {
  if (index.empty()) return keys.c_prefix ? "c" : "0";
  std::string key = keys.c_prefix ? std::string("c") + keys.separator : std::string();
  for (size_t i = 0; i < index.size(); ++i) {
    if (i > 0) key += keys.separator;
    key += std::to_string(index[i]);
  }
  return key;
}

Shape chunk_at(const Shape& grid, uint64_t position) {
  Shape index(grid.size());
  for (size_t d = grid.size(); d-- > 0;) {
    index[d] = position % grid[d];
    position /= grid[d];
  }
  return index;
}

std::optional<uint64_t> chunk_position(const ChunkKeys& keys, const Shape& grid,
                                       std::string_view key) {
  if (keys.c_prefix) {
    if (grid.empty()) return key == "c" ? std::optional<uint64_t>(0) : std::nullopt;
    if (key.size() < 2 || key[0] != 'c' || key[1] != keys.separator) return std::nullopt;
    key.remove_prefix(2);
  }
  if (grid.empty()) return key == "0" ? std::optional<uint64_t>(0) : std::nullopt;
  const char* p = key.data();
  const char* const end = p + key.size();
  uint64_t position = 0;
  for (size_t i = 0; i < grid.size(); ++i) {
    if (i > 0 && (p == end || *p++ != keys.separator)) return std::nullopt;
    uint64_t index = 0;
    const auto [next, error] = std::from_chars(p, end, index);
    if (error != std::errc() || index >= grid[i]) return std::nullopt;
    position = position * grid[i] + index;
    p = next;
  }
  return p == end ? std::optional<uint64_t>(position) : std::nullopt;
}

Result<ZarrArray> parse_zarr2_array(std::string_view zarray, std::string_view zattrs) {
  UPWELL_TRY(const ReadJson document, parse_document(zarray));
  if (document.value("zarr_format", ReadJson(2)) != 2) return bad_field("zarr_format", "not 2");
  UPWELL_TRY(Shape shape, extents(document, "shape"));
  UPWELL_TRY(Shape chunks, extents(document, "chunks"));
  UPWELL_TRY(chunks, checked_chunks(std::move(chunks), shape, "chunks"));
  const ReadJson dtype = document.value("dtype", ReadJson());
  if (!dtype.is_string() && !dtype.is_array()) return bad_field("dtype", "missing");
  UPWELL_TRY(DataType type,
             from_numpy(dtype.is_string() ? dtype.get<std::string>() : dtype.dump()));
  UPWELL_CHECK(check_item(type));
  UPWELL_TRY(auto codecs, zarr2_codecs(document));
  UPWELL_CHECK(settle_object_type(type, codecs));
  UPWELL_TRY(auto fill, parse_fill(type, document.value("fill_value", ReadJson()).dump()));
  ZarrArray out;
  if (document.value("dimension_separator", ReadJson(".")) == "/") out.keys.separator = '/';
  fill_in(out, std::move(type), std::move(shape), std::move(chunks), std::move(codecs),
          std::move(fill));
  out.layout->fortran_order = document.value("order", ReadJson("C")) == "F";
  if (!zattrs.empty()) {
    UPWELL_TRY(out.array.attributes, parse_zarr_attributes(zattrs));
  }
  UPWELL_TRY(out.array.dimensions, take_dimensions(out.array.attributes, out.array.shape.size()));
  settle_fill_attributes(out.array);
  add_fill_attribute(out.array);
  return out;
}

Result<ZarrNode> parse_zarr3(std::string_view zarr_json) {
  UPWELL_TRY(const ReadJson document, parse_document(zarr_json));
  if (document.value("zarr_format", ReadJson()) != 3) return bad_field("zarr_format", "not 3");
  ZarrNode node;
  Attributes attributes;
  if (document.contains("attributes")) {
    UPWELL_TRY(attributes, parse_zarr3_attributes(zarr_json));
  }
  const ReadJson kind = document.value("node_type", ReadJson());
  node.is_group = kind == "group";
  if (node.is_group) {
    node.attributes = std::move(attributes);
  } else if (kind == "array") {
    UPWELL_TRY(node.array, v3_array(document, std::move(attributes)));
  } else {
    return bad_field("node_type", "neither \"group\" nor \"array\"");
  }
  return node;
}

}  // namespace upwell::refs
