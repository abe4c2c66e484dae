#include "refs/reference_tree.hpp"

#include <algorithm>

namespace upwell::refs {
namespace {

constexpr size_t kMaxGroupDepth = 64;

std::pair<std::string_view, std::string_view> split_last(std::string_view key) {
  const size_t slash = key.rfind('/');
  if (slash == std::string_view::npos) return {"", key};
  return {key.substr(0, slash), key.substr(slash + 1)};
}

bool is_dropped(const std::vector<std::string>& drop, std::string_view path) {
  return std::any_of(drop.begin(), drop.end(), [&](std::string_view name) {
    return (name.starts_with('/') ? name.substr(1) : name) == path;
  });
}

/// Zarr keeps no dimensions: they are what the arrays of a group, or of one above, name.
void define_dimensions(Group& group, const std::vector<const Group*>& above) {
  std::unordered_map<std::string, uint64_t> known;
  for (const Group* parent : above) {
    for (const Dimension& d : parent->dimensions) known[d.name] = d.size;
  }
  for (const Array& array : group.arrays) {
    for (size_t i = 0; i < array.dimensions.size(); ++i) {
      const std::string& name = array.dimensions[i];
      const auto it = known.find(name);
      if (name.empty() || (it != known.end() && it->second == array.shape[i])) continue;
      const auto here = std::find_if(group.dimensions.begin(), group.dimensions.end(),
                                     [&](const Dimension& d) { return d.name == name; });
      if (here != group.dimensions.end()) continue;
      known[name] = array.shape[i];
      group.dimensions.push_back({name, array.shape[i], false});
    }
  }
  std::vector<const Group*> below = above;
  below.push_back(&group);
  for (Group& child : group.groups) define_dimensions(child, below);
}

Array finished_array(ReferenceArray& reference) {
  Array array = std::move(reference.zarr.array);
  array.name = std::string(split_last(reference.path).second);
  Segment segment;
  segment.origin.assign(array.shape.size(), 0);
  segment.shape = array.shape;
  segment.layout = std::move(reference.zarr.layout);
  segment.chunks = std::move(reference.chunks);
  segment.grid = std::move(reference.grid);
  array.segments.push_back(std::move(segment));
  return array;
}

}  // namespace

bool ReferenceTree::is_metadata(std::string_view key) {
  const std::string_view name = split_last(key).second;
  return name.starts_with(".z") || name == "zarr.json";
}

ReferenceTree::Node& ReferenceTree::node(std::string_view path) {
  if (auto it = nodes_.find(path); it != nodes_.end()) return it->second;
  order_.emplace_back(path);
  return nodes_[std::string(path)];
}

Result<> ReferenceTree::add(std::string_view key, std::string text) {
  const auto [path, name] = split_last(key);
  if (static_cast<size_t>(std::count(path.begin(), path.end(), '/')) >= kMaxGroupDepth) {
    return fail(Code::kInvalidData, "key " + std::string(key.substr(0, 100)) + "... is too deep");
  }
  std::string Node::* member = name == ".zarray"     ? &Node::zarray
                               : name == ".zattrs"   ? &Node::zattrs
                               : name == ".zgroup"   ? &Node::zgroup
                               : name == "zarr.json" ? &Node::zarr_json
                                                     : nullptr;
  // .zmetadata repeats the other documents.
  if (member) node(path).*member = std::move(text);
  return {};
}

Result<> ReferenceTree::parse_node(const std::string& path, Node& node, bool shards,
                                   ZarrArrayCache* cache) {
  ReferenceArray reference{path, {}, {}, 0, nullptr};
  if (!node.zarray.empty()) {
    UPWELL_TRY(reference.zarr, cache ? cache->parse_zarr2(path, node.zarray, node.zattrs)
                                     : parse_zarr2_array(node.zarray, node.zattrs));
    node.is_array = true;
  } else if (!node.zarr_json.empty()) {
    UPWELL_TRY(ZarrNode parsed, parse_zarr3(node.zarr_json));
    node.is_group = parsed.is_group;
    node.is_array = !parsed.is_group;
    node.attributes = std::move(parsed.attributes);
    if (parsed.array) reference.zarr = std::move(*parsed.array);
  } else {
    node.is_group = true;
    if (!node.zattrs.empty()) {
      UPWELL_TRY(node.attributes, parse_zarr_attributes(node.zattrs));
    }
  }
  if (!node.is_array) return {};
  if (!shards && !reference.zarr.shards.empty()) {
    return fail(Code::kUnsupported, "codec \"sharding_indexed\" is not read in reference sets");
  }
  reference.grid = grid_shape(reference.zarr.array.shape, reference.zarr.array.chunk_shape);
  reference.chunk_count = element_count(reference.grid);
  by_path_[path] = arrays_.size();
  arrays_.push_back(std::move(reference));
  return {};
}

Result<> ReferenceTree::parse(const std::vector<std::string>& drop, bool shards,
                              ZarrArrayCache* cache) {
  for (const std::string& path : order_) {
    Node& at = nodes_[path];
    if (is_dropped(drop, path)) {
      if (!path.empty()) dropped_.push_back("/" + path);
      at.is_array = true;
      continue;
    }
    if (auto done = parse_node(path, at, shards, cache); !done) {
      // An array of which the form is not known can only be reported; its chunks are skipped.
      at.is_array = true;
      problems_.push_back({"/" + path, std::move(done).error()});
    }
  }
  return {};
}

ReferenceArray* ReferenceTree::find(std::string_view key, std::string_view& chunk) {
  if (last_ < arrays_.size()) {
    const std::string& path = arrays_[last_].path;
    if (key.size() > path.size() && key[path.size()] == '/' && key.starts_with(path)) {
      chunk = key.substr(path.size() + 1);
      return &arrays_[last_];
    }
  }
  for (size_t end = key.rfind('/');; end = key.rfind('/', end - 1)) {
    const std::string_view path = end == std::string_view::npos ? "" : key.substr(0, end);
    if (const auto it = by_path_.find(path); it != by_path_.end()) {
      last_ = it->second;
      chunk = key.substr(end == std::string_view::npos ? 0 : end + 1);
      return &arrays_[last_];
    }
    if (end == std::string_view::npos || end == 0) return nullptr;
  }
}

Result<Dataset> ReferenceTree::build(std::shared_ptr<GranuleTable> granules, std::string format) {
  Dataset dataset;
  dataset.dropped = std::move(dropped_);
  dataset.granules = std::move(granules);
  dataset.format = std::move(format);
  dataset.problems = std::move(problems_);

  // Groups by path; children before they are moved into their parents, so deepest first.
  std::map<std::string, Group> groups;
  std::vector<std::string> group_order;
  const auto group_at = [&](std::string_view path) -> Group& {
    for (std::string_view p = path;;) {
      auto [it, added] = groups.try_emplace(std::string(p));
      if (!added) break;
      it->second.name = std::string(split_last(p).second);
      group_order.emplace_back(p);
      if (p.empty()) break;
      p = split_last(p).first;
    }
    return groups[std::string(path)];
  };
  group_at("");
  for (const std::string& path : order_) {
    Node& at = nodes_[path];
    if (at.is_group) group_at(path).attributes = std::move(at.attributes);
    const auto it = at.is_array ? by_path_.find(path) : by_path_.end();
    if (it != by_path_.end()) {
      group_at(split_last(path).first).arrays.push_back(finished_array(arrays_[it->second]));
    }
  }
  std::stable_sort(group_order.begin(), group_order.end(),
                   [](const std::string& a, const std::string& b) {
                     return std::count(a.begin(), a.end(), '/') + !a.empty() >
                            std::count(b.begin(), b.end(), '/') + !b.empty();
                   });
  for (const std::string& path : group_order) {
    if (path.empty()) continue;
    groups[std::string(split_last(path).first)].groups.push_back(std::move(groups[path]));
  }
  dataset.root = std::move(groups[""]);
  define_dimensions(dataset.root, {});
  return dataset;
}

}  // namespace upwell::refs
