#include "format/netcdf4/direct_chunks.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include "base/late_library.hpp"

namespace upwell::format::netcdf4 {
namespace {

/// libhdf5's functions, from the library that netCDF-C has loaded: with any other one, two copies
/// of HDF5 would hold the same file. Null where they are not there.
struct Hdf5 {
  decltype(&::H5Fopen) open_file;
  decltype(&::H5Fclose) close_file;
  decltype(&::H5Dopen2) open_dataset;
  decltype(&::H5Dclose) close_dataset;
  decltype(&::H5Dwrite_chunk) write_chunk;

  bool complete() const {
    return open_file && close_file && open_dataset && close_dataset && write_chunk;
  }
};

const Hdf5& late_hdf5() {
  static LateLibrary library(UPWELL_LIBHDF5);
  static const Hdf5 functions{
      library.function<decltype(&::H5Fopen)>("H5Fopen"),
      library.function<decltype(&::H5Fclose)>("H5Fclose"),
      library.function<decltype(&::H5Dopen2)>("H5Dopen2"),
      library.function<decltype(&::H5Dclose)>("H5Dclose"),
      library.function<decltype(&::H5Dwrite_chunk)>("H5Dwrite_chunk"),
  };
  return functions;
}

constexpr unsigned kReadWrite = 1;  // H5F_ACC_RDWR, whose macro calls the library

/// Moves `chunk` to the next of `grid`, in C order.
void advance(std::vector<hsize_t>& chunk, const Shape& grid) {
  for (size_t d = grid.size(); d-- > 0;) {
    if (++chunk[d] < grid[d]) return;
    chunk[d] = 0;
  }
}

Result<> put_chunks(const Hdf5& hdf5, hid_t dataset, const Variable& variable) {
  const EncodedChunks& encoded = *variable.encoded;
  const Shape grid = grid_shape(variable.data().shape, encoded.chunk_shape);
  if (encoded.stored.size() != element_count(grid)) {
    return fail(Code::kInternal, fmt::format("{}: {} chunks for a grid of {}", variable.name,
                                             encoded.stored.size(), element_count(grid)));
  }
  std::vector<hsize_t> chunk(grid.size()), offset(grid.size());
  for (const SharedBytes& bytes : encoded.stored) {
    for (size_t d = 0; d < grid.size(); ++d) offset[d] = chunk[d] * encoded.chunk_shape[d];
    if (hdf5.write_chunk(dataset, H5P_DEFAULT, 0, offset.data(), bytes.size(), bytes.data()) < 0) {
      return fail(Code::kCannotWrite, fmt::format("chunk {} of {}: HDF5 could not write it",
                                                  fmt::join(chunk, "."), variable.name));
    }
    advance(chunk, grid);
  }
  return {};
}

Result<> put_all(const Hdf5& hdf5, hid_t file_id, const File& file) {
  for (const Variable& variable : file.variables) {
    if (!variable.encoded) continue;
    const hid_t dataset = hdf5.open_dataset(file_id, variable.name.c_str(), H5P_DEFAULT);
    if (dataset < 0)
      return fail(Code::kInternal, variable.name + ": not in the file that was just written");
    Result<> put = put_chunks(hdf5, dataset, variable);
    if (hdf5.close_dataset(dataset) < 0 && put)
      put = fail(Code::kCannotWrite, variable.name + ": HDF5 could not write its chunk index");
    UPWELL_CHECK(std::move(put));
  }
  return {};
}

}  // namespace

Result<> put_direct_chunks(const std::filesystem::path& path, const File& file) {
  const Hdf5& hdf5 = late_hdf5();
  if (!hdf5.complete()) return fail(Code::kUnsupported, "the HDF5 library could not be loaded");
  const hid_t file_id = hdf5.open_file(path.c_str(), kReadWrite, H5P_DEFAULT);
  if (file_id < 0)
    return fail(Code::kCannotWrite, path.string() + ": HDF5 could not open what netCDF-C wrote");
  Result<> put = put_all(hdf5, file_id, file);
  if (hdf5.close_file(file_id) < 0 && put)
    put = fail(Code::kCannotWrite, path.string() + ": HDF5 could not close it");
  return put;
}

}  // namespace upwell::format::netcdf4
