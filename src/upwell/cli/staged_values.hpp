#pragma once
// The values of a planned file where any part can be read: those that come later lie on disk.

#include <filesystem>

#include "base/scratch_file.hpp"
#include "format/netcdf4/writer.hpp"

namespace upwell::cli {

/// Variables that are `later` are put box by box, in any order, into a scratch file; the others
/// have their values. Memory does not grow with what is put.
class StagedValues {
 public:
  /// `file` must live as long as this. kResourceExhausted where its size cannot be counted.
  static Result<StagedValues> create(const std::filesystem::path& directory,
                                     const format::netcdf4::File& file);

  /// As format::netcdf4::Output::put. Thread-safe.
  Result<> put(size_t variable, const Shape& origin, const Shape& shape, ByteSpan elements);
  /// A box of a variable of fixed-size elements, in C order. Thread-safe.
  Result<> read_box(size_t variable, const Shape& origin, const Shape& shape,
                    MutableByteSpan elements) const;
  /// Elements [begin, begin + count) in C order.
  Result<Values> read_run(size_t variable, uint64_t begin, uint64_t count) const;

 private:
  StagedValues(const format::netcdf4::File& file, ScratchFile scratch,
               std::vector<uint64_t> offsets)
      : file_(&file), scratch_(std::move(scratch)), offsets_(std::move(offsets)) {}
  const format::netcdf4::File* file_;
  ScratchFile scratch_;
  std::vector<uint64_t> offsets_;  // in the scratch file, by variable
};

}  // namespace upwell::cli
