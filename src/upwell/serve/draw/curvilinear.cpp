#include <algorithm>
#include <array>
#include <cmath>

#include "serve/draw/geography.hpp"

namespace upwell::serve::draw {
namespace {

/// Fills the quadrilateral row by row, in pixels.
void fill_quad(Image& image, const Frame& clip, const std::array<Point, 4>& corner, Color color) {
  const auto [low, high] = std::minmax_element(
      corner.begin(), corner.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
  const auto first = static_cast<int64_t>(std::floor(std::max(low->y, clip.y)));
  const auto last = static_cast<int64_t>(std::ceil(std::min(high->y, clip.y + clip.height)));
  for (int64_t row = first; row < last; ++row) {
    const double y = static_cast<double>(row) + 0.5;
    double left = 1e9;
    double right = -1e9;
    for (size_t k = 0; k < 4; ++k) {
      const Point& a = corner[k];
      const Point& b = corner[(k + 1) % 4];
      // Half a pixel of overlap leaves no seams between cells.
      const double t = b.y != a.y ? (y - a.y) / (b.y - a.y) : 0;
      if (t < -0.5 / std::max(0.5, std::abs(b.y - a.y)) ||
          t > 1 + 0.5 / std::max(0.5, std::abs(b.y - a.y))) {
        continue;
      }
      const double x = a.x + std::clamp(t, 0.0, 1.0) * (b.x - a.x);
      left = std::min(left, x);
      right = std::max(right, x);
    }
    const auto from = static_cast<int64_t>(std::floor(std::max(left, clip.x)));
    const auto to = static_cast<int64_t>(std::ceil(std::min(right, clip.x + clip.width)));
    for (int64_t column = from; column < to; ++column) image.set(column, row, color);
  }
}

/// Corners of a cell: halfway to its neighbours; nullopt where a neighbour has no position.
std::optional<std::array<Point, 4>> cell_corners(const FieldPlot& plot, size_t j, size_t i) {
  const auto inside = [&](int64_t dj, int64_t di) {
    const int64_t y = static_cast<int64_t>(j) + dj;
    const int64_t x = static_cast<int64_t>(i) + di;
    return y >= 0 && x >= 0 && y < static_cast<int64_t>(plot.ny) &&
           x < static_cast<int64_t>(plot.nx);
  };
  const auto position = [&](int64_t dj, int64_t di) -> Point {
    const size_t k = static_cast<size_t>(static_cast<int64_t>(j) + dj) * plot.nx +
                     static_cast<size_t>(static_cast<int64_t>(i) + di);
    return {plot.longitude[k], plot.latitude[k]};
  };
  // Beyond the edge of the grid: as far out as the opposite neighbour lies in.
  const auto beyond = [](Point edge, Point inner) -> Point {
    return {edge.x - std::remainder(inner.x - edge.x, 360), 2 * edge.y - inner.y};
  };
  const auto in_row = [&](int64_t dj, int64_t di) -> Point {
    if (inside(dj, di)) return position(dj, di);
    return inside(dj, -di) ? beyond(position(dj, 0), position(dj, -di)) : position(dj, 0);
  };
  const auto at = [&](int64_t dj, int64_t di) -> Point {
    if (inside(dj, 0)) return in_row(dj, di);
    return inside(-dj, 0) ? beyond(in_row(0, di), in_row(-dj, di)) : in_row(0, di);
  };
  const Point center = at(0, 0);
  std::array<Point, 4> corners;
  constexpr std::array<std::array<int64_t, 2>, 4> kDirections{{{-1, -1}, {-1, 1}, {1, 1}, {1, -1}}};
  for (size_t k = 0; k < 4; ++k) {
    Point sum{0, 0};
    for (const auto& [dj, di] : {std::pair<int64_t, int64_t>{0, 0},
                                 {kDirections[k][0], 0},
                                 {0, kDirections[k][1]},
                                 {kDirections[k][0], kDirections[k][1]}}) {
      const Point p = at(dj, di);
      sum.x += center.x + std::remainder(p.x - center.x, 360);
      sum.y += p.y;
    }
    corners[k] = {sum.x / 4, sum.y / 4};
    // A jump in the grid (a seam, padding with zeros) is not one huge cell.
    if (!std::isfinite(corners[k].x) || std::abs(corners[k].x - center.x) > 40 ||
        std::abs(corners[k].y - center.y) > 20) {
      return std::nullopt;
    }
  }
  return corners;
}

}  // namespace

std::optional<GeoBox> bounds_of(const FieldPlot& plot) {
  GeoBox box{1e9, -1e9, 1e9, -1e9};
  for (size_t i = 0; i < plot.latitude.size(); ++i) {
    const double lat = plot.latitude[i];
    const double lon = plot.longitude[i];
    if (!std::isfinite(lat) || !std::isfinite(lon)) continue;
    if (std::abs(lat) > 90.001 || std::abs(lon) > 720) return std::nullopt;
    const auto corners = cell_corners(plot, i / plot.nx, i % plot.nx);
    if (!corners) continue;
    for (const Point& corner : *corners) {
      box.west = std::min(box.west, corner.x);
      box.east = std::max(box.east, corner.x);
      box.south = std::min(box.south, corner.y);
      box.north = std::max(box.north, corner.y);
    }
  }
  if (box.east < box.west || box.north < box.south) return std::nullopt;
  if (box.east - box.west > 355) {
    const double middle = std::round((box.east + box.west) / 2 / 180) * 180;
    box.west = middle - 180;
    box.east = middle + 180;
  }
  box.south = std::max(-90.0, box.south);
  box.north = std::min(90.0, box.north);
  if (box.east - box.west < 1e-3) box.east = box.west + 1;
  return box;
}

void draw_cells(Canvas& canvas, const Frame& frame, const FieldPlot& plot, const Panel& panel,
                const GeoBox& box, const ValueColors& colors) {
  const double s = canvas.scale();
  const Frame f{frame.x * s, frame.y * s, frame.width * s, frame.height * s};
  for (size_t j = 0; j < plot.ny; ++j) {
    for (size_t i = 0; i < plot.nx; ++i) {
      const double value = panel.values[j * plot.nx + i];
      if (!std::isfinite(value)) continue;
      const auto corners = cell_corners(plot, j, i);
      if (!corners) continue;
      const Color color = colors.of(value);
      for (const double turn : {-360.0, 0.0, 360.0}) {
        std::array<Point, 4> pixels;
        double least = 1e9;
        double most = -1e9;
        for (size_t k = 0; k < 4; ++k) {
          const double lon = (*corners)[k].x + turn;
          pixels[k] = {f.x + (lon - box.west) / (box.east - box.west) * f.width,
                       f.y + (box.north - (*corners)[k].y) / (box.north - box.south) * f.height};
          least = std::min(least, pixels[k].x);
          most = std::max(most, pixels[k].x);
        }
        if (most < f.x || least > f.x + f.width) continue;
        fill_quad(canvas.image(), f, pixels, color);
      }
    }
  }
}

}  // namespace upwell::serve::draw
