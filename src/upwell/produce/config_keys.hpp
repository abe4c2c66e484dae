#pragma once
// The keys of a configuration that are read. The guide's table (docs/guide/ecco.md) is this one.

#include <array>
#include <string>
#include <string_view>

namespace upwell::produce {

struct ConfigKey {
  std::string_view name;
  std::string_view type;      ///< text, integer, number, time, list, map or flag
  std::string_view fallback;  ///< what holds without it; empty: see `needed`
  std::string_view needed;    ///< by what; empty: never
  std::string_view dialect;   ///< of whose configurations: "both", "2024" or "2026"
  std::string_view meaning;
};

/// In the order of what asks for them: tasks, granules, factors.
inline constexpr std::array kConfigKeys{
    ConfigKey{"ecco_version", "text", "", "tasks; factors without `--grid_file`, `--output_dir`",
              "both", "in names and directories of granules: V4r4"},
    ConfigKey{"model_start_time", "time", "", "tasks, granules", "both",
              "of step 0; `product_time_coverage_start`"},
    ConfigKey{"model_end_time", "time", "", "tasks, granules", "both",
              "`product_time_coverage_end`; the last period ends there"},
    ConfigKey{"model_timestep", "integer", "", "tasks, series", "both",
              "of a step, in `model_timestep_units`"},
    ConfigKey{"model_timestep_units", "text", "", "tasks, series", "both", "W, D, h, m or s"},
    ConfigKey{"ecco_production_filestr_grid_label", "map", "", "tasks", "both",
              "`latlon`, `native`: the end of names, 0p50deg, llc0090"},
    ConfigKey{"dataset_description_tail_1D", "text", "nothing", "", "both",
              "end of the first sentence of `summary`"},
    ConfigKey{"dataset_description_tail_latlon", "text", "", "tasks of latlon jobs", "both",
              "the same"},
    ConfigKey{"dataset_description_tail_native", "text", "", "tasks of native jobs", "both",
              "the same"},
    ConfigKey{"array_precision", "text", "float64", "", "both", "float32 or float64"},
    ConfigKey{"netcdf4_compression_encodings", "map", "deflate 5, shuffle", "", "2026",
              "`complevel` 1 to 9; `zlib` and `shuffle` must be true"},
    ConfigKey{"variable_coordinates_as_encoded_attributes", "list", "XC YC XG YG Z Zp1 Zu Zl time",
              "", "2026", "coordinates that variables name in their attribute `coordinates`"},
    ConfigKey{"geospatial_vertical_min", "number", "", "granules", "both", "metres"},
    ConfigKey{"product_version", "text", "", "granules", "both", "an attribute"},
    ConfigKey{"history", "text", "", "granules", "both", "an attribute"},
    ConfigKey{"references", "text", "", "granules", "both", "an attribute"},
    ConfigKey{"source", "text", "", "granules", "both", "an attribute"},
    ConfigKey{"summary", "text", "", "granules", "2024", "end of the attribute `summary`"},
    ConfigKey{"project_summary", "text", "", "granules", "2026",
              "an attribute, and end of `summary`"},
    ConfigKey{"podaac_metadata_filename", "text", "no attributes of PO.DAAC", "", "both",
              "a table (CSV) in the metadata directory"},
    ConfigKey{"doi_prefix", "text", "", "granules with a row in that table; 2026: all", "both",
              "replaces PODAAC- in `id`; 2026: before a row is found, the DOI"},
    ConfigKey{"metadata_link_root", "text", "", "granules with a row in that table", "2024",
              "what stands before the short name in `metadata_link`"},
    ConfigKey{"doi_authority", "text", "", "granules", "2026",
              "`identifier_product_doi_authority`"},
    ConfigKey{"latlon_grid_resolution", "number", "", "factors without `--resolution`", "both",
              "degrees of a cell"},
    ConfigKey{"latlon_grid_area_extent", "list", "[-180, 90, 180, -90]", "", "both",
              "west, north, east, south; `--extent` has it otherwise"},
    ConfigKey{"latlon_effective_grid_radius", "number", "by `latlon_grid_radius_method`", "",
              "both", "kilometres; `--radius` has it otherwise"},
    ConfigKey{"latlon_grid_radius_method", "text", "method_1", "", "2026", "method_1 or method_2"},
    ConfigKey{"custom_grid_and_factors", "flag", "false", "", "both", "must be false"},
    ConfigKey{"num_vertical_levels", "integer", "not checked", "", "both",
              "levels that the grid of factors must have"},
    ConfigKey{"ecco_grid_dir", "text", "WORKINGDIR/ecco_grids/`ecco_version`", "", "both",
              "the grid of factors without `--grid_file`"},
    ConfigKey{"ecco_grid_filename", "text", "`ecco_native_grid_filename`", "", "both",
              "a netCDF file in it"},
    ConfigKey{"ecco_native_grid_filename", "text", "MITgcm's files", "", "2024", "the same"},
    ConfigKey{"mapping_factors_dir", "text", "WORKINGDIR/mapping_factors/`ecco_version`", "",
              "both", "where factors go without `--output_dir`"},
};

/// The name of a key in the table; any other does not compile.
class KeyName {
 public:
  consteval KeyName(const char* name) : name_(name) {  // NOLINT(google-explicit-constructor)
    for (const ConfigKey& key : kConfigKeys) {
      if (key.name == name_) return;
    }
    throw "not in kConfigKeys";
  }
  std::string text() const { return std::string(name_); }

 private:
  std::string_view name_;
};

}  // namespace upwell::produce
