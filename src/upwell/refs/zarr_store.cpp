#include "refs/zarr_store.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/parallel.hpp"
#include "refs/reference_tree.hpp"
#include "refs/zarr_chunks.hpp"
#include "refs/zarr_consolidated.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kMaxNodes = 1'000'000;
constexpr int kMaxStoreDepth = 64;
constexpr uint64_t kMaxStoreDocument = uint64_t{1} << 30;

/// The text of each document that is there.
Result<std::vector<std::optional<std::string>>> read_documents(
    io::Session& session, const std::vector<std::string>& urls) {
  std::vector<io::ReadRequest> requests;
  requests.reserve(urls.size());
  for (const std::string& url : urls) requests.push_back({url, {}});
  auto answers = session.read(requests);
  std::vector<std::optional<std::string>> texts(urls.size());
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      if (answers[i]->size() > kMaxStoreDocument) {
        return fail(Code::kInvalidData, urls[i] + ": a metadata document of more than 1 GiB");
      }
      texts[i] = std::string(as_text(answers[i]->span()));
    } else if (answers[i].error().code != Code::kNotFound) {
      return fail(std::move(answers[i]).error());
    }
  }
  return texts;
}

/// Walks groups a level at a time. Arrays are not entered: their chunks may be many.
class StoreWalk {
 public:
  StoreWalk(io::Session& session, const std::string& base, ReferenceTree& tree)
      : session_(session), base_(base), tree_(tree) {}

  Result<> run() {
    std::vector<std::string> groups{""};  // each ends in '/', but for the root
    for (int depth = 0; !groups.empty(); ++depth) {
      if (depth > kMaxStoreDepth) return fail(Code::kInvalidData, "groups are nested too deep");
      UPWELL_TRY(const std::vector<std::string> children, list(groups));
      UPWELL_TRY(groups, visit(children));
    }
    return {};
  }

 private:
  /// Directories in the groups.
  Result<std::vector<std::string>> list(const std::vector<std::string>& groups) {
    std::vector<std::vector<std::string>> found(groups.size());
    const auto traits = session_.traits(base_);
    const size_t threads = traits && traits->worth_caching ? traits->parallelism : 1;
    UPWELL_CHECK(blocking_for(groups.size(), threads, [&](size_t i) -> Result<> {
      auto names = session_.list_directory(zarr_url(base_, groups[i]));
      if (!names) return fail(std::move(names).error().with("listing group /" + groups[i]));
      for (const std::string& name : *names) {
        if (name.ends_with('/') && !name.starts_with('.')) found[i].push_back(groups[i] + name);
      }
      return {};
    }));
    std::vector<std::string> children;
    for (auto& names : found) {
      children.insert(children.end(), std::make_move_iterator(names.begin()),
                      std::make_move_iterator(names.end()));
    }
    seen_ += children.size();
    if (seen_ > kMaxNodes) return fail(Code::kResourceExhausted, "more than a million nodes");
    return children;
  }

  /// Reads the documents of the children; gives those that are groups.
  Result<std::vector<std::string>> visit(const std::vector<std::string>& children) {
    constexpr const char* kNames[] = {"zarr.json", ".zarray", ".zgroup", ".zattrs"};
    std::vector<std::string> urls;
    for (const std::string& child : children) {
      for (const char* name : kNames) urls.push_back(zarr_url(base_, child + name));
    }
    UPWELL_TRY(auto texts, read_documents(session_, urls));
    std::vector<std::string> groups;
    for (size_t i = 0; i < children.size(); ++i) {
      auto* documents = &texts[i * std::size(kNames)];
      const bool is_node = documents[0] || documents[1] || documents[2];
      if (!is_node) continue;  // some other directory
      const bool v3 = documents[0].has_value();
      const bool array = v3 ? zarr3_is_array(*documents[0]) : documents[1].has_value();
      for (size_t k = v3 ? 0 : 1; k < (v3 ? 1 : std::size(kNames)); ++k) {
        if (documents[k])
          UPWELL_CHECK(tree_.add(children[i] + kNames[k], std::move(*documents[k])));
      }
      if (!array) groups.push_back(children[i]);
    }
    return groups;
  }

  io::Session& session_;
  const std::string& base_;
  ReferenceTree& tree_;
  size_t seen_ = 0;
};

/// "data" of "/x/data.zarr/".
std::string store_name(const std::string& base) {
  std::string path = base.substr(0, std::min(base.find('?'), base.size()));
  while (path.ends_with('/')) path.pop_back();
  path.erase(0, path.rfind('/') + 1);
  const size_t dot = path.rfind('.');
  if (dot != std::string::npos && dot > 0) path.resize(dot);
  return path.empty() ? "array" : path;
}

std::shared_ptr<const ChunkIndex> chunks_of(io::Session& session, const std::string& base,
                                            const ReferenceArray& array,
                                            const std::shared_ptr<GranuleTable>& granules) {
  const std::string directory = array.path.empty() ? base : zarr_url(base, array.path + "/");
  const Shape& shape = array.zarr.array.shape;
  const auto& shards = array.zarr.shards;
  Shape grid = shards.empty() ? array.grid : grid_shape(shape, shards[0].shape);
  std::shared_ptr<const ChunkIndex> chunks =
      std::make_shared<ZarrObjectIndex>(session, directory, array.zarr.keys, grid, granules);
  for (const ZarrShards& level : shards) {
    Shape inner = grid_shape(shape, level.chunk_shape);
    chunks = std::make_shared<ShardedChunkIndex>(session, std::move(chunks), std::move(grid), inner,
                                                 level, granules);
    grid = std::move(inner);
  }
  return chunks;
}

}  // namespace

Result<ZarrRoot> read_zarr_root(io::Session& session, const std::string& base) {
  ZarrRoot root;
  struct Part {
    const char* name;
    std::optional<std::string>* text;
  };
  const Part parts[] = {{"zarr.json", &root.zarr_json},
                        {".zmetadata", &root.zmetadata},
                        {".zgroup", &root.zgroup},
                        {".zarray", &root.zarray},
                        {".zattrs", &root.zattrs}};
  std::vector<io::ReadRequest> requests;
  for (const Part& part : parts) requests.push_back({zarr_url(base, part.name), {}});
  auto answers = session.read(requests);
  std::optional<Error> refused;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (answers[i]) {
      if (answers[i]->size() > kMaxStoreDocument) {
        return fail(Code::kInvalidData, requests[i].url + ": larger than 1 GiB");
      }
      *parts[i].text = std::string(as_text(answers[i]->span()));
      continue;
    }
    const Code code = answers[i].error().code;
    if (code == Code::kNotFound) continue;
    if (code != Code::kPermissionDenied) return fail(std::move(answers[i]).error());
    if (!refused) refused = answers[i].error();
  }
  if (refused && root.empty()) return fail(std::move(*refused));
  return root;
}

Result<Dataset> open_zarr_store(io::Session& session, const std::string& base, const ZarrRoot& root,
                                const std::vector<std::string>& drop) {
  ReferenceTree tree;
  bool listed = false;
  if (root.zarr_json) {
    UPWELL_TRY(const bool consolidated, add_zarr3_consolidated(tree, as_bytes(*root.zarr_json)));
    UPWELL_CHECK(tree.add("zarr.json", *root.zarr_json));
    listed = !consolidated && !zarr3_is_array(*root.zarr_json);
  } else if (root.zmetadata) {
    UPWELL_CHECK(add_zmetadata(tree, as_bytes(*root.zmetadata)));
  } else {
    if (root.zarray) UPWELL_CHECK(tree.add(".zarray", *root.zarray));
    if (root.zgroup) UPWELL_CHECK(tree.add(".zgroup", *root.zgroup));
    if (root.zattrs) UPWELL_CHECK(tree.add(".zattrs", *root.zattrs));
    listed = !root.zarray;
  }
  if (listed) {
    auto walked = StoreWalk(session, base, tree).run();
    if (!walked && walked.error().code == Code::kUnsupported) {
      return fail(Code::kUnsupported,
                  "this Zarr store has no consolidated metadata, and its server cannot list it: "
                  "consolidate it (zarr.consolidate_metadata)");
    }
    UPWELL_CHECK(std::move(walked));
  }
  if (tree.empty()) {
    return fail(Code::kInvalidData,
                ".zmetadata describes neither a Zarr store nor a reference set (record_size)");
  }
  UPWELL_CHECK(tree.parse(drop, /*shards=*/true));
  auto granules = std::make_shared<GranuleTable>();
  granules->intern(base);
  for (ReferenceArray& array : tree.arrays()) {
    array.chunks = chunks_of(session, base, array, granules);
  }
  UPWELL_TRY(Dataset dataset, tree.build(std::move(granules), root.zarr_json ? "zarr3" : "zarr2"));
  for (Array& array : dataset.root.arrays) {
    if (array.name.empty()) array.name = store_name(base);
  }
  return dataset;
}

}  // namespace upwell::refs
