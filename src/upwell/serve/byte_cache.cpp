#include "serve/byte_cache.hpp"

namespace upwell::serve {

std::optional<SharedBytes> ByteCache::get(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  if (found == by_key_.end()) return std::nullopt;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

void ByteCache::put(const std::string& key, SharedBytes bytes) {
  if (bytes.size() > capacity_ / 4) return;
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return;
  held_ += bytes.size();
  entries_.emplace_front(key, std::move(bytes));
  by_key_[key] = entries_.begin();
  while (held_ > capacity_) {
    held_ -= entries_.back().second.size();
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

}  // namespace upwell::serve
