#include "format/hdf5/netcdf4.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <unordered_set>

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kNonCoordinate = "_nc4_non_coord_";
constexpr std::string_view kDimensionWithoutVariable =
    "This is a netCDF dimension but not a netCDF variable";

bool is_scale(const Object& object) {
  if (object.what != Object::What::kDataset || object.error || !object.dataset) return false;
  if (object.dataset->array.shape.empty()) return false;
  auto cls = text_attribute(object.attributes, "CLASS");
  return cls && *cls == "DIMENSION_SCALE";
}

bool has_netcdf_type(const Object& object) {
  switch (object.dataset->array.type.kind) {
    case Kind::kReference:
    case Kind::kRegionReference:
    case Kind::kArray:
    case Kind::kBitfield:
    case Kind::kTime:
      return false;
    default:
      return true;
  }
}

std::string last_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_unlimited(const Array& array, size_t axis) {
  return axis < array.max_shape.size() && array.max_shape[axis] == kUndefined;
}

std::optional<int64_t> dimension_id(const Object& object) {
  const Attribute* attribute = find_attribute(object.attributes, "_Netcdf4Dimid");
  if (!attribute || attribute->value.count() < 1 || !attribute->value.type.is_number())
    return std::nullopt;
  return attribute->value.integer(0);
}

/// Names and numbers of the dimensions of one file.
class DimensionNames {
 public:
  explicit DimensionNames(Objects& objects) : objects_(objects) {}

  void run() {
    collect(*objects_.root);
    for (Object& object : objects_.all)
      if (object.what == Object::What::kDataset && object.dataset && !object.error)
        name_by_scales(object);
    visited_.clear();
    add_phony(*objects_.root, true);
    visited_.clear();
    add_phony(*objects_.root, false);
    for (Object& object : objects_.all) stretch(object);
  }

 private:
  // Scales are dimensions of the group that holds them.
  void collect(Object& root) {
    std::vector<Object*> level{&root};
    visited_.insert(&root);
    while (!level.empty()) {
      std::vector<Object*> below;
      for (Object* group : level) {
        for (const Link& link : group->links) {
          if (link.kind != Link::Kind::kHard) continue;
          Object* child = objects_.find(link.address);
          if (!child || !visited_.insert(child).second) continue;
          if (child->what == Object::What::kGroup) below.push_back(child);
          if (is_scale(*child)) add_scale(*group, *child, link.name);
        }
      }
      level = std::move(below);
    }
  }

  void add_scale(Object& group, Object& scale, const std::string& name) {
    const Array& array = scale.dataset->array;
    scales_[&scale] = {name, &group, group.defined.size()};
    group.defined.push_back({name, array.shape[0], is_unlimited(array, 0)});
    int64_t id = dimension_id(scale).value_or(next_id_);
    if (id >= 0 && id < (1 << 30)) next_id_ = std::max(next_id_, id + 1);
    ids_[id] = name;
    auto label = text_attribute(scale.attributes, "NAME");
    scale.dimension_only = label && label->starts_with(kDimensionWithoutVariable);
  }

  void name_by_scales(Object& object) {
    const Array& array = object.dataset->array;
    size_t rank = array.shape.size();
    object.dimensions.assign(rank, "");
    if (const Attribute* ids = find_attribute(object.attributes, "_Netcdf4Coordinates");
        ids && ids->value.count() == rank && ids->value.type.is_number()) {
      for (size_t i = 0; i < rank; ++i)
        if (auto found = ids_.find(ids->value.integer(i)); found != ids_.end())
          object.dimensions[i] = found->second;
    }
    if (auto own = scales_.find(&object); own != scales_.end()) {
      if (object.dimensions[0].empty()) object.dimensions[0] = own->second.name;
    }
    if (const Attribute* list = find_attribute(object.attributes, "DIMENSION_LIST"))
      name_by_list(object, *list);
  }

  void name_by_list(Object& object, const Attribute& list) {
    const DataType& type = list.value.type;
    if (type.kind != Kind::kVlen || !type.base || type.base->kind != Kind::kReference) return;
    size_t size = type.base->size;
    if (size < 2 || size > 8) return;
    size_t rank = std::min<size_t>(object.dimensions.size(), list.value.count());
    for (size_t i = 0; i < rank; ++i) {
      VlenHandle handle;
      std::memcpy(&handle, list.value.data.data() + i * sizeof handle, sizeof handle);
      uint64_t heap = list.value.heap.size();
      if (handle.count == 0 || handle.offset > heap || handle.count > (heap - handle.offset) / size)
        continue;
      uint64_t address = 0;
      // Of several scales on one axis the last one names it, as for netCDF-C.
      uint64_t last = handle.offset + (handle.count - 1) * size;
      for (size_t b = size; b-- > 0;) address = address << 8 | list.value.heap[last + b];
      const Object* scale = objects_.find(address);
      if (!scale || scale == &object) continue;
      auto known = scales_.find(scale);
      object.dimensions[i] = known != scales_.end() ? known->second.name : last_name(scale->path);
      if (known != scales_.end()) used_.push_back({&object, i, scale});
    }
  }

  // As netCDF-C: groups below first; a dimension of the group with the same length and kind is
  // taken unless the variable has it already. Variables of types that netCDF-4 does not have come
  // last, so that the numbers of the others are netCDF-C's.
  void add_phony(Object& group, bool netcdf_types, int depth = 0) {
    if (depth > 512 || !visited_.insert(&group).second) return;
    for (const Link& link : group.links) {
      Object* child = link.kind == Link::Kind::kHard ? objects_.find(link.address) : nullptr;
      if (child && child->what == Object::What::kGroup) add_phony(*child, netcdf_types, depth + 1);
    }
    for (const Link& link : group.links) {
      Object* child = link.kind == Link::Kind::kHard ? objects_.find(link.address) : nullptr;
      if (!child || child->what != Object::What::kDataset || !child->dataset || child->error)
        continue;
      if (has_netcdf_type(*child) == netcdf_types && visited_.insert(child).second)
        name_phony(group, *child);
    }
  }

  void name_phony(Object& group, Object& object) {
    const Array& array = object.dataset->array;
    for (size_t i = 0; i < object.dimensions.size(); ++i) {
      if (!object.dimensions[i].empty()) continue;
      bool unlimited = is_unlimited(array, i);
      auto free = [&](const Dimension& d) {
        return d.size == array.shape[i] && d.unlimited == unlimited &&
               std::find(object.dimensions.begin(), object.dimensions.end(), d.name) ==
                   object.dimensions.end();
      };
      auto found = std::find_if(group.defined.begin(), group.defined.end(), free);
      if (found == group.defined.end()) {
        group.defined.push_back(
            {fmt::format("phony_dim_{}", next_id_++), array.shape[i], unlimited});
        found = std::prev(group.defined.end());
      }
      object.dimensions[i] = found->name;
    }
  }

  // An unlimited dimension is as long as the longest of its variables.
  void stretch(const Object&) {
    for (const Use& use : used_) {
      const Scale& scale = scales_.at(use.scale);
      Dimension& dimension = scale.group->defined[scale.index];
      if (dimension.unlimited)
        dimension.size = std::max(dimension.size, use.object->dataset->array.shape[use.axis]);
    }
    used_.clear();
  }

  struct Scale {
    std::string name;
    Object* group = nullptr;
    size_t index = 0;
  };
  struct Use {
    const Object* object;
    size_t axis;
    const Object* scale;
  };
  Objects& objects_;
  std::unordered_map<const Object*, Scale> scales_;
  std::unordered_map<int64_t, std::string> ids_;
  std::vector<Use> used_;
  std::unordered_set<const Object*> visited_;
  int64_t next_id_ = 0;
};

}  // namespace

void name_dimensions(Objects& objects) { DimensionNames(objects).run(); }

bool is_hidden_attribute(const Attribute& attribute) {
  static constexpr std::array<std::string_view, 6> kAlways = {
      "DIMENSION_LIST",      "REFERENCE_LIST", "_Netcdf4Dimid",
      "_Netcdf4Coordinates", "_nc3_strict",    "_NCProperties"};
  if (std::find(kAlways.begin(), kAlways.end(), attribute.name) != kAlways.end()) return true;
  return attribute.name == "CLASS" && attribute.value.type.kind == Kind::kString &&
         attribute.value.count() == 1 && attribute.value.text(0) == "DIMENSION_SCALE";
}

std::string_view variable_name(std::string_view link_name) {
  return link_name.starts_with(kNonCoordinate) ? link_name.substr(kNonCoordinate.size())
                                               : link_name;
}

}  // namespace upwell::format::hdf5
