// Results as CSV.

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <set>
#include <sstream>

#include "cli/csv.hpp"
#include "cli/result_output.hpp"
#include "cli/staged_values.hpp"

namespace upwell::cli {
namespace {

using format::netcdf4::File;
using format::netcdf4::Variable;

/// Those of the results' coordinates that `variable` is one of: its dimension's, or named by
/// "coordinates" (CF 5).
bool is_coordinate(const File& file, const Variable& variable, const Variable& grid) {
  const auto& dimensions = grid.dimensions;
  if (variable.dimensions == std::vector<std::string>{variable.name} &&
      std::find(dimensions.begin(), dimensions.end(), variable.name) != dimensions.end())
    return true;
  return std::any_of(file.variables.begin(), file.variables.end(), [&](const Variable& result) {
    if (!result.later) return false;
    std::istringstream words(text_attribute(result.attributes, "coordinates").value_or(""));
    for (std::string word; words >> word;)
      if (word == variable.name) return true;
    return false;
  });
}

std::optional<cf::TimeUnits> time_of(const Variable& variable) {
  Array array;
  array.type = variable.data().type;
  array.attributes = variable.attributes;
  const auto units = cf::time_units_of(array);
  if (!units || !*units) return std::nullopt;  // of units that are not known: the number
  return **units;
}

/// "sst [K]". Dates say what they are by themselves.
std::string header_of(const Variable& variable, bool is_time) {
  const auto units = text_attribute(variable.attributes, "units");
  if (!units || units->empty() || *units == "1" || is_time) return variable.name;
  return variable.name + " [" + *units + "]";
}

/// A box of a variable's staged values that follows the lines of the table, whatever the order of
/// the variable's dimensions.
class Cursor {
 public:
  /// `order`: the variable's axes, that which changes most often from line to line first.
  Cursor(const StagedValues& staged, size_t variable, const Values& values,
         const std::vector<size_t>& order)
      : staged_(&staged), variable_(variable), shape_(values.shape), extent_(shape_.size(), 1) {
    constexpr uint64_t kElements = 1 << 16;
    uint64_t elements = 1;
    for (const size_t axis : order) {
      extent_[axis] =
          std::clamp<uint64_t>(kElements / elements, 1, std::max<uint64_t>(shape_[axis], 1));
      elements *= extent_[axis];
    }
    window_.type = values.type;
  }

  Result<std::string> field(uint64_t element, const std::optional<cf::TimeUnits>& time) {
    uint64_t rest = element, at = 0, stride = 1;
    bool inside = !window_.shape.empty() || shape_.empty();
    Shape origin(shape_.size());
    for (size_t d = shape_.size(); d-- > 0; rest /= shape_[d]) {
      const uint64_t index = rest % shape_[d];
      origin[d] = index / extent_[d] * extent_[d];
      inside = inside && origin[d] == origin_[d];
      at += (index - origin[d]) * stride;
      stride *= std::min(extent_[d], shape_[d] - origin[d]);
    }
    if (!inside || window_.data.empty()) UPWELL_CHECK(move_to(std::move(origin)));
    return csv_value(window_, at, time);
  }

 private:
  Result<> move_to(Shape origin) {
    origin_ = std::move(origin);
    window_.shape = extent_;
    for (size_t d = 0; d < origin_.size(); ++d)
      window_.shape[d] = std::min(extent_[d], shape_[d] - origin_[d]);
    window_.data.resize(element_count(window_.shape) * window_.type.size);
    return staged_->read_box(variable_, origin_, window_.shape, window_.data);
  }

  const StagedValues* staged_;
  size_t variable_;
  Shape shape_, extent_, origin_;
  Values window_;
};

/// The variable that has the dimensions of all results.
Result<const Variable*> grid_of(const File& file) {
  const Variable* grid = nullptr;
  for (const Variable& v : file.variables)
    if (v.later && (grid == nullptr || v.dimensions.size() > grid->dimensions.size())) grid = &v;
  if (grid == nullptr) return fail(Code::kInternal, "a table without variables");
  for (const Variable& v : file.variables) {
    if (!v.later) continue;
    for (const std::string& name : v.dimensions) {
      if (std::find(grid->dimensions.begin(), grid->dimensions.end(), name) !=
          grid->dimensions.end())
        continue;
      return fail(Code::kUnsupported,
                  fmt::format("{} has the dimension {}, {} has not: write them as tables of their "
                              "own (--variables)",
                              v.name, name, grid->name));
    }
  }
  return grid;
}

class CsvOutput : public ResultOutput {
 public:
  CsvOutput(std::string target, const File& file, const Variable& grid, StagedValues staged)
      : target_(std::move(target)), file_(file), grid_(grid), staged_(std::move(staged)) {}

  Result<> put(size_t variable, const Shape& origin, const Shape& shape,
               ByteSpan elements) override {
    return staged_.put(variable, origin, shape, elements);
  }

  Result<> commit(Sync sync) override {
    const std::vector<CsvColumn> columns = plan();
    return write_text(
        target_, [&](const TextSink& sink) { return write_csv(grid_.values.shape, columns, sink); },
        sync);
  }

 private:
  std::vector<CsvColumn> plan() {
    std::vector<CsvColumn> columns;
    std::set<const Variable*> listed;
    for (size_t d = 0; d < grid_.dimensions.size(); ++d) {
      const std::string& name = grid_.dimensions[d];
      auto own = std::find_if(file_.variables.begin(), file_.variables.end(), [&](const auto& v) {
        return v.name == name && v.dimensions == std::vector<std::string>{name};
      });
      if (own != file_.variables.end() && !own->later) {
        columns.push_back(column_of(*own));
        listed.insert(&*own);
      } else {
        columns.push_back({name, std::vector<uint64_t>(grid_.dimensions.size(), 0),
                           [](uint64_t element, std::string& text) -> Result<> {
                             text += std::to_string(element);
                             return {};
                           }});
        columns.back().stride[d] = 1;
      }
    }
    for (const Variable& v : file_.variables) {
      if (v.later || listed.contains(&v) || !is_coordinate(file_, v, grid_)) continue;
      const Variable* shown = is_text_of_characters(v) ? &joined(v) : &v;
      if (has_grid(*shown)) columns.push_back(column_of(*shown));
    }
    for (const Variable& v : file_.variables)
      if (v.later) columns.push_back(column_of(v));
    return columns;
  }

  /// Along a dimension that the table has not.
  bool is_text_of_characters(const Variable& v) const {
    return are_characters(v.data().type, v.data().shape) &&
           std::find(grid_.dimensions.begin(), grid_.dimensions.end(), v.dimensions.back()) ==
               grid_.dimensions.end();
  }

  /// The same with words for elements.
  const Variable& joined(const Variable& v) {
    Variable& text = texts_.emplace_back();
    text.name = v.name;
    text.attributes = v.attributes;
    text.dimensions.assign(v.dimensions.begin(), v.dimensions.end() - 1);
    text.values = joined_characters(v.data());
    return text;
  }

  /// Whether each of its dimensions is one of the table's.
  bool has_grid(const Variable& v) const {
    return std::all_of(v.dimensions.begin(), v.dimensions.end(), [&](const std::string& name) {
      return std::find(grid_.dimensions.begin(), grid_.dimensions.end(), name) !=
             grid_.dimensions.end();
    });
  }

  /// Its axes in the order of the table's, the last first.
  std::vector<size_t> order_of(const Variable& v) const {
    std::vector<size_t> order;
    for (size_t d = grid_.dimensions.size(); d-- > 0;)
      for (size_t own = 0; own < v.dimensions.size(); ++own)
        if (v.dimensions[own] == grid_.dimensions[d]) order.push_back(own);
    return order;
  }

  CsvColumn column_of(const Variable& v) const {
    const auto time = time_of(v);
    CsvColumn column{
        header_of(v, time.has_value()), std::vector<uint64_t>(grid_.dimensions.size(), 0), {}};
    const Shape& shape = v.data().shape;
    uint64_t stride = 1;
    for (size_t d = v.dimensions.size(); d-- > 0; stride *= shape[d]) {
      const auto at = std::find(grid_.dimensions.begin(), grid_.dimensions.end(), v.dimensions[d]);
      column.stride[static_cast<size_t>(at - grid_.dimensions.begin())] += stride;
    }
    std::function<Result<std::string>(uint64_t)> field;
    if (v.later) {
      const auto number = static_cast<size_t>(&v - file_.variables.data());
      auto cursor = std::make_shared<Cursor>(staged_, number, v.data(), order_of(v));
      field = [cursor, time](uint64_t element) { return cursor->field(element, time); };
    } else {
      field = [&values = v.data(), time](uint64_t element) {
        return csv_value(values, element, time);
      };
    }
    column.append = [field, name = v.name](uint64_t element, std::string& text) -> Result<> {
      auto one = field(element);
      if (!one) return fail(std::move(one).error().with(fmt::format("{}[{}]", name, element)));
      text += *one;
      return {};
    };
    return column;
  }

  std::string target_;
  const File& file_;
  const Variable& grid_;
  StagedValues staged_;
  std::deque<Variable> texts_;
};

}  // namespace

Result<std::unique_ptr<ResultOutput>> create_csv_output(const std::string& target,
                                                        const format::netcdf4::File& file) {
  UPWELL_TRY(const Variable* grid, grid_of(file));
  std::filesystem::path directory = std::filesystem::path(target).parent_path();
  if (target == "-") directory = std::filesystem::temp_directory_path();
  if (directory.empty()) directory = ".";
  UPWELL_TRY(StagedValues staged, StagedValues::create(directory, file));
  return std::make_unique<CsvOutput>(target, file, *grid, std::move(staged));
}

}  // namespace upwell::cli
