#include "io/first_seen.hpp"

#include "io/url.hpp"

namespace upwell::io {

bool same_recorded_time(int64_t a, int64_t b) {
  constexpr int64_t kSecond = 1'000'000'000;
  return a == b || (a / kSecond == b / kSecond && (a % kSecond == 0 || b % kSecond == 0));
}

Result<> FirstSeen::check(const std::string& url, const ObjectInfo& now, bool size_known) {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(url);
  if (it == entries_.end()) {
    insert(url, now, size_known, true);
    return {};
  }
  Entry& first = it->second;
  order_.splice(order_.begin(), order_, first.used);
  const std::string shown =
      shown_url(url) + ": changed " + (first.seen ? "while it was read" : "since it was indexed");
  if (size_known && first.size_known && now.size != first.info.size) {
    return fail(Code::kChanged, shown + ": " + std::to_string(first.info.size) + " bytes before, " +
                                    std::to_string(now.size) + " now");
  }
  if (!now.etag.empty() && !first.info.etag.empty()) {
    if (now.etag != first.info.etag) {
      return fail(Code::kChanged,
                  shown + ": ETag " + first.info.etag + " before, " + now.etag + " now");
    }
  } else if (now.mtime_ns && first.info.mtime_ns &&
             (first.seen || !same_recorded_time(*now.mtime_ns, *first.info.mtime_ns)) &&
             *now.mtime_ns != *first.info.mtime_ns) {
    return fail(Code::kChanged, shown + ": it was modified since");
  }
  if (!first.seen) first.info.settled = now.settled;
  first.seen = true;
  if (first.info.etag.empty()) first.info.etag = now.etag;
  if (!first.info.mtime_ns) first.info.mtime_ns = now.mtime_ns;
  if (size_known && !first.size_known) {
    first.info.size = now.size;
    first.size_known = true;
  }
  return {};
}

void FirstSeen::expect(const std::string& url, const ObjectInfo& state) {
  std::lock_guard lock(mutex_);
  if (!entries_.contains(url)) insert(url, state, state.size > 0, false);
}

void FirstSeen::insert(const std::string& url, ObjectInfo info, bool size_known, bool seen) {
  order_.push_front(url);
  entries_[url] = Entry{std::move(info), size_known, seen, order_.begin()};
  if (entries_.size() <= limit_) return;
  entries_.erase(order_.back());
  order_.pop_back();
}

std::optional<ObjectInfo> FirstSeen::find(const std::string& url) const {
  std::lock_guard lock(mutex_);
  auto it = entries_.find(url);
  if (it == entries_.end() || !it->second.size_known || !it->second.seen) return std::nullopt;
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
