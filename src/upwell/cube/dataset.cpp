#include "cube/dataset.hpp"

#include <algorithm>

namespace upwell {
namespace {

bool same_attributes(const std::optional<Attributes>& a, const std::optional<Attributes>& b) {
  if (!a || !b) return a.has_value() == b.has_value();
  return std::equal(a->begin(), a->end(), b->begin(), b->end(),
                    [](const Attribute& x, const Attribute& y) {
                      return x.name == y.name && x.null_space == y.null_space &&
                             x.value.type == y.value.type && x.value.shape == y.value.shape &&
                             x.value.data == y.value.data && x.value.heap == y.value.heap;
                    });
}

bool equal_layout_types(const SegmentLayout& a, const SegmentLayout& b) {
  return a.type == b.type && a.fortran_order == b.fortran_order && a.fill == b.fill &&
         same_attributes(a.packing, b.packing);
}

/// Splits "a/b/c" into "a" and "b/c", ignoring leading slashes.
std::pair<std::string_view, std::string_view> split_path(std::string_view path) {
  while (!path.empty() && path.front() == '/') path.remove_prefix(1);
  size_t slash = path.find('/');
  if (slash == std::string_view::npos) return {path, {}};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

void visit_below(const std::string& prefix, const Group& group,
                 const std::function<void(const std::string&, const Array&)>& visit) {
  for (const Array& array : group.arrays) visit(prefix + array.name, array);
  for (const Group& child : group.groups) visit_below(prefix + child.name + "/", child, visit);
}

}  // namespace

bool SegmentLayout::operator==(const SegmentLayout& other) const {
  return chunk_shape == other.chunk_shape && codecs == other.codecs &&
         equal_layout_types(*this, other);
}

const Group* Group::find_group(std::string_view path) const {
  auto [head, rest] = split_path(path);
  if (head.empty()) return this;
  for (const Group& group : groups) {
    if (group.name == head) return group.find_group(rest);
  }
  return nullptr;
}

const Array* Group::find_array(std::string_view path) const {
  auto [head, rest] = split_path(path);
  if (rest.empty()) {
    for (const Array& array : arrays) {
      if (array.name == head) return &array;
    }
    return nullptr;
  }
  for (const Group& group : groups) {
    if (group.name == head) return group.find_array(rest);
  }
  return nullptr;
}

Shape grid_shape(const Shape& shape, const Shape& chunk_shape) {
  Shape grid(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) {
    grid[d] = chunk_shape[d] == 0
                  ? 0
                  : shape[d] / chunk_shape[d] + (shape[d] % chunk_shape[d] != 0 ? 1 : 0);
  }
  return grid;
}

void for_each_array(const Group& group,
                    const std::function<void(const std::string&, const Array&)>& visit) {
  visit_below("/", group, visit);
}

}  // namespace upwell
