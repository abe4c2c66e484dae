#pragma once
// Mapping factors from the grid.

#include "produce/factors/factors.hpp"
#include "produce/factors/native_grid.hpp"

namespace upwell::produce {

enum class MappingMethod {
  kNearest,       ///< the value of the nearest point
  kBinAverage,    ///< the mean of the points within a radius of the centre, else the nearest
  kConservative,  ///< the mean weighted with the areas of overlap of the cells
};

/// How far a cell of the target reaches, for kBinAverage.
struct SearchRadius {
  enum class Rule {
    kEqualArea,  ///< of the circle with the cell's area (EDP's method_1)
    kDiagonal,   ///< half the diagonal of a cell at the equator, 111 km a degree (EDP's method_2)
    kFixed,
  };
  Rule rule = Rule::kEqualArea;
  double metres = 0;  ///< of kFixed
};

struct BuildOptions {
  MappingMethod method = MappingMethod::kBinAverage;
  SearchRadius radius;
  LatLonGrid grid;
  bool any_wet_in_column = false;  ///< see FactorsHead
};

/// Cells of `resolution` degrees from `west` to `east` and `south` to `north`. kInvalidArgument
/// when they do not fit.
Result<LatLonGrid> regular_grid(double resolution, double west, double south, double east,
                                double north);

/// Factors of nearest and bin-average, all levels. A cell is ocean where its nearest point is wet,
/// if that is not farther away than two points of the grid can be. Distances are chords of
/// kEarthRadius.
Result<Bytes> build_by_distance(const NativeGrid& native, const BuildOptions& options);

/// Factors of first order (Jones 1999): cells of both grids are polygons of great circles, their
/// overlaps are exact. The area of a source cell is RAC where that is known, so that the sum of RAC
/// × value over wet points is kept where the target covers them. A cell is ocean where it overlaps
/// water.
Result<Bytes> build_conservative(const NativeGrid& native, const CellCorners& corners,
                                 const BuildOptions& options);

}  // namespace upwell::produce
