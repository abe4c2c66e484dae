#pragma once
// How a plot is to look, on the command line.

#include <optional>
#include <string>
#include <utility>

#include "base/result.hpp"

namespace CLI {
class App;
}

namespace upwell::cli {

struct PlotOptions {
  std::string title;     ///< "": the variable's own
  std::string subtitle;  ///< what was done to it
  std::string range_text, size_text;
  std::string colormap;  ///< "": by the values
};

/// --title, --range, --colormap, --size.
void add_plot_options(CLI::App& app, PlotOptions& options);

/// Whether any of them was given.
bool any_plot_option(const PlotOptions& options);

/// "270,300" of --range; nullopt where none was given. kInvalidArgument unless the first is less.
Result<std::optional<std::pair<double, double>>> parse_range(const PlotOptions& options);

/// "1500" or "1500x900" of --size in pixels; a height of 0 is by what is drawn. kInvalidArgument
/// for what is no such size, or too small or large to draw.
struct PlotSize {
  double width = 1500, height = 0;
};
Result<PlotSize> parse_size(const PlotOptions& options);

}  // namespace upwell::cli
