#pragma once
// The JSON of a store. Internal to refs/store.

#include "refs/store/store.hpp"

namespace upwell::refs {

/// kInvalidData names what is wrong; kUnsupported a version that is not read. Arrays in `drop` are
/// left out; those that cannot be understood are in `problems`.
Result<StoreManifest> parse_manifest(ByteSpan text, const std::vector<std::string>& drop,
                                     std::vector<Problem>& problems,
                                     std::vector<std::string>& dropped);

/// Where the chunks of a segment are in chunks.arrow.
struct SegmentRows {
  uint64_t first = 0, count = 0;
  bool masks = false;
  /// One row for each place of the grid that has a chunk, by the column "position"; else one row
  /// for every place.
  bool sparse = false;
};
/// part.json.
struct PartDocument {
  std::vector<std::shared_ptr<const SegmentLayout>> layouts;
  struct OneSegment {
    std::string array;  ///< path
    uint64_t layout = 0;
    Segment segment;  ///< without layout and chunks; origin from the beginning of the part
    SegmentRows rows;
  };
  std::vector<OneSegment> segments;
};
/// kUnsupported for layouts that lie in the heap of their granule.
Result<std::string> part_json(const PartDocument& part);
/// kInvalidData. Shapes of a segment have one rank, its grid covers it, its layout is there.
Result<PartDocument> parse_part(std::string_view json);

}  // namespace upwell::refs
