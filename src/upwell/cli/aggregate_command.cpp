// upwell aggregate

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <set>

#include "base/machine.hpp"
#include "cli/aggregate_sources.hpp"
#include "cli/bounding_box.hpp"
#include "cli/granule_search.hpp"
#include "cli/reduced_output.hpp"
#include "cli/refinement.hpp"
#include "cli/result_output.hpp"
#include "cli/variables.hpp"
#include "cube/plan_cost.hpp"
#include "refs/output_check.hpp"
#include "refs/source_list.hpp"
#include "refs/virtualize.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kAggregateFooter =
    "Examples:\n"
    "  upwell aggregate *.nc --reduce time:mean -o mean.nc                 over all granules\n"
    "  upwell aggregate cube.json --variables sst,ice --reduce time:max -o max.nc\n"
    "  upwell aggregate cube.json --sel time=2020 --reduce time:std --ddof 1 -o std.nc\n"
    "  upwell aggregate data/ --bbox -95,40,-73,49 --reduce lat,lon:mean -o lakes.nc\n"
    "  upwell aggregate cube.json --variables sst --reduce time:mean -o map.png    a map\n"
    "  upwell aggregate *.nc --variables sst --where 'ice < 15 % or isnan(ice)' \\\n"
    "      --reduce time,lat,lon:mean --weights area --group-by time.year -o years.csv\n"
    "  upwell aggregate cube.json --variables sst --reduce time:mean --rolling time=12 -o year.nc\n"
    "  upwell aggregate --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2013-12-24,2013-12-25 \\\n"
    "      --bbox -95,40,-73,49 --variables analysed_sst --reduce time:mean -o lakes.nc\n"
    "                                                       search, open, compute at once\n"
    "\n"
    "FUNCTION is mean, sum, min, max, count, std, var, median, or a percentile: p90, p2.5. Values\n"
    "are decoded as CF says, and what is missing counts for nothing, as in xarray: the mean of\n"
    "nothing is NaN, its sum 0. Whatever the type of the variable is, means, quantiles, std, var "
    "and\n"
    "sums of floats are calculated and written as float64, sums of integers and counts as 64-bit\n"
    "integers; min and max keep the type.\n"
    "A CONDITION has variables of the same dimensions, or of some of them: < <= > >= == !=, in (1, "
    "2),\n"
    "and, or, not, + - * /, & of bits, isnan(), isfinite(), abs(), names with odd characters in "
    "quotes.\n"
    "A number may have a unit, which is converted: 'sst > 5 degC'. Elements for which it does not "
    "hold\n"
    "count as missing.\n"
    "Several granules are joined in memory, as virtualize does, and may differ in packing, chunks\n"
    "and time units (--on-drift). Memory does not grow with their number (--memory). The result "
    "is\n"
    "the same on any number of cores.";

/// "lat,lon:mean"
Result<ReduceRequest> parse_reduce(const std::string& text) {
  ReduceRequest request;
  const size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0)
    return fail(Code::kInvalidArgument,
                "--reduce " + text + ": write DIMENSION:FUNCTION, as in time:mean or lat,lon:mean");
  UPWELL_CHECK(compute::parse_function(text.substr(colon + 1), request.reduction));
  for (size_t begin = 0; begin <= colon;) {
    const size_t end = std::min(text.find(',', begin), colon);
    request.dimensions.push_back(text.substr(begin, end - begin));
    if (request.dimensions.back().empty())
      return fail(Code::kInvalidArgument, "--reduce " + text + ": a dimension has no name");
    begin = end + 1;
  }
  return request;
}

/// The output is flat.
void print_groups(const std::vector<std::string>& paths) {
  std::vector<std::string> inner;
  for (const std::string& path : paths)
    if (path.rfind('/') > 0) inner.push_back(path);
  if (!inner.empty())
    fmt::print(stderr, "note: written without their groups: {}\n", fmt::join(inner, ", "));
}

/// The variables that are named, or all those that have the dimensions.
Result<std::vector<std::string>> choose_variables(const AggregateArguments& args,
                                                  const Dataset& dataset,
                                                  const ReduceRequest& request) {
  std::vector<std::string> paths;
  for (const std::string& name : args.variables) {
    UPWELL_TRY(std::string path, find_variable(dataset, name));
    if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
  }
  if (paths.empty()) {
    Choice choice = choose_all(dataset, request);
    print_choice(choice, request);
    paths = std::move(choice.paths);
  }
  if (paths.empty())
    return fail(Code::kInvalidArgument, fmt::format("no variable of numbers has the dimension{} {}",
                                                    request.dimensions.size() == 1 ? "" : "s",
                                                    fmt::join(request.dimensions, ", ")));
  print_groups(paths);
  return paths;
}

/// Units "days since ...": differences of such values are durations, sums of them are nothing.
bool holds_instants(const Array& array) {
  const auto units = text_attribute(array.attributes, "units");
  return units && units->find(" since ") != units->npos;
}

Result<std::vector<ReducedVariable>> plan_variables(const AggregateArguments& args,
                                                    Context& context, const Dataset& dataset,
                                                    const std::vector<std::string>& paths,
                                                    const ReduceRequest& request) {
  std::vector<AxisRequest> requests;
  for (bool by_label : {true, false}) {
    for (const std::string& text : by_label ? args.sel : args.isel) {
      UPWELL_TRY(auto axes, parse_axes(text, by_label));
      requests.insert(requests.end(), axes.begin(), axes.end());
    }
  }
  std::vector<ReducedVariable> variables;
  for (const std::string& path : paths) {
    ReducedVariable variable;
    variable.path = path;
    variable.array = dataset.root.find_array(path);
    const Array& array = *variable.array;
    UPWELL_CHECK(check_numbers(path, array));
    if (request.reduction.function == compute::Function::kSum && holds_instants(array)) {
      const std::string why = path + " holds instants, of which there is no sum";
      if (!args.variables.empty()) return fail(Code::kInvalidArgument, why);
      fmt::print(stderr, "note: {}: left out\n", why);
      continue;
    }
    std::string unknown;
    variable.reduction = request.reduction;
    variable.reduction.reduced = axes_of(array, request.dimensions, unknown);
    if (!unknown.empty())
      return fail(Code::kInvalidArgument, fmt::format("{} has no dimension '{}'; it has ({})", path,
                                                      unknown, fmt::join(array.dimensions, ", ")));
    variable.reduction.ddof = args.ddof;
    std::vector<AxisRequest> own = requests;
    if (!args.bbox.empty()) {
      UPWELL_TRY(const BoundingBox box, parse_bounding_box(args.bbox));
      UPWELL_TRY(auto inside, select_box(context.session(), dataset, path, array, box));
      own.insert(own.end(), inside.begin(), inside.end());
    }
    auto named = resolve_selection(context.session(), dataset, path, array, own, args.nearest);
    if (!named && named.error().code == Code::kInvalidArgument && args.variables.empty() &&
        paths.size() > 1) {
      fmt::print(stderr, "note: {}: left out: {}\n", path, named.error().to_string());
      continue;
    }
    if (!named) return fail(std::move(named).error().with(path));
    variable.named = std::move(*named);
    for (size_t d = 0; d < array.shape.size(); ++d)
      if (variable.named.selection.shape[d] == 0)
        return fail(
            Code::kInvalidArgument,
            fmt::format("{}: the selection holds nothing along {}", path,
                        d < array.dimensions.size() ? array.dimensions[d] : std::to_string(d)));
    variables.push_back(std::move(variable));
  }
  if (variables.empty())
    return fail(Code::kInvalidArgument, "no variable is left: see the notes above, or name one");
  return variables;
}

/// `of_axes` without the axes of which one element was taken.
Shape written_axes(const ReducedVariable& variable, const Shape& of_axes) {
  Shape kept;
  size_t k = 0;
  for (size_t d = 0; d < variable.named.single.size(); ++d) {
    if (!variable.reduction.in_result(d)) continue;
    if (variable.is_written(d)) kept.push_back(of_axes[k]);
    ++k;
  }
  return kept;
}

Result<> check_target(const AggregateArguments& args, const std::vector<std::string>& urls) {
  const std::string& output = args.output;
  UPWELL_TRY(const ResultForm form, result_form_of(output));
  if (form != ResultForm::kPlot && any_plot_option(args.plot))
    return fail(Code::kInvalidArgument,
                "--title, --range, --colormap and --size are of plots: -o NAME.png");
  if (form != ResultForm::kNetcdf && form != ResultForm::kZarr && args.compress)
    return fail(Code::kInvalidArgument, "--compress is for -o NAME.nc");
  return output == "-" ? Result<>() : refs::check_no_source(output, urls);
}

/// Joined across the ends of its longitudes where the box needs it. A condition on longitudes that
/// the box counts in another way would mean one thing to the reader and another here.
Result<Dataset> join_for_box(const AggregateArguments& args, Context& context,
                             const Dataset& dataset, const std::vector<std::string>& paths,
                             const Refinement& refinement) {
  UPWELL_TRY(const BoundingBox box, parse_bounding_box(args.bbox));
  UPWELL_TRY(const auto beside, refinement.paths(dataset));
  std::vector<std::string> all = beside;
  all.insert(all.end(), paths.begin(), paths.end());
  for (const std::string& path : beside) {
    const Array& array = *dataset.root.find_array(path);
    if (array.shape.size() != 1 || !cf::is_longitude(array)) continue;
    UPWELL_TRY(const bool otherwise, counts_otherwise(context.session(), dataset, array, box));
    if (otherwise)
      return fail(Code::kInvalidArgument,
                  fmt::format("--where: {} is not counted from {} on as the box is, which changes "
                              "the condition: give the longitudes by --bbox alone",
                              path, box.west));
  }
  return join_across(context.session(), dataset, all, box);
}

/// Of the variables and of what is read beside them.
Result<std::vector<PlannedRead>> planned_reads(const std::vector<ReducedVariable>& variables,
                                               const compute::ReduceOptions& options) {
  std::vector<PlannedRead> reads;
  for (const ReducedVariable& variable : variables) {
    const compute::Reduction& reduction = variable.reduction;
    UPWELL_TRY(const auto passes,
               compute::passes_of(*variable.array, variable.named.selection, reduction, options));
    for (const compute::Pass& pass : passes) {
      const auto add = [&](const compute::BesideArray& beside) {
        if (&beside.array() == variable.array) return;
        reads.push_back(
            {&beside.array(), beside.selection_of(pass.selection), pass.number, pass.times});
      };
      reads.push_back({variable.array, pass.selection, pass.number, pass.times});
      if (reduction.where)
        for (const compute::BesideArray& array : reduction.where->arrays) add(array);
      if (reduction.weights) add(reduction.weights->array);
    }
  }
  return reads;
}

template <typename T>
bool any_but_nan(ByteSpan elements, bool zeros) {
  const T* v = reinterpret_cast<const T*>(elements.data());
  return std::any_of(v, v + elements.size() / sizeof(T),
                     [&](T value) { return !std::isnan(value) && (zeros || value != 0); });
}

/// Whether something went into some of these results: sums and counts of nothing are 0.
bool holds_something(const compute::Reduction& reduction, const DataType& type, ByteSpan elements) {
  const bool zeros = reduction.function != compute::Function::kSum &&
                     reduction.function != compute::Function::kCount;
  if (type.kind != Kind::kFloat) return zeros || any_but_nan<int64_t>(elements, false);
  return type.size == 4 ? any_but_nan<float>(elements, zeros)
                        : any_but_nan<double>(elements, zeros);
}

Result<> run_aggregate(AggregateArguments& args, Context& context) {
  UPWELL_TRY(const ReduceRequest request, parse_reduce(args.reduce));
  UPWELL_TRY(const Refinement refinement, Refinement::parse(args.refinement, request.dimensions));
  const bool spread = request.reduction.function == compute::Function::kStd ||
                      request.reduction.function == compute::Function::kVar;
  if (args.ddof > 0 && !spread) return fail(Code::kInvalidArgument, "--ddof is of std and var");
  if (!args.bbox.empty()) UPWELL_CHECK(parse_bounding_box(args.bbox));
  std::vector<std::string> foreign;
  UPWELL_TRY(const auto sources, find_sources(context, args.search, args.sources, args.bbox));
  UPWELL_TRY(auto urls, refs::expand_sources(context.session(), sources, foreign));
  if (!foreign.empty()) fmt::print(stderr, "warning: {}\n", refs::foreign_warning(foreign));
  UPWELL_CHECK(check_target(args, urls));
  UPWELL_TRY(Dataset dataset, open_sources(args, context, urls, request, refinement));
  if (args.output != "-") UPWELL_CHECK(refs::check_no_granule(args.output, dataset));
  UPWELL_TRY(const auto paths, choose_variables(args, dataset, request));
  if (!args.bbox.empty()) {
    UPWELL_TRY(dataset, join_for_box(args, context, dataset, paths, refinement));
  }
  UPWELL_TRY(auto variables, plan_variables(args, context, dataset, paths, request));
  compute::ReduceOptions options;
  options.memory_budget = args.memory;
  options.progress = context.progress_style();
  for (ReducedVariable& variable : variables)
    UPWELL_CHECK(refinement.apply(context.session(), dataset, variable));
  if (!variables.empty() && variables[0].reduction.where &&
      !variables[0].reduction.where->condition.doubt().empty())
    fmt::print(stderr, "warning: --where: {}\n", variables[0].reduction.where->condition.doubt());
  if (context.session().budget() != nullptr) {
    UPWELL_TRY(const auto reads, planned_reads(variables, options));
    UPWELL_CHECK(check_budget(context.session(), dataset, reads));
  }
  UPWELL_TRY(const auto file,
             plan_reduced_file(context.session(), dataset, variables, args.compress));
  if (result_form_of(args.output) == ResultForm::kPlot)
    args.plot.subtitle = describe_reduction(context.session(), dataset, variables[0]);
  UPWELL_TRY(const auto output, create_result_output(args.output, file, args.plot));
  for (size_t i = 0; i < variables.size(); ++i) {
    const ReducedVariable& variable = variables[i];
    const size_t number = file.variables.size() - variables.size() + i;
    std::atomic<bool> any = false;
    auto sink = [&](const Box& box, ByteSpan elements) {
      if (!any && holds_something(variable.reduction, file.variables[number].values.type, elements))
        any = true;
      return output->put(number, written_axes(variable, box.origin),
                         written_axes(variable, box.shape), elements);
    };
    UPWELL_CHECK(compute::reduce(context.session(), dataset, *variable.array,
                                 variable.named.selection, variable.reduction, options, sink));
    if (!any)
      fmt::print(
          stderr, "warning: {}: the result holds nothing: all that was taken is missing{}{}\n",
          variable.path,
          variable.reduction.where ? " or left out by --where (in which units is it?)" : "",
          args.ddof > 0 ? fmt::format(", or no more than {} values anywhere (--ddof)", args.ddof)
                        : std::string());
  }
  return output->commit(args.no_sync ? Sync::kNo : Sync::kYes);
}

}  // namespace

void add_aggregate_command(Program& program) {
  auto args = std::make_shared<AggregateArguments>();
  CLI::App* app = program.add(
      "aggregate", "Reduce variables over dimensions: means, extremes, counts of many granules",
      kAggregateFooter, [args](Context& context) {
        return with_search_advice(args->search, run_aggregate(*args, context));
      });
  app->add_option(
      "SOURCE", args->sources,
      "A cube (reference set, .upwell, Zarr store), or granules to join: paths, URLs, "
      "patterns, directories, @list.txt, @- for a list on standard input. Or search for them, "
      "see below");
  app->add_option("--reduce", args->reduce,
                  "What to do, over which dimensions: time:mean, lat,lon:max")
      ->required()
      ->type_name("DIM,...:FUNCTION");
  app->add_option("--where", args->refinement.where,
                  "Take only elements for which this holds: 'sea_ice_fraction < 0.15 or "
                  "isnan(sea_ice_fraction)'")
      ->type_name("CONDITION");
  app->add_option("--group-by", args->refinement.group_by,
                  "Reduce each group by itself: time.year, .season, .month, .day, .dayofyear or "
                  ".hour, in the calendar of the times; the result has that dimension in place of "
                  "DIM")
      ->type_name("DIM.PART");
  app->add_option("--rolling", args->refinement.rolling,
                  "Reduce windows of N elements that move along DIM, one for each of its elements: "
                  "those up to it. The result keeps the dimension")
      ->type_name("DIM=N");
  app->add_flag("--center", args->refinement.center,
                "A window has its element in the middle (--rolling)");
  app->add_option("--min-periods", args->refinement.min_periods,
                  "Values that a window must have; of fewer the result is missing. Default: N")
      ->type_name("N");
  app->add_option("--weights", args->refinement.weights,
                  "What each element counts in a mean or sum: area (the cosine of latitude, for "
                  "regular grids), or a variable, such as the areas of cells")
      ->type_name("area|NAME");
  app->add_option("--variables", args->variables,
                  "Default: all of numbers that have the dimensions and are neither coordinates "
                  "nor flags")
      ->delimiter(',')
      ->type_name("NAME,...");
  app->add_option("--bbox", args->bbox,
                  "Longitudes and latitudes in degrees; WEST above EAST crosses the antimeridian. "
                  "Where the longitudes of a global grid begin within the box, they are counted "
                  "from WEST in the output: -10 to 10")
      ->type_name("WEST,SOUTH,EAST,NORTH");
  app->add_option("--sel", args->sel, "By coordinate value: lat=40:50,time=2020-01")
      ->type_name("DIM=VALUE");
  app->add_option("--isel", args->isel, "By index: time=0:3")->type_name("DIM=INDEX");
  app->add_flag("--nearest", args->nearest, "A single --sel value takes the nearest element");
  app->add_option("--ddof", args->ddof, "std and var divide by the count minus this")
      ->check([](const std::string& text) { return text[0] == '-' ? "must not be negative" : ""; },
              "")
      ->capture_default_str();
  app->add_option(
         "-o,--output", args->output,
         "What to write, whole or not at all: NAME.nc (netCDF-4), NAME.zarr, NAME.csv or - "
         "(a table), NAME.png (a plot)")
      ->required()
      ->type_name("FILE");
  app->add_flag("--no-sync", args->no_sync,
                "Do not wait until the output is on the disk; a power cut may leave a broken file");
  app->add_flag("--compress", args->compress,
                "Shuffle and deflate the result (a Zarr store always is "
                "compressed)");
  add_plot_options(*app, args->plot);
  app->add_option(
         "--memory", args->memory,
         "About how much memory decoding and totals may take (200MB, 2GB). Default: a quarter "
         "of this machine's")
      ->transform(binary_size, "")
      ->check([](const std::string& text) { return text == "0" ? "must be more than 0" : ""; }, "")
      ->type_name("SIZE");
  const char* joining = "Several granules";
  refs::CombineOptions& combine = args->combine.combine;
  app->add_option("--concat", combine.concat,
                  "Dimension along which they follow each other. Default: the unlimited one, or CF "
                  "time")
      ->type_name("DIM")
      ->group(joining);
  app->add_option("--order-by", combine.order_by,
                  "Variable along it that gives the order, where its own coordinate does not")
      ->type_name("NAME")
      ->group(joining);
  app->add_option("--load", combine.load, "As virtualize: copy the values of these variables first")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->group(joining)
      ->each([args](const std::string&) { args->load_given = true; });
  app->add_option("--drop", combine.drop, "Leave these variables out")
      ->delimiter(',')
      ->type_name("NAME,...")
      ->group(joining);
  app->add_option("--on-drift", args->on_drift,
                  "When a granule differs in packing, chunks, codecs, type or time units: decode "
                  "each as it is (keep), or refuse all; skip: keep, and leave out the granules "
                  "that cannot be one variable, for which the others end the command")
      ->check(CLI::IsMember({"keep", "refuse", "skip"}))
      ->capture_default_str()
      ->group(joining);
  app->add_option("--check", args->check,
                  "How variables without that dimension are compared: by their values, or by their "
                  "metadata only")
      ->check(CLI::IsMember({"values", "metadata"}))
      ->capture_default_str()
      ->group(joining);
  app->add_option("--jobs", args->combine.threads, "Granules scanned at once")
      ->check(CLI::Range(size_t{1}, size_t{1024}))
      ->type_name("N")
      ->group(joining);
  add_granule_search(app, args->search);
}

}  // namespace upwell::cli
