#include "produce/factors/sphere.hpp"

namespace upwell::produce {

double spherical_area(const Polygon& polygon) {
  double area = 0;
  for (size_t i = 2; i < polygon.size(); ++i) {
    const Point a = polygon[0], b = polygon[i - 1], c = polygon[i];
    // Eriksson 1990, On the measure of solid angles; a · (b × c) = a · ((b - a) × (c - a)).
    const double volume = dot(a, cross(b - a, c - a));
    area += 2 * std::atan2(volume, 1 + dot(a, b) + dot(b, c) + dot(c, a));
  }
  return area;
}

void clip(const Polygon& polygon, Point normal, Polygon& out) {
  out.clear();
  for (size_t i = 0; i < polygon.size(); ++i) {
    const Point p = polygon[i], q = polygon[(i + 1) % polygon.size()];
    const double dp = dot(normal, p), dq = dot(normal, q);
    if (dp >= 0) out.push_back(p);
    if ((dp > 0 && dq < 0) || (dp < 0 && dq > 0))
      out.push_back(normalized((dp / (dp - dq)) * (q - p) + p));
  }
}

}  // namespace upwell::produce
