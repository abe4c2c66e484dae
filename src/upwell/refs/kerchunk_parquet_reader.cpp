#include "refs/kerchunk_parquet_reader.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include "refs/lazy_parquet_index.hpp"
#include "refs/reference_tree.hpp"

namespace upwell::refs {
namespace {

namespace zod = simdjson::ondemand;

constexpr uint64_t kMaxRecordSize = uint64_t{1} << 26;

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

/// Fills the tree and gives the record size.
Result<uint64_t> parse_zmetadata(ReferenceTree& tree, ByteSpan zmetadata) {
  const simdjson::padded_string padded(reinterpret_cast<const char*>(zmetadata.data()),
                                       zmetadata.size());
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

}  // namespace

Result<Dataset> read_kerchunk_parquet(io::Session& session, const std::string& base,
                                      ByteSpan zmetadata, const KerchunkParquetOptions& options) {
  if (zmetadata.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) {
    return fail(Code::kUnsupported, ".zmetadata of 4 GiB or more");
  }
  ReferenceTree tree;
  UPWELL_TRY(const uint64_t record_size, parse_zmetadata(tree, zmetadata));
  if (record_size == 0 || record_size > kMaxRecordSize) {
    return fail(Code::kInvalidData,
                record_size == 0 ? std::string("no reference set: .zmetadata has no record_size")
                                 : fmt::format("record_size {} is too large", record_size));
  }
  UPWELL_CHECK(tree.parse(options.drop));
  auto granules = std::make_shared<GranuleTable>();
  const auto store = std::make_shared<PartitionStore>(session, base, options.urls, record_size,
                                                      options.cached_partitions, granules);
  for (ReferenceArray& array : tree.arrays()) {
    array.chunks = std::make_shared<LazyParquetIndex>(store, array.path, array.chunk_count);
  }
  if (tree.empty()) return fail(Code::kInvalidData, ".zmetadata without metadata");
  return tree.build(std::move(granules), "kerchunk-parquet");
}

}  // namespace upwell::refs
