#pragma once
// The model's grid, as far as mapping needs it. Points are in the order of tiles: tile, j, i.

#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"
#include "produce/grid/grid_files.hpp"

namespace upwell::produce {

struct NativeGrid {
  uint64_t n = 0;                           ///< points along a tile; there are 13 × n × n
  std::vector<double> longitude, latitude;  ///< XC, YC: degrees
  std::vector<double> area;                 ///< RAC: square metres
  double largest_spacing = 0;               ///< of DXG and DYG: metres
  std::vector<std::vector<uint8_t>> wet;    ///< bits of each level: hFacC > 0
  std::vector<double> depth_bounds;         ///< two a level: metres, downwards negative, from DRF
  uint64_t points() const { return longitude.size(); }
  /// Bits: water at any level.
  std::vector<uint8_t> ever_wet() const;
};

/// Reads XC, YC, RAC, DXG, DYG, DRF and hFacC (.data, big endian, compact) below `directory`, a
/// path or URL. A .meta beside a file says its precision and is checked; without any, all have that
/// of XC. kInvalidData when sizes disagree, or a value cannot be; kNotFound names a file that is
/// not there.
Result<NativeGrid> read_native_grid(io::Session& session, const std::string& directory);
/// The same of a netCDF file as ECCO has it: XC, YC, rA, dxG, dyG, drF, and hFacC or maskC.
Result<NativeGrid> read_native_grid(const GridFile& file);
/// XC_bnds and YC_bnds of such a file.
Result<CellCorners> read_cell_corners(const GridFile& file, uint64_t n);

}  // namespace upwell::produce
