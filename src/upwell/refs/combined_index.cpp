#include "refs/combined_index.hpp"

#include <algorithm>

namespace upwell::refs {

namespace {

constexpr uint64_t kPage = 4096;  // references

}  // namespace

uint64_t ReferenceStore::reserve(uint64_t count) {
  std::lock_guard lock(mutex_);
  const uint64_t start = used_;
  used_ += count;
  pages_.resize((used_ + kPage - 1) / kPage);
  return start;
}

void ReferenceStore::put(uint64_t position, std::span<const ChunkRef> refs) {
  std::lock_guard lock(mutex_);
  for (const ChunkRef& ref : refs) {
    const uint64_t at = position++;
    if (ref.state == ChunkRef::State::kMissing) continue;
    auto& page = pages_[at / kPage];
    if (!page) {
      const uint64_t first = at / kPage * kPage;
      page = std::make_unique<DenseChunkIndex>(std::min(kPage, used_ - first), ref.granule);
    }
    // Places that were reserved since.
    if (at % kPage >= page->size()) page->grow(at % kPage + 1 - page->size());
    if (ref.state == ChunkRef::State::kStored) {
      page->set(at % kPage, ref.granule, ref.offset, ref.length, ref.filter_mask);
    } else {
      page->set_inline(at % kPage, to_bytes(ref.bytes.span()));
    }
  }
}

ChunkRef ReferenceStore::get(uint64_t position) const {
  const auto& page = pages_[position / kPage];
  if (!page || position % kPage >= page->size()) return {};
  return page->get(position % kPage);
}

uint64_t ReferenceStore::next_stored(uint64_t position, uint64_t end) const {
  while (position < end) {
    const auto& page = pages_[position / kPage];
    const uint64_t first = position / kPage * kPage;
    if (page) {
      const uint64_t next = page->next_stored(position % kPage);
      if (next < page->size()) return std::min(first + next, end);
    }
    position = first + kPage;
  }
  return end;
}

size_t ReferenceStore::memory() const {
  size_t bytes = pages_.capacity() * sizeof(pages_[0]);
  for (const auto& page : pages_)
    if (page) bytes += sizeof(*page) + page->memory();
  return bytes;
}

CombinedIndex::CombinedIndex(std::shared_ptr<const ReferenceStore> store, std::vector<Piece> pieces,
                             Layout layout, Shape grid)
    : store_(std::move(store)),
      pieces_(std::move(pieces)),
      layout_(std::move(layout)),
      grid_(std::move(grid)),
      size_(element_count(grid_)) {
  uint64_t along = 0;
  for (const Piece& piece : pieces_) {
    first_along_.push_back(along);
    along += layout_.cut.empty() ? piece.chunks_along : piece.length / layout_.cut[layout_.axis];
  }
}

size_t CombinedIndex::memory() const {
  return store_->memory() + pieces_.size() * (sizeof(Piece) + sizeof(uint64_t));
}

ChunkRef CombinedIndex::cut_of(const Piece& piece, const Shape& local) const {
  ChunkRef ref = store_->get(piece.start);
  if (ref.state == ChunkRef::State::kMissing) return ref;
  uint64_t element = 0, count = 1;
  for (size_t d = 0; d < local.size(); ++d) {
    const bool concat = d == layout_.axis && piece.length > 0;
    const uint64_t extent = concat ? piece.length : layout_.piece_shape[d];
    element = element * extent + local[d] * layout_.cut[d];
    count *= layout_.cut[d];
  }
  const uint64_t offset = element * layout_.item_size, length = count * layout_.item_size;
  if (ref.state == ChunkRef::State::kInline) {
    if (offset + length > ref.bytes.size()) return {};
    ref.bytes = ref.bytes.slice(offset, length);
  } else {
    ref.offset += offset;
    ref.length = length;
  }
  return ref;
}

ChunkRef CombinedIndex::get(uint64_t position) const {
  const size_t rank = grid_.size();
  if (rank == 0 || (pieces_.size() == 1 && layout_.cut.empty()))
    return store_->get(pieces_[0].start + position);
  Shape local(rank);
  for (size_t d = rank; d-- > 0;) {
    local[d] = position % grid_[d];
    position /= grid_[d];
  }
  size_t which = 0;
  if (pieces_.size() > 1) {
    uint64_t& along = local[layout_.axis];
    which = std::upper_bound(first_along_.begin(), first_along_.end(), along) -
            first_along_.begin() - 1;
    along -= first_along_[which];
  }
  const Piece& piece = pieces_[which];
  if (!layout_.cut.empty()) return cut_of(piece, local);
  uint64_t linear = 0;
  for (size_t d = 0; d < rank; ++d)
    linear = linear * (d == layout_.axis ? piece.chunks_along : layout_.stored_grid[d]) + local[d];
  return store_->get(piece.start + linear);
}

uint64_t CombinedIndex::next_stored(uint64_t position) const {
  position = std::min(position, size_);
  // Places of one piece follow each other in the store as in the grid; of several, only along the
  // first axis.
  if (grid_.empty() || pieces_.size() != 1 || !layout_.cut.empty()) return position;
  const uint64_t start = pieces_[0].start;
  return store_->next_stored(start + position, start + size_) - start;
}

Result<> CombinedIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  for (uint64_t position : positions) {
    if (position >= size_)
      return fail(Code::kInternal, "chunk " + std::to_string(position) + " of a grid of " +
                                       std::to_string(size_) + " chunks");
    *out++ = get(position);
  }
  return {};
}

}  // namespace upwell::refs
