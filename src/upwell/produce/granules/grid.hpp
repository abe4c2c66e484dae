#pragma once
// What granules need of the model's grid, read once in a run.

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cube/values.hpp"
#include "io/session.hpp"
#include "produce/factors/factors.hpp"
#include "produce/granules/llc.hpp"
#include "produce/grid/grid_place.hpp"

namespace upwell::produce {

/// Where the values of a variable lie on the C grid, horizontally.
enum class Point { kCentre, kWest, kSouth, kCorner };

/// Values are shared by all granules that have them, in the form in which they are written:
/// float32.
using SharedValues = std::shared_ptr<const Values>;

struct ModelGrid {
  uint32_t n = 0;       ///< edge of a tile
  uint32_t levels = 0;  ///< 50

  SharedValues xc, yc, xg, yg;        ///< [13][n][n]
  SharedValues xc_bounds, yc_bounds;  ///< [13][n][n][4]
  SharedValues z, zu, zl;             ///< [levels]
  SharedValues zp1;                   ///< [levels + 1]
  SharedValues z_bounds;              ///< [levels][2]
  std::vector<float> cs, sn;          ///< [13][n][n]; empty where the grid has none

  /// 1 where there is water, [levels][13][n][n]. Points at corners have no mask.
  std::vector<uint8_t> wet_centre, wet_west, wet_south;
  const std::vector<uint8_t>& wet(Point point) const;

  std::string digest;  ///< of all of it
};

/// The target of lat-lon granules.
struct LatLonCoordinates {
  SharedValues latitude, longitude;  ///< of cell centres
  SharedValues z;                    ///< [levels]
};

/// Reads a grid. Where it has a *native*.nc, masks, bounds and angles come from the first of these;
/// XC, YC, XG, YG, RC and RF as MITgcm wrote them win where both are there, as in EDP. Without such
/// a file all comes from MITgcm's own: masks from hFacC, hFacW and hFacS, bounds from the corners
/// in tile001.mitgrid to tile005.mitgrid and from RF, angles from AngleCS and AngleSN. Errors name
/// the file and what it lacks; kNotFound names all files that are missing; files that disagree in
/// size are kInvalidData.
Result<ModelGrid> load_model_grid(io::Session& session, const GridPlace& place);
/// Of the first *latlon*.nc; nullopt when there is none.
Result<std::optional<LatLonCoordinates>> load_latlon_coordinates(io::Session& session,
                                                                 const GridPlace& place);
/// Of the factors' target, and the model's depths.
LatLonCoordinates latlon_coordinates(const LatLonGrid& target, const ModelGrid& grid);

}  // namespace upwell::produce
