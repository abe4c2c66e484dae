#include "format/hdf5/tree.hpp"

#include <algorithm>
#include <unordered_set>

#include "format/hdf5/netcdf4.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr int kMaxGroupDepth = 512;
constexpr int kMaxSoftLinks = 32;

class TreeBuilder {
 public:
  TreeBuilder(Objects& objects, const ScanOptions& options, const Wanted& wanted, Dataset& dataset,
              PendingFiles& pending)
      : objects_(objects),
        options_(options),
        wanted_(wanted),
        dataset_(dataset),
        pending_(pending) {
    for (const std::string& path : options.drop)
      dropped_.insert(path.starts_with('/') ? path : "/" + path);
    uint64_t links = 0;
    for (const Object& object : objects.all) links += object.links.size();
    // Many paths may lead to one object, but not absurdly many.
    nodes_left_ = 16 * links + 10000;
  }

  Result<> run(NamedGroup& named) {
    Object& root = *objects_.root;
    if (root.error) return fail(std::move(*root.error).with("root group"));
    if (root.what != Object::What::kGroup)
      return fail(Code::kInvalidData, "the root object is not a group");
    return add_group(root, "", dataset_.root, named, 0);
  }

 private:
  Result<> add_group(Object& object, const std::string& path, Group& group, NamedGroup& named,
                     int depth) {
    ancestors_.insert(&object);
    for (const Error& error : object.attribute_errors) report(path.empty() ? "/" : path, error);
    group.attributes = visible(object.attributes);
    for (const Link& link : object.links)
      UPWELL_CHECK(add_link(object, link, path, group, named, depth));
    ancestors_.erase(&object);
    return {};
  }

  Result<> add_link(Object& parent, const Link& link, const std::string& group_path, Group& group,
                    NamedGroup& named, int depth) {
    if (!wanted_.has(group_path, link.name)) return {};
    std::string path = group_path + "/" + link.name;
    if (dropped_.contains(path)) {
      dataset_.dropped.push_back(path);
      return {};
    }
    if (nodes_left_-- == 0)
      return fail(Code::kInvalidData, "links lead to more paths than can be listed");
    Object* target = nullptr;
    switch (link.kind) {
      case Link::Kind::kHard:
        target = objects_.find(link.address);
        break;
      case Link::Kind::kSoft:
        soft_links_ = 0;
        // A soft link may lead nowhere: then it names nothing that could be read.
        target = resolve(parent, link.path);
        break;
      case Link::Kind::kExternal:
        pending_.links.push_back(
            {group_path.empty() ? "/" : group_path, link.name, link.file, link.path});
        named.items.push_back({nullptr, link.name});
        return {};
      case Link::Kind::kOther:
        report(path, Error{Code::kUnsupported, "a link of a user-defined class", {}, {}});
        return {};
    }
    if (!target) return {};
    bool typed = target->what == Object::What::kType && target->type;
    if (typed || (target->dataset && target->dataset->has_space()))
      named.items.push_back({target, link.name});
    if (target->error) {
      report(path, *target->error);
      return {};
    }
    if (target->what == Object::What::kDataset)
      add_array(*target, path, link.name, group);
    else if (target->what == Object::What::kGroup && !ancestors_.contains(target)) {
      if (depth + 1 >= kMaxGroupDepth) {
        report(path, Error{Code::kInvalidData,
                           fmt::format("groups nested deeper than {}", kMaxGroupDepth),
                           {},
                           {}});
        return {};
      }
      Group child;
      child.name = link.name;
      NamedGroup& named_child = named.groups.emplace_back();
      named_child.link = link.name;
      UPWELL_CHECK(add_group(*target, path, child, named_child, depth + 1));
      group.groups.push_back(std::move(child));
    }
    return {};
  }

  void add_array(Object& object, const std::string& path, const std::string& name, Group& group) {
    if (is_dimension_only(object) && !options_.all_attributes) return;
    if (!object.used) return;  // it only bears the name of a dimension
    for (const Error& error : object.attribute_errors) report(path, error);
    Array array = object.dataset->array;
    std::string shown = path;
    array.name = name;
    if (!options_.all_attributes) {
      array.name = variable_name(name);
      shown = path.substr(0, path.size() - name.size()) + array.name;
    }
    array.attributes = visible(object.attributes);
    if (object.dataset->is_virtual) pending_.virtuals.push_back({shown, object.dataset->mappings});
    if (object.dataset->is_external)
      pending_.externals.push_back({shown, object.dataset->slots, object.dataset->heap});
    group.arrays.push_back(std::move(array));
  }

  Attributes visible(const Attributes& all) const {
    if (options_.all_attributes) return all;
    bool scale = std::any_of(all.begin(), all.end(), [](const Attribute& a) {
      return a.name == "CLASS" && is_hidden_attribute(a);
    });
    Attributes shown;
    for (const Attribute& attribute : all)
      if (!is_hidden_attribute(attribute) && !(scale && attribute.name == "NAME"))
        shown.push_back(attribute);
    return shown;
  }

  /// The object at `path` from `group`; null when there is none in this file.
  Object* resolve(Object& group, std::string_view path) {
    if (++soft_links_ > kMaxSoftLinks) return nullptr;
    Object* at = path.starts_with('/') ? objects_.root : &group;
    while (at && !path.empty()) {
      size_t slash = path.find('/');
      std::string name(path.substr(0, slash));
      path = slash == std::string_view::npos ? std::string_view{} : path.substr(slash + 1);
      if (name.empty() || name == ".") continue;
      at = step(*at, name);
    }
    return at;
  }

  Object* step(Object& group, const std::string& name) {
    if (group.by_name.empty())
      for (size_t i = 0; i < group.links.size(); ++i) group.by_name.emplace(group.links[i].name, i);
    auto found = group.by_name.find(name);
    if (found == group.by_name.end()) return nullptr;
    const Link& link = group.links[found->second];
    if (link.kind == Link::Kind::kHard) return objects_.find(link.address);
    if (link.kind == Link::Kind::kSoft) return resolve(group, link.path);
    return nullptr;
  }

  void report(const std::string& path, const Error& error) {
    dataset_.problems.push_back({path, error});
  }

  Objects& objects_;
  const ScanOptions& options_;
  const Wanted& wanted_;
  Dataset& dataset_;
  PendingFiles& pending_;
  std::unordered_set<std::string> dropped_;
  std::unordered_set<const Object*> ancestors_;
  uint64_t nodes_left_ = 0;
  int soft_links_ = 0;
};

}  // namespace

Result<> build_tree(Objects& objects, const ScanOptions& options, const Wanted& wanted,
                    Dataset& dataset, PendingFiles& pending, NamedGroup& named) {
  return TreeBuilder(objects, options, wanted, dataset, pending).run(named);
}

}  // namespace upwell::format::hdf5
