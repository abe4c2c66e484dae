#pragma once
// What EDP's create_factors takes from its options and configuration.

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "produce/config.hpp"
#include "produce/factors/build.hpp"

namespace upwell::produce {

/// Options of both years, and those that are Upwell's; empty: not given.
struct EdpFactorsOptions {
  std::string workingdir = ".";
  std::string grid_file;   ///< 2026
  std::string output_dir;  ///< 2026
  // What is given here counts, whatever the configuration has.
  std::optional<double> resolution;             ///< degrees
  std::optional<std::array<double, 4>> extent;  ///< west, south, east, north
  std::optional<SearchRadius> radius;
};

struct EdpFactors {
  std::string grid;               ///< a directory, an archive or a netCDF file
  std::string output;             ///< the file to write, factors.npz in the directory of theirs
  std::optional<int64_t> levels;  ///< that the grid must have (num_vertical_levels)
  BuildOptions build;             ///< grid, radius
};

/// The name of the file in a directory of factors.
inline constexpr const char* kFactorsFile = "factors.npz";

/// The grid is --grid_file, or ecco_grid_filename below ecco_grid_dir; the output is --output_dir,
/// or mapping_factors_dir; both directories are below the working directory where the configuration
/// has none, by ecco_version. Cells are latlon_grid_resolution and latlon_grid_area_extent [west,
/// north, east, south]; their radius is latlon_effective_grid_radius in kilometres, or
/// latlon_grid_radius_method. kBadConfiguration names the key.
Result<EdpFactors> edp_factors(const Config& config, const EdpFactorsOptions& options);

}  // namespace upwell::produce
