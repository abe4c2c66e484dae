#include "io/session.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

#include "base/parallel.hpp"
#include "io/block_cache.hpp"
#include "io/disk_cache.hpp"
#include "io/file_store.hpp"
#include "io/flights.hpp"
#include "io/http_store.hpp"
#include "io/ranges.hpp"
#include "io/s3_store.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace session_detail {

struct Mount {
  std::shared_ptr<ByteStore> store;  // null: the built-in one, made when it is first used
};

}  // namespace session_detail

namespace {

constexpr uint64_t kMemoryCache = 256ULL << 20;

uint64_t cache_cap(const SessionOptions& options) {
  if (options.cache_bytes != 0) return options.cache_bytes;
  return options.disk_cache.empty() ? kMemoryCache : 4ULL << 30;
}

/// Beside a disk cache memory only spares reading ranges from there again.
uint64_t memory_share(const SessionOptions& options) {
  const uint64_t cap = cache_cap(options);
  return options.disk_cache.empty() ? cap : std::min(kMemoryCache, cap / 4);
}

}  // namespace

struct Session::Impl {
  SessionOptions options;
  BlockCache memory;
  std::optional<DiskCache> disk;
  std::optional<IndexCache> index;

  mutable std::shared_mutex mounts_mutex;
  mutable std::map<std::string, session_detail::Mount> mounts;
  /// Every store that was ever mounted and counts for itself, with its count at that time.
  mutable std::map<std::shared_ptr<ByteStore>, Traffic> counting;

  mutable std::string s3_host;  // of the endpoint; empty: Amazon's, or not asked yet

  std::mutex flights_mutex;
  Flights flights;

  std::atomic<uint64_t> requests{0}, bytes_asked{0}, bytes_fetched{0}, cache_hits{0}, rounds{0};

  explicit Impl(SessionOptions o) : options(std::move(o)), memory(memory_share(options)) {
    if (!options.disk_cache.empty())
      disk.emplace(options.disk_cache, cache_cap(options) - memory_share(options));
    if (!options.index_cache.empty()) index.emplace(options.index_cache, options.index_cache_bytes);
  }

  Result<std::shared_ptr<ByteStore>> store_of(const std::string& url) const;
  void count_traffic_of(const std::shared_ptr<ByteStore>& store) const;
  std::string place_of(const std::string& url) const;
  /// A request that is not a read, before it is made.
  void count_request(const ByteStore& store, bool own_round = true);
  HttpOptions http_options() const;
  Result<std::shared_ptr<ByteStore>> make_s3_store(const S3CredentialsProvider& keys) const;

  void read_store(ByteStore& store, std::span<const ReadRequest> asked,
                  const std::vector<size_t>& which, std::vector<Result<SharedBytes>>& results);
  void read_cached_store(ByteStore& store, std::span<const ReadRequest> asked,
                         std::span<const size_t> which, std::vector<Result<SharedBytes>>& results);
  void learn_states(ByteStore& store, std::span<const ReadRequest> asked,
                    std::span<const size_t> which);
  std::optional<SharedBytes> find_cached(ByteStore& store, const ReadRequest& request);
  std::shared_ptr<Flight> find_flight(const ReadRequest& request);
  std::vector<Result<SharedBytes>> fetch(ByteStore& store, std::span<const ReadRequest> merged);
  std::vector<Result<SharedBytes>> fetch_and_keep(ByteStore& store,
                                                  std::span<const ReadRequest> merged);
  void keep(ByteStore& store, const ReadRequest& request, const Result<SharedBytes>& answer);
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach, bool own_round = true);
};

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

/// Every answer of a store is checked to have the length that was asked for.
std::vector<Result<SharedBytes>> Session::Impl::fetch(ByteStore& store,
                                                      std::span<const ReadRequest> merged) {
  if (merged.empty()) return {};
  const StoreTraits line = store.traits_for(merged.front().url);
  if (options.budget && line.worth_caching) {
    uint64_t planned = 0;
    for (const ReadRequest& request : merged)
      if (request.range.length != kToEnd) planned += request.range.length;
    auto enough = options.budget->check(planned, shown_url(merged.front().url));
    if (!enough)
      return std::vector<Result<SharedBytes>>(merged.size(), fail(std::move(enough).error()));
  }
  if (line.worth_caching) ++rounds;
  const uint64_t part = part_size(merged, line);
  size_t asked_for = merged.size();
  std::vector<Result<SharedBytes>> answers;
  if (part == kToEnd) {
    answers = store.read(merged);
  } else {
    const std::vector<ReadRequest> parts = in_parts(merged, part);
    asked_for = parts.size();
    answers = joined(merged, part, store.read(parts));
  }
  uint64_t bytes = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) continue;
    bytes += answers[i]->size();
    uint64_t asked = merged[i].range.length;
    if (asked != kToEnd && asked != answers[i]->size()) {
      answers[i] = fail(Code::kInvalidData, shown_url(merged[i].url) + ": short read: " +
                                                std::to_string(answers[i]->size()) + " of " +
                                                std::to_string(asked) + " bytes at offset " +
                                                std::to_string(merged[i].range.offset));
    }
  }
  if (!store.traffic()) {
    requests += asked_for;
    bytes_fetched += bytes;
  }
  return answers;
}

void Session::Impl::keep(ByteStore& store, const ReadRequest& request,
                         const Result<SharedBytes>& answer) {
  if (answer) {
    memory.put(request.url, request.range.offset, *answer);
    auto state = disk ? store.known(request.url) : std::nullopt;
    if (state) disk->put(request.url, *state, request.range.offset, answer->span());
  } else if (answer.error().code == Code::kChanged) {
    memory.forget(request.url);
  }
}

/// Fetches what is neither under way nor just landed, and lets others join.
std::vector<Result<SharedBytes>> Session::Impl::fetch_and_keep(
    ByteStore& store, std::span<const ReadRequest> merged) {
  if (!store.traits().worth_caching) return fetch(store, merged);

  std::vector<Result<SharedBytes>> answers(merged.size());
  std::vector<size_t> own;
  std::vector<ReadRequest> own_requests;
  std::vector<std::shared_ptr<Flight>> others(merged.size());
  Departures departures(flights_mutex, flights);
  {
    std::lock_guard lock(flights_mutex);
    for (size_t i = 0; i < merged.size(); ++i) {
      const auto& [url, range, reach] = merged[i];
      auto it = flights.find({url, range.offset});
      if (it != flights.end() && it->second->holds(range)) {
        others[i] = it->second;
        continue;
      }
      if (range.length != kToEnd) {
        if (auto landed = memory.find(url, range)) {
          answers[i] = std::move(*landed);
          ++cache_hits;
          continue;
        }
      }
      departures.start(url, range);
      own.push_back(i);
      own_requests.push_back(merged[i]);
    }
  }
  auto fetched = fetch(store, own_requests);
  for (size_t k = 0; k < own.size(); ++k) {
    keep(store, own_requests[k], fetched[k]);
    departures.land(k, fetched[k]);
    answers[own[k]] = std::move(fetched[k]);
  }
  for (size_t i = 0; i < merged.size(); ++i) {
    if (!others[i]) continue;
    auto part = others[i]->wait_for(merged[i].range);
    answers[i] = part ? std::move(*part) : std::move(fetch(store, merged.subspan(i, 1)).front());
    if (part) ++cache_hits;
  }
  return answers;
}

std::optional<SharedBytes> Session::Impl::find_cached(ByteStore& store,
                                                      const ReadRequest& request) {
  Range range = request.range;
  auto state = range.length == kToEnd || disk ? store.known(request.url) : std::nullopt;
  if (range.length == kToEnd) {
    if (!state || range.offset > state->size) return {};
    range.length = state->size - range.offset;
  }
  if (range.length == 0) return {};
  if (auto bytes = memory.find(request.url, range)) return bytes;
  if (!disk || !state) return {};
  auto bytes = disk->find(request.url, *state, range);
  if (bytes) memory.put(request.url, range.offset, *bytes);
  return bytes;
}

std::shared_ptr<Flight> Session::Impl::find_flight(const ReadRequest& request) {
  std::lock_guard lock(flights_mutex);
  auto it = flights.upper_bound({request.url, request.range.offset});
  if (it == flights.begin()) return {};
  --it;
  if (it->first.first != request.url) return {};
  return it->second->holds(request.range) ? it->second : nullptr;
}

/// What the disk cache holds of an object is good only for the state that the object is in: asks
/// for it where there is something to gain.
void Session::Impl::learn_states(ByteStore& store, std::span<const ReadRequest> asked,
                                 std::span<const size_t> which) {
  std::map<std::string, ReachPtr> unknown;
  for (size_t i : which) {
    const std::string& url = asked[i].url;
    if (unknown.contains(url) || store.known(url) || !disk->has_object(url)) continue;
    unknown.emplace(url, asked[i].reach);
  }
  std::vector<std::string> urls;
  std::vector<ReachPtr> reaches;
  for (auto& [url, reach] : unknown) {
    urls.push_back(url);
    reaches.push_back(reach);
  }
  // A failure here comes up again, for whom it concerns, when the range is read.
  (void)blocking_for(urls.size(), store.traits().parallelism, [&](size_t i) -> Result<> {
    count_request(store, i == 0);
    (void)store.stat(urls[i], reaches[i]);
    return {};
  });
}

void Session::Impl::read_cached_store(ByteStore& store, std::span<const ReadRequest> asked,
                                      std::span<const size_t> which,
                                      std::vector<Result<SharedBytes>>& results) {
  if (disk) learn_states(store, asked, which);
  std::vector<size_t> missing;
  std::vector<std::pair<size_t, std::shared_ptr<Flight>>> joined;
  for (size_t i : which) {
    auto flight = find_flight(asked[i]);
    // In this order: a flight is in the cache before it is gone.
    if (auto bytes = find_cached(store, asked[i])) {
      results[i] = std::move(*bytes);
      ++cache_hits;
    } else if (flight) {
      joined.emplace_back(i, std::move(flight));
    } else {
      missing.push_back(i);
    }
  }
  // First one's own: two readers that wait for each other's flights have both landed theirs.
  read_store(store, asked, missing, results);
  std::vector<size_t> again;
  for (auto& [i, flight] : joined) {
    if (auto part = flight->wait_for(asked[i].range)) {
      results[i] = std::move(*part);
      ++cache_hits;
      continue;
    }
    again.push_back(i);
  }
  read_store(store, asked, again, results);
}

void Session::Impl::read_store(ByteStore& store, std::span<const ReadRequest> asked,
                               const std::vector<size_t>& which,
                               std::vector<Result<SharedBytes>>& results) {
  if (which.empty()) return;
  std::vector<Fetch> fetches;
  for (auto& [host, of_host] : by_origin(asked, which)) {
    const StoreTraits line = store.traits_for(asked[of_host.front()].url);
    auto more = coalesce(asked, std::move(of_host), line);
    std::move(more.begin(), more.end(), std::back_inserter(fetches));
  }
  std::vector<ReadRequest> merged;
  merged.reserve(fetches.size());
  for (const Fetch& f : fetches) merged.push_back(f.request);
  auto answers = fetch_and_keep(store, merged);

  std::vector<size_t> alone;
  for (size_t f = 0; f < fetches.size(); ++f) {
    uint64_t start = fetches[f].request.range.offset;
    for (size_t i : fetches[f].members) {
      if (!answers[f]) {
        // One range past the end must not fail its neighbours.
        bool merged_badly =
            answers[f].error().code == Code::kInvalidData && fetches[f].members.size() > 1;
        if (merged_badly) alone.push_back(i);
        results[i] = fail(answers[f].error());
        continue;
      }
      auto range = checked_range(asked[i].url, asked[i].range, start + answers[f]->size());
      if (range) {
        results[i] = answers[f]->slice(range->offset - start, range->length);
      } else {
        results[i] = fail(std::move(range).error());
      }
    }
  }
  if (alone.empty()) return;
  std::vector<ReadRequest> again;
  again.reserve(alone.size());
  for (size_t i : alone) again.push_back(asked[i]);
  auto second = fetch_and_keep(store, again);
  for (size_t k = 0; k < alone.size(); ++k) results[alone[k]] = std::move(second[k]);
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

std::vector<Result<SharedBytes>> Session::read(std::span<const ReadRequest> requests) {
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
      impl_->read_cached_store(*store, requests, which, results);
    } else {
      impl_->read_store(*store, requests, which, results);
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
