#include "serve/draw/color_map.hpp"

#include <algorithm>
#include <cmath>
#include <span>
#include <string_view>

namespace upwell::serve::draw {
namespace {

struct Lab {
  double l = 0, a = 0, b = 0;
};

double linear_of(uint8_t byte) {
  const double c = byte / 255.0;
  return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
}

uint8_t byte_of(double linear) {
  const double c = linear <= 0.0031308 ? 12.92 * linear : 1.055 * std::pow(linear, 1 / 2.4) - 0.055;
  return static_cast<uint8_t>(std::lround(std::clamp(c, 0.0, 1.0) * 255));
}

Lab lab_of(Color color) {
  const double r = linear_of(color.r);
  const double g = linear_of(color.g);
  const double b = linear_of(color.b);
  const double l = std::cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b);
  const double m = std::cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b);
  const double s = std::cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b);
  return {0.2104542553 * l + 0.7936177850 * m - 0.0040720468 * s,
          1.9779984951 * l - 2.4285922050 * m + 0.4505937099 * s,
          0.0259040371 * l + 0.7827717662 * m - 0.8086757660 * s};
}

Color rgb_of(const Lab& lab) {
  const double l = std::pow(lab.l + 0.3963377774 * lab.a + 0.2158037573 * lab.b, 3);
  const double m = std::pow(lab.l - 0.1055613458 * lab.a - 0.0638541728 * lab.b, 3);
  const double s = std::pow(lab.l - 0.0894841775 * lab.a - 1.2914855480 * lab.b, 3);
  return {byte_of(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s),
          byte_of(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s),
          byte_of(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s)};
}

/// A smooth curve through the anchors; lightness goes evenly along it, straight from end to end (or
/// from each end to the middle one).
ColorMap through(std::span<const Color> anchors, bool diverging) {
  ColorMap map;
  const size_t last = anchors.size() - 1;
  const auto anchor = [&](int64_t i) {
    return lab_of(
        anchors[static_cast<size_t>(std::clamp<int64_t>(i, 0, static_cast<int64_t>(last)))]);
  };
  const double light_first = anchor(0).l;
  const double light_middle = anchor(static_cast<int64_t>(last / 2)).l;
  const double light_last = anchor(static_cast<int64_t>(last)).l;
  for (size_t n = 0; n < map.size(); ++n) {
    const double t = static_cast<double>(n) / 255.0;
    const double position = t * static_cast<double>(last);
    const auto i =
        static_cast<int64_t>(std::min(std::floor(position), static_cast<double>(last) - 1));
    const double u = position - static_cast<double>(i);
    const auto spline = [u](double p0, double p1, double p2, double p3) {
      return 0.5 * (2 * p1 + (p2 - p0) * u + (2 * p0 - 5 * p1 + 4 * p2 - p3) * u * u +
                    (3 * p1 - p0 - 3 * p2 + p3) * u * u * u);
    };
    const Lab p0 = anchor(i - 1);
    const Lab p1 = anchor(i);
    const Lab p2 = anchor(i + 1);
    const Lab p3 = anchor(i + 2);
    Lab lab{0, spline(p0.a, p1.a, p2.a, p3.a), spline(p0.b, p1.b, p2.b, p3.b)};
    if (!diverging) {
      lab.l = light_first + t * (light_last - light_first);
    } else if (t < 0.5) {
      lab.l = light_first + 2 * t * (light_middle - light_first);
    } else {
      lab.l = light_middle + (2 * t - 1) * (light_last - light_middle);
    }
    map[n] = rgb_of(lab);
  }
  return map;
}

}  // namespace

const ColorMap& sequential_map() {
  static const ColorMap map = through(std::array<Color, 6>{{{34, 18, 84},
                                                            {36, 72, 146},
                                                            {24, 122, 152},
                                                            {52, 164, 124},
                                                            {156, 204, 84},
                                                            {250, 240, 150}}},
                                      false);
  return map;
}

const ColorMap& heat_map() {
  static const ColorMap map = through(std::array<Color, 6>{{{12, 8, 38},
                                                            {82, 22, 108},
                                                            {166, 40, 96},
                                                            {226, 90, 58},
                                                            {248, 168, 60},
                                                            {252, 246, 188}}},
                                      false);
  return map;
}

const ColorMap& gray_map() {
  static const ColorMap map = through(std::array<Color, 2>{{{20, 20, 20}, {250, 250, 250}}}, false);
  return map;
}

const ColorMap& diverging_map() {
  static const ColorMap map = through(
      std::array<Color, 5>{
          {{22, 52, 120}, {88, 148, 206}, {246, 244, 240}, {222, 122, 92}, {124, 18, 40}}},
      true);
  return map;
}

std::optional<ColorMap> color_map_of(const std::string& name) {
  constexpr std::string_view kReversed = "-reversed";
  if (name.ends_with(kReversed)) {
    auto map = color_map_of(name.substr(0, name.size() - kReversed.size()));
    if (map) std::reverse(map->begin(), map->end());
    return map;
  }
  if (name == "sequential") return sequential_map();
  if (name == "heat") return heat_map();
  if (name == "gray") return gray_map();
  if (name == "diverging") return diverging_map();
  return std::nullopt;
}

Color color_of(const ColorMap& map, double t) {
  return map[static_cast<size_t>(std::lround(std::clamp(t, 0.0, 1.0) * 255))];
}

}  // namespace upwell::serve::draw
