#pragma once
// What writers of reference sets share.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.hpp"
#include "cube/dataset.hpp"
#include "refs/granule_record.hpp"
#include "refs/locations.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {

struct ReferenceOutputOptions {
  /// Granule URLs that begin with `first` begin with `second` in the output; the first pair that
  /// fits counts.
  std::vector<std::pair<std::string, std::string>> url_prefix;
  LocationPairs locations;                  ///< of URLs as they are in the output
  std::string record;                       ///< record_json of what is written; empty: none
  std::optional<CatalogueState> catalogue;  ///< of that record
  Sync sync = Sync::kYes;                   ///< of a local output
};

/// Takes the objects that make up an output, by name below its directory ("sst/refs.0.parq").
using ObjectSink = std::function<Result<>(const std::string& name, ByteSpan bytes)>;

struct ReferenceCounts {
  uint64_t stored = 0;        ///< chunks that lie in granules
  uint64_t stored_bytes = 0;  ///< their size there, as far as it is known
  uint64_t inlined = 0;       ///< chunks whose bytes are in the reference set
  uint64_t missing = 0;       ///< chunks that were never written
};

/// The URL of a granule as it goes into the output.
std::string output_url(const ReferenceOutputOptions& options, const std::string& url);

/// URLs of granules by number, as they go into the output.
class OutputUrls {
 public:
  OutputUrls(const GranuleTable& granules, const ReferenceOutputOptions& options)
      : granules_(granules), options_(options) {}
  std::string url(uint32_t granule) const;
  /// Length of a chunk, also of one that reaches to the end of its granule. nullopt: the whole
  /// object, of unknown size. kUnsupported: from some offset to an unknown end.
  Result<std::optional<uint64_t>> length(const ChunkRef& ref) const;

 private:
  const GranuleTable& granules_;
  const ReferenceOutputOptions& options_;
};

/// Writes plain files below a directory that is there.
ObjectSink directory_sink(const std::filesystem::path& directory);

/// The group as it is described without its chunks: arrays have no segments and no maximum extents,
/// and a name, if "", for each axis.
Group without_segments(const Group& group);

/// Calls visit(first position, references) for runs of places of a segment, in C order, without
/// those known to be empty. The references are the visitor's to change.
Result<> visit_chunks(
    const Segment& segment,
    const std::function<Result<>(uint64_t first, std::vector<ChunkRef>& refs)>& visit);

/// Calls visit(first position, references) over all chunks of an array of one whole segment, in C
/// order. kUnsupported when the array is not one segment, or a chunk has a filter mask.
Result<> visit_references(
    const std::string& path, const Array& array,
    const std::function<Result<>(uint64_t, const std::vector<ChunkRef>&)>& visit);

}  // namespace upwell::refs
