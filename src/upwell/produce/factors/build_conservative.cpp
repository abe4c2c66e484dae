#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "produce/factors/build.hpp"
#include "produce/factors/level_batches.hpp"
#include "produce/factors/sphere.hpp"

namespace upwell::produce {
namespace {

/// Planes that bound the cells of the target; each points into the cell north or east of it.
struct TargetPlanes {
  std::vector<Point> meridians;  ///< column edges
  std::vector<Point>
      parallels;  ///< row edge × columns: great circles through the corners; zero at a pole

  explicit TargetPlanes(const LatLonGrid& grid) {
    auto edge = [](const std::vector<double>& bounds, uint64_t i) {
      return 2 * i < bounds.size() ? bounds[2 * i] : bounds[2 * i - 1];
    };
    for (uint64_t c = 0; c <= grid.columns(); ++c) {
      const double longitude = edge(grid.longitude_bounds, c) * kRadians;
      meridians.push_back({-std::sin(longitude), std::cos(longitude), 0});
    }
    for (uint64_t r = 0; r <= grid.rows(); ++r) {
      const double latitude = edge(grid.latitude_bounds, r);
      const bool pole = std::abs(latitude) > 90 - 1e-9;
      for (uint64_t c = 0; c < grid.columns(); ++c) {
        const Point west = point_at(edge(grid.longitude_bounds, c), latitude);
        const Point east = point_at(edge(grid.longitude_bounds, c + 1), latitude);
        parallels.push_back(pole ? Point{} : cross(west, east));
      }
    }
  }
};

/// A circle around a polygon: latitude and longitude of its centre, and its radius; radians.
struct Circle {
  double latitude = 0, longitude = 0, radius = 0;
};

Circle circle_around(const Polygon& polygon) {
  Point sum;
  for (const Point& p : polygon) sum = sum + p;
  const Point centre = normalized(sum);
  Circle circle{std::asin(std::clamp(centre.z, -1.0, 1.0)), std::atan2(centre.y, centre.x), 0};
  for (const Point& p : polygon) {
    const Point d = p - centre;
    circle.radius = std::max(circle.radius, 2 * std::asin(std::min(1.0, std::sqrt(dot(d, d)) / 2)));
  }
  return circle;
}

/// Overlap of one source with one cell, in steradians.
struct Overlap {
  uint32_t cell = 0;
  double area = 0;
};

class Overlapper {
 public:
  explicit Overlapper(const LatLonGrid& grid) : grid_(grid), planes_(grid) {
    row_height_ = grid.latitude_bounds[1] - grid.latitude_bounds[0];
    column_width_ = grid.longitude_bounds[1] - grid.longitude_bounds[0];
  }

  /// Every cell that the polygon overlaps.
  std::vector<Overlap> overlaps(const Polygon& polygon) const {
    std::vector<Overlap> out;
    const Circle circle = circle_around(polygon);
    const auto [first_row, last_row] = rows_near(circle);
    // A circle that holds a pole meets every meridian.
    const double reach = std::sin(circle.radius) / std::max(1e-300, std::cos(circle.latitude));
    const bool all =
        std::abs(circle.latitude) + circle.radius > std::numbers::pi / 2 - 1e-9 || reach >= 1;
    const double width = all ? 180 : std::asin(reach) / kRadians;
    const double longitude = circle.longitude / kRadians;
    for (int64_t row = first_row; row <= last_row; ++row) {
      if (all) {
        add_columns(polygon, row, 0, static_cast<int64_t>(grid_.columns()) - 1, out);
        continue;
      }
      for (const double turn : {-360.0, 0.0, 360.0, 720.0}) {
        const double west = longitude + turn - width - grid_.longitude_bounds.front();
        const auto first = static_cast<int64_t>(std::floor(west / column_width_ - 1e-6));
        const auto last =
            static_cast<int64_t>(std::floor((west + 2 * width) / column_width_ + 1e-6));
        add_columns(polygon, row, first, last, out);
      }
    }
    return out;
  }

 private:
  /// One row more on both sides: edges along parallels are great circles, which bulge.
  std::pair<int64_t, int64_t> rows_near(const Circle& circle) const {
    const double south =
        (circle.latitude - circle.radius) / kRadians - grid_.latitude_bounds.front();
    const double north =
        (circle.latitude + circle.radius) / kRadians - grid_.latitude_bounds.front();
    const auto last = static_cast<int64_t>(grid_.rows()) - 1;
    return {std::max<int64_t>(static_cast<int64_t>(std::floor(south / row_height_)) - 1, 0),
            std::min<int64_t>(static_cast<int64_t>(std::floor(north / row_height_)) + 1, last)};
  }

  void add_columns(const Polygon& polygon, int64_t row, int64_t first, int64_t last,
                   std::vector<Overlap>& out) const {
    const auto columns = static_cast<int64_t>(grid_.columns());
    for (int64_t c = std::max<int64_t>(first, 0); c <= std::min(last, columns - 1); ++c) {
      const double area = overlap(polygon, static_cast<uint64_t>(row), static_cast<uint64_t>(c));
      if (area > 0) out.push_back({static_cast<uint32_t>(row * columns + c), area});
    }
  }

  double overlap(const Polygon& polygon, uint64_t row, uint64_t column) const {
    thread_local Polygon a, b;
    const uint64_t columns = grid_.columns();
    clip(polygon, planes_.meridians[column], a);
    if (a.size() < 3) return 0;
    clip(a, -1.0 * planes_.meridians[column + 1], b);
    if (b.size() < 3) return 0;
    // A normal of zero, at a pole, keeps everything.
    clip(b, planes_.parallels[row * columns + column], a);
    if (a.size() < 3) return 0;
    clip(a, -1.0 * planes_.parallels[(row + 1) * columns + column], b);
    return b.size() < 3 ? 0 : spherical_area(b);
  }

  const LatLonGrid& grid_;
  TargetPlanes planes_;
  double row_height_, column_width_;
};

/// Square metres by cell: sources in ascending order.
struct Areas {
  SparseRows rows;
  double largest_gap = 0;  ///< of a source's area that no cell covers, relative
};

Result<Areas> find_areas(const NativeGrid& native, const CellCorners& corners,
                         const LatLonGrid& grid) {
  const Overlapper overlapper(grid);
  const std::vector<uint8_t> wet = native.ever_wet();
  std::vector<std::vector<Overlap>> of_source(native.points());
  std::vector<double> gap(13 * native.n, 0);
  UPWELL_CHECK(parallel_for(13 * native.n, [&](size_t line) -> Result<> {
    for (uint64_t p = line * native.n; p < (line + 1) * native.n; ++p) {
      if (!bit_at(wet, p)) continue;
      Polygon polygon;
      for (const auto& [longitude, latitude] : corners[p])
        polygon.push_back(point_at(longitude, latitude));
      double area = spherical_area(polygon);
      if (area < 0) {
        std::reverse(polygon.begin(), polygon.end());
        area = -area;
      }
      if (!(area > 0) || area > 1)
        return fail(Code::kInvalidData,
                    fmt::format("the corners of wet point {} (tile {}) enclose no cell", p,
                                p / (native.n * native.n)));
      of_source[p] = overlapper.overlaps(polygon);
      double covered = 0;
      const double metres =
          native.area[p] > 0 ? native.area[p] / area : kEarthRadius * kEarthRadius;
      for (Overlap& overlap : of_source[p]) {
        covered += overlap.area;
        overlap.area *= metres;
      }
      gap[line] = std::max(gap[line], std::abs(1 - covered / area));
    }
    return {};
  }));
  Areas out;
  out.largest_gap = *std::max_element(gap.begin(), gap.end());
  out.rows.offsets.assign(grid.cells() + 1, 0);
  for (const auto& overlaps : of_source) {
    for (const Overlap& overlap : overlaps) ++out.rows.offsets[overlap.cell + 1];
  }
  for (uint64_t c = 0; c < grid.cells(); ++c) out.rows.offsets[c + 1] += out.rows.offsets[c];
  std::vector<uint32_t> next(out.rows.offsets.begin(), out.rows.offsets.end() - 1);
  out.rows.indices.resize(out.rows.offsets.back());
  out.rows.values.resize(out.rows.offsets.back());
  for (uint64_t p = 0; p < native.points(); ++p) {
    for (const Overlap& overlap : of_source[p]) {
      const uint32_t place = next[overlap.cell]++;
      out.rows.indices[place] = static_cast<uint32_t>(p);
      out.rows.values[place] = overlap.area;
    }
  }
  return out;
}

LevelFactors level_of(const NativeGrid& native, const Areas& areas, uint64_t cells, uint64_t k) {
  LevelFactors level;
  level.wet = k < native.wet.size() ? native.wet[k] : native.ever_wet();
  level.ocean.assign(bytes_of_bits(cells), 0);
  level.area.assign(cells, 0);
  level.rows.offsets.push_back(0);
  for (uint64_t cell = 0; cell < cells; ++cell) {
    const size_t begin = level.rows.indices.size();
    double total = 0;
    for (uint32_t e = areas.rows.offsets[cell]; e < areas.rows.offsets[cell + 1]; ++e) {
      if (!bit_at(level.wet, areas.rows.indices[e])) continue;
      level.rows.indices.push_back(areas.rows.indices[e]);
      level.rows.values.push_back(areas.rows.values[e]);
      total += areas.rows.values[e];
    }
    if (total > 0) {
      set_bit(level.ocean, cell);
      level.area[cell] = total;
      for (size_t e = begin; e < level.rows.values.size(); ++e) level.rows.values[e] /= total;
    }
    level.rows.offsets.push_back(static_cast<uint32_t>(level.rows.indices.size()));
  }
  return level;
}

}  // namespace

Result<Bytes> build_conservative(const NativeGrid& native, const CellCorners& corners,
                                 const BuildOptions& options) {
  if (corners.size() != native.points())
    return fail(Code::kInvalidArgument,
                fmt::format("corners of {} cells for {} points", corners.size(), native.points()));
  UPWELL_TRY(const Areas areas, find_areas(native, corners, options.grid));
  FactorsHead head;
  head.source_shape = {13, native.n, native.n};
  head.grid = options.grid;
  head.depth_bounds = native.depth_bounds;
  head.any_wet_in_column = options.any_wet_in_column;
  head.method = "conservative";
  if (areas.largest_gap > 1e-9)
    head.notes.push_back(
        fmt::format("of some wet cell {:.3g} % lies outside of the latitude-longitude grid",
                    100 * areas.largest_gap));
  return build_levels(std::move(head), [&](uint64_t k) -> Result<LevelFactors> {
    return level_of(native, areas, options.grid.cells(), k);
  });
}

}  // namespace upwell::produce
