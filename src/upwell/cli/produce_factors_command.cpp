#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.hpp"
#include "produce/factors/build.hpp"
#include "produce/factors/factors.hpp"
#include "produce/factors/mapper.hpp"
#include "produce/factors/read_edp.hpp"

namespace upwell::cli {

// Called in produce_command.cpp.
void add_produce_factors_command(Program& program, CLI::App* group);

namespace {

struct FactorsArguments {
  std::string input;
  std::string output;
  std::string compare;
  std::string map;
  std::string map_output;
  size_t repeat = 1;
  bool as_json = false;
  std::string method = "bin-average";
  std::string radius = "method_1";
  double resolution = 0.5;
  std::vector<double> extent{-180, -90, 180, 90};
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
    "\n"
    "Factors say which points of the model's grid make each cell of a latitude-longitude grid, "
    "level\n"
    "by level. The file is an .npz that numpy opens (docs/mapping-factors.md). Nothing that is in "
    "a\n"
    "pickle is executed: numbers, containers and numpy's arrays are read, everything else is "
    "refused\n"
    "by name.";

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

Result<Bytes> build_from_grid(const FactorsArguments& args, Context& context,
                              const std::string& url) {
  produce::BuildOptions options;
  const std::vector<double>& e = args.extent;
  UPWELL_TRY(options.grid, produce::regular_grid(args.resolution, e[0], e[1], e[2], e[3]));
  UPWELL_TRY(options.radius, search_radius(args.radius));
  UPWELL_TRY(const produce::NativeGrid native, produce::read_native_grid(context.session(), url));
  if (args.method == "conservative") {
    UPWELL_TRY(const produce::CellCorners corners,
               produce::read_cell_corners(context.session(), url, native.n));
    return produce::build_conservative(native, corners, options);
  }
  options.method = args.method == "nearest" ? produce::MappingMethod::kNearest
                                            : produce::MappingMethod::kBinAverage;
  return produce::build_by_distance(native, options);
}

/// What INPUT is: a file of ours is a file; directories are told apart by what lies in them.
Result<produce::MappingFactors> take_input(const FactorsArguments& args, Context& context) {
  io::Session& session = context.session();
  const std::string url = io::normal_url(args.input);
  if (args.input.ends_with(".npz")) return produce::MappingFactors::open(session, url);
  const bool is_grid =
      session.stat(url + (url.ends_with('/') ? "XC.data" : "/XC.data")).has_value();
  UPWELL_TRY(Bytes file, is_grid ? build_from_grid(args, context, url)
                                 : produce::convert_edp_factors(session, url));
  if (!args.output.empty()) UPWELL_CHECK(session.put(io::normal_url(args.output), file));
  return produce::MappingFactors::parse(SharedBytes(std::move(file)));
}

struct Entries {
  uint64_t cells = 0, own = 0, entries = 0;
};

Entries entries_of(const produce::MappingFactors& factors) {
  Entries n;
  for (uint64_t level = 0; level < factors.levels(); ++level) {
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
    nlohmann::ordered_json json{{"method", head.method},      {"source_shape", head.source_shape},
                                {"rows", head.grid.rows()},   {"columns", head.grid.columns()},
                                {"levels", factors.levels()}, {"ocean_cells", n.cells},
                                {"own_cells", n.own},         {"entries", n.entries},
                                {"notes", head.notes},        {"seconds", seconds}};
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
  for (uint64_t level = 0; level < levels; ++level)
    tasks.push_back(
        {level, field.data() + level * points * 4, out.data() + level * cells, nullptr});
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

Result<> run_factors(const FactorsArguments& args, Context& context) {
  const auto start = std::chrono::steady_clock::now();
  UPWELL_TRY(const produce::MappingFactors factors, take_input(args, context));
  describe(args, factors, seconds_since(start));
  if (!args.compare.empty()) UPWELL_CHECK(compare_with(args, factors, context));
  if (!args.map.empty()) UPWELL_CHECK(map_field(args, factors, context));
  return {};
}

}  // namespace

void add_produce_factors_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<FactorsArguments>();
  CLI::App* app = program.add(
      "factors", "Convert, build, check or try out mapping factors", kFactorsFooter,
      [args](Context& context) { return run_factors(*args, context); }, group);
  app->add_option("INPUT", args->input,
                  "The model's grid (a directory with XC.data, YC.data, RAC, DXG, DYG, DRF, "
                  "hFacC), a directory of factors "
                  "as ECCO-Dataset-Production keeps them, or a file X.npz of this command")
      ->required();
  app->add_option("-o,--output", args->output, "Write the factors here: X.npz, a path or URL")
      ->type_name("X.npz");
  const char* from_grid = "Factors from the grid";
  app->add_option("--method", args->method,
                  "nearest: the nearest point. bin-average: the mean of the wet points within a "
                  "radius of the cell's centre, "
                  "else the nearest. conservative: the mean weighted with the areas of overlap, "
                  "which keeps the integral "
                  "(needs tile001.mitgrid to tile005.mitgrid)")
      ->check(CLI::IsMember({"nearest", "bin-average", "conservative"}))
      ->capture_default_str()
      ->group(from_grid);
  app->add_option("--radius", args->radius,
                  "Of bin-average: method_1, of a circle with the cell's area; method_2, half the "
                  "diagonal of a cell at "
                  "the equator; or metres")
      ->capture_default_str()
      ->group(from_grid);
  app->add_option("--resolution", args->resolution, "Degrees of a cell")
      ->capture_default_str()
      ->group(from_grid);
  app->add_option("--extent", args->extent,
                  "Degrees: west south east north. Default: -180 -90 180 90")
      ->expected(4)
      ->type_name("W S E N")
      ->group(from_grid);
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
