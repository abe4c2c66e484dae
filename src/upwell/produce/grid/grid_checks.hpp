#pragma once
// Whether what a grid's files say can be: errors name the file and the place.

#include <functional>
#include <span>
#include <string>

#include "produce/factors/mapper.hpp"
#include "produce/grid/grid_files.hpp"

namespace upwell::produce {

/// What a grid's values may be; NaN is never one.
struct GridRange {
  double lowest, highest;
  const char* what;  ///< "a latitude"
};
inline constexpr GridRange kLongitudes{-360, 360, "a longitude"};
inline constexpr GridRange kLatitudes{-90, 90, "a latitude"};
inline constexpr GridRange kLengths{0, 1e8, "a length on Earth in metres"};
inline constexpr GridRange kAreas{0, 1e15, "an area on Earth in square metres"};
/// A little above 1, for what single precision makes of it.
inline constexpr GridRange kOpenParts{0, 1 + 1e-6, "the open part of a cell, 0 to 1"};
inline constexpr GridRange kAngles{-1 - 1e-6, 1 + 1e-6, "the sine or cosine of an angle"};

/// kInvalidData: "URL: tile 3, j 2, i 1 has 95, which is not a latitude", tiles counted from 0.
Error not_allowed(const GridField& field, double value, const GridRange& allowed, uint64_t point,
                  uint64_t n, std::optional<uint64_t> level);

/// Calls `take(index, value)` with the values of a field of `levels` * 13 * n * n in the order of
/// tiles. kInvalidData names the first that is not allowed.
template <typename Take>
Result<> take_tiles(const GridField& field, uint64_t n, uint64_t levels, const GridRange& allowed,
                    const Take& take) {
  const uint64_t points = 13 * n * n;
  for (uint64_t level = 0; level < levels; ++level) {
    for (uint64_t p = 0; p < points; ++p) {
      const double value = field[level * points + compact_position(p, n)];
      if (!(value >= allowed.lowest && value <= allowed.highest))
        return fail(not_allowed(field, value, allowed, p, n,
                                levels > 1 ? std::optional(level) : std::nullopt));
      take(level * points + p, value);
    }
  }
  return {};
}

/// Depths of faces: each below the one before it, or each above, as `field` has them.
Result<> check_faces(const GridField& field);
/// Depths of centres: each between its faces.
Result<> check_centres(const GridField& centres, const GridField& faces);

/// Whether the corners of .mitgrid files below `directory` lie where XG and YG say, which have the
/// first one of each cell, within a thousandth of a degree. Where both are 0 a grid has blank
/// tiles.
Result<> check_corners(const CellCorners& corners, uint64_t n, const GridField& xg,
                       const GridField& yg, const std::string& directory);

}  // namespace upwell::produce
