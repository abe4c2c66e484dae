#include "refs/kerchunk_parquet_reader.hpp"

#include <fmt/format.h>

#include "refs/lazy_parquet_index.hpp"
#include "refs/reference_tree.hpp"
#include "refs/zarr_consolidated.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxRecordSize = uint64_t{1} << 26;

}  // namespace

Result<Dataset> read_kerchunk_parquet(io::Session& session, const std::string& base,
                                      ByteSpan zmetadata, const KerchunkParquetOptions& options) {
  ReferenceTree tree;
  UPWELL_TRY(const uint64_t record_size, add_zmetadata(tree, zmetadata));
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
