#pragma once
// The segments that granules gave to one array, each as its granule stores it.

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "refs/combined_index.hpp"

namespace upwell::refs {

/// Elements [begin, end) along one axis, wherever chunks end.
Array cut_along(const Array& array, size_t axis, uint64_t begin, uint64_t end);

/// Filled granule by granule, in any order and from several threads, then joined to one array.
class KeptSegments {
 public:
  explicit KeptSegments(size_t sources) : sources_(sources) {}
  /// Takes what source `i` has of the array; where no segment lies is a segment without chunks.
  /// References go to `store` after `renumber` has given them their granule's number in the cube.
  /// `prepend`: the array gets a first axis of one element.
  Result<> add(size_t i, const Array& array, bool prepend, ReferenceStore& store,
               const std::function<void(ChunkRef&)>& renumber);

  /// Takes note of how segments of a store are stored to which sources are added.
  void add_store(const Array& array);

  struct Line {
    std::vector<size_t> order;      ///< sources
    std::vector<uint64_t> lengths;  ///< of each source of `order` along the axis
    std::optional<size_t> axis;     ///< concat axis; absent: the first of `order` has it all
  };
  /// Gives `array` (with the shape of the whole, otherwise as the first source has it) its
  /// segments, chunk shape, type, fill and attributes. Neighbours that are stored alike become one
  /// segment. Where packing or type differ between sources, the array holds decoded values: their
  /// attributes of packing go, missing values are NaN. True then. kUnsupported when the values have
  /// no common type.
  Result<bool> join(const Line& line, const std::shared_ptr<const ReferenceStore>& store,
                    Array& array);

 private:
  using LayoutPointer = std::shared_ptr<const SegmentLayout>;
  struct Kept {
    Shape origin, shape, source_origin, grid;
    LayoutPointer layout;
    uint64_t start = 0;  // in the store
    bool masks = false;
  };
  LayoutPointer shared(SegmentLayout layout);
  LayoutPointer own_layout(const Array& array, const Segment& segment, bool prepend);
  std::vector<const SegmentLayout*> all_layouts(const Line& line) const;
  Result<> decode(const Line& line, Array& array) const;

  std::mutex mutex_;
  std::vector<LayoutPointer> layouts_;
  std::vector<std::vector<Kept>> sources_;
  std::vector<LayoutPointer> of_store_;
  bool decoded_ = false;  // some source holds decoded values already
};

}  // namespace upwell::refs
