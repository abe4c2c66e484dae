#include "io/session.hpp"

#include <algorithm>
#include <utility>

#include "base/parallel.hpp"
#include "io/file_store.hpp"
#include "io/ranges.hpp"
#include "io/s3_store.hpp"
#include "io/session_impl.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

constexpr uint64_t kMemoryCache = 256ULL << 20;

}  // namespace

uint64_t cache_cap(const SessionOptions& options) {
  if (options.cache_bytes != 0) return options.cache_bytes;
  return options.disk_cache.empty() ? kMemoryCache : 4ULL << 30;
}

/// Beside a disk cache memory only spares reading ranges from there again.
uint64_t memory_share(const SessionOptions& options) {
  const uint64_t cap = cache_cap(options);
  return options.disk_cache.empty() ? cap : std::min(kMemoryCache, cap / 4);
}

Result<std::shared_ptr<ByteStore>> Session::Impl::store_of(const std::string& url) const {
  std::string scheme = scheme_of(url);
  {
    std::shared_lock lock(mounts_mutex);
    auto it = mounts.find(scheme);
    if (it == mounts.end()) {
      return fail(Code::kUnsupported,
                  shown_url(url) + ": no byte store for \"" + scheme + "\" URLs");
    }
    if (it->second.store) return it->second.store;
  }
  std::unique_lock lock(mounts_mutex);
  if (!mounts[scheme].store && scheme == "s3") {
    UPWELL_TRY(auto s3, make_s3_store(options.s3_credentials));
    mounts[scheme].store = s3;
    count_traffic_of(s3);
  }
  if (!mounts[scheme].store) {
    auto http = std::make_shared<HttpStore>(http_options());
    for (const char* name : {"http", "https"}) {
      if (!mounts[name].store) mounts[name].store = http;
    }
    count_traffic_of(http);
  }
  return mounts[scheme].store;
}

HttpOptions Session::Impl::http_options() const {
  HttpOptions http;
  http.connect_timeout_s = options.connect_timeout_s;
  http.stall_timeout_s = options.stall_timeout_s;
  http.attempts = options.attempts;
  http.parallelism_per_host = options.parallelism_per_host;
  http.redirects = Reach::of_redirects(options.reach);
  http.login = options.login;
  http.ca_file = options.ca_file;
  http.budget = options.budget;
  return http;
}

Result<std::shared_ptr<ByteStore>> Session::Impl::make_s3_store(
    const S3CredentialsProvider& keys) const {
  S3Options s3;
  s3.http = http_options();
  s3.requester_pays = options.s3.requester_pays;
  UPWELL_TRY(s3.configuration, s3_configuration(options.s3, process_environment()));
  if (keys && !options.s3.anonymous) s3.configuration.credentials = keys;
  if (!options.s3.anonymous) s3.configuration.bucket_credentials = options.s3_bucket_credentials;
  s3_host = host_of(s3.configuration.endpoint);
  return std::make_shared<S3Store>(std::move(s3));
}

void Session::Impl::count_traffic_of(const std::shared_ptr<ByteStore>& store) const {
  if (auto so_far = store->traffic()) counting.try_emplace(store, *so_far);
}

void Session::Impl::count_request(const ByteStore& store, bool own_round) {
  if (!store.traffic()) ++requests;
  if (own_round && store.traits().worth_caching) ++rounds;
}
Session::Session(SessionOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {
  // The list of stores.
  impl_->mounts["file"] = {std::make_shared<FileStore>()};
  impl_->mounts["http"] = {};
  impl_->mounts["https"] = {};
  impl_->mounts["s3"] = {};
}
Session::~Session() = default;

void Session::mount(const std::string& scheme, std::shared_ptr<ByteStore> store) {
  std::unique_lock lock(impl_->mounts_mutex);
  impl_->count_traffic_of(store);
  impl_->mounts[scheme] = {std::move(store)};
}

Result<> Session::read_directly(DirectPlaces places, const S3CredentialsProvider& keys,
                                std::function<void(const std::string&)> say) {
  UPWELL_TRY(auto https, impl_->store_of("https://"));
  std::shared_ptr<ByteStore> s3;
  if (keys) {
    std::unique_lock lock(impl_->mounts_mutex);
    UPWELL_TRY(s3, impl_->make_s3_store(keys));
    impl_->count_traffic_of(s3);
  } else {
    UPWELL_TRY(s3, impl_->store_of("s3://"));
  }
  mount("https", std::make_shared<DirectStore>(std::move(https), std::move(s3), std::move(places),
                                               std::move(say)));
  return {};
}

std::vector<Result<SharedBytes>> Session::read(std::span<const ReadRequest> requests,
                                               const Arrived& arrived) {
  std::vector<Result<SharedBytes>> results(requests.size());
  std::map<std::shared_ptr<ByteStore>, std::vector<size_t>> by_store;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Range& range = requests[i].range;
    auto store = impl_->store_of(requests[i].url);
    if (!store) {
      results[i] = fail(std::move(store).error());
    } else if (range.length != kToEnd && range.length > kToEnd - 1 - range.offset) {
      results[i] = fail(Code::kInvalidData, shown_url(requests[i].url) + ": no object has " +
                                                std::to_string(range.length) + " bytes at offset " +
                                                std::to_string(range.offset));
    } else {
      by_store[*store].push_back(i);
    }
  }
  std::vector<std::pair<ByteStore*, std::vector<size_t>>> jobs;
  for (auto& [store, which] : by_store) jobs.emplace_back(store.get(), std::move(which));
  (void)blocking_for(jobs.size(), jobs.size(), [&](size_t j) -> Result<> {
    auto& [store, which] = jobs[j];
    if (store->traits().worth_caching) {
      impl_->read_cached_store(*store, requests, which, results, arrived);
    } else {
      impl_->read_store(*store, requests, which, results, arrived);
    }
    return {};
  });
  uint64_t asked = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (results[i]) asked += results[i]->size();
  }
  impl_->bytes_asked += asked;
  return results;
}

Result<SharedBytes> Session::read_one(const std::string& url, Range range, const ReachPtr& reach) {
  ReadRequest request{url, range, reach};
  return std::move(read({&request, 1}).front());
}

Result<ObjectInfo> Session::Impl::stat(const std::string& url, const ReachPtr& reach,
                                       bool own_round) {
  UPWELL_TRY(auto store, store_of(url));
  count_request(*store, own_round);
  auto info = store->stat(url, reach);
  if (!info && info.error().code == Code::kChanged) memory.forget(url);
  return info;
}

Result<ObjectInfo> Session::stat(const std::string& url, const ReachPtr& reach) {
  return impl_->stat(url, reach);
}

Result<Front> Session::front(const std::string& url, uint64_t length, const ReachPtr& reach) {
  UPWELL_TRY(auto store, impl_->store_of(url));
  // Bytes that may be cached, or cost nothing, are not fetched again for the sake of the state.
  const bool kept = store->known(url) || (impl_->disk && impl_->disk->has_object(url));
  if (kept || !store->traits().worth_caching) {
    UPWELL_TRY(ObjectInfo info, stat(url, reach));
    if (info.size == 0 || length == 0) return Front{std::move(info), {}};
    UPWELL_TRY(SharedBytes bytes, read_one(url, {0, std::min(length, info.size)}, reach));
    return Front{std::move(info), std::move(bytes)};
  }
  impl_->count_request(*store);
  auto front = store->front(url, length, reach);
  if (!front) {
    if (front.error().code == Code::kChanged) impl_->memory.forget(url);
    return front;
  }
  const uint64_t size = front->bytes.size();
  if (size < std::min(length, front->info.size)) {
    return fail(Code::kInvalidData, shown_url(url) + ": short read: " + std::to_string(size) +
                                        " of the first " + std::to_string(length) + " bytes");
  }
  if (!store->traffic()) impl_->bytes_fetched += size;
  impl_->bytes_asked += size;
  if (size > 0) impl_->keep(*store, {url, {0, size}, reach}, front->bytes);
  return front;
}

Result<std::vector<std::string>> Session::list(const std::string& prefix) {
  UPWELL_TRY(auto store, impl_->store_of(prefix));
  impl_->count_request(*store);
  return store->list(prefix);
}

Result<std::vector<std::string>> Session::list_directory(const std::string& directory) {
  UPWELL_TRY(auto store, impl_->store_of(directory));
  impl_->count_request(*store);
  return store->list_directory(directory);
}

std::vector<Result<ObjectInfo>> Session::stat_many(std::span<const std::string> urls,
                                                   const ReachPtr& reach) {
  std::vector<Result<ObjectInfo>> answers(urls.size());
  if (urls.empty()) return answers;
  auto first = traits(urls[0]);
  // Where asking costs nothing, a thread costs more.
  const size_t threads = first && first->worth_caching ? first->parallelism : 1;
  (void)blocking_for(urls.size(), threads, [&](size_t i) -> Result<> {
    answers[i] = impl_->stat(urls[i], reach, /*own_round=*/i == 0);
    return {};
  });
  return answers;
}

Result<> Session::list_each(const std::string& prefix,
                            const std::function<Result<>(const std::string& url)>& visit) {
  UPWELL_TRY(auto store, impl_->store_of(prefix));
  impl_->count_request(*store);
  return store->list_each(prefix, visit);
}

namespace {

/// Lets the session forget the object once another is in its place.
class ForgettingWriter : public ObjectWriter {
 public:
  ForgettingWriter(Session& session, std::string url, std::unique_ptr<ObjectWriter> writer)
      : session_(session), url_(std::move(url)), writer_(std::move(writer)) {}
  Result<> write(ByteSpan bytes) override { return writer_->write(bytes); }
  Result<ObjectInfo> commit(const PutCondition& condition) override {
    auto info = writer_->commit(condition);
    session_.forget(url_);  // also after a failure: it may have been noticed too late
    return info;
  }

 private:
  Session& session_;
  std::string url_;
  std::unique_ptr<ObjectWriter> writer_;
};

}  // namespace

Result<std::unique_ptr<ObjectWriter>> Session::create(const std::string& url) {
  UPWELL_TRY(auto store, impl_->store_of(url));
  impl_->count_request(*store);
  UPWELL_TRY(std::unique_ptr<ObjectWriter> writer, store->create(url));
  return std::make_unique<ForgettingWriter>(*this, url, std::move(writer));
}

Result<ObjectInfo> Session::put(const std::string& url, ByteSpan bytes,
                                const PutCondition& condition) {
  UPWELL_TRY(std::unique_ptr<ObjectWriter> writer, create(url));
  UPWELL_CHECK(writer->write(bytes));
  return writer->commit(condition);
}

Result<> Session::remove(const std::string& url) {
  UPWELL_TRY(auto store, impl_->store_of(url));
  impl_->count_request(*store);
  auto removed = store->remove(url);
  forget(url);
  return removed;
}

std::string Session::Impl::place_of(const std::string& url) const {
  if (scheme_of(url) != "s3") return {};
  std::shared_lock lock(mounts_mutex);
  // The same bucket name is another bucket at another service.
  return s3_host + " ";
}

std::vector<Extent> Session::known_index(const std::string& url, const ObjectInfo& state) {
  if (!impl_->index) return {};
  auto store = impl_->store_of(url);
  if (!store || !(*store)->traits().worth_caching) return {};
  auto extents = impl_->index->find(impl_->place_of(url), url, state);
  for (const Extent& extent : extents) impl_->memory.put(url, extent.offset, extent.bytes);
  return extents;
}

void Session::keep_index(const std::string& url, const ObjectInfo& state,
                         std::vector<Extent> extents) {
  if (!impl_->index) return;
  auto store = impl_->store_of(url);
  if (!store || !(*store)->traits().worth_caching) return;
  // The bytes may be as old as the state that was seen first: whether that had settled then counts.
  const auto first = (*store)->known(url);
  if (!first || first->etag != state.etag) return;
  ObjectInfo seen = state;
  seen.settled = first->settled;
  impl_->index->put(impl_->place_of(url), url, seen, std::move(extents));
}

void Session::read_without_index() { impl_->index.reset(); }

void Session::expect(const std::string& url, const ObjectInfo& state) {
  if (auto store = impl_->store_of(url)) (*store)->expect(url, state);
}

void Session::forget(const std::string& url) {
  if (auto store = impl_->store_of(url)) (*store)->forget(url);
  impl_->memory.forget(url);
}

ReachPtr Session::reach_from(const std::string& url) const {
  ReachOptions options = impl_->options.reach;
  std::shared_lock lock(impl_->mounts_mutex);
  // The service that the user reads buckets from is a host that the user named.
  if (!impl_->s3_host.empty()) options.hosts.push_back(impl_->s3_host);
  return std::make_shared<const Reach>(url, std::move(options));
}

const EgressBudget* Session::budget() const { return impl_->options.budget.get(); }

uint64_t Session::bytes_to_fetch(std::span<const ReadRequest> requests) {
  std::map<std::shared_ptr<ByteStore>, std::vector<size_t>> by_store;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (requests[i].range.length == kToEnd) continue;
    auto store = impl_->store_of(requests[i].url);
    if (!store || !(*store)->traits().worth_caching) continue;
    if (!impl_->find_cached(**store, requests[i])) by_store[*store].push_back(i);
  }
  uint64_t bytes = 0;
  for (const auto& [store, which] : by_store) {
    for (auto& [host, of_host] : by_origin(requests, which)) {
      const StoreTraits line = store->traits_for(requests[of_host.front()].url);
      for (const Fetch& fetch : coalesce(requests, std::move(of_host), line))
        bytes += fetch.request.range.length;
    }
  }
  return bytes;
}

uint64_t Session::cache_bytes() const { return cache_cap(impl_->options); }

const std::string& Session::preferred_scheme() const { return impl_->options.prefer_scheme; }

Counters Session::counters() const {
  Counters counters{.requests = impl_->requests,
                    .retries = 0,
                    .bytes_asked = impl_->bytes_asked,
                    .bytes_fetched = impl_->bytes_fetched,
                    .head_bytes = 0,
                    .sent_bytes = 0,
                    .cache_hits = impl_->cache_hits,
                    .rounds = impl_->rounds};
  std::shared_lock lock(impl_->mounts_mutex);
  for (const auto& [store, before] : impl_->counting) {
    Traffic now = store->traffic().value_or(before);
    counters.requests += now.requests - before.requests;
    counters.retries += now.retries - before.retries;
    counters.bytes_fetched += now.bytes - before.bytes;
    counters.head_bytes += now.head_bytes - before.head_bytes;
    counters.sent_bytes += now.sent_bytes - before.sent_bytes;
  }
  return counters;
}

Result<std::shared_ptr<ByteStore>> Session::store(const std::string& url) const {
  return impl_->store_of(url);
}

Result<StoreTraits> Session::traits(const std::string& url) const {
  UPWELL_TRY(auto store, impl_->store_of(url));
  return store->traits_for(url);
}

}  // namespace upwell::io
