#include "cli/reduced_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cube/cf.hpp"
#include "serve/picture.hpp"

namespace upwell::cli {
namespace {

using compute::Function;

/// CF appendix E; nullptr where there is none.
const char* cell_method_of(const compute::Reduction& reduction) {
  switch (reduction.function) {
    case Function::kMean:
      return "mean";
    case Function::kSum:
      return "sum";
    case Function::kMin:
      return "minimum";
    case Function::kMax:
      return "maximum";
    case Function::kStd:
      return "standard_deviation";
    case Function::kVar:
      return "variance";
    case Function::kQuantile:
      return reduction.quantile == 0.5 ? "median" : nullptr;
    case Function::kCount:
      break;
  }
  return nullptr;
}

/// "2010-01-15 to 2019-12-15" of an axis of times; "" for another.
std::string span_of_times(io::Session& session, const Dataset& dataset,
                          const ReducedVariable& variable, size_t d) {
  const NamedArray named = find_coordinate(dataset, variable.path, variable.array->dimensions[d]);
  if (named.array == nullptr) return "";
  const auto units = cf::time_units_of(*named.array);
  if (!units || !*units) return "";
  const Selection& selection = variable.named.selection;
  std::vector<std::string> ends;
  for (const uint64_t i : {uint64_t{0}, selection.shape[d] - 1}) {
    auto raw = read_raw(session, dataset, *named.array,
                        {{selection.origin[d] + i * selection.step[d]}, {1}, {1}});
    if (!raw) return "";
    const auto value = cf::decode(cf::decoding_of(*named.array), std::move(*raw));
    if (!value || std::isnan(value->number(0))) return "";
    ends.push_back(serve::date_text(**units, value->number(0)));
  }
  return ends[0] == ends[1] ? ends[0] : ends[0] + " to " + ends[1];
}

void set_attribute(Attributes& attributes, const std::string& name, Values value) {
  auto at = std::find_if(attributes.begin(), attributes.end(),
                         [&](const Attribute& a) { return a.name == name; });
  if (at == attributes.end()) at = attributes.insert(at, Attribute{name, {}, false});
  at->value = std::move(value);
}

bool same_column(const format::netcdf4::Variable& a, const Column& b) {
  return a.dimensions == b.dimensions && a.values.type == b.values.type &&
         a.values.shape == b.values.shape && a.values.data == b.values.data &&
         a.values.heap == b.values.heap;
}

/// What ACDD attributes say of the extent of one granule does not hold for the result.
bool describes_extent(const Attribute& attribute) {
  return attribute.name.starts_with("time_coverage_") || attribute.name.starts_with("geospatial_");
}

Result<> add_company(std::vector<Column>& others, const std::string& path,
                     format::netcdf4::File& file) {
  for (Column& column : others) {
    auto same_name = [&](const format::netcdf4::Variable& v) { return v.name == column.name; };
    auto there = std::find_if(file.variables.begin(), file.variables.end(), same_name);
    if (there == file.variables.end()) {
      file.variables.push_back(
          {column.name, column.dimensions, column.attributes, std::move(column.values)});
    } else if (!same_column(*there, column)) {
      return fail(Code::kUnsupported,
                  fmt::format("{} and another variable need different arrays of the name {}; "
                              "aggregate them into files of their own",
                              path, column.name));
    }
  }
  return {};
}

/// Puts the groups' dimension in the place of the one that is grouped, and their coordinate beside;
/// a scalar of that name, which held for all, goes. kInvalidArgument where the name is taken.
Result<> add_group_axis(const ReducedVariable& variable, Table& table) {
  const std::string& name = variable.groups->name;
  const auto has_it = [&](const std::vector<std::string>& dimensions) {
    return std::find(dimensions.begin(), dimensions.end(), name) != dimensions.end();
  };
  if (table.data.name == name || has_it(table.data.dimensions) ||
      std::any_of(table.others.begin(), table.others.end(),
                  [&](const Column& c) { return has_it(c.dimensions); }))
    return fail(Code::kInvalidArgument,
                fmt::format("--group-by: {} has '{}' already, which the groups would be called",
                            variable.path, name));
  std::ptrdiff_t before = 0;
  for (size_t d = 0; d < variable.reduction.groups->axis; ++d)
    before += variable.is_written(d) ? 1 : 0;
  table.data.dimensions.insert(table.data.dimensions.begin() + before, name);
  table.data.values.shape.insert(table.data.values.shape.begin() + before,
                                 variable.reduction.groups->count);
  std::erase_if(table.others, [&](const Column& c) { return c.name == name; });
  table.others.push_back(*variable.groups);
  return {};
}

/// Chunks of the result, along the axes that the file has; {} for small ones, which the file holds
/// in one piece.
Result<Shape> chunk_shape_of(const ReducedVariable& variable) {
  UPWELL_TRY(const Shape tile,
             compute::tile_shape(*variable.array, variable.named.selection, variable.reduction));
  constexpr uint64_t kLeastChunk = 1 << 14;
  if (element_count(tile) < kLeastChunk) return Shape{};
  Shape shape;
  size_t kept = 0;
  for (size_t d = 0; d < variable.named.single.size(); ++d) {
    if (!variable.reduction.in_result(d)) continue;
    if (variable.is_written(d)) {
      const uint64_t all = variable.named.selection.shape[d];
      const uint64_t chunks = (all + tile[kept] - 1) / tile[kept];
      // Where a part begins within a chunk, tiles are of different sizes; HDF5 pads each to the
      // largest.
      const bool wasteful = chunks * tile[kept] - all > all / 4;
      // Groups come one after the other.
      shape.push_back(variable.groups && variable.reduction.reduced[d] ? 1
                      : wasteful                                       ? (all + chunks - 1) / chunks
                                                                       : tile[kept]);
    }
    ++kept;
  }
  return shape;
}

/// A spread of instants ("days since ...") is a duration, and no calendar decodes it.
void set_units_of_spread(Attributes& attributes, Function function) {
  auto units = text_attribute(attributes, "units");
  if (!units) return;
  const size_t since = units->find(" since ");
  if (since != units->npos) {
    units->resize(since);
    std::erase_if(attributes, [](const Attribute& a) { return a.name == "calendar"; });
  }
  const bool plain = since != units->npos;  // one word
  if (function == Function::kVar && *units != "1")
    units = plain ? *units + "2" : "(" + *units + ")2";
  set_attribute(attributes, "units", make_text(*units));
}

}  // namespace

Attributes reduced_attributes(Attributes attributes, const ReducedVariable& variable,
                              const DataType& type) {
  const Function function = variable.reduction.function;
  const bool is_extreme = function == Function::kMin || function == Function::kMax;
  const bool is_a_value =
      is_extreme || function == Function::kMean || function == Function::kQuantile;
  std::erase_if(attributes, [&](const Attribute& a) {
    const bool range = a.name == "valid_min" || a.name == "valid_max" || a.name == "valid_range" ||
                       a.name == "actual_range";
    const bool flags = a.name.starts_with("flag_");
    return a.name == "actual_range" || (range && !is_a_value) || (flags && !is_extreme) ||
           a.name == "_FillValue" || a.name == "missing_value";
  });
  if (!variable.comment.empty()) {
    auto comment = text_attribute(attributes, "comment");
    set_attribute(attributes, "comment",
                  make_text((comment ? *comment + "; " : "") + variable.comment));
  }
  const char* method = cell_method_of(variable.reduction);
  if (function == Function::kQuantile)
    set_attribute(attributes, "quantile", make_number(variable.reduction.quantile));
  if (function == Function::kCount) {
    if (auto name = text_attribute(attributes, "standard_name"))
      set_attribute(attributes, "standard_name", make_text(*name + " number_of_observations"));
    set_attribute(attributes, "units", make_text("1"));
    std::erase_if(attributes, [](const Attribute& a) { return a.name == "cell_methods"; });
  } else if (method == nullptr) {
    std::erase_if(attributes, [](const Attribute& a) { return a.name == "cell_methods"; });
  } else {
    std::string methods = text_attribute(attributes, "cell_methods").value_or("");
    if (!methods.empty()) methods += ' ';
    for (size_t d = 0; d < variable.reduction.reduced.size(); ++d) {
      if (!variable.reduction.reduced[d]) continue;
      const bool named = d < variable.array->dimensions.size();
      methods += (named ? variable.array->dimensions[d] : fmt::format("dim_{}", d)) + ": ";
    }
    methods += method;
    if (const auto& rolling = variable.reduction.rolling)
      methods += fmt::format(" (comment: in windows of {})", rolling->window);
    set_attribute(attributes, "cell_methods", make_text(methods));
  }
  if (function == Function::kVar || function == Function::kStd)
    set_units_of_spread(attributes, function);
  if (type.kind == Kind::kFloat) set_attribute(attributes, "_FillValue", quiet_nan(type));
  return attributes;
}

std::string describe_reduction(io::Session& session, const Dataset& dataset,
                               const ReducedVariable& variable) {
  const char* method = cell_method_of(variable.reduction);
  std::string function = method != nullptr ? method : "count";
  if (method == nullptr && variable.reduction.function == Function::kQuantile)
    function = fmt::format("{}th percentile", 100 * variable.reduction.quantile);
  std::replace(function.begin(), function.end(), '_', ' ');
  std::vector<std::string> dimensions;
  std::string times;
  for (size_t d = 0; d < variable.reduction.reduced.size(); ++d) {
    if (!variable.reduction.reduced[d] || d >= variable.array->dimensions.size()) continue;
    dimensions.push_back(variable.array->dimensions[d]);
    if (times.empty()) times = span_of_times(session, dataset, variable, d);
  }
  std::string by;
  if (variable.groups) by = " by " + variable.groups->name;
  if (const auto& rolling = variable.reduction.rolling)
    by = fmt::format(" in windows of {}", rolling->window);
  return fmt::format("{} over {}{}{}{}", function, fmt::join(dimensions, ", "), by,
                     times.empty() ? "" : ", ", times);
}

Result<format::netcdf4::File> plan_reduced_file(io::Session& session, const Dataset& dataset,
                                                const std::vector<ReducedVariable>& variables,
                                                bool compress) {
  format::netcdf4::File file;
  std::vector<format::netcdf4::Variable> results;
  for (const ReducedVariable& variable : variables) {
    std::vector<bool> gone = variable.reduction.reduced;
    if (variable.reduction.rolling) gone.assign(gone.size(), false);
    UPWELL_TRY(Table table,
               read_reduced_company(session, dataset, variable.path, variable.named, gone));
    file.attributes = std::move(table.global_attributes);
    if (variable.groups) UPWELL_CHECK(add_group_axis(variable, table));
    UPWELL_CHECK(add_company(table.others, variable.path, file));
    format::netcdf4::Variable result;
    result.name = table.data.name;
    result.dimensions = table.data.dimensions;
    result.values = std::move(table.data.values);
    result.values.type = compute::result_type(variable.reduction, result.values.type);
    result.attributes =
        reduced_attributes(std::move(table.data.attributes), variable, result.values.type);
    cf::restore_attribute_types(result.attributes, memory_type(variable.array->type),
                                result.values.type);
    UPWELL_TRY(result.chunk_shape, chunk_shape_of(variable));
    result.deflate = compress;
    result.later = true;
    auto same_name = [&](const format::netcdf4::Variable& v) { return v.name == result.name; };
    if (std::any_of(results.begin(), results.end(), same_name))
      return fail(Code::kInvalidArgument,
                  "two variables of the name " + result.name +
                      ", which one file cannot hold; aggregate them into files of their own");
    results.push_back(std::move(result));
  }
  // A variable may be the company of another one (an auxiliary coordinate): its reduction wins.
  for (format::netcdf4::Variable& result : results) {
    for (const ReducedVariable& variable : variables)
      if (variable.groups && variable.groups->name == result.name)
        return fail(Code::kInvalidArgument,
                    fmt::format("--group-by: a variable is called '{}', as the groups would be; "
                                "name others with --variables",
                                result.name));
    std::erase_if(file.variables,
                  [&](const format::netcdf4::Variable& v) { return v.name == result.name; });
    file.variables.push_back(std::move(result));
  }
  std::erase_if(file.attributes, describes_extent);
  return file;
}

}  // namespace upwell::cli
