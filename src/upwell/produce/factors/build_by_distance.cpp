#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nanoflann.hpp>

#include "base/parallel.hpp"
#include "produce/factors/build.hpp"
#include "produce/factors/level_batches.hpp"
#include "produce/factors/sphere.hpp"

namespace upwell::produce {
namespace {

/// What nanoflann asks of a cloud of points.
struct PointCloud {
  std::vector<Point> points;
  // NOLINTBEGIN: names are nanoflann's
  size_t kdtree_get_point_count() const { return points.size(); }
  double kdtree_get_pt(size_t i, size_t dim) const {
    return dim == 0 ? points[i].x : dim == 1 ? points[i].y : points[i].z;
  }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
  // NOLINTEND
};
using Tree = nanoflann::KDTreeSingleIndexAdaptor<nanoflann::L2_Simple_Adaptor<double, PointCloud>,
                                                 PointCloud, 3, uint32_t>;

constexpr uint32_t kNone = 0xffffffff;

/// Of each cell: the nearest point, if any is near enough, and all points within its radius in
/// ascending order.
struct Neighbours {
  std::vector<uint32_t> nearest;
  std::vector<std::vector<uint32_t>> within;
};

double cell_radius(const BuildOptions& options, uint64_t row) {
  const LatLonGrid& grid = options.grid;
  const double degrees = grid.latitude_bounds[1] - grid.latitude_bounds[0];
  switch (options.radius.rule) {
    case SearchRadius::Rule::kFixed:
      return options.radius.metres;
    case SearchRadius::Rule::kDiagonal:
      return std::sqrt(2.0) * 111e3 * degrees / 2;
    case SearchRadius::Rule::kEqualArea:
      break;
  }
  const double south = grid.latitude_bounds[2 * row], north = grid.latitude_bounds[2 * row + 1];
  const double width = (grid.longitude_bounds[1] - grid.longitude_bounds[0]) * kRadians;
  const double area = kEarthRadius * kEarthRadius * width *
                      (std::sin(north * kRadians) - std::sin(south * kRadians));
  return std::sqrt(area / std::numbers::pi);
}

/// The nearest point; of several equally near the first, so that the result does not depend on the
/// tree.
uint32_t nearest_point(const Tree& tree, const std::array<double, 3>& at, double limit) {
  constexpr size_t kTies = 4;
  std::array<uint32_t, kTies> index{};
  std::array<double, kTies> squared{};
  const size_t found = tree.knnSearch(at.data(), kTies, index.data(), squared.data());
  if (found == 0 || std::sqrt(squared[0]) * kEarthRadius > limit) return kNone;
  uint32_t best = index[0];
  for (size_t i = 1; i < found && squared[i] == squared[0]; ++i) best = std::min(best, index[i]);
  return best;
}

Result<Neighbours> find_neighbours(const NativeGrid& native, const BuildOptions& options) {
  PointCloud cloud;
  for (uint64_t p = 0; p < native.points(); ++p)
    cloud.points.push_back(point_at(native.longitude[p], native.latitude[p]));
  const Tree tree(3, cloud, nanoflann::KDTreeSingleIndexAdaptorParams(10));
  const LatLonGrid& grid = options.grid;
  const bool bins = options.method == MappingMethod::kBinAverage;
  Neighbours out;
  out.nearest.resize(grid.cells());
  out.within.resize(bins ? grid.cells() : 0);
  // Whole metres, as EDP passes it on.
  const double farthest = std::floor(native.largest_spacing);
  UPWELL_CHECK(parallel_for(grid.rows(), [&](size_t row) -> Result<> {
    const double radius = cell_radius(options, row);
    std::vector<std::pair<uint32_t, double>> found;
    for (uint64_t column = 0; column < grid.columns(); ++column) {
      const uint64_t cell = row * grid.columns() + column;
      const Point centre = point_at(grid.longitude[column], grid.latitude[row]);
      const std::array at{centre.x, centre.y, centre.z};
      out.nearest[cell] = nearest_point(tree, at, bins ? std::max(farthest, radius) : farthest);
      if (!bins) continue;
      const double chord = radius / kEarthRadius;
      tree.radiusSearch(at.data(), chord * chord, found, nanoflann::SearchParams());
      std::vector<uint32_t>& within = out.within[cell];
      for (const auto& [point, squared] : found) within.push_back(point);
      std::sort(within.begin(), within.end());
    }
    return {};
  }));
  return out;
}

/// The sources of a cell at a level where it is ocean: the wet ones within the radius, else the
/// nearest.
void append_sources(const Neighbours& neighbours, const std::vector<uint8_t>& wet, uint64_t cell,
                    SparseRows& to) {
  const size_t begin = to.indices.size();
  if (!neighbours.within.empty()) {
    for (const uint32_t point : neighbours.within[cell]) {
      if (bit_at(wet, point)) to.indices.push_back(point);
    }
  }
  if (to.indices.size() == begin) to.indices.push_back(neighbours.nearest[cell]);
  const double weight = 1.0 / static_cast<double>(to.indices.size() - begin);
  to.values.resize(to.indices.size(), weight);
}

}  // namespace

Result<LatLonGrid> regular_grid(double resolution, double west, double south, double east,
                                double north) {
  const double columns = std::round((east - west) / resolution),
               rows = std::round((north - south) / resolution);
  const bool fits = resolution > 0 && rows >= 1 && columns >= 1 && rows * columns < 1e9 &&
                    east - west <= 360 && south >= -90 && north <= 90 &&
                    std::abs(columns * resolution - (east - west)) < 1e-6 * resolution &&
                    std::abs(rows * resolution - (north - south)) < 1e-6 * resolution;
  if (!fits)
    return fail(Code::kInvalidArgument,
                fmt::format("cells of {} degrees do not fill {} to {} east, {} to {} north",
                            resolution, west, east, south, north));
  LatLonGrid grid;
  auto axis = [&](double first, double n, std::vector<double>& centres,
                  std::vector<double>& bounds) {
    for (double i = 0; i < n; ++i) {
      centres.push_back(first + (i + 0.5) * resolution);
      bounds.push_back(centres.back() - resolution / 2);
      bounds.push_back(centres.back() + resolution / 2);
    }
  };
  axis(south, rows, grid.latitude, grid.latitude_bounds);
  axis(west, columns, grid.longitude, grid.longitude_bounds);
  return grid;
}

Result<Bytes> build_by_distance(const NativeGrid& native, const BuildOptions& options) {
  UPWELL_TRY(const Neighbours neighbours, find_neighbours(native, options));
  FactorsHead head;
  head.source_shape = {13, native.n, native.n};
  head.grid = options.grid;
  head.depth_bounds = native.depth_bounds;
  head.any_wet_in_column = options.any_wet_in_column;
  head.method = options.method == MappingMethod::kNearest ? "nearest" : "bin-average";
  if (options.method == MappingMethod::kBinAverage) {
    const auto [least, most] =
        std::minmax({cell_radius(options, 0), cell_radius(options, head.grid.rows() / 2)});
    head.radius = least == most ? fmt::format("{:.0f} m", most)
                                : fmt::format("{:.0f} to {:.0f} m", least, most);
  }
  return build_levels(std::move(head), [&](uint64_t k) {
    LevelFactors level;
    level.wet = k < native.wet.size() ? native.wet[k] : native.ever_wet();
    level.ocean.assign(bytes_of_bits(options.grid.cells()), 0);
    level.rows.offsets.push_back(0);
    for (uint64_t cell = 0; cell < options.grid.cells(); ++cell) {
      const uint32_t nearest = neighbours.nearest[cell];
      if (nearest != kNone && bit_at(level.wet, nearest)) {
        set_bit(level.ocean, cell);
        append_sources(neighbours, level.wet, cell, level.rows);
      }
      level.rows.offsets.push_back(static_cast<uint32_t>(level.rows.indices.size()));
    }
    return level;
  });
}

}  // namespace upwell::produce
