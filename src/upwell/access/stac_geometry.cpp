#include "access/stac_geometry.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace upwell::access {
namespace {

using Ring = std::vector<Position>;

/// Twice the area; positive when it runs counter-clockwise.
double twice_area_of(const Ring& ring) {
  double sum = 0;
  for (size_t i = 0; i + 1 < ring.size(); ++i)
    sum += ring[i].longitude * ring[i + 1].latitude - ring[i + 1].longitude * ring[i].latitude;
  return sum;
}

void run(Ring& ring, bool counter_clockwise) {
  const double area = twice_area_of(ring);
  if (area != 0 && (area > 0) != counter_clockwise) std::reverse(ring.begin(), ring.end());
}

/// Longitudes so that no edge is longer than 180 degrees; they may leave -180 to 180.
Ring unrolled(const Ring& ring) {
  Ring out = ring;
  for (size_t i = 1; i < out.size(); ++i) {
    double step = ring[i].longitude - ring[i - 1].longitude;
    if (step > 180) step -= 360;
    if (step < -180) step += 360;
    out[i].longitude = out[i - 1].longitude + step;
  }
  return out;
}

/// An unrolled ring that goes around the Earth, closed along the pole that it holds.
void close_at_pole(Ring& ring) {
  const double around = ring.back().longitude - ring.front().longitude;
  if (std::abs(around) < 180) return;
  double mean = 0;
  for (const Position& p : ring) mean += p.latitude;
  const double pole = mean < 0 ? -90 : 90;
  const Position first = ring.front(), last = ring.back();
  ring.push_back({last.longitude, pole});
  ring.push_back({first.longitude, pole});
  ring.push_back(first);
}

/// What of a closed ring lies on one side of a meridian (Sutherland and Hodgman); empty: nothing.
Ring clipped(const Ring& ring, double meridian, bool keep_east) {
  const auto inside = [&](const Position& p) {
    return keep_east ? p.longitude >= meridian : p.longitude <= meridian;
  };
  Ring out;
  for (size_t i = 0; i + 1 < ring.size(); ++i) {
    const Position &a = ring[i], &b = ring[i + 1];
    if (inside(a)) out.push_back(a);
    if (inside(a) != inside(b) && a.longitude != b.longitude) {
      const double t = (meridian - a.longitude) / (b.longitude - a.longitude);
      out.push_back({meridian, a.latitude + t * (b.latitude - a.latitude)});
    }
  }
  out.erase(std::unique(out.begin(), out.end()), out.end());
  if (out.size() < 3) return {};
  if (out.front() != out.back()) out.push_back(out.front());
  if (out.size() < 4 || twice_area_of(out) == 0) return {};
  return out;
}

void shift(Ring& ring, double by) {
  for (Position& p : ring) p.longitude += by;
}

/// West and east ends of a ring.
std::pair<double, double> extent_of(const Ring& ring) {
  const auto [low, high] = std::minmax_element(
      ring.begin(), ring.end(),
      [](const Position& a, const Position& b) { return a.longitude < b.longitude; });
  return {low->longitude, high->longitude};
}

void add_polygon(const Polygon& polygon, std::vector<Polygon>& out) {
  Polygon rings;
  for (const Ring& ring : polygon) {
    rings.push_back(unrolled(ring));
    close_at_pole(rings.back());
    // Holes lie on the same turn as what they are cut from.
    const double apart = rings.front().front().longitude - rings.back().front().longitude;
    shift(rings.back(), 360 * std::round(apart / 360));
  }
  const auto [west, east] = extent_of(rings[0]);
  // Longitudes are degrees of places, unrolled: an int holds the turns of any page.
  const auto first = static_cast<int>(std::floor((west + 180) / 360));
  const auto last = static_cast<int>(std::ceil((east - 180) / 360));
  constexpr int kMostTurns = 4;
  for (int turn = first; turn <= std::min(last, first + kMostTurns); ++turn) {
    const double edge = 360.0 * turn;
    Polygon part;
    for (Ring ring : rings) {
      const auto [ring_west, ring_east] = extent_of(ring);
      if (ring_west < edge - 180) ring = clipped(ring, edge - 180, true);
      if (!ring.empty() && ring_east > edge + 180) ring = clipped(ring, edge + 180, false);
      if (ring.empty() && part.empty()) break;
      if (ring.empty()) continue;
      shift(ring, -edge);
      run(ring, part.empty());
      part.push_back(std::move(ring));
    }
    if (!part.empty()) out.push_back(std::move(part));
  }
}

/// Longitudes of some archives run from 0 to 360.
double wrapped(double longitude) {
  if (longitude > 180) return longitude - 360;
  return longitude < -180 ? longitude + 360 : longitude;
}

void add_rectangle(const Rectangle& r, std::vector<Polygon>& out) {
  const auto add = [&](double west, double east) {
    out.push_back(
        {{{west, r.south}, {east, r.south}, {east, r.north}, {west, r.north}, {west, r.south}}});
  };
  if (r.east - r.west >= 360) return add(-180, 180);
  const double west = wrapped(r.west), east = wrapped(r.east);
  if (west <= east) return add(west, east);
  if (west < 180) add(west, 180);
  if (east > -180) add(-180, east);
}

void add_line(std::vector<Position> line, std::vector<std::vector<Position>>& out) {
  for (Position& p : line) p.longitude = wrapped(p.longitude);
  out.push_back({line.front()});
  for (size_t i = 1; i < line.size(); ++i) {
    const Position &a = line[i - 1], &b = line[i];
    const double step = b.longitude - a.longitude;
    if (std::abs(step) > 180) {
      const double edge = step < 0 ? 180 : -180;
      const double whole = step < 0 ? step + 360 : step - 360;
      const double t = whole == 0 ? 0 : (edge - a.longitude) / whole;
      const double latitude = a.latitude + t * (b.latitude - a.latitude);
      out.back().push_back({edge, latitude});
      out.push_back({{-edge, latitude}});
    }
    out.back().push_back(b);
  }
}

/// The shortest arc that holds all of these, west greater than east across the antimeridian.
std::pair<double, double> arc_of(std::vector<std::pair<double, double>> spans) {
  constexpr double kAllAround = 350;
  std::sort(spans.begin(), spans.end());
  double west = spans[0].first, end = spans[0].second, gap = 0, gap_from = 0, gap_to = 0;
  for (const auto& [from, to] : spans) {
    if (from - end > gap) {
      gap = from - end;
      gap_from = end;
      gap_to = from;
    }
    end = std::max(end, to);
  }
  const double outer = 360 - (end - west);
  if (360 - std::max(gap, outer) > kAllAround) return {-180, 180};
  if (outer >= gap) return {west, end};
  return {gap_to, gap_from};
}

std::optional<Rectangle> bounds_of(const GeoShape& shape) {
  std::vector<std::pair<double, double>> spans;
  double south = 90, north = -90;
  const auto add = [&](const std::vector<Position>& positions) {
    if (positions.empty()) return;
    spans.push_back(extent_of(positions));
    for (const Position& p : positions) {
      south = std::min(south, p.latitude);
      north = std::max(north, p.latitude);
    }
  };
  for (const Polygon& polygon : shape.polygons) add(polygon[0]);
  for (const auto& line : shape.lines) add(line);
  for (const Position& point : shape.points) add({point});
  if (spans.empty()) return {};
  const auto [west, east] = arc_of(std::move(spans));
  return Rectangle{west, south, east, north};
}

}  // namespace

GeoShape shape_of(const Footprint& footprint) {
  GeoShape shape;
  for (const Rectangle& r : footprint.rectangles) add_rectangle(r, shape.polygons);
  for (const Polygon& p : footprint.polygons) add_polygon(p, shape.polygons);
  if (shape.polygons.empty())
    for (const auto& line : footprint.lines) add_line(line, shape.lines);
  if (shape.polygons.empty() && shape.lines.empty()) shape.points = footprint.points;
  for (Position& p : shape.points) p.longitude = wrapped(p.longitude);
  shape.bounds = bounds_of(shape);
  return shape;
}

}  // namespace upwell::access
