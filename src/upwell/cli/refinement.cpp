#include "cli/refinement.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <map>

#include "cli/variables.hpp"
#include "cube/cf.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kParts[] = {"year", "season", "month", "day", "dayofyear", "hour"};

/// Of the three months from December on, as xarray names them; in the order of their names.
constexpr const char* kSeasons[] = {"DJF", "JJA", "MAM", "SON"};
constexpr int kSeasonOfMonth[] = {0, 0, 2, 2, 2, 1, 1, 1, 3, 3, 3, 0};

Result<int64_t> day_of_year(const cf::TimeUnits& units, const cf::DateTime& time) {
  UPWELL_TRY(const cf::TimeUnits days,
             cf::parse_time_units(fmt::format("days since {:04}-01-01", time.year),
                                  cf::to_string(units.calendar)));
  UPWELL_TRY(const double elapsed, cf::encode_time(days, time));
  return static_cast<int64_t>(std::floor(elapsed)) + 1;
}

/// A number that orders and names the group of a time.
Result<int64_t> label_of(const std::string& part, const cf::TimeUnits& units,
                         const cf::DateTime& time) {
  if (part == "year") return time.year;
  if (part == "month") return time.month;
  if (part == "season") return kSeasonOfMonth[time.month - 1];
  if (part == "day") return time.day;
  if (part == "hour") return time.hour;
  return day_of_year(units, time);
}

/// Labels of the selected times along an axis.
Result<std::vector<int64_t>> labels_of(io::Session& session, const Dataset& dataset,
                                       const ReducedVariable& variable, size_t axis,
                                       const std::string& part) {
  const std::string& dimension = variable.array->dimensions[axis];
  const NamedArray named = find_coordinate(dataset, variable.path, dimension);
  if (named.array == nullptr)
    return fail(Code::kInvalidArgument,
                fmt::format("--group-by: the dimension '{}' has no coordinate", dimension));
  const auto units = cf::time_units_of(*named.array);
  if (!units)
    return fail(
        Code::kInvalidArgument,
        fmt::format("--group-by: {} is no CF time (its units have no \"since\")", named.path));
  if (!*units) return fail(Error(units->error()).with(named.path));
  const Selection& selection = variable.named.selection;
  const Selection part_of_axis{
      {selection.origin[axis]}, {selection.shape[axis]}, {selection.step[axis]}};
  UPWELL_TRY(Values raw, read_raw(session, dataset, *named.array, part_of_axis));
  const cf::Decoding decoding = cf::decoding_of(*named.array);
  UPWELL_TRY(const Values values, cf::decode(decoding, std::move(raw)));
  const bool integers = values.type.kind != Kind::kFloat;
  std::vector<int64_t> labels;
  for (size_t i = 0; i < values.count(); ++i) {
    if (!integers && std::isnan(values.number(i)))
      return fail(Code::kInvalidData,
                  fmt::format("--group-by: {} of {} is missing", i, named.path));
    // Floats to the microsecond, as cftime: hours that were added up as parts of days lie a little
    // before their time or after it.
    const double half = 500 / static_cast<double>((*units)->unit_ns);
    const auto time = integers ? cf::decode_time(**units, values.integer(i))
                               : cf::decode_time(**units, values.number(i) + half);
    if (!time) return fail(Error(time.error()).with(named.path));
    UPWELL_TRY(const int64_t label, label_of(part, **units, *time));
    labels.push_back(label);
  }
  return labels;
}

Column group_column(const std::string& part, const std::vector<int64_t>& labels) {
  Column column;
  column.name = part;
  column.dimensions = {part};
  column.is_coordinate = true;
  if (part == "season") {
    std::vector<std::string> names;
    for (const int64_t label : labels) names.emplace_back(kSeasons[label]);
    column.values = make_texts(names);
  } else {
    column.values.type = DataType::integer(8);
    column.values.data.resize(labels.size() * sizeof(int64_t));
    std::copy_n(reinterpret_cast<const uint8_t*>(labels.data()), column.values.data.size(),
                column.values.data.data());
  }
  column.values.shape = {labels.size()};
  column.attributes.push_back(
      {"long_name", make_text(part == "dayofyear" ? "day of year" : part), false});
  return column;
}

void add_comment(ReducedVariable& variable, const std::string& text) {
  variable.comment += (variable.comment.empty() ? "" : "; ") + text;
}

}  // namespace

Result<Refinement> Refinement::parse(const RefinementOptions& options,
                                     const std::vector<std::string>& dimensions) {
  Refinement refinement;
  refinement.options_ = options;
  if (options.where) {
    auto condition = compute::Condition::parse(*options.where);
    if (!condition) return fail(std::move(condition).error().with("--where"));
    if (condition->names().empty())
      return fail(Code::kInvalidArgument, "--where: the condition names no variable");
    refinement.condition_ = std::move(*condition);
  }
  if (options.weights && options.weights->empty())
    return fail(Code::kInvalidArgument, "--weights: write area, or the name of a variable");
  if (options.group_by) UPWELL_CHECK(refinement.parse_groups(*options.group_by, dimensions));
  UPWELL_CHECK(refinement.parse_rolling(dimensions));
  return refinement;
}

Result<> Refinement::parse_groups(const std::string& group_by,
                                  const std::vector<std::string>& dimensions) {
  const size_t dot = group_by.rfind('.');
  dimension_ = group_by.substr(0, dot == std::string::npos ? 0 : dot);
  part_ = dot == std::string::npos ? "" : group_by.substr(dot + 1);
  if (dimension_.empty() ||
      std::find(std::begin(kParts), std::end(kParts), part_) == std::end(kParts))
    return fail(Code::kInvalidArgument,
                fmt::format("--group-by {}: write DIMENSION.PART, as in time.year; parts are {}",
                            group_by, fmt::join(kParts, ", ")));
  if (std::find(dimensions.begin(), dimensions.end(), dimension_) == dimensions.end())
    return fail(
        Code::kInvalidArgument,
        fmt::format("--group-by {}: groups are of a dimension that is reduced, and '{}' is not "
                    "among them ({}); write {}.{}, or --reduce {},{}:mean",
                    group_by, dimension_, fmt::join(dimensions, ", "), dimensions[0], part_,
                    dimension_, fmt::join(dimensions, ",")));
  return {};
}

Result<> Refinement::parse_rolling(const std::vector<std::string>& dimensions) {
  if (!options_.rolling) {
    if (options_.min_periods || options_.center)
      return fail(Code::kInvalidArgument, "--min-periods and --center go with --rolling");
    return {};
  }
  const std::string& text = *options_.rolling;
  const size_t sign = text.find('=');
  const char* end = text.data() + text.size();
  if (sign == std::string::npos || sign == 0 ||
      std::from_chars(text.data() + sign + 1, end, window_).ptr != end || window_ == 0)
    return fail(Code::kInvalidArgument,
                fmt::format("--rolling {}: write DIMENSION=N, as in time=12", text));
  rolled_ = text.substr(0, sign);
  if (dimensions != std::vector{rolled_})
    return fail(
        Code::kInvalidArgument,
        fmt::format("--rolling {0}: windows are reduced over '{1}' alone: --reduce {1}:mean", text,
                    rolled_));
  if (options_.group_by || options_.weights)
    return fail(Code::kInvalidArgument, "--rolling goes without --group-by and --weights");
  const uint64_t least = options_.min_periods.value_or(window_);
  if (least == 0 || least > window_)
    return fail(Code::kInvalidArgument,
                fmt::format("--min-periods {}: from 1 to the window, {}", least, window_));
  return {};
}

Result<std::vector<std::string>> Refinement::paths(const Dataset& dataset) const {
  std::vector<std::string> paths;
  if (condition_) {
    for (const std::string& name : condition_->names()) {
      auto path = find_variable(dataset, name);
      if (!path) return fail(std::move(path).error().with("--where"));
      paths.push_back(std::move(*path));
    }
  }
  if (options_.weights) {
    auto path = find_variable(dataset, *options_.weights);
    const bool area = options_.weights == "area";  // also without such a variable
    if (!path && !area) return fail(std::move(path).error().with("--weights"));
    if (path) paths.push_back(std::move(*path));
  }
  return paths;
}

Result<> Refinement::check(const Dataset& dataset, const std::string& path) const {
  ReducedVariable variable;
  variable.path = path;
  variable.array = dataset.root.find_array(path);
  if (condition_) UPWELL_CHECK(add_where(dataset, variable));
  if (options_.weights) UPWELL_CHECK(add_weights(dataset, variable));
  return {};
}

Result<> Refinement::apply(io::Session& session, const Dataset& dataset,
                           ReducedVariable& variable) const {
  if (condition_) UPWELL_CHECK(add_where(dataset, variable));
  if (options_.weights) UPWELL_CHECK(add_weights(dataset, variable));
  if (window_ > 0) add_rolling(variable);
  if (!part_.empty()) UPWELL_CHECK(add_groups(session, dataset, variable));
  return {};
}

Result<> Refinement::add_where(const Dataset& dataset, ReducedVariable& variable) const {
  auto mask = std::make_shared<compute::Mask>(compute::Mask{*condition_, {}});
  std::vector<compute::VariableFacts> facts;
  for (const std::string& name : condition_->names()) {
    UPWELL_TRY(const std::string path, find_variable(dataset, name));
    const Array& named = *dataset.root.find_array(path);
    if (!named.type.is_number())
      return fail(Code::kInvalidArgument,
                  fmt::format("--where: {} holds {}, not numbers; what has one of its labels is "
                              "taken by --sel {}=LABEL",
                              name, describe(named.type), name));
    auto array = compute::BesideArray::make(name, named, *variable.array);
    if (!array) return fail(std::move(array).error().with("--where"));
    facts.push_back(array->facts());
    mask->arrays.push_back(std::move(*array));
  }
  auto bound = mask->condition.bind(facts);
  if (!bound) return fail(std::move(bound).error().with("--where"));
  variable.reduction.where = std::move(mask);
  add_comment(variable, "where " + condition_->text());
  return {};
}

Result<> Refinement::add_weights(const Dataset& dataset, ReducedVariable& variable) const {
  bool area = options_.weights == "area";
  NamedArray named;
  for (const std::string& dimension : variable.array->dimensions) {
    if (!area || named.array != nullptr) break;
    const NamedArray coordinate = find_coordinate(dataset, variable.path, dimension);
    if (coordinate.array != nullptr && cf::is_latitude(*coordinate.array)) named = coordinate;
  }
  if (named.array == nullptr) {
    auto path = find_variable(dataset, *options_.weights);
    if (!path && area)
      return fail(Code::kInvalidArgument,
                  fmt::format("--weights area: {} has no dimension of latitudes; name a variable "
                              "that holds the areas of its cells",
                              variable.path));
    if (!path) return fail(std::move(path).error().with("--weights"));
    named = {*path, dataset.root.find_array(*path)};
    area = false;
  }
  auto array = compute::BesideArray::make(named.path, *named.array, *variable.array);
  if (!array) return fail(std::move(array).error().with("--weights"));
  variable.reduction.weights =
      std::make_shared<compute::Weights>(compute::Weights{std::move(*array), area});
  add_comment(variable,
              area ? "weighted by the cosine of latitude" : "weighted by " + *options_.weights);
  return {};
}

Result<> Refinement::add_groups(io::Session& session, const Dataset& dataset,
                                ReducedVariable& variable) const {
  const auto& dimensions = variable.array->dimensions;
  const auto at = std::find(dimensions.begin(), dimensions.end(), dimension_);
  const auto axis = static_cast<size_t>(at - dimensions.begin());
  UPWELL_TRY(const auto labels, labels_of(session, dataset, variable, axis, part_));
  std::map<int64_t, uint32_t> numbers;
  for (const int64_t label : labels) numbers.emplace(label, 0);
  std::vector<int64_t> ordered;
  for (auto& [label, number] : numbers) {
    number = static_cast<uint32_t>(ordered.size());
    ordered.push_back(label);
  }
  compute::Grouping grouping;
  grouping.axis = axis;
  grouping.count = static_cast<uint32_t>(ordered.size());
  for (const int64_t label : labels) grouping.group.push_back(numbers[label]);
  variable.reduction.groups = std::move(grouping);
  variable.groups = group_column(part_, ordered);
  add_comment(variable, "grouped by " + *options_.group_by);
  return {};
}

void Refinement::add_rolling(ReducedVariable& variable) const {
  const auto& dimensions = variable.array->dimensions;
  const auto at = std::find(dimensions.begin(), dimensions.end(), rolled_);
  compute::Rolling rolling;
  rolling.axis = static_cast<size_t>(at - dimensions.begin());
  rolling.window = window_;
  rolling.min_periods = options_.min_periods.value_or(window_);
  rolling.center = options_.center;
  variable.reduction.rolling = rolling;
  add_comment(
      variable,
      fmt::format("in {}windows of {} elements of {}, of which {} at least are not missing",
                  rolling.center ? "centered " : "", window_, rolled_, rolling.min_periods));
}

}  // namespace upwell::cli
