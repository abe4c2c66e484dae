#include "refs/kerchunk_parquet_writer.hpp"

namespace upwell::refs {

Result<ReferenceCounts> write_kerchunk_parquet(const Dataset&, const ReferenceOutputOptions&,
                                               uint64_t, const std::filesystem::path&, uint64_t&) {
  return fail(Code::kUnsupported, "Parquet output is not built in");
}

}  // namespace upwell::refs
