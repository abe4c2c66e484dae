#include "serve/draw/plot.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <optional>

#include "serve/draw/color_map.hpp"
#include "serve/draw/text.hpp"

namespace upwell::serve::draw {
namespace {

constexpr Color kPaper{255, 255, 255};
constexpr Color kInk{32, 40, 52};
constexpr Color kSoftInk{98, 108, 122};
constexpr Color kFrame{120, 130, 142};
constexpr Color kMissing{205, 208, 212};
constexpr Color kCurve{24, 98, 156};
constexpr double kTitleCap = 17;
constexpr double kTextCap = 13.5;
constexpr double kWidth = 900;
constexpr double kLeft = 92;        // at least
constexpr double kLabelSpace = 36;  // left of the ticks' text, and between it and the plot
constexpr double kTop = 78;
constexpr double kBottom = 66;
constexpr double kBarSpace = 138;  // right of the plot, for the colour bar and its text
constexpr double kBarWidth = 20;
constexpr double kMaxPlotHeight = 600;

struct Frame {
  double x = 0, y = 0, width = 0, height = 0;
};

/// Positions at the edges of an axis and which cell a position falls in.
class Scale {
 public:
  explicit Scale(const Axis& axis, size_t count) : centers_(axis.centers), kind_(axis.kind) {
    if (centers_.size() != count || !monotonic()) {
      centers_.resize(count);
      for (size_t i = 0; i < count; ++i) centers_[i] = static_cast<double>(i);
      indexed_ = true;
      kind_ = AxisKind::kPlain;
    }
    descending_ = count > 1 && centers_.front() > centers_.back();
    if (descending_) std::reverse(centers_.begin(), centers_.end());
    const double half_first = count > 1 ? (centers_[1] - centers_[0]) / 2 : 0.5;
    const double half_last = count > 1 ? (centers_[count - 1] - centers_[count - 2]) / 2 : 0.5;
    low = centers_.front() - half_first;
    high = centers_.back() + half_last;
    if (kind_ == AxisKind::kLatitude) {
      low = std::max(low, -90.0);
      high = std::min(high, 90.0);
    }
  }

  size_t cell(double position) const {
    const auto upper = std::lower_bound(centers_.begin(), centers_.end(), position);
    auto i = static_cast<size_t>(upper - centers_.begin());
    if (i == centers_.size()) --i;
    if (i > 0 && position - centers_[i - 1] < centers_[i] - position) --i;
    return descending_ ? centers_.size() - 1 - i : i;
  }
  bool indexed() const { return indexed_; }
  AxisKind kind() const { return kind_; }

  double low = 0, high = 1;

 private:
  bool monotonic() const {
    bool up = true;
    bool down = true;
    for (size_t i = 0; i < centers_.size(); ++i) {
      if (!std::isfinite(centers_[i])) return false;
      if (i == 0) continue;
      up = up && centers_[i] > centers_[i - 1];
      down = down && centers_[i] < centers_[i - 1];
    }
    return up || down;
  }
  std::vector<double> centers_;
  AxisKind kind_;
  bool descending_ = false;
  bool indexed_ = false;
};

/// Value range that the colours cover: all values, unless a few far ones would drown the others.
struct ValueRange {
  double low = 0, high = 1;
  bool cut_low = false, cut_high = false;
  bool any = false;
  bool diverging = false;
};

ValueRange range_of(const std::vector<float>& values) {
  std::vector<float> finite;
  finite.reserve(values.size());
  for (float v : values) {
    if (std::isfinite(v)) finite.push_back(v);
  }
  ValueRange range;
  if (finite.empty()) return range;
  range.any = true;
  const auto quantile = [&finite](double q) {
    const auto k = static_cast<int64_t>(q * static_cast<double>(finite.size() - 1));
    std::nth_element(finite.begin(), finite.begin() + k, finite.end());
    return static_cast<double>(finite[static_cast<size_t>(k)]);
  };
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  const double low = *least;
  const double high = *most;
  const double low_quantile = quantile(0.004);
  const double high_quantile = quantile(0.996);
  const double core = high_quantile - low_quantile;
  range.low = core > 0 && low_quantile - low > 0.25 * core ? low_quantile : low;
  range.high = core > 0 && high - high_quantile > 0.25 * core ? high_quantile : high;
  range.cut_low = range.low > low;
  range.cut_high = range.high < high;
  const double smaller = std::min(-range.low, range.high);
  range.diverging = smaller > 0 && smaller * 3 > std::max(-range.low, range.high);
  if (range.diverging) {
    range.high = std::max(-range.low, range.high);
    range.low = -range.high;
  }
  if (!(range.high > range.low)) {
    const double pad = range.low == 0 ? 1 : std::abs(range.low) * 0.05;
    range.low -= pad;
    range.high += pad;
  }
  return range;
}

Color value_color(const ValueRange& range, double value) {
  if (!std::isfinite(value)) return kMissing;
  return color_of(range.diverging ? diverging_map() : sequential_map(),
                  (value - range.low) / (range.high - range.low));
}

void draw_titles(Image& image, const std::string& title, const std::string& subtitle) {
  const double width = static_cast<double>(image.width) - kLeft - 24;
  text(image, {kLeft, 36}, fit_text(title, kTitleCap, width / 1.02), kTitleCap, kInk, Align::kLeft,
       false, true);
  text(image, {kLeft, 62}, fit_text(subtitle, kTextCap, width), kTextCap, kSoftInk);
}

std::vector<Tick> ticks_of(const Axis& axis, AxisKind kind, double low, double high, int wanted) {
  if (axis.ticks && kind == axis.kind) return axis.ticks(low, high, wanted);
  const std::vector<double> positions = round_ticks(low, high, wanted, kind);
  const double step = positions.size() > 1 ? positions[1] - positions[0] : 1;
  const bool degrees = kind == AxisKind::kLatitude || kind == AxisKind::kLongitude;
  std::vector<Tick> ticks;
  for (const double at : positions)
    ticks.push_back({at, degrees ? degrees_text(at, kind) : number_text(at, step)});
  return ticks;
}

/// Where a plot begins whose y axis has these ticks: no text is cut.
double left_of(const std::vector<Tick>& ticks) {
  double widest = kLeft - kLabelSpace;
  for (const Tick& tick : ticks) widest = std::max(widest, text_width(tick.text, kTextCap));
  return widest + kLabelSpace;
}

/// Ticks are then row or column numbers: the label must not claim degrees or metres.
std::string label_of(const Axis& axis, const Scale& scale) {
  return scale.indexed() && !axis.centers.empty() ? axis.label + " (index)" : axis.label;
}

void frame_lines(Image& image, const Frame& f) {
  for (const auto& [a, b] : {std::pair<Point, Point>{{f.x, f.y}, {f.x + f.width, f.y}},
                             {{f.x + f.width, f.y}, {f.x + f.width, f.y + f.height}},
                             {{f.x + f.width, f.y + f.height}, {f.x, f.y + f.height}},
                             {{f.x, f.y + f.height}, {f.x, f.y}}}) {
    line(image, a, b, 1.3, kFrame);
  }
}

/// Ticks, their text, and the faint lines across the plot.
void draw_x_axis(Image& image, const Frame& f, const Axis& axis, AxisKind kind, double low,
                 double high, const std::string& label) {
  double free_from = 0;
  for (const Tick& tick : ticks_of(axis, kind, low, high, 6)) {
    const double x = f.x + (tick.position - low) / (high - low) * f.width;
    line(image, {x, f.y}, {x, f.y + f.height}, 1, kInk, 0.16);
    line(image, {x, f.y + f.height}, {x, f.y + f.height + 6}, 1.3, kFrame);
    const double half = text_width(tick.text, kTextCap) / 2;
    const double center =
        std::max(half + 6, std::min(x, static_cast<double>(image.width) - half - 6));
    if (center - half < free_from) continue;
    free_from = center + half + 10;
    text(image, {center, f.y + f.height + 12 + kTextCap}, tick.text, kTextCap, kInk,
         Align::kCenter);
  }
  text(image, {f.x + f.width / 2, f.y + f.height + 24 + 2 * kTextCap},
       fit_text(label, kTextCap, f.width), kTextCap, kSoftInk, Align::kCenter);
}

void draw_y_axis(Image& image, const Frame& f, const std::vector<Tick>& ticks, double low,
                 double high, const std::string& label) {
  for (const Tick& tick : ticks) {
    const double y = f.y + (1 - (tick.position - low) / (high - low)) * f.height;
    line(image, {f.x, y}, {f.x + f.width, y}, 1, kInk, 0.16);
    line(image, {f.x - 6, y}, {f.x, y}, 1.3, kFrame);
    text(image, {f.x - 11, y + kTextCap / 2}, tick.text, kTextCap, kInk, Align::kRight);
  }
  text(image, {22, f.y + f.height / 2}, fit_text(label, kTextCap, f.height), kTextCap, kSoftInk,
       Align::kCenter, true);
}

void triangle(Image& image, Point tip, double half_width, double height, Color color) {
  const double sign = height > 0 ? 1 : -1;
  for (double d = 0; d <= std::abs(height); d += 0.5) {
    const double half = half_width * d / std::abs(height);
    line(image, {tip.x - half, tip.y + sign * d}, {tip.x + half, tip.y + sign * d}, 1, color);
  }
}

void draw_color_bar(Image& image, const Frame& f, const ValueRange& range,
                    const std::string& units) {
  constexpr double kTip = 14;
  const double x = f.x + f.width + 26;
  const double top = f.y + kTip;
  const double height = f.height - 2 * kTip;
  for (double y = 0; y < height; ++y) {
    const double t = 1 - (y + 0.5) / height;
    fill_rect(image, x, top + y, kBarWidth, 1,
              value_color(range, range.low + t * (range.high - range.low)));
  }
  frame_lines(image, {x, top, kBarWidth, height});
  if (range.cut_high) {
    triangle(image, {x + kBarWidth / 2, f.y}, kBarWidth / 2, kTip - 1,
             value_color(range, range.high));
  }
  if (range.cut_low) {
    triangle(image, {x + kBarWidth / 2, f.y + f.height}, kBarWidth / 2, 1 - kTip,
             value_color(range, range.low));
  }
  const auto ticks = round_ticks(range.low, range.high, 6, AxisKind::kPlain);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
  for (double tick : ticks) {
    const double y = top + (1 - (tick - range.low) / (range.high - range.low)) * height;
    line(image, {x + kBarWidth, y}, {x + kBarWidth + 5, y}, 1.3, kFrame);
    text(image, {x + kBarWidth + 10, y + kTextCap / 2}, number_text(tick, step), kTextCap, kInk);
  }
  text(image, {static_cast<double>(image.width) - 12, f.y + f.height / 2},
       fit_text(units, kTextCap, f.height), kTextCap, kSoftInk, Align::kCenter, true);
}

Frame plot_frame(double aspect, double left) {
  double width = kWidth - left - kBarSpace;
  double height = width * aspect;
  if (height > kMaxPlotHeight) {
    height = kMaxPlotHeight;
    width = std::max(height / aspect, 240.0);
  }
  return {left, kTop, width, std::max(height, 220.0)};
}

double aspect_of(const FieldPlot& plot, const Scale& x, const Scale& y) {
  if (x.kind() == AxisKind::kLongitude && y.kind() == AxisKind::kLatitude) {
    return std::clamp((y.high - y.low) / (x.high - x.low), 0.3, 2.0);
  }
  if (x.indexed() && y.indexed()) {
    return std::clamp(static_cast<double>(plot.ny) / static_cast<double>(plot.nx), 0.45, 1.2);
  }
  return 0.62;
}

struct Box {
  double west = 0, east = 360, south = -90, north = 90;
};

/// Bounds of a curvilinear grid; the whole circle when cells lie on both sides of every meridian.
std::optional<Box> bounds_of(const FieldPlot& plot) {
  Box box{1e9, -1e9, 1e9, -1e9};
  for (size_t i = 0; i < plot.latitude.size(); ++i) {
    const double lat = plot.latitude[i];
    const double lon = plot.longitude[i];
    if (!std::isfinite(lat) || !std::isfinite(lon)) continue;
    if (std::abs(lat) > 90.001 || std::abs(lon) > 720) return std::nullopt;
    box.west = std::min(box.west, lon);
    box.east = std::max(box.east, lon);
    box.south = std::min(box.south, lat);
    box.north = std::max(box.north, lat);
  }
  if (box.east < box.west || box.north < box.south) return std::nullopt;
  if (box.east - box.west > 355) {
    const double middle = std::round((box.east + box.west) / 2 / 180) * 180;
    box.west = middle - 180;
    box.east = middle + 180;
  }
  box.south = std::max(-90.0, box.south - 0.5);
  box.north = std::min(90.0, box.north + 0.5);
  if (box.east - box.west < 1e-3) box.east = box.west + 1;
  return box;
}

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
  const auto at = [&](int64_t dj, int64_t di) -> Point {
    if (inside(dj, di)) return position(dj, di);
    const Point middle = position(0, 0);
    if (!inside(-dj, -di)) return middle;
    const Point opposite = position(-dj, -di);
    return {middle.x - std::remainder(opposite.x - middle.x, 360), 2 * middle.y - opposite.y};
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

void draw_curvilinear(Image& image, const Frame& f, const FieldPlot& plot, const Box& box,
                      const ValueRange& range) {
  for (size_t j = 0; j < plot.ny; ++j) {
    for (size_t i = 0; i < plot.nx; ++i) {
      const double value = plot.values[j * plot.nx + i];
      if (!std::isfinite(value)) continue;
      const auto corners = cell_corners(plot, j, i);
      if (!corners) continue;
      const Color color = value_color(range, value);
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
        fill_quad(image, f, pixels, color);
      }
    }
  }
}

Image draw_curvilinear_field(const FieldPlot& plot, const Box& box) {
  const Axis degrees;
  const auto rows = ticks_of(degrees, AxisKind::kLatitude, box.south, box.north, 5);
  const Frame f = plot_frame(std::clamp((box.north - box.south) / (box.east - box.west), 0.3, 2.0),
                             left_of(rows));
  Image image(static_cast<size_t>(f.x + f.width + kBarSpace),
              static_cast<size_t>(f.y + f.height + kBottom), kPaper);
  const ValueRange range = range_of(plot.values);
  fill_rect(image, f.x, f.y, f.width, f.height, kMissing);
  draw_curvilinear(image, f, plot, box, range);
  draw_x_axis(image, f, degrees, AxisKind::kLongitude, box.west, box.east, "longitude");
  draw_y_axis(image, f, rows, box.south, box.north, "latitude");
  frame_lines(image, f);
  if (range.any) draw_color_bar(image, f, range, plot.units);
  draw_titles(image, plot.title, plot.subtitle);
  return image;
}

}  // namespace

Image draw_field(const FieldPlot& plot) {
  if (plot.latitude.size() == plot.values.size() && plot.longitude.size() == plot.values.size()) {
    if (const auto box = bounds_of(plot)) return draw_curvilinear_field(plot, *box);
  }
  const Scale x(plot.x, plot.nx);
  const Scale y(plot.y, plot.ny);
  const auto rows = ticks_of(plot.y, y.kind(), y.low, y.high, 5);
  const Frame f = plot_frame(aspect_of(plot, x, y), left_of(rows));
  Image image(static_cast<size_t>(f.x + f.width + kBarSpace),
              static_cast<size_t>(f.y + f.height + kBottom), kPaper);
  const ValueRange range = range_of(plot.values);

  std::vector<size_t> column(static_cast<size_t>(f.width));
  for (size_t i = 0; i < column.size(); ++i) {
    column[i] = x.cell(x.low + (static_cast<double>(i) + 0.5) / f.width * (x.high - x.low));
  }
  for (double row = 0; row < f.height; ++row) {
    const size_t j = y.cell(y.low + (1 - (row + 0.5) / f.height) * (y.high - y.low));
    for (size_t i = 0; i < column.size(); ++i) {
      image.set(static_cast<int64_t>(f.x) + static_cast<int64_t>(i),
                static_cast<int64_t>(f.y + row),
                value_color(range, plot.values[j * plot.nx + column[i]]));
    }
  }
  draw_x_axis(image, f, plot.x, x.kind(), x.low, x.high, label_of(plot.x, x));
  draw_y_axis(image, f, rows, y.low, y.high, label_of(plot.y, y));
  frame_lines(image, f);
  if (range.any) {
    draw_color_bar(image, f, range, plot.units);
  } else {
    text(image, {f.x + f.width / 2, f.y + f.height / 2}, "no values here", kTitleCap, kSoftInk,
         Align::kCenter);
  }
  draw_titles(image, plot.title, plot.subtitle);
  return image;
}

Image draw_series(const SeriesPlot& plot) {
  const Scale x(plot.x, plot.values.size());
  double low = std::numeric_limits<double>::infinity();
  double high = -low;
  for (double v : plot.values) {
    if (!std::isfinite(v)) continue;
    low = std::min(low, v);
    high = std::max(high, v);
  }
  const bool any = high >= low;
  if (!any) low = 0, high = 1;
  const double pad = high > low ? 0.06 * (high - low) : std::max(1e-12, 0.05 * std::abs(high));
  low -= pad == 0 ? 1 : pad;
  high += pad == 0 ? 1 : pad;
  const auto rows = ticks_of(plot.y, plot.y.kind, low, high, 5);
  const double left = left_of(rows);
  const Frame f{left, kTop, kWidth - left - 40, 300};
  Image image(static_cast<size_t>(kWidth), static_cast<size_t>(f.y + f.height + kBottom), kPaper);
  draw_x_axis(image, f, plot.x, x.kind(), x.low, x.high, label_of(plot.x, x));
  draw_y_axis(image, f, rows, low, high, plot.y.ticks ? plot.y.label : plot.units);
  frame_lines(image, f);

  const bool indexed = x.indexed();
  const auto place = [&](size_t i) -> Point {
    const double at = indexed ? static_cast<double>(i) : plot.x.centers[i];
    return {f.x + (at - x.low) / (x.high - x.low) * f.width,
            f.y + (high - plot.values[i]) / (high - low) * f.height};
  };
  const bool dots = plot.values.size() <= 80;
  for (size_t i = 0; i < plot.values.size(); ++i) {
    if (!std::isfinite(plot.values[i])) continue;
    const Point p = place(i);
    if (i > 0 && std::isfinite(plot.values[i - 1])) line(image, place(i - 1), p, 2.4, kCurve);
    if (dots) line(image, p, p, 7, kCurve);
  }
  if (!any) {
    text(image, {f.x + f.width / 2, f.y + f.height / 2}, "no values here", kTitleCap, kSoftInk,
         Align::kCenter);
  }
  draw_titles(image, plot.title, plot.subtitle);
  return image;
}

}  // namespace upwell::serve::draw
