#include "cli/plot_options.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>

namespace upwell::cli {
namespace {

/// The two numbers of "LOW,HIGH" or "WIDTHxHEIGHT".
std::optional<std::pair<double, double>> two_numbers(const std::string& text, char between) {
  const size_t at = text.find(between);
  if (at == std::string::npos) return std::nullopt;
  std::pair<double, double> numbers;
  const char* middle = text.data() + at;
  const char* end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), middle, numbers.first);
  const auto second = std::from_chars(middle + 1, end, numbers.second);
  if (first.ec != std::errc{} || second.ec != std::errc{} || first.ptr != middle ||
      second.ptr != end || !std::isfinite(numbers.first) || !std::isfinite(numbers.second))
    return std::nullopt;
  return numbers;
}

}  // namespace

void add_plot_options(CLI::App& app, PlotOptions& options) {
  const char* group = "A plot (NAME.png)";
  app.add_option("--title", options.title, "Default: the variable's long_name")->group(group);
  app.add_option("--range", options.range_text,
                 "Values of the ends of the colours (of the axis of a curve). Default: those that "
                 "there are, but for a few far ones")
      ->type_name("LOW,HIGH")
      ->group(group);
  app.add_option("--colormap", options.colormap,
                 "sequential, heat, gray or diverging; NAME-reversed. Default: sequential, and "
                 "diverging for values on both sides of zero")
      ->check(CLI::IsMember({"sequential", "heat", "gray", "diverging", "sequential-reversed",
                             "heat-reversed", "gray-reversed", "diverging-reversed"}))
      ->type_name("NAME")
      ->group(group);
  app.add_option("--size", options.size_text,
                 "In pixels; letters grow with the width. Default: 1500, as high as is needed")
      ->type_name("WIDTH[xHEIGHT]")
      ->group(group);
}

bool any_plot_option(const PlotOptions& options) {
  return !(options.title.empty() && options.range_text.empty() && options.colormap.empty() &&
           options.size_text.empty());
}

Result<std::optional<std::pair<double, double>>> parse_range(const PlotOptions& options) {
  if (options.range_text.empty()) return std::nullopt;
  const auto range = two_numbers(options.range_text, ',');
  if (!range || !(range->first < range->second))
    return fail(Code::kInvalidArgument,
                "--range " + options.range_text + ": write LOW,HIGH, as in 270,300");
  return range;
}

Result<PlotSize> parse_size(const PlotOptions& options) {
  constexpr double kLeast = 300, kMost = 6000;
  if (options.size_text.empty()) return PlotSize{};
  const bool both = options.size_text.find('x') != std::string::npos;
  const auto size = two_numbers(both ? options.size_text : options.size_text + "x0", 'x');
  auto fits = [](double n) { return n >= kLeast && n <= kMost && n == std::floor(n); };
  if (!size || !fits(size->first) || (both && !fits(size->second)))
    return fail(Code::kInvalidArgument, "--size " + options.size_text +
                                            ": write WIDTH or WIDTHxHEIGHT in pixels, from 300 to "
                                            "6000, as in 1500x900");
  return PlotSize{size->first, size->second};
}

}  // namespace upwell::cli
