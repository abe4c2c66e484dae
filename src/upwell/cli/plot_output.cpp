// Results as a plot: maps of longitudes and latitudes, other fields, curves.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "cli/csv.hpp"
#include "cli/result_output.hpp"
#include "cli/staged_values.hpp"
#include "serve/picture.hpp"
#include "serve/time_ticks.hpp"

namespace upwell::cli {
namespace {

using format::netcdf4::File;
using format::netcdf4::Variable;
using serve::draw::AxisKind;

constexpr size_t kMostPanels = 24;

Array as_array(const Variable& variable) {
  Array array;
  array.name = variable.name;
  array.type = variable.data().type;
  array.shape = variable.data().shape;
  array.dimensions = variable.dimensions;
  array.attributes = variable.attributes;
  return array;
}

/// One dimension of what is plotted.
struct PlotAxis {
  std::string name;
  uint64_t size = 0;
  const Variable* coordinate = nullptr;  ///< of this dimension, with values
  AxisKind kind = AxisKind::kPlain;
};

/// Which dimension is drawn how. `y` and `panel` may be none.
struct PlotPlan {
  const Variable* variable = nullptr;
  size_t number = 0;  ///< in the file
  std::vector<PlotAxis> axes;
  std::optional<size_t> panel, y;
  size_t x = 0;
  const Variable* latitude = nullptr;  ///< of a curvilinear grid
  const Variable* longitude = nullptr;
};

std::vector<PlotAxis> axes_of(const File& file, const Variable& variable) {
  std::vector<PlotAxis> axes;
  for (size_t d = 0; d < variable.dimensions.size(); ++d) {
    PlotAxis axis{variable.dimensions[d], variable.values.shape[d]};
    for (const Variable& v : file.variables)
      if (!v.later && v.name == axis.name && v.dimensions == std::vector<std::string>{axis.name})
        axis.coordinate = &v;
    if (axis.coordinate != nullptr) axis.kind = serve::axis_kind(as_array(*axis.coordinate));
    axes.push_back(std::move(axis));
  }
  return axes;
}

/// Latitudes and longitudes over two dimensions of the variable (CF 5.2).
void find_curvilinear(const File& file, PlotPlan& plan) {
  for (const Variable& v : file.variables) {
    if (v.later || v.dimensions.size() != 2 || !v.data().type.is_number()) continue;
    const AxisKind kind = serve::axis_kind(as_array(v));
    if (kind == AxisKind::kLatitude && plan.latitude == nullptr) plan.latitude = &v;
    if (kind == AxisKind::kLongitude && plan.longitude == nullptr) plan.longitude = &v;
  }
  const auto position = [&](const std::string& name) {
    const auto& names = plan.variable->dimensions;
    return static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
  };
  const size_t rank = plan.axes.size();
  if (plan.latitude != nullptr && plan.longitude != nullptr &&
      plan.latitude->dimensions == plan.longitude->dimensions) {
    const size_t y = position(plan.latitude->dimensions[0]);
    const size_t x = position(plan.latitude->dimensions[1]);
    if (y < rank && x < rank && y != x) {
      plan.y = y;
      plan.x = x;
      return;
    }
  }
  plan.latitude = plan.longitude = nullptr;
}

Result<PlotPlan> plan_plot(const File& file) {
  PlotPlan plan;
  for (size_t i = 0; i < file.variables.size(); ++i) {
    if (!file.variables[i].later) continue;
    if (plan.variable != nullptr)
      return fail(Code::kInvalidArgument,
                  fmt::format("a plot shows one variable, not {} and {}: name one (--variables)",
                              plan.variable->name, file.variables[i].name));
    plan.variable = &file.variables[i];
    plan.number = i;
  }
  if (plan.variable == nullptr) return fail(Code::kInternal, "a plot of nothing");
  plan.axes = axes_of(file, *plan.variable);
  const size_t rank = plan.axes.size();
  if (rank == 0)
    return fail(Code::kInvalidArgument, plan.variable->name +
                                            " is one number, of which there is no plot: -o - "
                                            "prints it");
  if (rank > 3)
    return fail(Code::kInvalidArgument,
                fmt::format("{} has the dimensions {}: a plot shows up to three; reduce or select "
                            "the others",
                            plan.variable->name, fmt::join(plan.variable->dimensions, ", ")));
  if (rank == 1) return plan;
  plan.y = rank - 2;
  plan.x = rank - 1;
  std::optional<size_t> lat, lon;
  for (size_t d = 0; d < rank; ++d) {
    if (plan.axes[d].kind == AxisKind::kLatitude) lat = d;
    if (plan.axes[d].kind == AxisKind::kLongitude) lon = d;
  }
  if (lat && lon) {
    plan.y = lat;
    plan.x = *lon;
  } else {
    find_curvilinear(file, plan);
  }
  if (rank == 2) return plan;
  plan.panel = 3 - *plan.y - plan.x;
  const PlotAxis& panel = plan.axes[*plan.panel];
  if (panel.size > kMostPanels)
    return fail(Code::kInvalidArgument,
                fmt::format("{} maps along {} are too many for one plot, which holds {}: take a "
                            "part (--isel {}=0:{})",
                            panel.size, panel.name, kMostPanels, panel.name, kMostPanels));
  return plan;
}

std::optional<cf::TimeUnits> time_units(const Variable& variable) {
  const auto units = cf::time_units_of(as_array(variable));
  if (!units || !*units) return std::nullopt;
  return **units;
}

bool is_month(const PlotAxis& axis) {
  return axis.name == "month" && axis.coordinate != nullptr &&
         axis.coordinate->data().type.is_number();
}

std::string month_text(double month) {
  constexpr const char* kNames[] = {"January",   "February", "March",    "April",
                                    "May",       "June",     "July",     "August",
                                    "September", "October",  "November", "December"};
  if (month >= 1 && month <= 12 && month == std::floor(month))
    return kNames[static_cast<size_t>(month) - 1];
  return fmt::format("{}", month);
}

/// As a sentence begins; not "pH".
std::string with_capital(std::string text) {
  const auto small = [](char c) { return c >= 'a' && c <= 'z'; };
  if (text.size() > 1 && small(text[0]) && (small(text[1]) || text[1] == ' '))
    text[0] = static_cast<char>(text[0] - 32);
  return text;
}

/// "2003", "March", "2010-01-15", "depth 5 m": what a place along an axis is called.
std::string place_text(const PlotAxis& axis, uint64_t i) {
  if (axis.coordinate == nullptr) return fmt::format("{} {}", axis.name, i);
  const Values& values = axis.coordinate->data();
  if (!values.type.is_number()) return element_text(values, i);
  if (is_month(axis)) return month_text(values.number(i));
  if (axis.name == "year") return element_text(values, i);
  if (const auto time = time_units(*axis.coordinate))
    return serve::date_text(*time, values.number(i));
  if (axis.kind == AxisKind::kLatitude || axis.kind == AxisKind::kLongitude)
    return serve::draw::degrees_text(values.number(i), axis.kind);
  const std::string units = serve::picture_units(as_array(*axis.coordinate));
  return axis.name + " " + element_text(values, i) + (units.empty() ? "" : " " + units);
}

/// Ticks of an axis of names, months or years: never between two of them.
std::vector<serve::draw::Tick> place_ticks(const PlotAxis& axis, const std::vector<double>& centers,
                                           double low, double high, int wanted) {
  std::vector<serve::draw::Tick> ticks;
  if (axis.name == "year") {
    for (const double year : serve::draw::round_ticks(low, high, wanted, AxisKind::kPlain))
      if (year == std::floor(year)) ticks.push_back({year, fmt::format("{}", year)});
    return ticks;
  }
  const size_t most = 2 * static_cast<size_t>(wanted);
  const size_t step = (centers.size() + most - 1) / most;
  for (size_t i = 0; i < centers.size(); i += step)
    if (centers[i] >= low && centers[i] <= high)
      ticks.push_back(
          {centers[i], is_month(axis) ? place_text(axis, i).substr(0, 3) : place_text(axis, i)});
  return ticks;
}

/// No more cells than pixels: so many elements along an axis are drawn as one.
uint64_t step_of(uint64_t size, double pixels) {
  return std::max<uint64_t>(1,
                            static_cast<uint64_t>(std::ceil(static_cast<double>(size) / pixels)));
}

/// Of those that are not missing.
class Means {
 public:
  explicit Means(size_t size) : sums_(size, 0), counts_(size, 0) {}
  void add(size_t i, double value) {
    if (std::isnan(value)) return;
    sums_[i] += value;
    ++counts_[i];
  }
  double of(size_t i) const { return counts_[i] > 0 ? sums_[i] / counts_[i] : NAN; }
  size_t size() const { return sums_.size(); }

 private:
  std::vector<double> sums_;
  std::vector<uint32_t> counts_;
};

/// Every `step` elements are one, in their middle.
std::vector<double> block_means(const std::vector<double>& values, uint64_t step) {
  std::vector<double> means;
  for (size_t begin = 0; begin < values.size(); begin += step) {
    const size_t end = std::min(values.size(), begin + step);
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += values[i];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  return means;
}

serve::draw::Axis drawn_axis(const PlotAxis& from, uint64_t step) {
  serve::draw::Axis axis;
  axis.label = from.name;
  const bool numbers = from.coordinate != nullptr && from.coordinate->data().type.is_number();
  std::vector<double> centers(from.size);
  for (uint64_t i = 0; i < from.size; ++i)
    centers[i] = numbers ? from.coordinate->data().number(i) : static_cast<double>(i);
  if (numbers) {
    const Array coordinate = as_array(*from.coordinate);
    axis.kind = from.kind;
    axis.label = serve::picture_title(coordinate);
    const std::string units = serve::picture_units(coordinate);
    if (from.kind == AxisKind::kPlain && !units.empty()) axis.label += " (" + units + ")";
  }
  if (from.kind == AxisKind::kLongitude)  // 350, 355, 0, 5 goes on as 360, 365
    for (size_t i = 1; i < centers.size(); ++i)
      centers[i] = centers[i - 1] + std::remainder(centers[i] - centers[i - 1], 360);
  axis.centers = block_means(centers, step);
  const bool texts = from.coordinate != nullptr && !numbers;
  if (texts || is_month(from) || from.name == "year") {
    axis.ticks = [from, centers](double low, double high, int wanted) {
      return place_ticks(from, centers, low, high, wanted);
    };
  } else if (from.kind == AxisKind::kTime) {
    if (const auto units = time_units(*from.coordinate))
      axis.ticks = [known = *units](double low, double high, int wanted) {
        return serve::time_ticks(known, low, high, wanted);
      };
  }
  return axis;
}

class PlotOutput : public ResultOutput {
 public:
  PlotOutput(std::string target, PlotPlan plan, PlotOptions options, StagedValues staged)
      : target_(std::move(target)),
        plan_(std::move(plan)),
        options_(std::move(options)),
        staged_(std::move(staged)) {}

  Result<> put(size_t variable, const Shape& origin, const Shape& shape,
               ByteSpan elements) override {
    return staged_.put(variable, origin, shape, elements);
  }

  Result<> commit(Sync sync) override {
    UPWELL_TRY(const serve::draw::PlotStyle style, style_of());
    UPWELL_TRY(const serve::draw::Image image, plan_.y ? field(style) : series(style));
    UPWELL_TRY(const Bytes png, serve::draw::encode_png(image));
    UPWELL_TRY(AtomicFile file, AtomicFile::create(target_));
    UPWELL_CHECK(file.write(png));
    return file.commit(sync);
  }

 private:
  Result<serve::draw::PlotStyle> style_of() {
    serve::draw::PlotStyle style;
    UPWELL_TRY(const PlotSize size, parse_size(options_));
    style.scale = size.width / style.width;
    style.height = size.height / style.scale;
    UPWELL_TRY(style.range, parse_range(options_));
    if (!options_.colormap.empty()) {
      colors_ = serve::draw::color_map_of(options_.colormap);
      if (colors_) style.colors = &*colors_;
    }
    return style;
  }

  std::string title() const {
    if (!options_.title.empty()) return options_.title;
    const std::string text = serve::picture_title(as_array(*plan_.variable));
    return text == plan_.variable->name ? text : with_capital(text);
  }

  /// Calls add(index, value) for every element in C order.
  template <typename Add>
  Result<> for_each_value(const Add& add) const {
    constexpr uint64_t kWindow = 1 << 16;
    const uint64_t count = element_count(plan_.variable->values.shape);
    const Shape& shape = plan_.variable->values.shape;
    Shape at(shape.size(), 0);
    for (uint64_t begin = 0; begin < count; begin += kWindow) {
      UPWELL_TRY(const Values run,
                 staged_.read_run(plan_.number, begin, std::min(kWindow, count - begin)));
      for (uint64_t i = 0; i < run.count(); ++i) {
        add(at, run.number(i));
        for (size_t d = at.size(); d-- > 0;) {
          if (++at[d] < shape[d]) break;
          at[d] = 0;
        }
      }
    }
    return {};
  }

  Result<serve::draw::Image> series(const serve::draw::PlotStyle& style) const {
    serve::draw::SeriesPlot plot;
    plot.title = title();
    plot.subtitle = with_capital(options_.subtitle);
    plot.units = serve::picture_units(as_array(*plan_.variable));
    plot.style = style;
    const PlotAxis& x = plan_.axes[0];
    const uint64_t step = step_of(x.size, 2 * style.width * style.scale);
    plot.x = drawn_axis(x, step);
    Means means((x.size + step - 1) / step);
    UPWELL_CHECK(
        for_each_value([&](const Shape& at, double value) { means.add(at[0] / step, value); }));
    for (size_t i = 0; i < means.size(); ++i) plot.values.push_back(means.of(i));
    if (const auto time = time_units(*plan_.variable))
      plot.y.ticks = [known = *time](double low, double high, int wanted) {
        return serve::time_ticks(known, low, high, wanted);
      };
    return draw_series(plot);
  }

  Result<serve::draw::Image> field(const serve::draw::PlotStyle& style) const {
    const PlotAxis& y = plan_.axes[*plan_.y];
    const PlotAxis& x = plan_.axes[plan_.x];
    const size_t panels = plan_.panel ? plan_.axes[*plan_.panel].size : 1;
    const double pixels = style.width * style.scale / std::sqrt(static_cast<double>(panels));
    const uint64_t step_y = step_of(y.size, pixels), step_x = step_of(x.size, pixels);
    serve::draw::FieldPlot plot;
    plot.ny = (y.size + step_y - 1) / step_y;
    plot.nx = (x.size + step_x - 1) / step_x;
    const size_t cells = plot.ny * plot.nx;
    Means means(panels * cells);
    UPWELL_CHECK(for_each_value([&](const Shape& at, double value) {
      const uint64_t panel = plan_.panel ? at[*plan_.panel] : 0;
      means.add(panel * cells + at[*plan_.y] / step_y * plot.nx + at[plan_.x] / step_x, value);
    }));
    for (size_t p = 0; p < panels; ++p) {
      serve::draw::Panel panel;
      if (plan_.panel) panel.title = place_text(plan_.axes[*plan_.panel], p);
      for (size_t i = 0; i < cells; ++i)
        panel.values.push_back(static_cast<float>(means.of(p * cells + i)));
      plot.panels.push_back(std::move(panel));
    }
    plot.title = title();
    plot.subtitle = with_capital(options_.subtitle);
    plot.units = serve::picture_units(as_array(*plan_.variable));
    plot.y = drawn_axis(y, step_y);
    plot.x = drawn_axis(x, step_x);
    plot.coastlines = true;
    plot.style = style;
    if (plan_.latitude != nullptr) {
      plot.latitude = positions(*plan_.latitude, step_y, step_x);
      plot.longitude = positions(*plan_.longitude, step_y, step_x);
    }
    return draw_field(plot);
  }

  /// That of the middle one of the cells that are drawn as one.
  static std::vector<float> positions(const Variable& variable, uint64_t step_y, uint64_t step_x) {
    const Values& values = variable.data();
    const uint64_t ny = values.shape[0], nx = values.shape[1];
    std::vector<float> out;
    for (uint64_t j = 0; j < ny; j += step_y)
      for (uint64_t i = 0; i < nx; i += step_x)
        out.push_back(static_cast<float>(values.number(std::min(j + step_y / 2, ny - 1) * nx +
                                                       std::min(i + step_x / 2, nx - 1))));
    return out;
  }

  std::string target_;
  PlotPlan plan_;
  PlotOptions options_;
  StagedValues staged_;
  std::optional<serve::draw::ColorMap> colors_;
};

}  // namespace

Result<std::unique_ptr<ResultOutput>> create_plot_output(const std::string& target,
                                                         const File& file,
                                                         const PlotOptions& options) {
  UPWELL_CHECK(parse_size(options));
  UPWELL_CHECK(parse_range(options));
  UPWELL_TRY(PlotPlan plan, plan_plot(file));
  std::filesystem::path directory = std::filesystem::path(target).parent_path();
  if (directory.empty()) directory = ".";
  UPWELL_TRY(StagedValues staged, StagedValues::create(directory, file));
  return std::make_unique<PlotOutput>(target, std::move(plan), options, std::move(staged));
}

}  // namespace upwell::cli
