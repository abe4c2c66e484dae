#include "refs/append.hpp"
#include "refs/combined_index.hpp"

namespace upwell::refs {

void put_in_front(Array& array, const std::string& concat) {
  array.shape.insert(array.shape.begin(), 1);
  array.dimensions.insert(array.dimensions.begin(), concat);
  array.chunk_shape.insert(array.chunk_shape.begin(), 1);
  array.max_shape.clear();
  for (Segment& segment : array.segments) {
    segment.origin.insert(segment.origin.begin(), 0);
    segment.shape.insert(segment.shape.begin(), 1);
    if (!segment.source_origin.empty())
      segment.source_origin.insert(segment.source_origin.begin(), 0);
    segment.grid.insert(segment.grid.begin(), 1);
    auto layout = std::make_shared<SegmentLayout>(*segment.layout);
    layout->chunk_shape.insert(layout->chunk_shape.begin(), 1);
    segment.layout = std::move(layout);
  }
}

namespace {

/// Every chunk of shape `cut` is one run of the bytes of an array of shape `whole`.
bool cuts_into_runs(const Shape& cut, const Shape& whole) {
  bool inner = true;  // every axis so far, from the last one on, is taken whole
  for (size_t d = whole.size(); d-- > 0;) {
    if (cut[d] == 0 || whole[d] % cut[d] != 0 || (!inner && cut[d] != 1)) return false;
    inner = inner && cut[d] == whole[d];
  }
  return true;
}

void cut_like(Array& array, const Array& model) {
  if (array.segments.size() != 1 || model.segments.size() != 1 || array.shape.empty()) return;
  Segment& segment = array.segments[0];
  const SegmentLayout& layout = *segment.layout;
  const Shape& cut = model.segments[0].layout->chunk_shape;
  if (!layout.codecs.empty() || layout.fortran_order || layout.heap ||
      !model.segments[0].layout->codecs.empty() || layout.chunk_shape != array.shape ||
      segment.shape != array.shape || cut.size() != array.shape.size() || cut == array.shape ||
      !cuts_into_runs(cut, array.shape))
    return;
  const uint64_t first = 0;
  ChunkRef ref;
  if (element_count(segment.grid) != 1 || !segment.chunks->lookup({&first, 1}, &ref)) return;
  auto store = std::make_shared<ReferenceStore>();
  Piece piece{store->reserve(1), 1, array.shape[0], true};
  store->put(piece.start, {&ref, 1});
  CombinedIndex::Layout view;
  view.stored_grid = segment.grid;
  view.cut = cut;
  view.piece_shape = array.shape;
  view.item_size = array.type.size;
  segment.grid = grid_shape(array.shape, cut);
  segment.chunks = std::make_shared<CombinedIndex>(std::move(store), std::vector<Piece>{piece},
                                                   std::move(view), segment.grid);
  auto cut_layout = std::make_shared<SegmentLayout>(layout);
  cut_layout->chunk_shape = array.chunk_shape = cut;
  segment.layout = std::move(cut_layout);
}

void adapt_group(Group& group, const Group& store, const std::string& concat) {
  for (Array& array : group.arrays) {
    const Array* model = store.find_array(array.name);
    if (model == nullptr) continue;
    const std::vector<std::string>& names = model->dimensions;
    if (names.size() == array.dimensions.size() + 1 && names[0] == concat &&
        std::equal(array.dimensions.begin(), array.dimensions.end(), names.begin() + 1,
                   [](const std::string& a, const std::string& b) { return a == b || a.empty(); }))
      put_in_front(array, concat);
    for (size_t d = 0; d < array.dimensions.size() && d < names.size(); ++d)
      if (array.dimensions[d].empty() && names[d].starts_with("phony_dim_"))
        array.dimensions[d] = names[d];
    cut_like(array, *model);
  }
  for (Group& child : group.groups)
    for (const Group& match : store.groups)
      if (match.name == child.name) adapt_group(child, match, concat);
}

}  // namespace

Dataset adapted_to_store(Dataset granule, const Group& store, const std::string& concat) {
  adapt_group(granule.root, store, concat);
  return granule;
}

}  // namespace upwell::refs
