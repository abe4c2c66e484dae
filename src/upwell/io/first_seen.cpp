#include "io/first_seen.hpp"

#include "io/url.hpp"

namespace upwell::io {

Result<> FirstSeen::check(const std::string& url, const ObjectInfo& now, bool size_known) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(url);
  if (it == entries_.end()) {
    order_.push_front(url);
    entries_[url] = Entry{now, size_known, order_.begin()};
    if (entries_.size() > limit_) {
      entries_.erase(order_.back());
      order_.pop_back();
    }
    return {};
  }
  Entry& first = it->second;
  order_.splice(order_.begin(), order_, first.used);
  const std::string shown = shown_url(url);
  if (size_known && first.size_known && now.size != first.info.size) {
    return fail(Code::kChanged,
                shown + ": changed while it was read: " + std::to_string(first.info.size) +
                    " bytes before, " + std::to_string(now.size) + " now");
  }
  if (!now.etag.empty() && !first.info.etag.empty()) {
    if (now.etag != first.info.etag) {
      return fail(Code::kChanged, shown + ": changed while it was read: ETag " + first.info.etag +
                                      " before, " + now.etag + " now");
    }
  } else if (now.mtime_ns && first.info.mtime_ns && *now.mtime_ns != *first.info.mtime_ns) {
    return fail(Code::kChanged, shown + ": changed while it was read: it was modified since");
  }
  if (first.info.etag.empty()) first.info.etag = now.etag;
  if (!first.info.mtime_ns) first.info.mtime_ns = now.mtime_ns;
  if (size_known && !first.size_known) {
    first.info.size = now.size;
    first.size_known = true;
  }
  return {};
}

std::optional<ObjectInfo> FirstSeen::find(const std::string& url) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(url);
  if (it == entries_.end() || !it->second.size_known) return std::nullopt;
  return it->second.info;
}

void FirstSeen::forget(const std::string& url) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(url);
  if (it == entries_.end()) return;
  order_.erase(it->second.used);
  entries_.erase(it);
}

}  // namespace upwell::io
