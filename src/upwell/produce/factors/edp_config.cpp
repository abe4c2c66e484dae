#include "produce/factors/edp_config.hpp"

#include <charconv>

namespace upwell::produce {
namespace {

/// Text of a key that may be absent or empty.
Result<std::string> text_or(const Config& config, KeyName key, const std::string& otherwise) {
  if (config.find(key) == nullptr) return otherwise;
  UPWELL_TRY(std::string text, config.text(key));
  return text.empty() ? otherwise : text;
}

std::string joined(const std::string& directory, const std::string& name) {
  if (directory.empty() || name.starts_with('/')) return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

/// workingdir/FOLDER/VERSION where the configuration does not say otherwise.
Result<std::string> directory_of(const Config& config, KeyName key, const std::string& workingdir,
                                 const std::string& folder) {
  UPWELL_TRY(std::string said, text_or(config, key, ""));
  if (!said.empty()) return said;
  UPWELL_TRY(const std::string version, config.text("ecco_version"));
  return joined(joined(workingdir, folder), version);
}

Result<std::string> grid_of(const Config& config, const EdpFactorsOptions& options) {
  if (!options.grid_file.empty()) return options.grid_file;
  UPWELL_TRY(const std::string directory,
             directory_of(config, "ecco_grid_dir", options.workingdir, "ecco_grids"));
  UPWELL_TRY(std::string name, text_or(config, "ecco_grid_filename", ""));
  if (name.empty()) {
    UPWELL_TRY(name, text_or(config, "ecco_native_grid_filename", ""));
  }
  return name.empty() ? directory : joined(directory, name);
}

/// [west, north, east, south]
Result<std::array<double, 4>> extent_of(const Config& config) {
  constexpr KeyName kExtent = "latlon_grid_area_extent";
  std::array<double, 4> extent{-180, 90, 180, -90};
  const ConfigValue* said = config.find(kExtent);
  if (said == nullptr) return extent;
  bool good = said->kind == ConfigValue::Kind::kList && said->items.size() == extent.size();
  for (size_t i = 0; good && i < extent.size(); ++i) {
    const std::string& text = said->items[i].scalar;
    const char* end = text.data() + text.size();
    const auto [at, error] = std::from_chars(text.data(), end, extent[i]);
    good = error == std::errc{} && at == end;
  }
  if (!good) return fail(config.wrong(kExtent, "not [west, north, east, south] in degrees"));
  return extent;
}

/// Of the options, else of the configuration.
Result<LatLonGrid> target_of(const Config& config, const EdpFactorsOptions& options) {
  constexpr KeyName kResolution = "latlon_grid_resolution";
  double resolution = options.resolution.value_or(0);
  if (!options.resolution) {
    if (config.find(kResolution) == nullptr)
      return fail(config.wrong(kResolution, "missing; wanted is a number, or --resolution"));
    UPWELL_TRY(resolution, config.number(kResolution));
  }
  if (options.extent) {
    const auto& [west, south, east, north] = *options.extent;
    return regular_grid(resolution, west, south, east, north);
  }
  UPWELL_TRY(const auto extent, extent_of(config));
  auto grid = regular_grid(resolution, extent[0], extent[3], extent[2], extent[1]);
  if (!grid && !options.resolution)
    return fail(config.wrong("latlon_grid_area_extent", grid.error().message));
  return grid;
}

Result<SearchRadius> radius_of(const Config& config) {
  constexpr KeyName kRadius = "latlon_effective_grid_radius";
  constexpr KeyName kMethod = "latlon_grid_radius_method";
  UPWELL_TRY(const std::string said, text_or(config, kRadius, ""));
  if (!said.empty()) {
    UPWELL_TRY(const double kilometres, config.number(kRadius));
    if (!(kilometres > 0)) return fail(config.wrong(kRadius, "not above 0"));
    return SearchRadius{SearchRadius::Rule::kFixed, kilometres * 1000};
  }
  UPWELL_TRY(const std::string method, text_or(config, kMethod, "method_1"));
  if (method == "method_1") return SearchRadius{SearchRadius::Rule::kEqualArea, 0};
  if (method == "method_2") return SearchRadius{SearchRadius::Rule::kDiagonal, 0};
  return fail(config.wrong(kMethod, "'" + method + "' is neither method_1 nor method_2"));
}

}  // namespace

Result<EdpFactors> edp_factors(const Config& config, const EdpFactorsOptions& options) {
  EdpFactors factors;
  UPWELL_TRY(const std::string custom, text_or(config, "custom_grid_and_factors", "false"));
  if (custom != "false" && custom != "False")
    return fail(config.wrong("custom_grid_and_factors", "factors for other grids are not made"));
  UPWELL_TRY(factors.grid, grid_of(config, options));
  std::string directory = options.output_dir;
  if (directory.empty()) {
    UPWELL_TRY(directory,
               directory_of(config, "mapping_factors_dir", options.workingdir, "mapping_factors"));
  }
  factors.output = joined(directory, kFactorsFile);
  if (config.find("num_vertical_levels") != nullptr) {
    UPWELL_TRY(factors.levels, config.integer("num_vertical_levels"));
  }
  UPWELL_TRY(factors.build.grid, target_of(config, options));
  if (options.radius) {
    factors.build.radius = *options.radius;
  } else {
    UPWELL_TRY(factors.build.radius, radius_of(config));
  }
  return factors;
}

}  // namespace upwell::produce
