#include "serve/draw/plot.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <tuple>
#include <utility>

#include "serve/draw/geography.hpp"

namespace upwell::serve::draw {
namespace {

constexpr Color kPaper{255, 255, 255};
constexpr Color kInk{32, 40, 52};
constexpr Color kSoftInk{98, 108, 122};
constexpr Color kFrame{120, 130, 142};
constexpr Color kCurve{24, 98, 156};
// All in units.
constexpr double kTitleCap = 17;
constexpr double kTextCap = 13.5;
constexpr double kPanelCap = 12.5;
constexpr double kLeft = 92;        // at least
constexpr double kLabelSpace = 36;  // left of the ticks' text, and between it and the plot
constexpr double kTop = 78;
constexpr double kBottom = 66;
constexpr double kBarSpace = 138;  // right of the plot, for the colour bar and its text
constexpr double kBarWidth = 20;
constexpr double kMargin = 24;
constexpr double kMaxPlotHeight = 600;
constexpr double kPanelTitle = 24;  // above a panel
constexpr double kPanelGap = 16;

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

/// Ticks are then row or column numbers: the label must not claim degrees or metres.
std::string label_of(const Axis& axis, const Scale& scale) {
  return scale.indexed() && !axis.centers.empty() && !axis.ticks ? axis.label + " (index)"
                                                                 : axis.label;
}

/// One axis as it is drawn.
struct Ruler {
  double low = 0, high = 1;
  std::vector<Tick> ticks;
  std::string label;

  double part(double position) const { return (position - low) / (high - low); }
};

/// Where a plot begins that has this y axis: no text is cut.
double left_of(const Ruler& axis) {
  double widest = kLeft - kLabelSpace;
  for (const Tick& tick : axis.ticks) widest = std::max(widest, text_width(tick.text, kTextCap));
  return widest + (axis.label.empty() ? kMargin : kLabelSpace);
}

/// Below a plot that has this x axis.
double bottom_of(const Ruler& axis) { return axis.label.empty() ? kBottom - 22 : kBottom; }

void draw_titles(Canvas& canvas, double left, const std::string& title,
                 const std::string& subtitle) {
  const double width = canvas.width() - left - kMargin;
  canvas.text({left, 36}, fit_text(title, kTitleCap, width / 1.02), kTitleCap, kInk, Align::kLeft,
              false, true);
  canvas.text({left, 62}, fit_text(subtitle, kTextCap, width), kTextCap, kSoftInk);
}

/// Ticks, the faint lines across the plot, and text between `from` and `to`.
void draw_x_axis(Canvas& canvas, const Frame& f, const Ruler& axis, bool texts, double from,
                 double to) {
  double free_from = from;
  for (const Tick& tick : axis.ticks) {
    const double x = f.x + axis.part(tick.position) * f.width;
    canvas.line({x, f.y}, {x, f.y + f.height}, 1, kInk, 0.16);
    canvas.line({x, f.y + f.height}, {x, f.y + f.height + 6}, 1.3, kFrame);
    if (!texts) continue;
    const double half = text_width(tick.text, kTextCap) / 2;
    const double center = std::max(half + from, std::min(x, to - half));
    if (center - half < free_from || std::abs(center - x) > half) continue;
    free_from = center + half + 10;
    canvas.text({center, f.y + f.height + 12 + kTextCap}, tick.text, kTextCap, kInk,
                Align::kCenter);
  }
}

void draw_x_label(Canvas& canvas, double left, double right, double bottom, const Ruler& axis) {
  canvas.text({(left + right) / 2, bottom + 24 + 2 * kTextCap},
              fit_text(axis.label, kTextCap, right - left), kTextCap, kSoftInk, Align::kCenter);
}

void draw_y_axis(Canvas& canvas, const Frame& f, const Ruler& axis, bool texts) {
  for (const Tick& tick : axis.ticks) {
    const double y = f.y + (1 - axis.part(tick.position)) * f.height;
    canvas.line({f.x, y}, {f.x + f.width, y}, 1, kInk, 0.16);
    canvas.line({f.x - 6, y}, {f.x, y}, 1.3, kFrame);
    if (texts) canvas.text({f.x - 11, y + kTextCap / 2}, tick.text, kTextCap, kInk, Align::kRight);
  }
}

void draw_y_label(Canvas& canvas, double left, double top, double bottom, const Ruler& axis) {
  canvas.text({left, (top + bottom) / 2}, fit_text(axis.label, kTextCap, bottom - top), kTextCap,
              kSoftInk, Align::kCenter, true);
}

void triangle(Canvas& canvas, Point tip, double half_width, double height, Color color) {
  const double sign = height > 0 ? 1 : -1;
  const double step = 0.5 / canvas.scale();
  for (double d = 0; d <= std::abs(height); d += step) {
    const double half = half_width * d / std::abs(height);
    canvas.line({tip.x - half, tip.y + sign * d}, {tip.x + half, tip.y + sign * d}, 2 * step,
                color);
  }
}

/// `f`: of the bar with its pointed ends.
void draw_color_bar(Canvas& canvas, const Frame& f, const ValueColors& colors,
                    const std::string& units) {
  constexpr double kTip = 14;
  const Frame bar{f.x, f.y + kTip, kBarWidth, f.height - 2 * kTip};
  const double middle = bar.x + kBarWidth / 2;
  canvas.fill(bar, [&](double, double down) {
    return colors.of(colors.high - down * (colors.high - colors.low));
  });
  canvas.outline(bar, kFrame);
  if (colors.cut_high)
    triangle(canvas, {middle, f.y}, kBarWidth / 2, kTip - 1, colors.of(colors.high));
  if (colors.cut_low)
    triangle(canvas, {middle, f.y + f.height}, kBarWidth / 2, 1 - kTip, colors.of(colors.low));
  const int wanted = static_cast<int>(std::clamp(bar.height / 45, 2.0, 6.0));
  const auto ticks = round_ticks(colors.low, colors.high, wanted, AxisKind::kPlain);
  const double step = ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
  double widest = 0;
  for (const double tick : ticks) {
    const double y = bar.y + (colors.high - tick) / (colors.high - colors.low) * bar.height;
    canvas.line({bar.x + kBarWidth, y}, {bar.x + kBarWidth + 5, y}, 1.3, kFrame);
    canvas.text({bar.x + kBarWidth + 10, y + kTextCap / 2}, number_text(tick, step), kTextCap,
                kInk);
    widest = std::max(widest, text_width(number_text(tick, step), kTextCap));
  }
  const double right = std::min(bar.x + kBarWidth + widest + 40, canvas.width() - 12);
  canvas.text({right, f.y + f.height / 2}, fit_text(units, kTextCap, f.height), kTextCap, kSoftInk,
              Align::kCenter, true);
}

/// Of a degree of latitude and one of longitude, as far as they are apart in the middle of the
/// plot.
double aspect_of(const GeoBox& box) {
  const double middle = (box.north + box.south) / 2 * std::acos(-1.0) / 180;
  const double shrink = std::max(0.2, std::cos(middle));
  return std::clamp((box.north - box.south) / (box.east - box.west) / shrink, 0.3, 2.0);
}

/// What a field plot shows, however its grid lies.
struct FieldView {
  Ruler x, y;
  std::optional<GeoBox> degrees;  ///< both axes are
  bool curvilinear = false;
  double aspect = 1;
};

FieldView view_of(const FieldPlot& plot, const Scale& x, const Scale& y) {
  FieldView view;
  const bool placed = plot.latitude.size() == plot.nx * plot.ny && plot.ny > 0 &&
                      plot.longitude.size() == plot.latitude.size();
  if (placed) view.degrees = bounds_of(plot);
  view.curvilinear = view.degrees.has_value();
  const bool plain = x.kind() == AxisKind::kLongitude && y.kind() == AxisKind::kLatitude;
  if (!view.curvilinear && plain) view.degrees = GeoBox{x.low, x.high, y.low, y.high};
  if (view.curvilinear) {
    view.x = {view.degrees->west, view.degrees->east, {}, ""};
    view.y = {view.degrees->south, view.degrees->north, {}, ""};
  } else {  // "30°N" needs no label
    view.x = {x.low, x.high, {}, view.degrees ? "" : label_of(plot.x, x)};
    view.y = {y.low, y.high, {}, view.degrees ? "" : label_of(plot.y, y)};
  }
  if (view.degrees) {
    view.aspect = aspect_of(*view.degrees);
  } else if (x.indexed() && y.indexed()) {
    view.aspect =
        std::clamp(static_cast<double>(plot.ny) / static_cast<double>(plot.nx), 0.45, 1.2);
  } else {
    view.aspect = 0.62;
  }
  return view;
}

struct Layout {
  double width = 0, height = 0;
  size_t columns = 1;
  std::vector<Frame> frames;
  Frame all;
};

/// Panels as large as they can be within a width and height, in rows.
Layout lay_out(const FieldPlot& plot, double aspect, double left, double bottom) {
  const size_t n = plot.panels.size();
  const PlotStyle& style = plot.style;
  const double above = n > 1 || !plot.panels[0].title.empty() ? kPanelTitle : 0;
  const double room_x = style.width - left - kBarSpace;
  double room_y = n == 1 ? kMaxPlotHeight : 0.7 * style.width;
  if (style.height > 0) room_y = style.height - kTop - bottom;
  Layout best;
  Frame cell;
  for (size_t columns = 1; columns <= n; ++columns) {
    const auto c = static_cast<double>(columns);
    const size_t rows = (n + columns - 1) / columns;
    const auto r = static_cast<double>(rows);
    double width = (room_x - (c - 1) * kPanelGap) / c;
    double height = width * aspect;
    const double highest = (room_y - r * above - (r - 1) * kPanelGap) / r;
    if (height > highest) {
      height = std::max(highest, 1.0);
      width = height / aspect;
    }
    if (n == 1 && style.height == 0) {
      width = std::max(width, 240.0);
      height = std::max(height, 220.0);
    }
    if (width <= cell.width) continue;
    cell = {0, 0, width, height};
    best.columns = columns;
  }
  const size_t rows = (n + best.columns - 1) / best.columns;
  best.all = {left, kTop, static_cast<double>(best.columns) * (cell.width + kPanelGap) - kPanelGap,
              static_cast<double>(rows) * (cell.height + above + kPanelGap) - kPanelGap};
  const double titles =
      std::max(text_width(plot.title, kTitleCap) * 1.03, text_width(plot.subtitle, kTextCap));
  best.width = std::min(style.width,
                        std::max(best.all.x + best.all.width + kBarSpace, left + titles + kMargin));
  best.height = best.all.y + best.all.height + bottom;
  if (style.height > 0) {
    best.width = style.width;
    best.height = style.height;
    best.all.x += std::max(0.0, (room_x - best.all.width) / 2);
    best.all.y += std::max(0.0, (room_y - best.all.height) / 2);
  }
  for (size_t i = 0; i < n; ++i) {
    const size_t column = i % best.columns, row = i / best.columns;
    best.frames.push_back(
        {best.all.x + static_cast<double>(column) * (cell.width + kPanelGap),
         best.all.y + static_cast<double>(row) * (cell.height + above + kPanelGap) + above,
         cell.width, cell.height});
  }
  return best;
}

/// The cells of a grid whose axes are straight.
void fill_panel(Canvas& canvas, const Frame& f, const FieldPlot& plot, const Panel& panel,
                const Scale& x, const Scale& y, const ValueColors& colors) {
  const auto wide = static_cast<size_t>(canvas.pixel(f.x + f.width) - canvas.pixel(f.x));
  std::vector<size_t> columns(wide);
  for (size_t i = 0; i < wide; ++i)
    columns[i] = x.cell(x.low + (static_cast<double>(i) + 0.5) / static_cast<double>(wide) *
                                    (x.high - x.low));
  double row_of = -1;
  size_t row = 0;
  canvas.fill(f, [&](double right, double down) {
    if (down != row_of) {
      row = y.cell(y.low + (1 - down) * (y.high - y.low));
      row_of = down;
    }
    const auto i = static_cast<size_t>(right * static_cast<double>(wide));
    return colors.of(panel.values[row * plot.nx + columns[i]]);
  });
}

}  // namespace

Image draw_field(const FieldPlot& plot) {
  const Scale x(plot.x, plot.nx);
  const Scale y(plot.y, plot.ny);
  FieldView view = view_of(plot, x, y);
  const AxisKind x_kind = view.curvilinear ? AxisKind::kLongitude : x.kind();
  const AxisKind y_kind = view.curvilinear ? AxisKind::kLatitude : y.kind();
  view.y.ticks = ticks_of(plot.y, y_kind, view.y.low, view.y.high, 5);
  const Layout layout = lay_out(plot, view.aspect, left_of(view.y), bottom_of(view.x));
  const Frame& first = layout.frames[0];
  const bool many = layout.frames.size() > 1;
  view.x.ticks = ticks_of(plot.x, x_kind, view.x.low, view.x.high,
                          many ? static_cast<int>(std::clamp(first.width / 60, 2.0, 6.0)) : 6);
  if (many)
    view.y.ticks = ticks_of(plot.y, y_kind, view.y.low, view.y.high,
                            static_cast<int>(std::clamp(first.height / 24, 2.0, 5.0)));

  Canvas canvas(layout.width, layout.height, plot.style.scale, kPaper);
  const ValueColors colors = colors_of(plot.panels, plot.style);
  for (size_t i = 0; i < plot.panels.size(); ++i) {
    const Frame& f = layout.frames[i];
    const Panel& panel = plot.panels[i];
    if (view.curvilinear) {
      canvas.fill(f, [&](double, double) { return colors.of(NAN); });
      draw_cells(canvas, f, plot, panel, *view.degrees, colors);
    } else {
      fill_panel(canvas, f, plot, panel, x, y, colors);
    }
    if (plot.coastlines && view.degrees) draw_coastlines(canvas, f, *view.degrees);
    const bool lowest = i + layout.columns >= layout.frames.size();
    // Where one panel ends and the next begins is room for one text.
    const bool rightmost = i + 1 == layout.frames.size() || (i + 1) % layout.columns == 0;
    draw_x_axis(canvas, f, view.x, lowest, many ? f.x - kPanelGap : 6,
                rightmost ? canvas.width() - 6 : f.x + f.width - 4);
    draw_y_axis(canvas, f, view.y, i % layout.columns == 0);
    canvas.outline(f, kFrame);
    if (!panel.title.empty())
      canvas.text({f.x, f.y - 7}, fit_text(panel.title, kPanelCap, f.width), kPanelCap, kInk);
  }
  const Frame& all = layout.all;
  draw_x_label(canvas, all.x, all.x + all.width, all.y + all.height, view.x);
  draw_y_label(canvas, many ? all.x - left_of(view.y) + 22 : 22, many ? all.y : first.y,
               all.y + all.height, view.y);
  if (colors.any) {
    constexpr double kLongest = 460;
    Frame bar{all.x + all.width + 26, first.y, kBarWidth, all.y + all.height - first.y};
    if (bar.height > kLongest && many) {
      bar.y += (bar.height - kLongest) / 2;
      bar.height = kLongest;
    }
    draw_color_bar(canvas, bar, colors, plot.units);
  } else {
    canvas.text({all.x + all.width / 2, all.y + all.height / 2}, "no values here", kTitleCap,
                kSoftInk, Align::kCenter);
  }
  draw_titles(canvas, all.x, plot.title, plot.subtitle);
  return std::move(canvas.image());
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
  if (plot.style.range) std::tie(low, high) = *plot.style.range;
  const Ruler across{x.low, x.high, ticks_of(plot.x, x.kind(), x.low, x.high, 6),
                     label_of(plot.x, x)};
  const Ruler up{low, high, ticks_of(plot.y, plot.y.kind, low, high, 5),
                 plot.y.ticks ? plot.y.label : plot.units};
  const double left = left_of(up);
  const double height = plot.style.height > 0 ? plot.style.height - kTop - kBottom : 300;
  const Frame f{left, kTop, plot.style.width - left - 40, height};
  Canvas canvas(plot.style.width, f.y + f.height + kBottom, plot.style.scale, kPaper);
  draw_x_axis(canvas, f, across, true, 6, canvas.width() - 6);
  draw_y_axis(canvas, f, up, true);
  draw_x_label(canvas, f.x, f.x + f.width, f.y + f.height, across);
  draw_y_label(canvas, 22, f.y, f.y + f.height, up);
  canvas.outline(f, kFrame);

  const auto place = [&](size_t i) -> Point {
    const double at = x.indexed() ? static_cast<double>(i) : plot.x.centers[i];
    return {f.x + across.part(at) * f.width, f.y + (1 - up.part(plot.values[i])) * f.height};
  };
  const auto drawn = [&](size_t i) {
    return std::isfinite(plot.values[i]) && plot.values[i] >= low && plot.values[i] <= high;
  };
  const bool dots = plot.values.size() <= 80;
  for (size_t i = 0; i < plot.values.size(); ++i) {
    if (!drawn(i)) continue;
    const Point p = place(i);
    if (i > 0 && drawn(i - 1)) canvas.line(place(i - 1), p, 2.4, kCurve);
    if (dots) canvas.line(p, p, 7, kCurve);
  }
  if (!any) {
    canvas.text({f.x + f.width / 2, f.y + f.height / 2}, "no values here", kTitleCap, kSoftInk,
                Align::kCenter);
  }
  draw_titles(canvas, f.x, plot.title, plot.subtitle);
  return std::move(canvas.image());
}

}  // namespace upwell::serve::draw
