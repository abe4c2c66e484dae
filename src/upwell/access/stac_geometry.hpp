#pragma once
// Where a granule lies, as GeoJSON wants it (RFC 7946 section 3.1.9): nothing crosses the
// antimeridian, outer rings run counter-clockwise.

#include <optional>
#include <vector>

#include "access/umm.hpp"

namespace upwell::access {

/// Of polygons, lines and points the first kind that is there; the others are empty.
struct GeoShape {
  std::vector<Polygon> polygons;
  std::vector<std::vector<Position>> lines;
  std::vector<Position> points;
  /// West greater than east: across the antimeridian (RFC 7946 section 5.2). What is wider than
  /// 350 degrees is taken for all around. Nothing: nothing is known.
  std::optional<Rectangle> bounds;
};

/// Cuts at the antimeridian. A ring that goes around the Earth holds the pole on whose side of the
/// equator it lies.
GeoShape shape_of(const Footprint& footprint);

}  // namespace upwell::access
