#pragma once
// Plots of one field or one series: title, axes with ticks, colour bar.

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "serve/draw/color_map.hpp"

namespace upwell::serve::draw {

enum class AxisKind { kPlain, kLatitude, kLongitude, kTime };

/// A mark on an axis and what is written beside it.
struct Tick {
  double position = 0;
  std::string text;
};

struct Axis {
  std::string label;
  AxisKind kind = AxisKind::kPlain;
  /// Position of each row or column. Taken as they are when strictly monotonic, else their index.
  std::vector<double> centers;
  /// About `wanted` ticks between two positions (kTime); null: numbers or degrees, by kind.
  std::function<std::vector<Tick>(double low, double high, int wanted)> ticks;
};

/// How a plot looks, where that does not follow from what it shows.
struct PlotStyle {
  double width = 900;                              ///< in units: letters are about 14 high
  double height = 0;                               ///< 0: as high as the plot is
  double scale = 1;                                ///< pixels of a unit
  std::optional<std::pair<double, double>> range;  ///< of values; none: what they are
  const ColorMap* colors = nullptr;                ///< null: sequential, or diverging around zero
};

/// One field among several of the same grid.
struct Panel {
  std::string title;
  std::vector<float> values;  ///< ny rows of nx; NaN: missing
};

struct FieldPlot {
  std::string title;
  std::string subtitle;
  std::string units;  ///< beside the colour bar
  Axis x, y;
  size_t nx = 0, ny = 0;
  std::vector<Panel> panels;  ///< at least one; all have the same colours
  /// Curvilinear grids: position of every value in degrees, ny rows of nx. Empty: the axes hold.
  std::vector<float> latitude, longitude;
  bool coastlines = false;  ///< over longitudes and latitudes
  PlotStyle style;
};

struct SeriesPlot {
  std::string title;
  std::string subtitle;
  std::string units;
  Axis x;
  Axis y;                      ///< of the values; without `ticks` numbers, with `units` beside them
  std::vector<double> values;  ///< NaN: missing
  PlotStyle style;
};

Image draw_field(const FieldPlot& plot);
Image draw_series(const SeriesPlot& plot);

/// "30°N", "120°W", "0°".
std::string degrees_text(double value, AxisKind kind);
/// About `wanted` round numbers from low to high.
std::vector<double> round_ticks(double low, double high, int wanted, AxisKind kind);
/// The shortest text that tells ticks `step` apart.
std::string number_text(double value, double step);

}  // namespace upwell::serve::draw
