#include "refs/sparse_index.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell::refs {

void SparseChunkIndex::set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length) {
  entries_.push_back({position, offset, length, granule, false});
}

void SparseChunkIndex::set_inline(uint64_t position, Bytes bytes) {
  entries_.push_back({position, inline_.size(), 0, 0, true});
  inline_.emplace_back(std::move(bytes));
}

void SparseChunkIndex::finish() {
  std::stable_sort(entries_.begin(), entries_.end(),
                   [](const Entry& a, const Entry& b) { return a.position < b.position; });
  const auto same = [](const Entry& a, const Entry& b) { return a.position == b.position; };
  const auto first_kept = std::unique(entries_.rbegin(), entries_.rend(), same);
  entries_.erase(entries_.begin(), first_kept.base());
  entries_.shrink_to_fit();
}

Result<> SparseChunkIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  for (size_t k = 0; k < positions.size(); ++k) {
    if (positions[k] >= size_) {
      return fail(Code::kInternal, fmt::format("chunk {} of {} looked up", positions[k], size_));
    }
    const auto it = std::lower_bound(
        entries_.begin(), entries_.end(), positions[k],
        [](const Entry& entry, uint64_t position) { return entry.position < position; });
    out[k] = {};
    if (it == entries_.end() || it->position != positions[k]) continue;
    out[k].state = it->is_inline ? ChunkRef::State::kInline : ChunkRef::State::kStored;
    if (it->is_inline) {
      out[k].bytes = inline_[it->offset];
      continue;
    }
    out[k].granule = it->granule;
    out[k].offset = it->offset;
    out[k].length = it->length;
  }
  return {};
}

size_t SparseChunkIndex::memory() const {
  size_t bytes = entries_.capacity() * sizeof(Entry);
  for (const SharedBytes& b : inline_) bytes += sizeof(b) + b.size();
  return bytes;
}

}  // namespace upwell::refs
