#include "cli/read_table.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <sstream>

namespace upwell::cli {
namespace {

/// Attributes whose text names arrays, and whether the output takes those along.
struct Role {
  const char* attribute;
  bool taken;
};
constexpr Role kRoles[] = {{"coordinates", true},         {"bounds", true},
                           {"climatology", true},         {"grid_mapping", true},
                           {"formula_terms", true},       {"cell_measures", false},
                           {"ancillary_variables", false}};

void set_text(Attributes& attributes, const std::string& name, const std::string& text) {
  auto at = std::find_if(attributes.begin(), attributes.end(),
                         [&](const Attribute& a) { return a.name == name; });
  if (at == attributes.end()) at = attributes.insert(at, Attribute{name, {}, false});
  at->value = make_text(text);
}

std::vector<std::string> words_of(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

bool is_label(const std::string& word) { return word.back() == ':'; }

/// The arrays that an attribute names. Words that end in ':' are labels of the names that follow
/// ("area: cell_area"), but in a grid_mapping they are the mappings themselves, of coordinates that
/// follow (CF 5.6).
std::vector<std::string> names_in(const Role& role, const std::string& text) {
  std::vector<std::string> names;
  for (std::string& word : words_of(text)) {
    if (!is_label(word)) {
      names.push_back(std::move(word));
    } else if (role.attribute == std::string_view("grid_mapping")) {
      names.push_back(word.substr(0, word.size() - 1));
    }
  }
  return names;
}

class TableReader {
 public:
  TableReader(io::Session& session, const Dataset& dataset, bool raw, Company company)
      : session_(session), dataset_(dataset), raw_(raw), company_(company) {}

  Result<Table> read(const std::string& path, const Array& array, const NamedSelection& named) {
    const size_t rank = array.shape.size();
    for (size_t d = 0; d < rank; ++d) {
      // emplace: of a name that comes twice (a covariance) the first axis has the coordinate.
      axes_.emplace(dimension_name(array, d),
                    Axis{named.selection.origin[d], named.selection.shape[d],
                         named.selection.step[d], named.single[d], is_reduced(d)});
    }
    if (reduced_.empty()) {
      UPWELL_TRY(table_.data, read_column(array, named.selection, named.single));
    } else {
      table_.data = reduced_column(array, named);
    }
    sources_.push_back({path, &array});
    table_.global_attributes = dataset_.root.attributes;
    if (company_ != Company::kNone) UPWELL_CHECK(read_company(array));
    return std::move(table_);
  }

  /// Axes of the data that are no more.
  void leave_out(std::vector<bool> reduced) { reduced_ = std::move(reduced); }

 private:
  struct Axis {
    uint64_t origin, shape, step;
    bool single;
    bool reduced = false;
    bool operator==(const Axis&) const = default;
  };

  static std::string dimension_name(const Array& array, size_t d) {
    return d < array.dimensions.size() && !array.dimensions[d].empty()
               ? array.dimensions[d]
               : fmt::format("{}_dim_{}", array.name, d);
  }

  Result<> read_company(const Array& array) {
    const std::string path = sources_[0].path;
    for (size_t d = 0; d < array.shape.size(); ++d) {
      const std::string dimension = dimension_name(array, d);
      UPWELL_CHECK(add(find_coordinate(dataset_, path, dimension), true));
    }
    // Each variable is taken once, and what it names in its turn (bounds of a coordinate).
    for (size_t i = 0; i < sources_.size(); ++i) {
      const NamedArray source = sources_[i];
      for (const Role& role : kRoles) {
        const bool coordinates = role.attribute == std::string_view("coordinates");
        if (!role.taken || (coordinates && i > 0)) continue;
        if (company_ == Company::kCoordinates && !coordinates) continue;
        auto text = text_attribute(source.array->attributes, role.attribute);
        if (!text) continue;
        for (const std::string& name : names_in(role, *text))
          UPWELL_CHECK(add(find_named(dataset_, source.path, name), coordinates));
      }
    }
    rewrite_roles(table_.data, sources_[0]);
    for (size_t i = 0; i < table_.others.size(); ++i)
      rewrite_roles(table_.others[i], sources_[i + 1]);
    name_scalars();
    return {};
  }

  Result<> add(const NamedArray& named, bool is_coordinate) {
    if (named.array == nullptr) return {};
    const Array& array = *named.array;
    auto known = [&](const NamedArray& s) {
      return s.array == named.array || s.array->name == array.name;
    };
    if (std::any_of(sources_.begin(), sources_.end(), known)) return {};
    const bool text = array.type.kind == Kind::kVlenString;
    if ((array.type.has_vlen() && !text) || array.type.kind == Kind::kCompound) return {};
    Selection part{Shape(array.shape.size(), 0), array.shape, Shape(array.shape.size(), 1)};
    std::vector<bool> single(array.shape.size(), false);
    for (size_t d = 0; d < array.shape.size(); ++d) {
      auto axis = axes_.find(dimension_name(array, d));
      if (axis == axes_.end()) {
        const bool characters =
            are_characters(array.type, array.shape) && d + 1 == array.shape.size();
        if (company_ == Company::kCoordinates && !characters) return {};
        continue;
      }
      const Axis& a = axis->second;
      if (a.reduced) return {};
      // Another dimension of the same name, in another group.
      if (a.shape > 0 && a.origin + (a.shape - 1) * a.step >= array.shape[d]) return {};
      part.origin[d] = a.origin;
      part.shape[d] = a.shape;
      part.step[d] = a.step;
      single[d] = a.single;
    }
    UPWELL_TRY(Column column, read_column(array, part, single));
    column.is_coordinate = is_coordinate;
    table_.others.push_back(std::move(column));
    sources_.push_back(named);
    return {};
  }

  bool is_reduced(size_t d) const { return !reduced_.empty() && reduced_[d]; }

  Column reduced_column(const Array& array, const NamedSelection& named) {
    Column column;
    column.name = array.name;
    const cf::Decoding decoding = cf::decoding_of(array);
    column.attributes = cf::decoded_attributes(array.attributes, decoding);
    column.values.type = cf::decoded_type(decoding, memory_type(array.type));
    for (size_t d = 0; d < array.shape.size(); ++d) {
      if (named.single[d] || is_reduced(d)) continue;
      const Axis axis{named.selection.origin[d], named.selection.shape[d], named.selection.step[d],
                      false};
      column.dimensions.push_back(output_dimension(array, d, axis));
      column.values.shape.push_back(axis.shape);
    }
    return column;
  }

  Result<Column> read_column(const Array& array, const Selection& part,
                             const std::vector<bool>& single) {
    Column column;
    column.name = array.name;
    const cf::Decoding decoding = cf::decoding_of(array);
    column.attributes =
        raw_ ? array.attributes : cf::decoded_attributes(array.attributes, decoding);
    UPWELL_TRY(Values values, read_raw(session_, dataset_, array, part));
    if (!raw_) {
      const bool integers = array.type.kind == Kind::kInt || array.type.kind == Kind::kUint;
      auto units = cf::time_units_of(array);
      // Only text shows times as dates; elsewhere they stay numbers with their units.
      if (units && !*units && company_ == Company::kCoordinates)
        return fail(Error(units->error()).with(array.name + ": --raw writes it undecoded"));
      if (units && *units && array.type.is_number()) column.time = **units;
      if (column.time && integers && !decoding.scale_factor && !decoding.add_offset)
        column.ticks = values;
      UPWELL_TRY(values, cf::decode(decoding, std::move(values)));
    }
    size_t rank = array.shape.size();
    if (company_ == Company::kCoordinates && !raw_ && are_characters(array.type, part.shape) &&
        !single[rank - 1]) {
      --rank;
      values.shape = part.shape;
      values = joined_characters(std::move(values));
    }
    if (company_ == Company::kDescribed && !raw_ && values.type.kind == Kind::kFloat &&
        !decoding.missing.empty())
      column.attributes.push_back({"_FillValue", quiet_nan(values.type), false});
    if (company_ == Company::kDescribed)
      cf::restore_attribute_types(column.attributes, memory_type(array.type), values.type);
    Shape kept;
    for (size_t d = 0; d < rank; ++d) {
      if (single[d]) continue;
      const Axis axis{part.origin[d], part.shape[d], part.step[d], false};
      column.dimensions.push_back(output_dimension(array, d, axis));
      kept.push_back(part.shape[d]);
    }
    values.shape = kept;
    column.values = std::move(values);
    return column;
  }

  /// Parts of one dimension that differ, and dimensions of the same name in several groups, get
  /// names that differ.
  std::string output_dimension(const Array& array, size_t d, const Axis& axis) {
    std::string name = dimension_name(array, d);
    auto at = written_.emplace(name, axis).first;
    if (at->second == axis) return name;
    name += fmt::format("_{}_{}", array.name, d);
    written_.emplace(name, axis);
    return name;
  }

  bool is_there(const Array* array) const {
    return std::any_of(sources_.begin(), sources_.end(),
                       [&](const NamedArray& s) { return s.array == array; });
  }

  /// Names of arrays that the output has not go; so do their labels
  /// ("area: cell_area"). Paths become the names that the arrays have in the output.
  void rewrite_roles(Column& column, const NamedArray& source) const {
    for (const Role& role : kRoles) {
      auto text = text_attribute(column.attributes, role.attribute);
      const bool mapping = role.attribute == std::string_view("grid_mapping");
      if (!text || (mapping && text->find(':') != std::string::npos)) continue;
      std::string kept, label;
      for (const std::string& word : words_of(*text)) {
        if (is_label(word)) {
          label += word + " ";
          continue;
        }
        const NamedArray named = find_named(dataset_, source.path, word);
        // Measures may lie in another file (CF 7.2).
        const bool external = named.array == nullptr && !role.taken;
        if (external || is_there(named.array))
          kept += (kept.empty() ? "" : " ") + label + (external ? word : named.array->name);
        label.clear();
      }
      if (kept.empty()) {
        auto is_role = [&](const Attribute& a) { return a.name == role.attribute; };
        column.attributes.erase(
            std::remove_if(column.attributes.begin(), column.attributes.end(), is_role),
            column.attributes.end());
      } else if (kept != *text) {
        set_text(column.attributes, role.attribute, kept);
      }
    }
  }

  /// A coordinate that became a scalar is one of the data only when they name it (CF 5.7).
  void name_scalars() {
    if (table_.data.dimensions == std::vector<std::string>{table_.data.name}) return;
    std::string text = text_attribute(table_.data.attributes, "coordinates").value_or("");
    const std::vector<std::string> before = words_of(text);
    for (const Column& column : table_.others) {
      if (!column.is_coordinate || !column.dimensions.empty()) continue;
      if (std::find(before.begin(), before.end(), column.name) != before.end()) continue;
      text += (text.empty() ? "" : " ") + column.name;
    }
    if (!text.empty()) set_text(table_.data.attributes, "coordinates", text);
  }

  io::Session& session_;
  const Dataset& dataset_;
  bool raw_;
  Company company_;
  std::vector<bool> reduced_;  // axes of the data; {} is none
  Table table_;
  std::map<std::string, Axis> axes_;     // of the data, by dimension
  std::map<std::string, Axis> written_;  // dimensions of the output
  std::vector<NamedArray> sources_;      // of the data, then of `others`
};

}  // namespace

Values quiet_nan(const DataType& type) {
  Values value = make_number(NAN);
  if (type.size == 8) return value;
  const float narrow = NAN;
  value.type = type;
  value.data.resize(sizeof(narrow));
  std::memcpy(value.data.data(), &narrow, sizeof(narrow));
  return value;
}

Result<Table> read_table(io::Session& session, const Dataset& dataset, const std::string& path,
                         const NamedSelection& named, bool raw, Company company) {
  const Array* array = dataset.root.find_array(path);
  if (array == nullptr) return fail(Code::kNotFound, path);
  return TableReader(session, dataset, raw, company).read(path, *array, named);
}

Result<Table> read_reduced_company(io::Session& session, const Dataset& dataset,
                                   const std::string& path, const NamedSelection& named,
                                   const std::vector<bool>& reduced) {
  const Array* array = dataset.root.find_array(path);
  if (array == nullptr) return fail(Code::kNotFound, path);
  TableReader reader(session, dataset, /*raw=*/false, Company::kDescribed);
  reader.leave_out(reduced);
  return reader.read(path, *array, named);
}

}  // namespace upwell::cli
