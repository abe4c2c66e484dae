#include "refs/zarr_consolidated.hpp"

#include <simdjson.h>

#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

namespace zod = simdjson::ondemand;

tl::unexpected<Error> zmetadata_error(simdjson::error_code error, const std::string& what) {
  return fail(Code::kInvalidData, ".zmetadata: " + what + ": " + simdjson::error_message(error));
}

/// A document as an object, as LazyReferenceMapper writes it, or as text.
Result<> add_zmetadata_entry(ReferenceTree& tree, std::string_view key, zod::value value) {
  const std::string name(key.substr(0, 200));
  zod::json_type type;
  if (auto error = value.type().get(type)) return zmetadata_error(error, name);
  std::string_view text;
  if (type == zod::json_type::string) {
    if (auto error = value.get_string().get(text)) return zmetadata_error(error, name);
  } else {
    zod::object object;
    if (auto error = value.get_object().get(object)) return zmetadata_error(error, name);
    if (auto error = object.raw_json().get(text)) return zmetadata_error(error, name);
  }
  return tree.add(key, std::string(text));
}

tl::unexpected<Error> zarr3_error(simdjson::error_code error, const std::string& what) {
  return fail(Code::kInvalidData, "zarr.json: " + what + ": " + simdjson::error_message(error));
}

/// {"metadata": {"a/v": {...}, ...}}
Result<> add_zarr3_nodes(ReferenceTree& tree, zod::object consolidated) {
  for (auto field : consolidated) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return zarr3_error(error, "a key");
    if (key != "metadata") continue;
    zod::object nodes;
    if (auto error = field.value().get_object().get(nodes)) return zarr3_error(error, "metadata");
    for (auto entry : nodes) {
      std::string_view path, text;
      zod::object node;
      if (auto error = entry.unescaped_key().get(path)) return zarr3_error(error, "a key");
      const std::string name(path);
      if (auto error = entry.value().get_object().get(node)) return zarr3_error(error, name);
      if (auto error = node.raw_json().get(text)) return zarr3_error(error, name);
      if (name.empty()) continue;  // the root is the document itself
      UPWELL_CHECK(tree.add(name + "/zarr.json", std::string(text)));
    }
  }
  return {};
}

}  // namespace

Result<uint64_t> add_zmetadata(ReferenceTree& tree, ByteSpan zmetadata) {
  if (zmetadata.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) {
    return fail(Code::kUnsupported, ".zmetadata of 4 GiB or more");
  }
  UPWELL_TRY(const std::string strict, strict_json(as_text(zmetadata)));
  const simdjson::padded_string padded(strict);
  zod::parser parser;
  zod::document document;
  zod::object root;
  if (auto error = parser.iterate(padded).get(document)) return zmetadata_error(error, "not JSON");
  if (auto error = document.get_object().get(root)) return zmetadata_error(error, "not JSON");
  uint64_t record_size = 0;
  for (auto field : root) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return zmetadata_error(error, "a key");
    if (key == "record_size") {
      if (auto error = field.value().get_uint64().get(record_size)) {
        return zmetadata_error(error, "record_size");
      }
    }
    if (key != "metadata") continue;
    zod::object metadata;
    if (auto error = field.value().get_object().get(metadata)) {
      return zmetadata_error(error, "metadata");
    }
    for (auto entry : metadata) {
      std::string_view name;
      zod::value value;
      if (auto error = entry.unescaped_key().get(name)) return zmetadata_error(error, "a key");
      if (auto error = entry.value().get(value)) return zmetadata_error(error, "a value");
      UPWELL_CHECK(add_zmetadata_entry(tree, name, value));
    }
  }
  return record_size;
}

Result<bool> add_zarr3_consolidated(ReferenceTree& tree, ByteSpan zarr_json) {
  UPWELL_TRY(const std::string strict, strict_json(as_text(zarr_json)));
  const simdjson::padded_string padded(strict);
  zod::parser parser;
  zod::document document;
  zod::object root;
  if (auto error = parser.iterate(padded).get(document)) return zarr3_error(error, "not JSON");
  if (auto error = document.get_object().get(root)) return zarr3_error(error, "not an object");
  for (auto field : root) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return zarr3_error(error, "a key");
    if (key != "consolidated_metadata") continue;
    bool null = false;
    zod::value value;
    if (auto error = field.value().get(value)) return zarr3_error(error, "consolidated_metadata");
    if (value.is_null().get(null) == simdjson::SUCCESS && null) return false;
    zod::object consolidated;
    if (auto error = value.get_object().get(consolidated)) {
      return zarr3_error(error, "consolidated_metadata");
    }
    UPWELL_CHECK(add_zarr3_nodes(tree, consolidated));
    return true;
  }
  return false;
}

bool has_record_size(ByteSpan zmetadata) {
  auto strict = strict_json(as_text(zmetadata));
  if (!strict) return false;
  const simdjson::padded_string padded(*strict);
  zod::parser parser;
  zod::document document;
  uint64_t size = 0;
  return parser.iterate(padded).get(document) == simdjson::SUCCESS &&
         document["record_size"].get_uint64().get(size) == simdjson::SUCCESS;
}

bool zarr3_is_array(std::string_view zarr_json) {
  const simdjson::padded_string padded(zarr_json);
  zod::parser parser;
  zod::document document;
  std::string_view kind;
  return parser.iterate(padded).get(document) == simdjson::SUCCESS &&
         document["node_type"].get_string().get(kind) == simdjson::SUCCESS && kind == "array";
}

}  // namespace upwell::refs
