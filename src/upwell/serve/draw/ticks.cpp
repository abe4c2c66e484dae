#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "serve/draw/plot.hpp"

namespace upwell::serve::draw {
namespace {

double round_step(double span, int wanted, AxisKind kind) {
  const double rough = span / std::max(1, wanted);
  if (kind == AxisKind::kLatitude || kind == AxisKind::kLongitude) {
    for (double step : {1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0}) {
      if (rough <= step && rough > 0.5) return step;
    }
  }
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (rough <= factor * power * 1.0001) return factor * power;
  }
  return 10 * power;
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int wanted, AxisKind kind) {
  std::vector<double> ticks;
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low)) {
    if (std::isfinite(low)) ticks.push_back(low);
    return ticks;
  }
  const double step = round_step(high - low, wanted, kind);
  const double slack = 1e-9 * (high - low);
  for (double k = std::ceil((low - slack) / step); k * step <= high + slack && ticks.size() < 64;
       ++k) {
    ticks.push_back(k * step);
  }
  return ticks;
}

std::string number_text(double value, double step) {
  std::array<char, 64> text{};
  const double magnitude = std::max(std::abs(value), std::abs(step));
  if (std::abs(value) < 1e-6 * std::abs(step)) return "0";
  if (magnitude >= 1e6 || magnitude < 1e-4) {
    const int digits = std::clamp(
        static_cast<int>(std::ceil(std::log10(magnitude / std::max(std::abs(step), 1e-300)))), 0,
        6);
    std::snprintf(text.data(), text.size(), "%.*g", digits + 2, value);
    return text.data();
  }
  // As many decimals as the step has (2.5 has one, 0.25 has two).
  int decimals = 0;
  double scaled = std::abs(step);
  while (decimals < 8 && scaled > 0 && std::abs(scaled - std::round(scaled)) > 1e-6 * scaled) {
    scaled *= 10;
    ++decimals;
  }
  std::snprintf(text.data(), text.size(), "%.*f", decimals, value);
  return text.data();
}

std::string degrees_text(double value, AxisKind kind) {
  const char* side = "";
  if (kind == AxisKind::kLatitude) {
    side = value > 0 ? "N" : value < 0 ? "S" : "";
  } else {
    value = std::remainder(value, 360);
    if (std::abs(std::abs(value) - 180) < 1e-9) value = 180;
    side = std::abs(value) == 180 ? "" : value > 0 ? "E" : value < 0 ? "W" : "";
  }
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.6g", std::abs(value));
  return std::string(text.data()) + "°" + side;
}

}  // namespace upwell::serve::draw
