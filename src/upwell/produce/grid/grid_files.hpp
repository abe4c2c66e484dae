#pragma once
// The files of a model's grid: fields as MITgcm writes them, the corners in .mitgrid files, and
// the netCDF file that has all of it.

#include <array>
#include <string>
#include <utility>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"
#include "produce/grid/grid_place.hpp"

namespace upwell::produce {

/// One raw field of a grid: big endian floats of `width` bytes.
struct GridField {
  SharedBytes data;
  size_t width = 4;
  std::string url = {};

  uint64_t size() const { return data.size() / width; }
  double operator[](uint64_t i) const {
    const uint8_t* p = data.data() + i * width;
    return width == 4 ? static_cast<double>(load_be<float>(p)) : load_be<double>(p);
  }
};

/// NAME.data of all names, in one batch. A .meta beside a file says its precision and is checked;
/// without any, a file has the precision of the first, which is a horizontal field of an llc grid.
/// kInvalidData when sizes disagree; kNotFound names a file that is not there.
Result<std::vector<GridField>> read_grid_fields(io::Session& session, const std::string& directory,
                                                const std::vector<std::string>& names);

/// Bytes of a value and points along a tile, from the size of one horizontal field. kInvalidData:
/// no field of an llc grid.
Result<std::pair<size_t, uint64_t>> llc_shape(uint64_t bytes);

/// Longitude and latitude of the four corners of each point's cell, counter-clockwise from the
/// south-west of the tile. Points are in the order of tiles: tile, j, i.
using CellCorners = std::vector<std::array<std::array<double, 2>, 4>>;

/// Reads XG and YG of tile001.mitgrid to tile005.mitgrid, which unlike XG.data have the corners at
/// the ends of faces. kInvalidData: another size, or a corner that is no place on Earth.
Result<CellCorners> read_cell_corners(io::Session& session, const std::string& directory,
                                      uint64_t n);

/// A netCDF file of the grid.
class GridFile {
 public:
  static Result<GridFile> open(io::Session& session, const std::string& url);

  bool has(const std::string& name) const { return dataset_.root.find_array(name) != nullptr; }
  /// kInvalidData when there is no such variable.
  Result<Values> read(const std::string& name) const;
  /// As float32; kInvalidData when it has another shape.
  Result<Values> read_floats(const std::string& name, const Shape& shape) const;

  const std::string& url() const { return url_; }

 private:
  GridFile(io::Session& session, std::string url, Dataset dataset)
      : session_(&session), url_(std::move(url)), dataset_(std::move(dataset)) {}

  io::Session* session_;
  std::string url_;
  Dataset dataset_;
};

/// As float32.
Values to_floats(const Values& values);

}  // namespace upwell::produce
