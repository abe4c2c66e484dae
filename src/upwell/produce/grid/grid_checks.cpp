#include "produce/grid/grid_checks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace upwell::produce {
namespace {

std::string place_of(uint64_t point, uint64_t n) {
  return fmt::format("tile {}, j {}, i {}", point / (n * n), point / n % n, point % n);
}

/// On the unit sphere.
std::array<double, 3> direction(double longitude, double latitude) {
  constexpr double kRadian = std::numbers::pi / 180;
  const double x = longitude * kRadian, y = latitude * kRadian;
  return {std::cos(y) * std::cos(x), std::cos(y) * std::sin(x), std::sin(y)};
}

double degrees_between(const std::array<double, 3>& a, const std::array<double, 3>& b) {
  return std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) * 180 / std::numbers::pi;
}

/// The file in which a tile's corners are.
int face_of(uint64_t tile) {
  return tile < 6 ? static_cast<int>(tile / 3) + 1 : tile == 6 ? 3 : tile < 10 ? 4 : 5;
}

}  // namespace

Error not_allowed(const GridField& field, double value, const GridRange& allowed, uint64_t point,
                  uint64_t n, std::optional<uint64_t> level) {
  return {Code::kInvalidData,
          fmt::format("grid: {}: {}{} has {}, which is not {}", field.url,
                      level ? fmt::format("level {}, ", *level) : "", place_of(point, n), value,
                      allowed.what),
          {},
          {}};
}

Result<> check_faces(const GridField& field) {
  for (uint64_t k = 0; k < field.size(); ++k) {
    if (!std::isfinite(field[k]))
      return fail(Code::kInvalidData, fmt::format("grid: {}: value {} is {}, which is no depth",
                                                  field.url, k, field[k]));
    const bool down = field[1] < field[0];
    if (k > 0 && !(down ? field[k] < field[k - 1] : field[k] > field[k - 1]))
      return fail(
          Code::kInvalidData,
          fmt::format("grid: {}: value {} is {} after {}: depths neither descend nor ascend",
                      field.url, k, field[k], field[k - 1]));
  }
  return {};
}

Result<> check_centres(const GridField& centres, const GridField& faces) {
  for (uint64_t k = 0; k < centres.size(); ++k) {
    const double one = faces[k], other = faces[k + 1];
    if (!(centres[k] >= std::min(one, other) && centres[k] <= std::max(one, other)))
      return fail(
          Code::kInvalidData,
          fmt::format("grid: {}: value {} is {}, which is not between the faces at {} and {}",
                      centres.url, k, centres[k], one, other));
  }
  return {};
}

Result<> check_corners(const CellCorners& corners, uint64_t n, const GridField& xg,
                       const GridField& yg, const std::string& directory) {
  constexpr double kNear = 1e-3;
  for (uint64_t p = 0; p < corners.size(); ++p) {
    const uint64_t at = compact_position(p, n);
    const double x = xg[at], y = yg[at];
    if (x == 0 && y == 0) continue;
    const auto& [longitude, latitude] = corners[p][0];
    if (degrees_between(direction(longitude, latitude), direction(x, y)) <= kNear) continue;
    return fail(
        Code::kInvalidData,
        fmt::format("grid: {}{}tile{:03}.mitgrid: the corner of {} lies at {}, {} (longitude, "
                    "latitude), where XG.data and YG.data have {}, {}: they are of different grids",
                    directory, directory.ends_with('/') ? "" : "/", face_of(p / (n * n)),
                    place_of(p, n), longitude, latitude, x, y));
  }
  return {};
}

}  // namespace upwell::produce
