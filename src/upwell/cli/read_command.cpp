// upwell read

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <optional>
#include <utility>

#include "base/parallel.hpp"
#include "cli/bounding_box.hpp"
#include "cli/command.hpp"
#include "cli/granule_search.hpp"
#include "cli/read_output.hpp"
#include "cube/plan_cost.hpp"
#include "cube/summary.hpp"
#include "refs/open.hpp"
#include "refs/output_check.hpp"

namespace upwell::cli {
namespace {

struct ReadRequestOptions {
  std::string source, output, bbox;
  std::vector<std::string> arrays;
  std::vector<std::string> sel, isel;
  std::optional<BoundingBox> box;
  bool raw = false, nearest = false;
  GranuleSearch search;
};

/// Values of remote arrays are on their way together: of so many arrays at once, in the memory that
/// one alone would have.
constexpr size_t kArraysAtOnce = 8;
constexpr uint64_t kRemoteBudget = 128 << 20;

Result<std::string> summary_text(Context& context, const Dataset& dataset, const Array& array,
                                 const Selection& selection, bool raw, const ReadOptions& budget) {
  auto units = text_attribute(array.attributes, "units");
  std::vector<std::string> names;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    bool named = d < array.dimensions.size() && !array.dimensions[d].empty();
    names.push_back(named ? array.dimensions[d] : fmt::format("dim_{}", d));
  }
  std::string text = fmt::format("{} ({}) [{}] {}{}\n", array.name, fmt::join(names, ", "),
                                 fmt::join(selection.shape, ", "), describe(array.type),
                                 units ? ", " + *units : "");
  if (!array.type.is_number()) return text + "(write the values with -o FILE, or -o - for text)\n";
  UPWELL_TRY(Summary summary, summarize(context.session(), dataset, array, selection, raw, budget));
  text += fmt::format("values {}  missing {}\n", summary.count, summary.missing);
  if (summary.count > 0)
    text += fmt::format("min {}  max {}  mean {:.10g}\n", summary.min, summary.max, summary.mean);
  return text;
}

Result<std::vector<AxisRequest>> axis_requests(const ReadRequestOptions& options) {
  std::vector<AxisRequest> requests;
  for (bool by_label : {true, false}) {
    for (const std::string& text : by_label ? options.sel : options.isel) {
      UPWELL_TRY(auto axes, parse_axes(text, by_label));
      requests.insert(requests.end(), axes.begin(), axes.end());
    }
  }
  return requests;
}

/// Opens as much of the source as the arrays take.
Result<Dataset> open_for_arrays(Context& context, const ReadRequestOptions& options,
                                const std::vector<AxisRequest>& requests) {
  refs::OpenOptions open = context.open_options();
  // Other files hold what describes the array, too, and that may be anywhere.
  bool values_alone = options.output.empty() || options.output.ends_with(".npy");
  if (values_alone) open.scan.only = options.arrays;
  open.scan.values_alone = values_alone && options.sel.empty() && options.bbox.empty();
  UPWELL_TRY(Dataset dataset, refs::open_source_with(context.session(), options.source, open));
  if (!dataset.partial) return dataset;
  bool enough = std::all_of(options.arrays.begin(), options.arrays.end(), [&](const auto& path) {
    const Array* array = dataset.root.find_array(path);
    return array != nullptr &&
           std::all_of(requests.begin(), requests.end(),
                       [&](const AxisRequest& r) { return axis_of(*array, r).has_value(); });
  });
  if (enough) return dataset;
  open.scan.only.clear();
  return refs::open_source_with(context.session(), options.source, open);
}

/// What is read of one array.
struct ArrayRead {
  const Array* array = nullptr;
  std::string path;
  NamedSelection named;
};

Result<ArrayRead> plan_array(Context& context, const ReadRequestOptions& options,
                             const Dataset& dataset, const std::string& name,
                             const std::vector<AxisRequest>& requests) {
  const Array* array = dataset.root.find_array(name);
  if (array == nullptr) {
    std::string known;
    for_each_array(dataset.root,
                   [&](const std::string& path, const Array&) { known += " " + path.substr(1); });
    for (const Problem& problem : dataset.problems) {
      if (problem.path == name || problem.path == "/" + name)
        return fail(Error(problem.error).with(options.source));
    }
    return fail(Code::kNotFound,
                fmt::format("{} has no array '{}'; it has:{}", options.source, name, known));
  }
  std::string path = name.front() == '/' ? name : "/" + name;
  std::vector<AxisRequest> own = requests;
  if (options.box) {
    UPWELL_TRY(auto inside, select_box(context.session(), dataset, path, *array, *options.box));
    own.insert(own.end(), inside.begin(), inside.end());
  }
  UPWELL_TRY(NamedSelection named,
             resolve_selection(context.session(), dataset, path, *array, own, options.nearest));
  return ArrayRead{array, std::move(path), std::move(named)};
}

/// The summary as text, or the values in a file.
Result<std::string> read_array(Context& context, const ReadRequestOptions& options,
                               const Dataset& dataset, const ArrayRead& read,
                               const ReadOptions& budget) {
  if (options.output.empty())
    return summary_text(context, dataset, *read.array, read.named.selection, options.raw, budget);
  UPWELL_TRY(Company company, company_of(options.output));
  UPWELL_TRY(Table table,
             read_table(context.session(), dataset, read.path, read.named, options.raw, company));
  UPWELL_CHECK(write_table(options.output, std::move(table)));
  return std::string();
}

bool is_remote(Context& context, const Dataset& dataset) {
  if (dataset.granules->size() == 0) return false;
  auto traits = context.session().traits(dataset.granules->at(0).url);
  return traits && traits->worth_caching;
}

/// One array after another; of a remote source several at once, so that they cost the round trips
/// of one.
Result<> read_arrays(Context& context, const ReadRequestOptions& options, const Dataset& dataset,
                     const std::vector<AxisRequest>& requests) {
  const size_t n = options.arrays.size();
  const size_t at_once = is_remote(context, dataset) ? std::min(n, kArraysAtOnce) : 1;
  ReadOptions budget;
  if (at_once > 1) budget.memory_budget = kRemoteBudget / at_once;
  std::vector<ArrayRead> reads(n);
  UPWELL_CHECK(blocking_for(n, at_once, [&](size_t i) -> Result<> {
    UPWELL_TRY(reads[i], plan_array(context, options, dataset, options.arrays[i], requests));
    return {};
  }));
  std::vector<PlannedRead> planned;
  for (const ArrayRead& read : reads) planned.push_back({read.array, read.named.selection});
  UPWELL_CHECK(check_budget(context.session(), dataset, planned));
  std::vector<Result<std::string>> texts(n);
  for (size_t begin = 0; begin < n; begin += at_once) {
    const size_t count = std::min(at_once, n - begin);
    UPWELL_CHECK(blocking_for(count, count, [&](size_t k) -> Result<> {
      texts[begin + k] = read_array(context, options, dataset, reads[begin + k], budget);
      return {};
    }));
    for (size_t i = begin; i < begin + count; ++i) {
      UPWELL_TRY(const std::string text, std::move(texts[i]));
      fmt::print("{}", text);
    }
  }
  return {};
}

/// With a search in place of SOURCE all the words are names of arrays.
Result<> take_source(Context& context, ReadRequestOptions& options) {
  if (options.search.given() && !options.source.empty())
    options.arrays.insert(options.arrays.begin(), std::exchange(options.source, {}));
  if (options.arrays.empty())
    return fail(Code::kInvalidArgument, options.source.empty()
                                            ? "name a SOURCE and an ARRAY of it"
                                            : "name an ARRAY of " + options.source +
                                                  "; `upwell info` shows which there are");
  UPWELL_TRY(options.source,
             find_one_source(context, options.search, options.source, options.bbox));
  return {};
}

Result<> run_read(Context& context, ReadRequestOptions& options) {
  UPWELL_CHECK(take_source(context, options));
  const bool to_file = !options.output.empty() && options.output != "-";
  if (to_file) UPWELL_CHECK(refs::check_no_source(options.output, {options.source}));
  if (!options.output.empty() && options.arrays.size() > 1)
    return fail(Code::kInvalidArgument, "-o takes one array, not several");
  if (!options.bbox.empty()) {
    UPWELL_TRY(options.box, parse_bounding_box(options.bbox));
  }
  UPWELL_TRY(auto requests, axis_requests(options));
  UPWELL_TRY(Dataset dataset, open_for_arrays(context, options, requests));
  if (to_file) UPWELL_CHECK(refs::check_no_granule(options.output, dataset));
  context.print_notes(options.source, dataset);
  if (options.box) {
    std::vector<std::string> paths;
    for (const std::string& name : options.arrays)
      paths.push_back((name.starts_with('/') ? "" : "/") + name);
    UPWELL_TRY(dataset, join_across(context.session(), std::move(dataset), paths, *options.box));
  }
  return read_arrays(context, options, dataset, requests);
}

}  // namespace

void add_read_command(Program& program) {
  auto options = std::make_shared<ReadRequestOptions>();
  CLI::App* command = program.add(
      "read",
      "Read values of arrays: print their summary, or write one as .npy, .nc, .zarr or .csv",
      "Examples:\n"
      "  upwell read cube.json sst                                    count, missing, min, max, "
      "mean\n"
      "  upwell read cube.json sst --sel lat=40:50,time=2020-01 -o box.nc\n"
      "  upwell read cube.json sst --bbox -10,50,10,60 -o north_sea.nc   across Greenwich, too\n"
      "  upwell read cube.json sst --isel time=0:3,lat=-1 -o rows.npy\n"
      "  upwell read granule.nc uwnd vwnd --isel 0=-1                 the last step along the "
      "first "
      "axis\n"
      "  upwell read granule.nc group/flag --raw -o -                 stored values as CSV\n\n"
      "--sel takes coordinate values: ranges include both ends, a partial date covers all in it.\n"
      "--isel takes indexes as Python does: the end is excluded, negative counts from the end. "
      "DIM\n"
      "is a name, or the number of the axis. Of a granule only that is read which ARRAY needs.\n"
      "An axis of which one element is taken is dropped. Values are decoded as CF says\n"
      "(scale_factor, add_offset, _FillValue, missing_value, _Unsigned) unless --raw.",
      [options](Context& context) {
        return with_search_advice(options->search, run_read(context, *options));
      });
  command->add_option(
      "SOURCE", options->source,
      "A granule, a DMR++, a Zarr store, a reference set (.json, .parq), or a URL of one. Or "
      "search for a granule, see below");
  command->add_option("ARRAY", options->arrays,
                      "Path of each array, with its groups: sst, ocean/sst");
  command->add_option("--sel", options->sel, "By coordinate value: lat=40:50,time=2020-01")
      ->type_name("DIM=VALUE");
  command
      ->add_option(
          "--bbox", options->bbox,
          "Longitudes and latitudes in degrees; WEST above EAST crosses the antimeridian. Where "
          "the "
          "longitudes of a global grid begin within the box, they are counted from WEST: -10 to 10")
      ->type_name("WEST,SOUTH,EAST,NORTH");
  command->add_option("--isel", options->isel, "By index: time=0:3")->type_name("DIM=INDEX");
  command->add_flag("--nearest", options->nearest,
                    "A single --sel value takes the nearest element");
  command->add_flag("--raw", options->raw, "Stored values, without CF decoding");
  command
      ->add_option("-o,--output", options->output,
                   "FILE.npy, FILE.nc, FILE.zarr, FILE.csv, or - for CSV on standard output")
      ->type_name("FILE");
  add_granule_search(command, options->search);
}

}  // namespace upwell::cli
