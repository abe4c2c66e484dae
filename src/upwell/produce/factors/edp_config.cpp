#include "produce/factors/edp_config.hpp"

#include <charconv>

namespace upwell::produce {
namespace {

/// Text of a key that may be absent or empty.
Result<std::string> text_or(const Config& config, const std::string& key,
                            const std::string& otherwise) {
  if (config.find(key) == nullptr) return otherwise;
  UPWELL_TRY(std::string text, config.text(key));
  return text.empty() ? otherwise : text;
}

std::string joined(const std::string& directory, const std::string& name) {
  if (directory.empty() || name.starts_with('/')) return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

/// workingdir/FOLDER/VERSION where the configuration does not say otherwise.
Result<std::string> directory_of(const Config& config, const std::string& key,
                                 const std::string& workingdir, const std::string& folder) {
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

Result<LatLonGrid> target_of(const Config& config) {
  constexpr const char* kResolution = "latlon_grid_resolution";
  constexpr const char* kExtent = "latlon_grid_area_extent";
  UPWELL_TRY(const double resolution, config.number(kResolution));
  std::vector<double> extent{-180, 90, 180, -90};
  if (const ConfigValue* said = config.find(kExtent)) {
    extent.clear();
    for (const ConfigValue& item : said->items) {
      double number = 0;
      const char* end = item.scalar.data() + item.scalar.size();
      const auto [at, error] = std::from_chars(item.scalar.data(), end, number);
      if (error == std::errc{} && at == end && !item.scalar.empty()) extent.push_back(number);
    }
    if (said->kind != ConfigValue::Kind::kList || said->items.size() != 4 || extent.size() != 4)
      return fail(config.wrong(kExtent, "not [west, north, east, south] in degrees"));
  }
  auto grid = regular_grid(resolution, extent[0], extent[3], extent[2], extent[1]);
  if (!grid) return fail(config.wrong(kExtent, grid.error().message));
  return grid;
}

Result<SearchRadius> radius_of(const Config& config) {
  constexpr const char* kRadius = "latlon_effective_grid_radius";
  constexpr const char* kMethod = "latlon_grid_radius_method";
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
  UPWELL_TRY(factors.build.grid, target_of(config));
  UPWELL_TRY(factors.build.radius, radius_of(config));
  return factors;
}

}  // namespace upwell::produce
