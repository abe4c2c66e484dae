#include "format/hdf5/netcdf4.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "format/hdf5/netcdf_types.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kNonCoordinate = "_nc4_non_coord_";
constexpr std::string_view kPhony = "phony_dim_";
constexpr std::string_view kScaleClass = "DIMENSION_SCALE";
constexpr std::string_view kDimensionWithoutVariable =
    "This is a netCDF dimension but not a netCDF variable";

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_dataset(const Object& object) {
  return object.what == Object::What::kDataset && object.dataset && object.dataset->has_space();
}

/// As libhdf5 decides: fixed text of another length or padding does not make a scale.
bool is_scale(const Object& object) {
  if (!is_dataset(object) || object.dataset->array.shape.empty()) return false;
  const Attribute* cls = find_attribute(object.attributes, "CLASS");
  if (!cls || cls->value.count() != 1) return false;
  const DataType& type = cls->value.type;
  bool exact = type.kind == Kind::kString && type.size == kScaleClass.size() + 1 &&
               type.padding == StringPadding::kNullTerminated;
  return (exact || type.kind == Kind::kVlenString) && cls->value.text(0) == kScaleClass;
}

bool is_unlimited(const Array& array, size_t axis) {
  return axis < array.max_shape.size() && array.max_shape[axis] == kUndefined;
}

/// What netCDF-C takes for elements that are not there of a variable that defines no fill value
/// (NC_FILL_BYTE and so on); nullopt where that is zeros.
std::optional<Bytes> default_fill(const DataType& type) {
  const DataType& number = type.kind == Kind::kEnum ? *type.base : type;
  const bool plain = number.is_number() && !number.layout && number.size <= 8;
  if (!plain) return std::nullopt;
  // The default of a signed integer is next to its least value, of an unsigned one (but for the
  // byte) next to its greatest.
  const uint64_t top = uint64_t{1} << (number.size * 8 - 1);
  std::array<uint8_t, 8> memory{};
  constexpr double kReal = 9.9692099683868690e+36;
  constexpr auto kShortReal = static_cast<float>(kReal);
  uint64_t integer = 0;
  if (number.kind == Kind::kFloat && number.size == 4) {
    std::memcpy(memory.data(), &kShortReal, sizeof kShortReal);
  } else if (number.kind == Kind::kFloat && number.size == 8) {
    std::memcpy(memory.data(), &kReal, sizeof kReal);
  } else if (number.kind == Kind::kInt) {
    integer = number.size == 8 ? top + 2 : top + 1;
    std::memcpy(memory.data(), &integer, number.size);
  } else if (number.kind == Kind::kUint) {
    integer = number.size == 8 ? UINT64_MAX - 1 : top - 1 + top;
    std::memcpy(memory.data(), &integer, number.size);
  } else {
    return std::nullopt;
  }
  Bytes stored(number.size);
  if (!from_memory(number, ByteSpan(memory).first(number.size), 1, stored)) return std::nullopt;
  return stored;
}

/// Gives every axis of one file its name.
class DimensionNames {
 public:
  DimensionNames(const Objects& objects, bool own_names, bool partial)
      : objects_(objects), own_(own_names), partial_(partial) {}

  void run(const NamedGroup& root, bool extend, Dataset& dataset) {
    Place& top = places_.emplace_back();
    top.tree = &dataset.root;
    declare(root, top);
    match(top);
    invent_rest(top);
    for (Place& place : places_) name_axes(place);
    for (Place& place : places_) {
      for (Variable& variable : place.variables)
        if (extend) extend_variable(variable);
    }
    for (Place& place : places_) list_dimensions(place);  // they move
  }

 private:
  struct Named {
    int64_t id = 0;
    Dimension dimension;
    const Object* scale = nullptr;
    bool counts = true;  ///< one of netCDF-C's own
  };
  struct Variable {
    const Object* object = nullptr;
    const Array* facts = nullptr;
    Array* array = nullptr;  ///< in the tree; null when it could not be read
    bool netcdf = false;
    bool scale = false;
    std::vector<int64_t> coordinates;  ///< dimensions by number, where the file says so
    std::vector<Named*> axes;
    std::vector<std::string> names;  ///< of axes of arrays of other files
  };
  struct Place {
    Group* tree = nullptr;
    Place* parent = nullptr;
    std::deque<Named> dimensions;  ///< references stay valid
    std::vector<Variable> variables;
    std::vector<Place*> children;
  };

  /// Scales and variables in netCDF-C's order: a group before those below it.
  void declare(const NamedGroup& group, Place& place) {
    std::unordered_map<std::string_view, Array*> arrays;
    std::unordered_map<std::string_view, Group*> groups;
    if (place.tree) {
      for (Array& array : place.tree->arrays) arrays.emplace(array.name, &array);
      for (Group& child : place.tree->groups) groups.emplace(child.name, &child);
    }
    for (const NamedGroup::Item& item : group.items) {
      auto array = arrays.find(own_ ? item.link : variable_name(item.link));
      // A variable may have the name of a dimension that is none.
      bool hidden = !own_ && item.object && is_dimension_only(*item.object);
      Array* shown = hidden || array == arrays.end() ? nullptr : array->second;
      if (!item.object) {
        if (shown) declare_foreign(*shown, place);
      } else if (item.object->what == Object::What::kType) {
        if (item.object->type) types_.meet(*item.object->type);
      } else {
        declare_dataset(*item.object, item.link, shown, place);
      }
    }
    for (const NamedGroup& child : group.groups) {
      auto shown = groups.find(child.link);
      Place& below = places_.emplace_back();
      below.tree = shown == groups.end() ? nullptr : shown->second;
      below.parent = &place;
      place.children.push_back(&below);
      declare(child, below);
    }
  }

  void declare_dataset(const Object& object, const std::string& link, Array* shown, Place& place) {
    Variable variable;
    variable.object = &object;
    variable.array = shown;
    variable.facts = shown ? shown : &object.dataset->array;
    size_t rank = variable.facts->shape.size();
    variable.axes.resize(rank);
    bool only = false;
    if (is_scale(object)) {
      variable.scale = true;
      only = is_dimension_only(object);
      Named& own = add_scale(object, link, *variable.facts, only, place);
      if (rank == 1 || only) variable.axes[0] = &own;
    }
    if (!only) {
      auto ids = dimension_ids(object);
      if (!ids.empty() && ids.size() == rank) variable.coordinates = std::move(ids);
      variable.netcdf = types_.meet(variable.facts->type);
    }
    place.variables.push_back(std::move(variable));
  }

  /// An array of another file: its names stay unless they were invented there.
  void declare_foreign(Array& shown, Place& place) {
    Variable variable;
    variable.array = &shown;
    variable.facts = &shown;
    variable.netcdf = types_.meet(shown.type);
    variable.axes.resize(shown.shape.size());
    variable.names = shown.dimensions;
    variable.names.resize(shown.shape.size());
    for (std::string& name : variable.names)
      if (name.starts_with(kPhony)) name.clear();
    place.variables.push_back(std::move(variable));
  }

  Named& add_scale(const Object& object, const std::string& link, const Array& facts, bool only,
                   Place& place) {
    auto stored = dimension_id(object);
    if (stored) next_id_ = std::max(next_id_, *stored + 1);
    Named& added = place.dimensions.emplace_back();
    added.id = stored ? *stored : next_id_++;
    bool unlimited = is_unlimited(facts, 0);
    // The length of an unlimited dimension is that of its longest variable.
    added.dimension = {link, only && unlimited ? 0 : facts.shape[0], unlimited};
    if (unlimited && !objects_.measured.empty()) {
      for (const ScaleUse& use : uses_of_scale(object).value_or(std::vector<ScaleUse>{})) {
        auto other = objects_.measured.find(use.dataset);
        if (other != objects_.measured.end() && use.axis < other->second.size())
          added.dimension.size = std::max(added.dimension.size, other->second[use.axis]);
      }
    }
    added.scale = &object;
    by_id_.emplace(added.id, &added);
    return added;
  }

  void match(Place& place) {
    for (Place* child : place.children) match(*child);
    for (Variable& variable : place.variables) match_variable(place, variable);
  }

  void match_variable(Place& place, Variable& variable) {
    if (!variable.coordinates.empty()) {
      for (size_t i = 0; i < variable.axes.size(); ++i)
        if (auto found = by_id_.find(variable.coordinates[i]); found != by_id_.end())
          variable.axes[i] = found->second;
      return;
    }
    if (variable.scale) return;
    if (variable.object) {
      auto scales = listed_scales(*variable.object);
      if (!scales.empty()) {
        variable.names.resize(variable.axes.size());
        for (size_t i = 0; i < std::min(scales.size(), variable.axes.size()); ++i) {
          const Object* scale = objects_.find(scales[i]);
          if (!scale) continue;
          variable.axes[i] = find_scale(place, scale);
          if (!variable.axes[i]) variable.names[i] = last_name(scale->path);
        }
        return;
      }
    }
    if (variable.netcdf) invent(place, variable, true);
  }

  static Named* find_scale(Place& place, const Object* scale) {
    for (Place* at = &place; at; at = at->parent)
      for (Named& named : at->dimensions)
        if (named.scale == scale) return &named;
    return nullptr;
  }

  void invent(Place& place, Variable& variable, bool counts) {
    if (partial_) return;
    const Array& facts = *variable.facts;
    for (size_t i = 0; i < variable.axes.size(); ++i) {
      if (variable.axes[i] || (i < variable.names.size() && !variable.names[i].empty())) continue;
      bool unlimited = is_unlimited(facts, i);
      auto fits = [&](const Named& named) {
        return named.dimension.size == facts.shape[i] && named.dimension.unlimited == unlimited &&
               std::find(variable.axes.begin(), variable.axes.end(), &named) == variable.axes.end();
      };
      auto found = std::find_if(place.dimensions.begin(), place.dimensions.end(), fits);
      if (found != place.dimensions.end()) {
        variable.axes[i] = &*found;
        continue;
      }
      Named& added = place.dimensions.emplace_back();
      added.id = next_id_++;
      added.dimension = {fmt::format("{}{}", kPhony, added.id), facts.shape[i], unlimited};
      added.counts = counts;
      variable.axes[i] = &added;
    }
  }

  void invent_rest(Place& place) {
    for (Place* child : place.children) invent_rest(*child);
    for (Variable& variable : place.variables) {
      if (variable.array) invent(place, variable, false);
      for (size_t i = 0; i < variable.axes.size(); ++i) {
        if (variable.axes[i] && variable.axes[i]->dimension.unlimited && variable.netcdf)
          variable.axes[i]->dimension.size =
              std::max(variable.axes[i]->dimension.size, variable.facts->shape[i]);
      }
    }
  }

  static void name_axes(Place& place) {
    for (Variable& variable : place.variables) {
      if (!variable.array) continue;
      std::vector<std::string>& names = variable.array->dimensions;
      names.clear();
      variable.names.resize(variable.axes.size());
      for (size_t i = 0; i < variable.axes.size(); ++i)
        names.push_back(variable.axes[i] ? variable.axes[i]->dimension.name : variable.names[i]);
    }
  }

  /// Gives a variable the lengths of its unlimited dimensions.
  static void extend_variable(Variable& variable) {
    if (!variable.array || !variable.object || !variable.netcdf) return;
    Array& array = *variable.array;
    bool longer = false;
    for (size_t i = 0; i < variable.axes.size(); ++i) {
      if (!variable.axes[i] || !variable.axes[i]->dimension.unlimited) continue;
      const uint64_t size = variable.axes[i]->dimension.size;
      longer = longer || size > array.shape[i];
      array.shape[i] = std::max(array.shape[i], size);
    }
    if (!longer || array.fill) return;
    array.fill = default_fill(array.type);
    if (!array.fill) return;
    // Chunks that were never written stay zeros, as HDF5 has it.
    for (Segment& segment : array.segments) {
      if (segment.layout->fill || segment.layout->type.has_vlen()) continue;
      SegmentLayout layout = *segment.layout;
      layout.fill = Bytes(layout.type.size, uint8_t{0});
      segment.layout = std::make_shared<const SegmentLayout>(std::move(layout));
    }
  }

  static void list_dimensions(Place& place) {
    if (!place.tree) return;
    std::stable_sort(place.dimensions.begin(), place.dimensions.end(),
                     [](const Named& a, const Named& b) { return a.id < b.id; });
    place.tree->dimensions.clear();
    for (const Named& named : place.dimensions) place.tree->dimensions.push_back(named.dimension);
  }

  const Objects& objects_;
  bool own_;
  bool partial_;
  NetcdfTypes types_;
  std::deque<Place> places_;
  std::unordered_map<int64_t, Named*> by_id_;
  int64_t next_id_ = 0;
};

}  // namespace

void name_dimensions(const Objects& objects, const NamedGroup& root, bool own_names, bool extend,
                     Dataset& dataset) {
  DimensionNames(objects, own_names, dataset.partial).run(root, extend, dataset);
}

std::optional<std::vector<ScaleUse>> uses_of_scale(const Object& scale) {
  const Attribute* list = find_attribute(scale.attributes, "REFERENCE_LIST");
  if (!list) return std::nullopt;
  const DataType& type = list->value.type;
  if (type.kind != Kind::kCompound || type.members.size() != 2) return std::nullopt;
  const Member& dataset = type.members[0];
  const Member& axis = type.members[1];
  if (dataset.type->kind != Kind::kReference || dataset.type->size > 8 || axis.type->size > 8 ||
      (axis.type->kind != Kind::kInt && axis.type->kind != Kind::kUint))
    return std::nullopt;
  std::vector<ScaleUse> uses(list->value.count(), {0, 0});
  for (size_t i = 0; i < uses.size(); ++i) {
    const uint8_t* element = list->value.data.data() + i * type.size;
    std::memcpy(&uses[i].dataset, element + dataset.offset, dataset.type->size);
    std::memcpy(&uses[i].axis, element + axis.offset, axis.type->size);
  }
  return uses;
}

bool is_unlimited_scale(const Object& object) {
  return is_scale(object) && is_unlimited(object.dataset->array, 0);
}

std::vector<uint64_t> listed_scales(const Object& object) {
  const Attribute* list = find_attribute(object.attributes, "DIMENSION_LIST");
  if (!list) return {};
  const DataType& type = list->value.type;
  if (type.kind != Kind::kVlen || !type.base || type.base->kind != Kind::kReference) return {};
  size_t size = type.base->size;
  if (size < 2 || size > 8) return {};
  std::vector<uint64_t> scales(list->value.count(), kUndefined);
  for (size_t i = 0; i < scales.size(); ++i) {
    VlenHandle handle;
    std::memcpy(&handle, list->value.data.data() + i * sizeof handle, sizeof handle);
    uint64_t heap = list->value.heap.size();
    if (handle.count == 0 || handle.offset > heap || handle.count > (heap - handle.offset) / size) {
      if (i == 0) return {};
      continue;
    }
    scales[i] = 0;
    uint64_t last = handle.offset + (handle.count - 1) * size;
    for (size_t b = size; b-- > 0;) scales[i] = scales[i] << 8 | list->value.heap[last + b];
  }
  return scales;
}

std::optional<int64_t> dimension_id(const Object& object) {
  const Attribute* attribute = find_attribute(object.attributes, "_Netcdf4Dimid");
  if (!attribute || attribute->value.count() < 1 || !attribute->value.type.is_number())
    return std::nullopt;
  int64_t id = attribute->value.integer(0);
  if (id < 0 || id >= (1 << 30)) return std::nullopt;
  return id;
}

std::vector<int64_t> dimension_ids(const Object& object) {
  const Attribute* attribute = find_attribute(object.attributes, "_Netcdf4Coordinates");
  if (!attribute || !attribute->value.type.is_number()) return {};
  std::vector<int64_t> ids(attribute->value.count());
  for (size_t i = 0; i < ids.size(); ++i) ids[i] = attribute->value.integer(i);
  return ids;
}

bool is_dimension_only(const Object& object) {
  if (!is_scale(object)) return false;
  auto label = text_attribute(object.attributes, "NAME");
  return label && label->starts_with(kDimensionWithoutVariable);
}

bool is_hidden_attribute(const Attribute& attribute) {
  static constexpr std::array<std::string_view, 6> kAlways = {
      "DIMENSION_LIST",      "REFERENCE_LIST", "_Netcdf4Dimid",
      "_Netcdf4Coordinates", "_nc3_strict",    "_NCProperties"};
  if (std::find(kAlways.begin(), kAlways.end(), attribute.name) != kAlways.end()) return true;
  return attribute.name == "CLASS" && attribute.value.type.kind == Kind::kString &&
         attribute.value.count() == 1 && attribute.value.text(0) == kScaleClass;
}

std::string_view variable_name(std::string_view link_name) {
  return link_name.starts_with(kNonCoordinate) ? link_name.substr(kNonCoordinate.size())
                                               : link_name;
}

}  // namespace upwell::format::hdf5
