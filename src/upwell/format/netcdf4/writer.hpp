#pragma once
// Writing netCDF-4 files with netCDF-C.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/files.hpp"
#include "cube/dataset.hpp"

namespace upwell::format::netcdf4 {

/// Data that the caller has shuffled and deflated, chunk by chunk, to be put into the file as it
/// is.
struct EncodedChunks {
  Shape chunk_shape;                ///< edge chunks are encoded in full, padded with the fill value
  int level = 5;                    ///< of deflate, as the file announces it
  std::vector<SharedBytes> stored;  ///< every chunk, in C order of the grid
};

/// A variable to write: values in memory form, one dimension name per axis.
struct Variable {
  std::string name;
  std::vector<std::string> dimensions;
  Attributes attributes;
  Values values;
  std::shared_ptr<const Values> shared = {};  ///< in place of `values`, where many files have them
  bool deflate = true;     ///< shuffle + deflate 1; not applied to scalars and text
  bool later = false;      ///< `values` have a type and a shape, but no data: see Output
  Shape chunk_shape = {};  ///< {}: the library's choice
  /// In place of values.data, for write_in_place; `values` then has only type and shape.
  std::optional<EncodedChunks> encoded = {};

  const Values& data() const { return shared ? *shared : values; }
};

struct File {
  Attributes attributes;
  std::vector<Variable> variables;  ///< dimensions of the same name must agree in length
};

/// Writes atomically: the target is whole or not there. kUnsupported for types netCDF-4 has no name
/// for, kCannotWrite otherwise.
Result<> write(const std::filesystem::path& target, const File& file);
/// Writes into a file that is under a temporary name already, or may be seen half written; also
/// variables that are encoded.
Result<> write_in_place(const std::filesystem::path& path, const File& file);

/// The chunks that netCDF-C chooses for a compressed variable of this shape and element size (4 or
/// 8 bytes) that has no unlimited dimension.
Result<Shape> default_chunk_shape(const Shape& shape, size_t element_size);

/// A file of which some variables are written part by part. Whole or not there: destroyed without
/// commit, it leaves nothing.
class Output {
 public:
  /// Defines all variables of `file` and writes those that are not `later`.
  static Result<Output> create(const std::filesystem::path& target, const File& file);
  Output(Output&&) noexcept;
  ~Output();

  /// Writes a box of variable number `variable` of the file; `elements` in C order. What is never
  /// written is undefined. Thread-safe.
  Result<> put(size_t variable, const Shape& origin, const Shape& shape, ByteSpan elements);
  Result<> commit(Sync sync = Sync::kYes);

 private:
  struct Impl;
  explicit Output(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::format::netcdf4
