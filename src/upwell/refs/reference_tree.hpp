#pragma once
// The metadata documents of a reference set, and the dataset that they describe. Internal to refs/.

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cube/dataset.hpp"
#include "refs/zarr_array_cache.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {

/// One array of a reference set, before its chunks are known.
struct ReferenceArray {
  std::string path;  ///< "a/v", "" if the root itself is an array
  ZarrArray zarr;
  Shape grid;
  uint64_t chunk_count = 0;
  std::shared_ptr<const ChunkIndex> chunks;  ///< to be set before build()
};

/// Collects documents, parses them, and builds the tree. Documents in any order.
class ReferenceTree {
 public:
  /// "a/v/.zarray", ".zattrs", "zarr.json", ...: a document and not a chunk.
  static bool is_metadata(std::string_view key);
  /// kInvalidData for a path deeper than 64 groups.
  Result<> add(std::string_view key, std::string text);
  /// Parses every array but those in `drop`. One that cannot be parsed becomes a problem, and one
  /// with shards, unless the caller can look into them. `cache` may be null.
  Result<> parse(const std::vector<std::string>& drop, bool shards = false,
                 ZarrArrayCache* cache = nullptr);

  std::vector<ReferenceArray>& arrays() { return arrays_; }
  std::vector<Problem>& problems() { return problems_; }
  bool empty() const { return nodes_.empty(); }
  /// The array to which a chunk key belongs, and the key below it; null when there is none.
  ReferenceArray* find(std::string_view key, std::string_view& chunk);

  /// Moves the arrays into the dataset, one segment each.
  Result<Dataset> build(std::shared_ptr<GranuleTable> granules, std::string format);

 private:
  struct Node {
    std::string zarray, zattrs, zgroup, zarr_json;
    bool is_array = false, is_group = false;
    Attributes attributes;
  };
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };

  Node& node(std::string_view path);
  Result<> parse_node(const std::string& path, Node& node, bool shards, ZarrArrayCache* cache);

  std::vector<std::string> order_;  // of paths, as they came
  std::unordered_map<std::string, Node, Hash, std::equal_to<>> nodes_;
  std::vector<ReferenceArray> arrays_;
  std::unordered_map<std::string, size_t, Hash, std::equal_to<>> by_path_;
  std::vector<Problem> problems_;
  std::vector<std::string> dropped_;
  size_t last_ = 0;  // chunks of an array follow each other: try its array first
};

}  // namespace upwell::refs
