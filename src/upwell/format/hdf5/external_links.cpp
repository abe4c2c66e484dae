// Files that a dataset points to: finding and scanning them; external links.

#include <algorithm>

#include "format/hdf5/linking.hpp"

namespace upwell::format::hdf5 {
namespace {

// Files below the directly named ones: more is a web that feeds on itself.
constexpr int kMaxIndirectScans = 256;

class RenumberedIndex : public ChunkIndex {
 public:
  RenumberedIndex(std::shared_ptr<const ChunkIndex> chunks, std::vector<uint32_t> granules)
      : chunks_(std::move(chunks)), granules_(std::move(granules)) {}
  uint64_t size() const override { return chunks_->size(); }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override {
    UPWELL_CHECK(chunks_->lookup(positions, out));
    for (size_t i = 0; i < positions.size(); ++i) {
      if (out[i].state == ChunkRef::State::kStored) out[i].granule = granules_.at(out[i].granule);
    }
    return {};
  }
  size_t memory() const override { return chunks_->memory() + granules_.size() * sizeof(uint32_t); }

 private:
  std::shared_ptr<const ChunkIndex> chunks_;
  std::vector<uint32_t> granules_;
};

void renumber_group(Group& group, const std::vector<uint32_t>& granules) {
  for (Array& array : group.arrays) {
    for (Segment& segment : array.segments) segment.chunks = renumber(segment.chunks, granules);
  }
  for (Group& child : group.groups) renumber_group(child, granules);
}

std::string_view next_step(std::string_view& path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  size_t slash = std::min(path.find('/'), path.size());
  std::string_view step = path.substr(0, slash);
  path.remove_prefix(slash);
  while (path.starts_with('/')) path.remove_prefix(1);
  return step;
}

std::string joined_path(const std::string& group, const std::string& name) {
  return (group.ends_with('/') ? group : group + "/") + name;
}

Result<> follow_link(LinkedFiles& files, const PendingLink& link) {
  UPWELL_TRY(std::optional<Granule> granule, files.locate(link.file));
  if (!granule) {
    return fail(Code::kNotFound,
                fmt::format("external link to {} in {}, which is not there", link.path, link.file));
  }
  Group* parent = find_group(files.dataset().root, link.group);
  if (!parent) return fail(Code::kInternal, "no group " + link.group);
  // A copy of what the link names: the tree has no links.
  const Group* root = nullptr;
  std::shared_ptr<const LinkedFiles::Source> source;
  std::vector<uint32_t> same;
  if (files.is_self(*granule)) {
    root = &files.dataset().root;
  } else {
    UPWELL_TRY(source, files.open(*granule));
    root = &source->dataset.root;
    if (const Error* problem = problem_at(source->dataset, link.path)) return fail(*problem);
  }
  if (const Array* array = root->find_array(link.path)) {
    Array copy = *array;
    copy.name = link.name;
    if (source) {
      for (Segment& s : copy.segments) s.chunks = renumber(s.chunks, source->granules);
    }
    parent->arrays.push_back(std::move(copy));
    return {};
  }
  const Group* group =
      link.path.find_first_not_of('/') == std::string::npos ? root : root->find_group(link.path);
  if (!group) {
    return fail(Code::kNotFound,
                fmt::format("external link to {}, which {} does not hold", link.path, link.file));
  }
  if (!source) {
    // A group of our own file below one of its own groups would be a circle.
    if (joined_path(link.group, link.name).starts_with(joined_path(link.path, ""))) return {};
  }
  Group copy = *group;
  copy.name = link.name;
  if (source) renumber_group(copy, source->granules);
  parent->groups.push_back(std::move(copy));
  if (source) {
    for (const Problem& problem : source->dataset.problems) {
      files.dataset().problems.push_back(
          {joined_path(link.group, link.name) + problem.path, problem.error});
    }
  }
  return {};
}

}  // namespace

std::shared_ptr<const ChunkIndex> renumber(std::shared_ptr<const ChunkIndex> chunks,
                                           const std::vector<uint32_t>& granules) {
  return std::make_shared<RenumberedIndex>(std::move(chunks), granules);
}

Group* find_group(Group& group, std::string_view path) {
  Group* at = &group;
  for (std::string_view step = next_step(path); !step.empty(); step = next_step(path)) {
    auto child = std::find_if(at->groups.begin(), at->groups.end(),
                              [&](const Group& g) { return g.name == step; });
    if (child == at->groups.end()) return nullptr;
    at = &*child;
  }
  return at;
}

Array* find_array(Group& group, std::string_view path) {
  size_t slash = path.rfind('/');
  Group* at = slash == std::string_view::npos ? &group : find_group(group, path.substr(0, slash));
  if (!at) return nullptr;
  std::string_view name = slash == std::string_view::npos ? path : path.substr(slash + 1);
  auto array = std::find_if(at->arrays.begin(), at->arrays.end(),
                            [&](const Array& a) { return a.name == name; });
  return array == at->arrays.end() ? nullptr : &*array;
}

void refuse_array(Dataset& dataset, const std::string& path, Error error) {
  size_t slash = path.rfind('/');
  Group* at = find_group(dataset.root, path.substr(0, slash == std::string::npos ? 0 : slash));
  std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (at) std::erase_if(at->arrays, [&](const Array& a) { return a.name == name; });
  dataset.problems.push_back({path, std::move(error)});
}

const Error* problem_at(const Dataset& dataset, std::string_view path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  for (const Problem& problem : dataset.problems) {
    std::string_view at = problem.path;
    while (at.starts_with('/')) at.remove_prefix(1);
    if (at == path) return &problem.error;
  }
  return nullptr;
}

Result<std::optional<Granule>> LinkedFiles::locate(const std::string& name) {
  const std::string& own = dataset_.granules->at(0).url;
  size_t slash = name.rfind('/');
  std::vector<std::string> names{name};
  const io::ReachPtr reach = session_.reach_from(own);
  if (slash != std::string::npos) names.push_back(name.substr(slash + 1));
  for (const std::string& candidate : names) {
    if (candidate.empty()) continue;
    std::string url = io::resolve_url(own, candidate);
    if (io::scheme_of(url) != io::scheme_of(own)) continue;
    auto info = session_.stat(url, reach);
    if (info) return Granule{url, *info, reach};
    if (info.error().code != Code::kNotFound) return fail(std::move(info).error().with(url));
  }
  return std::nullopt;
}

bool LinkedFiles::is_self(const Granule& granule) const {
  return granule.url == dataset_.granules->at(0).url;
}

Result<std::shared_ptr<const LinkedFiles::Source>> LinkedFiles::open(const Granule& granule) {
  auto known = sources_.find(granule.url);
  if (known != sources_.end()) return known->second;
  auto scan_source = [&]() -> Result<std::shared_ptr<const Source>> {
    if (depth_ >= options_.max_file_depth) {
      return fail(Code::kUnsupported,
                  fmt::format("{} lies more than {} files deep", granule.url, depth_));
    }
    ScanOptions options = options_;
    options.drop.clear();
    options.only.clear();
    options.trail.push_back(dataset_.granules->at(0).url);
    if (std::find(options.trail.begin(), options.trail.end(), granule.url) != options.trail.end()) {
      return fail(Code::kUnsupported, fmt::format("{} leads back to itself", granule.url));
    }
    if (!options.linked_scans_left) {
      options.linked_scans_left = std::make_shared<int>(kMaxIndirectScans);
    } else if (--*options.linked_scans_left < 0) {
      return fail(Code::kResourceExhausted, "files lead to more files than are followed");
    }
    UPWELL_TRY(Dataset dataset, scan_known(session_, granule, options, depth_ + 1));
    auto source = std::make_shared<Source>();
    for (uint32_t i = 0; i < dataset.granules->size(); ++i) {
      source->granules.push_back(dataset_.granules->intern(dataset.granules->at(i)));
    }
    source->dataset = std::move(dataset);
    return source;
  };
  Result<std::shared_ptr<const Source>> source = scan_source();
  sources_.emplace(granule.url, source);
  return source;
}

Result<> link_external_links(LinkedFiles& files, const std::vector<PendingLink>& pending) {
  for (const PendingLink& link : pending) {
    Result<> followed = follow_link(files, link);
    if (followed) continue;
    if (followed.error().code == Code::kCancelled) return followed;
    files.dataset().problems.push_back(
        {joined_path(link.group, link.name), std::move(followed).error()});
  }
  return {};
}

Result<> link_files(io::Session& session, Dataset& dataset, const PendingFiles& pending,
                    const FileFacts&, const ScanOptions& options, int depth) {
  LinkedFiles files(session, dataset, options, depth);
  // Links last: they copy arrays, which then are complete.
  UPWELL_CHECK(link_external_data(files, pending.externals, options));
  UPWELL_CHECK(link_virtual(files, pending.virtuals));
  return link_external_links(files, pending.links);
}

}  // namespace upwell::format::hdf5
