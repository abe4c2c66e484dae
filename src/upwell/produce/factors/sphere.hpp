#pragma once
// Geometry on the unit sphere, with points as vectors.

#include <array>
#include <cmath>
#include <numbers>
#include <vector>

namespace upwell::produce {

inline constexpr double kRadians = std::numbers::pi / 180;
/// Metres; the sphere on which distances between centres are measured (pyresample's).
inline constexpr double kEarthRadius = 6370997.0;

struct Point {
  double x = 0, y = 0, z = 0;
};
inline Point operator+(Point a, Point b) { return {a.x + b.x, a.y + b.y, a.z + b.z}; }
inline Point operator-(Point a, Point b) { return {a.x - b.x, a.y - b.y, a.z - b.z}; }
inline Point operator*(double s, Point a) { return {s * a.x, s * a.y, s * a.z}; }
inline double dot(Point a, Point b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
inline Point cross(Point a, Point b) {
  return {a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x};
}
inline Point normalized(Point a) { return (1 / std::sqrt(dot(a, a))) * a; }

/// Degrees.
inline Point point_at(double longitude, double latitude) {
  const double c = std::cos(latitude * kRadians);
  return {c * std::cos(longitude * kRadians), c * std::sin(longitude * kRadians),
          std::sin(latitude * kRadians)};
}

/// A polygon whose edges are great circles, counter-clockwise seen from outside.
using Polygon = std::vector<Point>;

/// Steradians; negative when the corners go clockwise. Exact to rounding for small polygons too:
/// products of differences are taken, not differences of products.
double spherical_area(const Polygon& polygon);

/// What of the polygon is on the side of the plane through the centre to which `normal` points.
void clip(const Polygon& polygon, Point normal, Polygon& out);

}  // namespace upwell::produce
