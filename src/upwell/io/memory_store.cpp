#include "io/memory_store.hpp"

#include "io/ranges.hpp"

namespace upwell::io {

class MemoryStore::Writer : public ObjectWriter {
 public:
  Writer(MemoryStore& store, std::string url) : store_(store), url_(std::move(url)) {}
  Result<> write(ByteSpan bytes) override {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return {};
  }
  Result<ObjectInfo> commit(const PutCondition& condition) override {
    UPWELL_TRY(ObjectInfo info, store_.place(url_, std::move(bytes_), condition));
    store_.forget(url_);
    return info;
  }

 private:
  MemoryStore& store_;
  std::string url_;
  Bytes bytes_;
};

Result<ObjectInfo> MemoryStore::place(const std::string& url, Bytes bytes,
                                      const PutCondition& condition) {
  std::lock_guard lock(mutex_);
  auto it = objects_.find(url);
  if (condition.when == PutCondition::When::kAbsent && it != objects_.end())
    return fail(Code::kAlreadyExists, url + ": is there already");
  if (condition.when == PutCondition::When::kUnchanged &&
      (it == objects_.end() || it->second.info.etag != condition.etag))
    return fail(Code::kChanged, url + ": is no longer " + condition.etag);
  ObjectInfo info;
  info.size = bytes.size();
  info.etag = "\"" + std::to_string(++revision_) + "\"";
  info.settled = true;
  objects_[url] = Object{SharedBytes(std::move(bytes)), info};
  return info;
}

void MemoryStore::put(const std::string& url, Bytes bytes) {
  (void)place(url, std::move(bytes), {});  // without a condition it cannot fail
}

Result<std::unique_ptr<ObjectWriter>> MemoryStore::create(const std::string& url) {
  return std::make_unique<Writer>(*this, url);
}

Result<> MemoryStore::remove(const std::string& url) {
  {
    std::lock_guard lock(mutex_);
    objects_.erase(url);
  }
  forget(url);
  return {};
}

StoreTraits MemoryStore::traits() const {
  return {.coalesce_gap = 0, .max_request = kToEnd, .parallelism = 1, .worth_caching = false};
}

Result<MemoryStore::Object> MemoryStore::find(const std::string& url) {
  Object object;
  {
    std::lock_guard lock(mutex_);
    auto it = objects_.find(url);
    if (it == objects_.end()) return fail(Code::kNotFound, url + ": no such object");
    object = it->second;
  }
  UPWELL_CHECK(first_seen_.check(url, object.info));
  return object;
}

Result<ObjectInfo> MemoryStore::stat(const std::string& url, const ReachPtr& /*reach*/) {
  UPWELL_TRY(Object object, find(url));
  return object.info;
}

std::vector<Result<SharedBytes>> MemoryStore::read(std::span<const ReadRequest> requests) {
  std::vector<Result<SharedBytes>> results;
  results.reserve(requests.size());
  for (const ReadRequest& request : requests) {
    auto answer = [&]() -> Result<SharedBytes> {
      UPWELL_TRY(Object object, find(request.url));
      UPWELL_TRY(Range range, checked_range(request.url, request.range, object.bytes.size()));
      return object.bytes.slice(range.offset, range.length);
    };
    results.push_back(answer());
  }
  return results;
}

Result<std::vector<std::string>> MemoryStore::list(const std::string& prefix) {
  std::string directory = prefix.empty() || prefix.ends_with('/') ? prefix : prefix + "/";
  std::lock_guard lock(mutex_);
  std::vector<std::string> urls;
  for (auto it = objects_.lower_bound(directory);
       it != objects_.end() && it->first.starts_with(directory); ++it) {
    urls.push_back(it->first);
  }
  return urls;
}

std::optional<ObjectInfo> MemoryStore::known(const std::string& url) const {
  return first_seen_.find(url);
}
void MemoryStore::expect(const std::string& url, const ObjectInfo& state) {
  first_seen_.expect(url, state);
}

void MemoryStore::forget(const std::string& url) { first_seen_.forget(url); }

}  // namespace upwell::io
