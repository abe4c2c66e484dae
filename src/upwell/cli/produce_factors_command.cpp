#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/machine.hpp"
#include "cli/command.hpp"
#include "produce/factors/build.hpp"
#include "produce/factors/edp_config.hpp"
#include "produce/factors/factors.hpp"
#include "produce/factors/mapper.hpp"
#include "produce/factors/read_edp.hpp"
#include "produce/grid/grid_checks.hpp"
#include "produce/grid/grid_place.hpp"

namespace upwell::cli {

// Called in produce_command.cpp.
void add_produce_factors_command(Program& program, CLI::App* group);

namespace {

struct FactorsArguments {
  std::vector<std::string> inputs;
  std::string output;
  std::string compare;
  std::string map;
  std::string map_output;
  size_t repeat = 1;
  bool as_json = false;
  // Of factors from a grid; empty: not given.
  std::string method, radius;
  std::optional<double> resolution;
  std::vector<double> extent;
  bool any_wet_in_column = false;
  // As edp_create_factors.
  std::string cfgfile, ecco_cfg_loc, log_level = "WARNING";
  std::vector<std::string> dims;
  bool force = false;
  produce::EdpFactorsOptions edp;

  std::string input;  ///< what `inputs` come to
};

constexpr const char* kFactorsFooter =
    "Examples:\n"
    "  upwell produce factors mapping_factors/V4r4 -o v4r4.npz    convert scipy and pickle files, "
    "once\n"
    "  upwell produce factors grid --method nearest -o mine.npz   build them from the model's "
    "grid\n"
    "  upwell produce factors v4r4.npz                            what is in it; checks all of it\n"
    "  upwell produce factors mine.npz --compare v4r4.npz         whether both give the same "
    "values\n"
    "  upwell produce factors v4r4.npz --map THETA.data --map-to theta.npy\n"
    "  edp_create_factors --cfgfile config.yaml --grid_file GRID_GEOMETRY_native.nc --output_dir "
    "factors 2 3\n"
    "\n"
    "Factors say which points of the model's grid make each cell of a latitude-longitude grid, "
    "level\n"
    "by level. The file is an .npz that numpy opens (docs/mapping-factors.md). Nothing that is in "
    "a\n"
    "pickle is executed: numbers, containers and numpy's arrays are read, everything else is "
    "refused\n"
    "by name.\n"
    "\n"
    "With --cfgfile or --ecco_cfg_loc it takes the options of edp_create_factors, of 2024 "
    "(--workingdir "
    "--dims 2 3)\n"
    "and of 2026 (--grid_file --output_dir 2 3 --force), also under that name. Grid, cells and "
    "radius "
    "are those of\n"
    "the configuration; the file is OUTPUT_DIR/factors.npz, has all levels whatever the "
    "dimensions, "
    "and OUTPUT_DIR is\n"
    "what tasks may name as ecco_mapping_factors_loc.";

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Result<produce::SearchRadius> search_radius(const std::string& text) {
  using Rule = produce::SearchRadius::Rule;
  if (text == "method_1") return produce::SearchRadius{Rule::kEqualArea, 0};
  if (text == "method_2") return produce::SearchRadius{Rule::kDiagonal, 0};
  char* end = nullptr;
  const double metres = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !(metres > 0))
    return fail(Code::kInvalidArgument,
                "--radius is method_1, method_2 or a number of metres, not '" + text + "'");
  return produce::SearchRadius{Rule::kFixed, metres};
}

Result<produce::BuildOptions> build_options(const FactorsArguments& args) {
  produce::BuildOptions options;
  const std::vector<double> whole{-180, -90, 180, 90};
  const std::vector<double>& e = args.extent.empty() ? whole : args.extent;
  UPWELL_TRY(options.grid,
             produce::regular_grid(args.resolution.value_or(0.5), e[0], e[1], e[2], e[3]));
  if (!args.radius.empty()) {
    UPWELL_TRY(options.radius, search_radius(args.radius));
  }
  return options;
}

/// Nothing that is given is left without effect.
Result<> check_no_build_options(const FactorsArguments& args, const char* what) {
  std::string given;
  const auto note = [&](bool is_given, const char* name) {
    if (is_given) given += (given.empty() ? "" : ", ") + std::string(name);
  };
  note(!args.method.empty(), "--method");
  note(!args.radius.empty(), "--radius");
  note(args.resolution.has_value(), "--resolution");
  note(!args.extent.empty(), "--extent");
  note(args.any_wet_in_column && args.map.empty(), "--any-wet-in-column");
  if (given.empty()) return {};
  return fail(Code::kInvalidArgument, fmt::format("{}: {}, which is not made anew; {} is for "
                                                  "factors from a grid",
                                                  args.input, what, given));
}

/// The model's grid in a netCDF file, or else in MITgcm's files in the directory of `place`.
struct GridSource {
  produce::GridPlace place;
  std::optional<produce::GridFile> file;
};

Result<GridSource> grid_source(io::Session& session, produce::GridPlaces& places,
                               const std::string& location) {
  GridSource source;
  if (location.ends_with(".nc")) {
    UPWELL_TRY(source.file, produce::GridFile::open(session, io::normal_url(location)));
    return source;
  }
  UPWELL_TRY(source.place, places.find(location));
  if (source.place.has("XC.data") && source.place.has("hFacC.data")) return source;
  const std::optional<std::string> url = source.place.netcdf_with("native");
  if (!url)
    return fail(Code::kNotFound,
                "grid " + location + ": neither XC.data and hFacC.data nor *native*.nc is there");
  UPWELL_TRY(source.file, produce::GridFile::open(session, *url));
  return source;
}

/// Of .mitgrid files, compared with XG and YG where the grid has them.
Result<produce::CellCorners> raw_corners(io::Session& session, const produce::GridPlace& place,
                                         uint64_t n) {
  UPWELL_TRY(produce::CellCorners corners, produce::read_cell_corners(session, place.directory, n));
  if (!place.has("XG.data") || !place.has("YG.data")) return corners;
  UPWELL_TRY(const std::vector<produce::GridField> fields,
             produce::read_grid_fields(session, place.directory, {"XG", "YG"}));
  for (const produce::GridField& field : fields) {
    if (field.size() != corners.size())
      return fail(Code::kInvalidData, fmt::format("grid: {} has {} values, XC.data {}", field.url,
                                                  field.size(), corners.size()));
  }
  UPWELL_CHECK(produce::check_corners(corners, n, fields[0], fields[1], place.directory));
  return corners;
}

Result<Bytes> build_from_grid(const FactorsArguments& args, produce::BuildOptions options,
                              std::optional<int64_t> levels, io::Session& session,
                              const std::string& location) {
  produce::GridPlaces places(session, physical_memory() / 2);
  UPWELL_TRY(const GridSource source, grid_source(session, places, location));
  UPWELL_TRY(const produce::NativeGrid native,
             source.file ? produce::read_native_grid(*source.file)
                         : produce::read_native_grid(session, source.place.directory));
  if (levels && static_cast<uint64_t>(*levels) != native.wet.size())
    return fail(Code::kBadConfiguration,
                fmt::format("num_vertical_levels is {}, and grid {} has {} levels", *levels,
                            location, native.wet.size()));
  options.any_wet_in_column = args.any_wet_in_column;
  if (args.method == "conservative") {
    UPWELL_TRY(const produce::CellCorners corners,
               source.file ? produce::read_cell_corners(*source.file, native.n)
                           : raw_corners(session, source.place, native.n));
    return produce::build_conservative(native, corners, options);
  }
  options.method = args.method == "nearest" ? produce::MappingMethod::kNearest
                                            : produce::MappingMethod::kBinAverage;
  return produce::build_by_distance(native, options);
}

/// Whether it is a model's grid, not a directory of factors.
bool is_grid(io::Session& session, const std::string& location) {
  if (location.ends_with(".nc")) return true;
  produce::GridPlaces places(session, physical_memory() / 2);
  const auto place = places.find(location);
  return place && (place->has("XC.data") || place->netcdf_with("native"));
}

bool is_archive(const std::string& location) {
  return location.ends_with(".tar.gz") || location.ends_with(".tgz") || location.ends_with(".tar");
}

/// What INPUT is: a file of ours is a file; directories are told apart by what lies in them.
Result<produce::MappingFactors> take_input(const FactorsArguments& args, Context& context) {
  io::Session& session = context.session();
  const std::string url = io::normal_url(args.input);
  if (args.input.ends_with(".npz")) {
    UPWELL_CHECK(check_no_build_options(args, "a file of factors"));
    if (!args.output.empty())
      return fail(Code::kInvalidArgument,
                  args.input + ": is such a file already; --output is for what is made");
    return produce::MappingFactors::open(session, url);
  }
  const bool from_grid = is_archive(args.input) || is_grid(session, args.input);
  if (!from_grid) UPWELL_CHECK(check_no_build_options(args, "a directory of factors"));
  UPWELL_TRY(const produce::BuildOptions options, build_options(args));
  UPWELL_TRY(Bytes file, from_grid ? build_from_grid(args, options, {}, session, args.input)
                                   : produce::convert_edp_factors(session, url));
  if (!args.output.empty()) UPWELL_CHECK(session.put(io::normal_url(args.output), file));
  return produce::MappingFactors::parse(SharedBytes(std::move(file)));
}

/// How factors that are there differ from those that would be made; empty: not at all.
std::string what_differs(const produce::MappingFactors& there,
                         const produce::MappingFactors& made) {
  const produce::FactorsHead &a = there.head(), &b = made.head();
  if (a.grid.latitude_bounds != b.grid.latitude_bounds ||
      a.grid.longitude_bounds != b.grid.longitude_bounds)
    return "and for other cells than the configuration has";
  if (a.method != b.method || a.radius != b.radius)
    return fmt::format("made by {}{}{}, not by {}{}{}", a.method,
                       a.radius.empty() ? "" : ", radius ", a.radius, b.method,
                       b.radius.empty() ? "" : ", radius ", b.radius);
  if (a.any_wet_in_column != b.any_wet_in_column)
    return fmt::format("made with{} --any-wet-in-column", a.any_wet_in_column ? "" : "out");
  const std::vector<std::string> differences = produce::factor_differences(there, made, 1);
  return differences.empty() ? "" : "made of another grid: " + differences[0];
}

/// What edp_create_factors makes, from its configuration.
Result<produce::MappingFactors> take_configuration(FactorsArguments& args, Context& context) {
  io::Session& session = context.session();
  const std::string place = args.cfgfile.empty() ? args.ecco_cfg_loc : args.cfgfile;
  UPWELL_TRY(const SharedBytes text, session.read_one(io::normal_url(place)));
  UPWELL_TRY(const produce::Config config,
             produce::Config::parse(std::string(as_text(text.span())), place));
  args.edp.resolution = args.resolution;
  if (!args.extent.empty()) {
    args.edp.extent.emplace();
    std::copy_n(args.extent.begin(), args.edp.extent->size(), args.edp.extent->begin());
  }
  if (!args.radius.empty()) {
    UPWELL_TRY(args.edp.radius, search_radius(args.radius));
  }
  UPWELL_TRY(const produce::EdpFactors wanted, produce::edp_factors(config, args.edp));
  args.input = wanted.grid;
  if (args.output.empty()) args.output = wanted.output;
  const std::string target = io::normal_url(args.output);
  const bool is_there = session.stat(target).has_value();
  UPWELL_TRY(Bytes file, build_from_grid(args, wanted.build, wanted.levels, session, wanted.grid));
  if (is_there && !args.force) {
    UPWELL_TRY(produce::MappingFactors made,
               produce::MappingFactors::parse(SharedBytes(std::move(file))));
    UPWELL_TRY(const produce::MappingFactors there, produce::MappingFactors::open(session, target));
    const std::string other = what_differs(there, made);
    if (!other.empty())
      return fail(Code::kAlreadyExists,
                  fmt::format("{}: is there, {}; --force makes it again", args.output, other));
    args.input = args.output;
    return made;
  }
  UPWELL_CHECK(session.put(target, file));
  return produce::MappingFactors::parse(SharedBytes(std::move(file)));
}

bool has_configuration(const FactorsArguments& args) {
  return !args.cfgfile.empty() || !args.ecco_cfg_loc.empty();
}

/// INPUT, or the dimensions that edp_create_factors of 2026 takes.
Result<> sort_positionals(FactorsArguments& args) {
  if (has_configuration(args)) {
    args.dims.insert(args.dims.end(), args.inputs.begin(), args.inputs.end());
    for (const std::string& dim : args.dims) {
      if (dim != "2" && dim != "3")
        return fail(Code::kInvalidArgument,
                    "dimensions are 2 and 3, not '" + dim + "'; the grid is given by --grid_file");
    }
    return {};
  }
  if (!args.dims.empty() || !args.edp.grid_file.empty() || !args.edp.output_dir.empty() ||
      args.force)
    return fail(Code::kInvalidArgument,
                "--dims, --grid_file, --output_dir and --force go with a configuration "
                "(--cfgfile or --ecco_cfg_loc)");
  if (args.inputs.size() != 1)
    return fail(Code::kInvalidArgument,
                args.inputs.empty()
                    ? "INPUT is missing: a grid or factors (see --help)"
                    : "there is one INPUT; '" + args.inputs[1] + "' is one too many");
  args.input = args.inputs[0];
  return {};
}

struct Entries {
  uint64_t cells = 0, own = 0, entries = 0;
};

Entries entries_of(const produce::MappingFactors& factors) {
  Entries n;
  for (uint64_t level = 0; level < factors.layers(); ++level) {
    const auto ocean = factors.ocean(level);
    for (const uint8_t bits : ocean) n.cells += static_cast<uint64_t>(__builtin_popcount(bits));
    n.own += factors.own_cells(level).cells.size();
  }
  n.entries = factors.shared().sources.size() + factors.own().sources.size();
  return n;
}

void describe(const FactorsArguments& args, const produce::MappingFactors& factors,
              double seconds) {
  const produce::FactorsHead& head = factors.head();
  const Entries n = entries_of(factors);
  if (args.as_json) {
    nlohmann::ordered_json json{{"method", head.method},
                                {"source_shape", head.source_shape},
                                {"rows", head.grid.rows()},
                                {"columns", head.grid.columns()},
                                {"levels", factors.levels()},
                                {"ocean_cells", n.cells},
                                {"own_cells", n.own},
                                {"entries", n.entries},
                                {"any_wet_in_column", head.any_wet_in_column},
                                {"notes", head.notes},
                                {"seconds", seconds}};
    fmt::print("{}\n", json.dump());
    return;
  }
  const auto& [tiles, j, i] = head.source_shape;
  fmt::print("{}: {}{}{}\n", args.input, head.method, head.radius.empty() ? "" : ", radius ",
             head.radius);
  fmt::print("  from {} x {} x {} points to {} x {} cells of latitude and longitude, {} levels\n",
             tiles, j, i, head.grid.rows(), head.grid.columns(), factors.levels());
  fmt::print(
      "  {} cells of ocean over all levels, {} of them with a row that only their level has; {} "
      "weights\n",
      n.cells, n.own, n.entries);
  if (head.any_wet_in_column)
    fmt::print("  and a layer of what is wet at any level, for the cavities under ice shelves\n");
  for (const std::string& note : head.notes) fmt::print("  {}\n", note);
  fmt::print("  {} in {:.2f} s\n", args.input.ends_with(".npz") ? "opened and checked" : "made",
             seconds);
}

/// Maps the levels of one raw field, compact and big endian, and writes them as an array of (level,
/// latitude, longitude).
Result<> map_field(const FactorsArguments& args, const produce::MappingFactors& factors,
                   Context& context) {
  UPWELL_TRY(const SharedBytes field, context.session().read_one(io::normal_url(args.map)));
  const uint64_t points = factors.sources(), cells = factors.cells();
  const uint64_t levels = field.size() / (points * 4);
  if (levels == 0 || levels > factors.levels() || field.size() != levels * points * 4)
    return fail(Code::kInvalidData,
                fmt::format("{}: {} bytes are no field of float32 on {} points and 1 to {} levels",
                            args.map, field.size(), points, factors.levels()));
  UPWELL_TRY(const produce::Mapper mapper,
             produce::Mapper::make(factors, produce::FieldOrder::kCompact));
  std::vector<float> out(levels * cells);
  std::vector<produce::MapTask> tasks;
  const bool column = args.any_wet_in_column;
  if (column && (levels != 1 || factors.layers() == factors.levels()))
    return fail(Code::kInvalidArgument,
                "--map with --any-wet-in-column is for a field of one level and factors that have "
                "that layer");
  for (uint64_t level = 0; level < levels; ++level)
    tasks.push_back({column ? factors.levels() : level, field.data() + level * points * 4,
                     out.data() + level * cells, nullptr});
  std::vector<double> seconds;
  for (size_t round = 0; round < args.repeat; ++round) {
    const auto start = std::chrono::steady_clock::now();
    UPWELL_CHECK(mapper.map(tasks, produce::FieldType::kFloat32Big));
    seconds.push_back(seconds_since(start));
  }
  if (!args.map_output.empty()) {
    const std::array shape{levels, factors.head().grid.rows(), factors.head().grid.columns()};
    const std::string header = produce::npy_header("<f4", shape);
    UPWELL_TRY(auto writer, context.session().create(io::normal_url(args.map_output)));
    UPWELL_CHECK(writer->write(as_bytes(header)));
    UPWELL_CHECK(
        writer->write({reinterpret_cast<const uint8_t*>(out.data()), out.size() * sizeof(float)}));
    UPWELL_CHECK(writer->commit());
  }
  if (args.as_json) {
    fmt::print("{}\n", nlohmann::json{{"levels", levels}, {"map_seconds", seconds}}.dump());
  } else {
    fmt::print("  mapped {} levels in {:.1f} ms\n", levels,
               1e3 * *std::min_element(seconds.begin(), seconds.end()));
  }
  return {};
}

Result<> compare_with(const FactorsArguments& args, const produce::MappingFactors& factors,
                      Context& context) {
  UPWELL_TRY(const produce::MappingFactors other,
             produce::MappingFactors::open(context.session(), io::normal_url(args.compare)));
  const std::vector<std::string> differences = produce::factor_differences(factors, other);
  for (const std::string& line : differences) fmt::print("  {}\n", line);
  if (!differences.empty()) return fail(Code::kInvalidData, args.compare + " has other factors");
  fmt::print("  equal to {}: grids, masks, and every weight of {} levels\n", args.compare,
             factors.levels());
  return {};
}

Result<> run_factors(FactorsArguments& args, Context& context) {
  const auto start = std::chrono::steady_clock::now();
  UPWELL_CHECK(sort_positionals(args));
  UPWELL_TRY(const produce::MappingFactors factors, has_configuration(args)
                                                        ? take_configuration(args, context)
                                                        : take_input(args, context));
  describe(args, factors, seconds_since(start));
  if (!args.compare.empty()) UPWELL_CHECK(compare_with(args, factors, context));
  if (!args.map.empty()) UPWELL_CHECK(map_field(args, factors, context));
  return {};
}

/// The options of edp_create_factors, by their names.
void add_edp_factors_options(CLI::App* app, FactorsArguments& args) {
  const char* group = "As edp_create_factors";
  CLI::Option* cfgfile =
      app->add_option("--cfgfile", args.cfgfile, "Configuration (YAML)")->type_name("FILE");
  app->add_option("--ecco_cfg_loc", args.ecco_cfg_loc, "The same")
      ->excludes(cfgfile)
      ->type_name("FILE");
  cfgfile->group(group);
  app->get_option("--ecco_cfg_loc")->group(group);
  app->add_option("--workingdir", args.edp.workingdir,
                  "Where grid and factors are that the configuration has no directory for")
      ->capture_default_str()
      ->type_name("DIR")
      ->group(group);
  app->add_option("--grid_file", args.edp.grid_file,
                  "The grid. Default: ecco_grid_filename in ecco_grid_dir")
      ->type_name("FILE")
      ->group(group);
  app->add_option("--output_dir", args.edp.output_dir,
                  "Where factors.npz goes. Default: mapping_factors_dir")
      ->type_name("DIR")
      ->group(group);
  app->add_option("--dims", args.dims, "2, 3 or both; all levels are made in any case")
      ->group(group);
  app->add_flag("--force", args.force, "Make factors again that are there")->group(group);
  app->add_option("-l,--log", args.log_level, "Taken")
      ->check(CLI::IsMember({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}))
      ->group(group);
}

}  // namespace

void add_produce_factors_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<FactorsArguments>();
  CLI::App* app = program.add(
      "factors", "Convert, build, check or try out mapping factors", kFactorsFooter,
      [args](Context& context) { return run_factors(*args, context); }, group);
  app->add_option("INPUT", args->inputs,
                  "The model's grid (a directory or archive with XC.data, YC.data, RAC, DXG, DYG, "
                  "DRF, hFacC, or a netCDF file), a directory of factors "
                  "as ECCO-Dataset-Production keeps them, or a file X.npz of this command")
      ->type_name("");
  app->add_option("-o,--output", args->output, "Write the factors here: X.npz, a path or URL")
      ->type_name("X.npz");
  const char* from_grid = "Factors from the grid";
  app->add_option("--method", args->method,
                  "nearest: the nearest point. bin-average: the mean of the wet points within a "
                  "radius of the cell's centre, "
                  "else the nearest. conservative: the mean weighted with the areas of overlap, "
                  "which keeps the integral "
                  "(needs tile001.mitgrid to tile005.mitgrid). Default: bin-average")
      ->check(CLI::IsMember({"nearest", "bin-average", "conservative"}))
      ->group(from_grid);
  app->add_option("--radius", args->radius,
                  "Of bin-average: method_1, of a circle with the cell's area; method_2, half the "
                  "diagonal of a cell at "
                  "the equator; or metres. Default: of the configuration, else method_1")
      ->group(from_grid);
  app->add_option("--resolution", args->resolution,
                  "Degrees of a cell. Default: of the configuration, else 0.5")
      ->group(from_grid);
  app->add_option(
         "--extent", args->extent,
         "Degrees: west south east north. Default: of the configuration, else -180 -90 180 90")
      ->expected(4)
      ->type_name("W S E N")
      ->group(from_grid);
  app->add_flag(
         "--any-wet-in-column", args->any_wet_in_column,
         "One layer more: what is water at any level, so that fields of one level have values "
         "in the cavities under ice shelves. With --map: use that layer")
      ->group(from_grid);
  add_edp_factors_options(app, *args);
  app->add_option("--compare", args->compare,
                  "Compare with these factors; exit status 65 where they differ")
      ->type_name("X.npz");
  CLI::Option* map =
      app->add_option("--map", args->map,
                      "Map the levels of this raw field: one record, float32, big endian, compact")
          ->type_name("FIELD.data");
  app->add_option("--map-to", args->map_output,
                  "Write them as a numpy array (level, latitude, longitude)")
      ->needs(map)
      ->type_name("OUT.npy");
  app->add_option("--repeat", args->repeat,
                  "Map so many times and tell the time of each (--json), for measuring")
      ->needs(map)
      ->check(CLI::Range(size_t{1}, size_t{10000}))
      ->type_name("N");
  app->add_flag("--json", args->as_json, "What is found, as JSON");
}

}  // namespace upwell::cli
