#include "io/session.hpp"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <shared_mutex>
#include <utility>

#include "base/parallel.hpp"
#include "io/block_cache.hpp"
#include "io/disk_cache.hpp"
#include "io/file_store.hpp"
#include "io/http_store.hpp"
#include "io/ranges.hpp"
#include "io/s3_store.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace session_detail {

/// A fetch that is under way, for others who want a part of it.
class Flight {
 public:
  explicit Flight(Range range) : range_(range) {}
  bool holds(Range part) const {
    if (part.offset < range_.offset) return false;
    if (range_.length == kToEnd) return true;
    uint64_t skip = part.offset - range_.offset;
    return part.length != kToEnd && skip <= range_.length && part.length <= range_.length - skip;
  }
  void land(const Result<SharedBytes>& result) {
    std::lock_guard lock(mutex_);
    result_ = result;
    landed_.notify_all();
  }
  /// The part, or an error that it shares; nothing when it must be fetched by itself.
  std::optional<Result<SharedBytes>> wait_for(Range part) {
    std::unique_lock lock(mutex_);
    landed_.wait(lock, [&] { return result_.has_value(); });
    const Result<SharedBytes>& result = *result_;
    if (!result) {
      // What failed may be another part of it, unless it is about the object as a whole.
      Code code = result.error().code;
      bool whole =
          code == Code::kNotFound || code == Code::kChanged || code == Code::kUnauthenticated;
      // What one reader may not reach, another may.
      bool given_up =
          code == Code::kCancelled || code == Code::kInternal || code == Code::kPermissionDenied;
      bool own = !whole && (given_up || part != range_);
      return own ? std::nullopt : std::optional(result);
    }
    uint64_t skip = part.offset - range_.offset;
    if (skip > result->size()) return {};
    uint64_t rest = result->size() - skip;
    if (part.length != kToEnd && part.length > rest) return {};
    return result->slice(skip, std::min(part.length, rest));
  }

 private:
  Range range_;
  std::mutex mutex_;
  std::condition_variable landed_;
  std::optional<Result<SharedBytes>> result_;
};

using Flights = std::map<std::pair<std::string, uint64_t>, std::shared_ptr<Flight>>;

/// The flights that one call has started. However the call ends, they land.
class Departures {
 public:
  Departures(std::mutex& mutex, Flights& flights) : mutex_(mutex), flights_(flights) {}
  Departures(const Departures&) = delete;
  Departures& operator=(const Departures&) = delete;
  ~Departures() {
    for (size_t k = 0; k < started_.size(); ++k) {
      if (started_[k].flight) land(k, fail(Code::kInternal, "a read was given up"));
    }
  }
  /// The caller holds the mutex.
  void start(const std::string& url, Range range) {
    Started started{std::make_shared<Flight>(range), {}};
    auto [it, added] = flights_.try_emplace({url, range.offset}, started.flight);
    if (added) started.place = it;
    started_.push_back(std::move(started));
  }
  void land(size_t k, const Result<SharedBytes>& result) {
    Started started = std::exchange(started_[k], {});
    if (started.place) {
      std::lock_guard lock(mutex_);
      flights_.erase(*started.place);
    }
    started.flight->land(result);
  }

 private:
  struct Started {
    std::shared_ptr<Flight> flight;
    std::optional<Flights::iterator> place;  // none where another flight has it
  };
  std::mutex& mutex_;
  Flights& flights_;
  std::vector<Started> started_;
};

struct Mount {
  std::shared_ptr<ByteStore> store;  // null: the built-in one, made when it is first used
};

}  // namespace session_detail

using session_detail::Flight;

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

  mutable std::shared_mutex mounts_mutex;
  mutable std::map<std::string, session_detail::Mount> mounts;
  /// Every store that was ever mounted and counts for itself, with its count at that time.
  mutable std::map<std::shared_ptr<ByteStore>, Traffic> counting;

  mutable std::string s3_host;  // of the endpoint; empty: Amazon's, or not asked yet

  std::mutex flights_mutex;
  session_detail::Flights flights;

  std::atomic<uint64_t> requests{0}, bytes_asked{0}, bytes_fetched{0}, cache_hits{0};

  explicit Impl(SessionOptions o) : options(std::move(o)), memory(memory_share(options)) {
    if (!options.disk_cache.empty())
      disk.emplace(options.disk_cache, cache_cap(options) - memory_share(options));
  }

  Result<std::shared_ptr<ByteStore>> store_of(const std::string& url) const;
  void count_traffic_of(const std::shared_ptr<ByteStore>& store) const;
  HttpOptions http_options() const;
  Result<std::shared_ptr<ByteStore>> make_s3_store() const;

  void read_store(ByteStore& store, std::span<const ReadRequest> asked, std::vector<size_t> which,
                  std::vector<Result<SharedBytes>>& results);
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
    UPWELL_TRY(auto s3, make_s3_store());
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
  return http;
}

Result<std::shared_ptr<ByteStore>> Session::Impl::make_s3_store() const {
  S3Options s3;
  s3.http = http_options();
  s3.requester_pays = options.s3.requester_pays;
  UPWELL_TRY(s3.configuration, s3_configuration(options.s3, process_environment()));
  s3_host = host_of(s3.configuration.endpoint);
  return std::make_shared<S3Store>(std::move(s3));
}

void Session::Impl::count_traffic_of(const std::shared_ptr<ByteStore>& store) const {
  if (auto so_far = store->traffic()) counting.try_emplace(store, *so_far);
}

/// Every answer of a store is checked to have the length that was asked for.
std::vector<Result<SharedBytes>> Session::Impl::fetch(ByteStore& store,
                                                      std::span<const ReadRequest> merged) {
  if (merged.empty()) return {};
  auto answers = store.read(merged);
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
    requests += merged.size();
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
  session_detail::Departures departures(flights_mutex, flights);
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
    if (!store.traffic()) ++requests;
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
  read_store(store, asked, std::move(missing), results);
  std::vector<size_t> again;
  for (auto& [i, flight] : joined) {
    if (auto part = flight->wait_for(asked[i].range)) {
      results[i] = std::move(*part);
      ++cache_hits;
      continue;
    }
    again.push_back(i);
  }
  read_store(store, asked, std::move(again), results);
}

void Session::Impl::read_store(ByteStore& store, std::span<const ReadRequest> asked,
                               std::vector<size_t> which,
                               std::vector<Result<SharedBytes>>& results) {
  if (which.empty()) return;
  std::vector<Fetch> fetches = coalesce(asked, std::move(which), store.traits());
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

Result<ObjectInfo> Session::stat(const std::string& url, const ReachPtr& reach) {
  UPWELL_TRY(auto store, impl_->store_of(url));
  if (!store->traffic()) ++impl_->requests;
  auto info = store->stat(url, reach);
  if (!info && info.error().code == Code::kChanged) impl_->memory.forget(url);
  return info;
}

Result<std::vector<std::string>> Session::list(const std::string& prefix) {
  UPWELL_TRY(auto store, impl_->store_of(prefix));
  if (!store->traffic()) ++impl_->requests;
  return store->list(prefix);
}

Result<std::vector<std::string>> Session::list_directory(const std::string& directory) {
  UPWELL_TRY(auto store, impl_->store_of(directory));
  if (!store->traffic()) ++impl_->requests;
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
    answers[i] = stat(urls[i], reach);
    return {};
  });
  return answers;
}

Result<> Session::list_each(const std::string& prefix,
                            const std::function<Result<>(const std::string& url)>& visit) {
  UPWELL_TRY(auto store, impl_->store_of(prefix));
  if (!store->traffic()) ++impl_->requests;
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
  if (!store->traffic()) ++impl_->requests;
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
  if (!store->traffic()) ++impl_->requests;
  auto removed = store->remove(url);
  forget(url);
  return removed;
}

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

const std::string& Session::preferred_scheme() const { return impl_->options.prefer_scheme; }

Counters Session::counters() const {
  Counters counters{.requests = impl_->requests,
                    .retries = 0,
                    .bytes_asked = impl_->bytes_asked,
                    .bytes_fetched = impl_->bytes_fetched,
                    .cache_hits = impl_->cache_hits};
  std::shared_lock lock(impl_->mounts_mutex);
  for (const auto& [store, before] : impl_->counting) {
    Traffic now = store->traffic().value_or(before);
    counters.requests += now.requests - before.requests;
    counters.retries += now.retries - before.retries;
    counters.bytes_fetched += now.bytes - before.bytes;
  }
  return counters;
}

Result<std::shared_ptr<ByteStore>> Session::store(const std::string& url) const {
  return impl_->store_of(url);
}

Result<StoreTraits> Session::traits(const std::string& url) const {
  UPWELL_TRY(auto store, impl_->store_of(url));
  return store->traits();
}

}  // namespace upwell::io
