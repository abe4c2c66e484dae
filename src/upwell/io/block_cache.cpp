#include "io/block_cache.hpp"

namespace upwell::io {

std::optional<SharedBytes> BlockCache::find(const std::string& url, Range range) {
  std::lock_guard lock(mutex_);
  auto object = objects_.find(url);
  if (object == objects_.end()) return {};
  auto it = object->second.upper_bound(range.offset);
  if (it == object->second.begin()) return {};
  --it;
  const Block& block = *it->second;
  uint64_t skip = range.offset - block.offset;
  if (skip > block.bytes.size() || range.length > block.bytes.size() - skip) return {};
  used_.splice(used_.begin(), used_, it->second);
  return block.bytes.slice(skip, range.length);
}

void BlockCache::put(const std::string& url, uint64_t offset, SharedBytes bytes) {
  // One block that pushes out most others would make the cache useless.
  if (bytes.empty() || bytes.size() > limit_ / 8) return;
  std::lock_guard lock(mutex_);
  auto object = objects_.try_emplace(url).first;
  uint64_t end = offset + bytes.size();
  auto it = object->second.upper_bound(offset);
  if (it != object->second.begin()) {
    auto before = std::prev(it);
    if (before->first + before->second->bytes.size() >= end) return;
    if (before->first == offset) it = before;
  }
  while (it != object->second.end() && it->first + it->second->bytes.size() <= end) {
    auto inside = it++;
    size_ -= inside->second->bytes.size();
    used_.erase(inside->second);
    object->second.erase(inside);
  }
  size_ += bytes.size();
  used_.push_front(Block{&*object, offset, std::move(bytes)});
  object->second[offset] = used_.begin();
  while (size_ > limit_) drop_oldest();
}

void BlockCache::drop_oldest() {
  const Block& oldest = used_.back();
  auto* object = oldest.object;
  size_ -= oldest.bytes.size();
  object->second.erase(oldest.offset);
  if (object->second.empty()) objects_.erase(objects_.find(object->first));
  used_.pop_back();
}

void BlockCache::forget(const std::string& url) {
  std::lock_guard lock(mutex_);
  auto object = objects_.find(url);
  if (object == objects_.end()) return;
  for (auto& [offset, block] : object->second) {
    size_ -= block->bytes.size();
    used_.erase(block);
  }
  objects_.erase(object);
}

uint64_t BlockCache::size() const {
  std::lock_guard lock(mutex_);
  return size_;
}

}  // namespace upwell::io
