// upwell read

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "cli/command.hpp"
#include "cli/read_output.hpp"
#include "cube/cf.hpp"
#include "cube/select.hpp"
#include "cube/summary.hpp"
#include "refs/open.hpp"

namespace upwell::cli {
namespace {

struct ReadRequestOptions {
  std::string source, array, output;
  std::vector<std::string> sel, isel;
  bool raw = false, nearest = false;
};

/// What decoding used up does not describe the decoded values any more.
Attributes decoded_attributes(const Attributes& attributes, const cf::Decoding& decoding) {
  Attributes kept;
  for (const Attribute& a : attributes) {
    bool used = a.name == "scale_factor" || a.name == "add_offset" || a.name == "_Unsigned";
    used = used || (decoding.to_float && (a.name == "_FillValue" || a.name == "missing_value"));
    used = used || (decoding.scale_factor &&
                    (a.name == "valid_min" || a.name == "valid_max" || a.name == "valid_range"));
    if (!used) kept.push_back(a);
  }
  return kept;
}

/// The attributes in their memory form, with _FillValue of the values' own type, as netCDF requires
/// it.
Attributes output_attributes(const Array& array, bool raw) {
  Attributes attributes =
      raw ? array.attributes : decoded_attributes(array.attributes, cf::decoding_of(array));
  return attributes;
}

Result<Axis> read_axis(Context& context, const Dataset& dataset, const std::string& path,
                       const std::string& dimension, const Selection& selection, size_t d,
                       bool raw) {
  Axis axis;
  axis.name = dimension;
  const Array* coordinate = find_coordinate(dataset, path, dimension);
  if (coordinate == nullptr || coordinate->shape[0] < selection.origin[d]) return axis;
  Selection along{{selection.origin[d]}, {selection.shape[d]}, {selection.step[d]}};
  UPWELL_TRY(Values values, read_raw(context.session(), dataset, *coordinate, along));
  axis.has_values = true;
  axis.attributes = output_attributes(*coordinate, raw);
  if (!raw) {
    UPWELL_TRY(values, cf::decode(cf::decoding_of(*coordinate), std::move(values)));
  }
  axis.values = std::move(values);
  auto units = cf::time_units_of(*coordinate);
  for (size_t i = 0; i < axis.values.count(); ++i) {
    Result<cf::DateTime> time = units && *units && !raw
                                    ? cf::decode_time(**units, axis.values.number(i))
                                    : fail(Code::kInvalidData, "");
    axis.labels.push_back(time ? cf::format_time(*time) : element_text(axis.values, i));
  }
  return axis;
}

/// Axes of which one element was taken are dropped, as numpy does; their coordinates stay as
/// scalars.
Result<Table> make_table(Context& context, const Dataset& dataset, const std::string& path,
                         const Array& array, const NamedSelection& named, bool raw) {
  Table table;
  table.name = array.name;
  table.attributes = output_attributes(array, raw);
  table.global_attributes = dataset.root.attributes;
  UPWELL_TRY(Values values, read_raw(context.session(), dataset, array, named.selection));
  if (!raw) {
    UPWELL_TRY(values, cf::decode(cf::decoding_of(array), std::move(values)));
  }
  table.values = std::move(values);
  Shape kept;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    std::string dimension = d < array.dimensions.size() && !array.dimensions[d].empty()
                                ? array.dimensions[d]
                                : fmt::format("dim_{}", d);
    UPWELL_TRY(Axis axis, read_axis(context, dataset, path, dimension, named.selection, d, raw));
    if (!named.single[d]) {
      kept.push_back(named.selection.shape[d]);
      table.axes.push_back(std::move(axis));
    } else if (axis.has_values && axis.name != table.name) {
      axis.values.shape.clear();
      table.scalars.push_back(std::move(axis));
    }
  }
  table.values.shape = kept;
  return table;
}

Result<> print_summary(Context& context, const Dataset& dataset, const Array& array,
                       const Selection& selection, bool raw) {
  auto units = text_attribute(array.attributes, "units");
  fmt::print("{} ({}) [{}] {}{}\n", array.name, fmt::join(array.dimensions, ", "),
             fmt::join(selection.shape, ", "), describe(array.type), units ? ", " + *units : "");
  bool stepped =
      std::any_of(selection.step.begin(), selection.step.end(), [](uint64_t s) { return s != 1; });
  if (!array.type.is_number() || stepped) {
    fmt::print("(write the values with -o FILE, or -o - for text)\n");
    return {};
  }
  UPWELL_TRY(Summary summary, summarize(context.session(), dataset, array, selection, raw));
  fmt::print("values {}  missing {}\n", summary.count, summary.missing);
  if (summary.count > 0)
    fmt::print("min {}  max {}  mean {:.10g}\n", summary.min, summary.max, summary.mean);
  return {};
}

Result<> run_read(Context& context, const ReadRequestOptions& options) {
  std::error_code error;
  if (!options.output.empty() && std::filesystem::equivalent(options.output, options.source, error))
    return fail(Code::kInvalidArgument, options.output + " is the source");
  UPWELL_TRY(Dataset dataset, refs::open_source(context.session(), options.source));
  const Array* array = dataset.root.find_array(options.array);
  if (array == nullptr) {
    std::string known;
    for_each_array(dataset.root,
                   [&](const std::string& path, const Array&) { known += " " + path.substr(1); });
    for (const Problem& problem : dataset.problems) {
      if (problem.path == options.array || problem.path == "/" + options.array)
        return fail(Error(problem.error).with(options.source));
    }
    return fail(Code::kNotFound, fmt::format("{} has no array '{}'; it has:{}", options.source,
                                             options.array, known));
  }
  std::vector<AxisRequest> requests;
  for (bool by_label : {true, false}) {
    for (const std::string& text : by_label ? options.sel : options.isel) {
      UPWELL_TRY(auto axes, parse_axes(text, by_label));
      requests.insert(requests.end(), axes.begin(), axes.end());
    }
  }
  std::string path = options.array.front() == '/' ? options.array : "/" + options.array;
  UPWELL_TRY(NamedSelection named, resolve_selection(context.session(), dataset, path, *array,
                                                     requests, options.nearest));
  if (options.output.empty())
    return print_summary(context, dataset, *array, named.selection, options.raw);
  UPWELL_TRY(Table table, make_table(context, dataset, path, *array, named, options.raw));
  return write_table(options.output, table);
}

}  // namespace

void add_read_command(Program& program) {
  auto options = std::make_shared<ReadRequestOptions>();
  CLI::App* command = program.add(
      "read", "Read values of one array: print their summary, or write them as .npy, .nc or .csv",
      "Examples:\n"
      "  upwell read cube.json sst                                    count, missing, min, max, "
      "mean\n"
      "  upwell read cube.json sst --sel lat=40:50,time=2020-01 -o box.nc\n"
      "  upwell read cube.json sst --isel time=0:3,lat=-1 -o rows.npy\n"
      "  upwell read granule.nc group/flag --raw -o -                 stored values as CSV\n\n"
      "--sel takes coordinate values: ranges include both ends, a partial date covers all in it.\n"
      "--isel takes indexes as Python does: the end is excluded, negative counts from the end.\n"
      "An axis of which one element is taken is dropped. Values are decoded as CF says\n"
      "(scale_factor, add_offset, _FillValue, missing_value, _Unsigned) unless --raw.",
      [options](Context& context) { return run_read(context, *options); });
  command
      ->add_option("SOURCE", options->source,
                   "A granule, a Zarr store, a reference set (.json, .parq), or a URL of one")
      ->required();
  command->add_option("ARRAY", options->array, "Path of the array, with its groups: sst, ocean/sst")
      ->required();
  command->add_option("--sel", options->sel, "By coordinate value: lat=40:50,time=2020-01")
      ->type_name("DIM=VALUE");
  command->add_option("--isel", options->isel, "By index: time=0:3")->type_name("DIM=INDEX");
  command->add_flag("--nearest", options->nearest,
                    "A single --sel value takes the nearest element");
  command->add_flag("--raw", options->raw, "Stored values, without CF decoding");
  command
      ->add_option("-o,--output", options->output,
                   "FILE.npy, FILE.nc, FILE.csv, or - for CSV on standard output")
      ->type_name("FILE");
}

}  // namespace upwell::cli
