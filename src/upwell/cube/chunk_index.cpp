#include "cube/chunk_index.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace upwell {
namespace {

// Offsets that no object can have mark chunks without one.
constexpr uint64_t kMissingOffset = ~uint64_t{0};
constexpr uint64_t kInlineOffset = ~uint64_t{0} - 1;

}  // namespace

uint32_t GranuleTable::intern(const std::string& url) { return intern(Granule{url, {}}); }

uint32_t GranuleTable::intern(const Granule& granule) {
  {
    std::shared_lock lock(mutex_);
    if (auto it = ids_.find(granule.url); it != ids_.end()) return it->second;
  }
  std::unique_lock lock(mutex_);
  auto [it, added] = ids_.emplace(granule.url, static_cast<uint32_t>(granules_.size()));
  if (added) granules_.push_back(granule);
  return it->second;
}

const Granule& GranuleTable::at(uint32_t id) const {
  std::shared_lock lock(mutex_);
  return granules_.at(id);
}

size_t GranuleTable::size() const {
  std::shared_lock lock(mutex_);
  return granules_.size();
}

Result<ChunkRef> ChunkIndex::at(uint64_t position) const {
  ChunkRef ref;
  UPWELL_CHECK(lookup({&position, 1}, &ref));
  return ref;
}

DenseChunkIndex::DenseChunkIndex(uint64_t size, uint32_t granule)
    : offset_(size, kMissingOffset), length_(size, 0), single_granule_(granule) {}

void DenseChunkIndex::widen_lengths() {
  wide_length_.assign(length_.begin(), length_.end());
  length_.clear();
  length_.shrink_to_fit();
}

void DenseChunkIndex::set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length,
                          uint32_t filter_mask) {
  offset_[position] = offset;
  if (length > std::numeric_limits<uint32_t>::max() && wide_length_.empty()) widen_lengths();
  if (wide_length_.empty()) {
    length_[position] = static_cast<uint32_t>(length);
  } else {
    wide_length_[position] = length;
  }
  if (granule != single_granule_ && granule_.empty())
    granule_.assign(offset_.size(), single_granule_);
  if (!granule_.empty()) granule_[position] = granule;
  if (filter_mask != 0 && mask_.empty()) mask_.assign(offset_.size(), 0);
  if (!mask_.empty()) mask_[position] = filter_mask;
}

void DenseChunkIndex::set_inline(uint64_t position, Bytes bytes) {
  set(position, granule_.empty() ? single_granule_ : granule_[position], kInlineOffset,
      inline_.size());
  inline_.emplace_back(std::move(bytes));
}

void DenseChunkIndex::grow(uint64_t count) {
  size_t size = offset_.size() + count;
  offset_.resize(size, kMissingOffset);
  if (wide_length_.empty()) {
    length_.resize(size, 0);
  } else {
    wide_length_.resize(size, 0);
  }
  if (!granule_.empty()) granule_.resize(size, single_granule_);
  if (!mask_.empty()) mask_.resize(size, 0);
}

ChunkRef DenseChunkIndex::get(uint64_t position) const {
  ChunkRef ref;
  uint64_t offset = offset_[position];
  if (offset == kMissingOffset) return ref;
  uint64_t length = wide_length_.empty() ? length_[position] : wide_length_[position];
  ref.filter_mask = mask_.empty() ? 0 : mask_[position];
  if (offset == kInlineOffset) {
    ref.state = ChunkRef::State::kInline;
    ref.bytes = inline_[length];
    return ref;
  }
  ref.state = ChunkRef::State::kStored;
  ref.granule = granule_.empty() ? single_granule_ : granule_[position];
  ref.offset = offset;
  ref.length = length;
  return ref;
}

Result<> DenseChunkIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  for (size_t k = 0; k < positions.size(); ++k) {
    if (positions[k] >= offset_.size()) {
      return fail(Code::kInternal,
                  fmt::format("chunk {} of {} looked up", positions[k], offset_.size()));
    }
    out[k] = get(positions[k]);
  }
  return {};
}

uint64_t DenseChunkIndex::next_stored(uint64_t position) const {
  while (position < offset_.size() && offset_[position] == kMissingOffset) ++position;
  return std::min<uint64_t>(position, offset_.size());
}

size_t DenseChunkIndex::memory() const {
  size_t bytes = offset_.capacity() * 8 + length_.capacity() * 4 + wide_length_.capacity() * 8 +
                 granule_.capacity() * 4 + mask_.capacity() * 4;
  for (const SharedBytes& b : inline_) bytes += sizeof(b) + b.size();
  return bytes;
}

void SparseChunkIndex::set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length,
                           uint32_t filter_mask) {
  entries_.push_back({position, offset, length, granule, filter_mask, false});
  has_masks_ = has_masks_ || filter_mask != 0;
}

void SparseChunkIndex::set_inline(uint64_t position, Bytes bytes) {
  entries_.push_back({position, inline_.size(), 0, 0, 0, true});
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

std::vector<SparseChunkIndex::Entry>::const_iterator SparseChunkIndex::from(
    uint64_t position) const {
  return std::lower_bound(
      entries_.begin(), entries_.end(), position,
      [](const Entry& entry, uint64_t wanted) { return entry.position < wanted; });
}

uint64_t SparseChunkIndex::next_stored(uint64_t position) const {
  const auto it = from(position);
  return it == entries_.end() ? size_ : it->position;
}

Result<> SparseChunkIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  for (size_t k = 0; k < positions.size(); ++k) {
    if (positions[k] >= size_) {
      return fail(Code::kInternal, fmt::format("chunk {} of {} looked up", positions[k], size_));
    }
    const auto it = from(positions[k]);
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
    out[k].filter_mask = it->mask;
  }
  return {};
}

size_t SparseChunkIndex::memory() const {
  size_t bytes = entries_.capacity() * sizeof(Entry);
  for (const SharedBytes& b : inline_) bytes += sizeof(b) + b.size();
  return bytes;
}

}  // namespace upwell
