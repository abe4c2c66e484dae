#pragma once
// The one way to read objects: picks the store by URL, coalesces, caches, limits and counts. No
// globals: pass it down.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "io/byte_store.hpp"
#include "io/direct_store.hpp"
#include "io/egress_budget.hpp"
#include "io/http_login.hpp"
#include "io/index_cache.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::io {

struct SessionOptions {
  /// Of fetched ranges, in memory and on disk together; 0: 256 MiB, with a disk cache 4 GiB.
  uint64_t cache_bytes = 0;
  std::filesystem::path disk_cache = {};  ///< empty: none, and all of the cap is for memory
  /// Of what scans have read, see io/index_cache.hpp; empty: none.
  std::filesystem::path index_cache = {};
  uint64_t index_cache_bytes = 1ULL << 30;
  double connect_timeout_s = 10;
  double stall_timeout_s = 30;  ///< no byte for so long: the attempt failed
  int attempts = 5;  ///< of one request, with exponential back-off, jitter, and Retry-After
  size_t parallelism_per_host = 64;
  S3Settings s3 = {};
  /// Of S3, in place of what the environment and profiles say; null: those.
  S3CredentialsProvider s3_credentials = {};
  /// Of single buckets, by name, whatever holds for others.
  std::map<std::string, S3CredentialsProvider> s3_bucket_credentials = {};
  std::shared_ptr<HttpLogin> login = {};  ///< of servers behind http and https; null: none
  std::string ca_file = {};               ///< of trusted certificates; empty: the system's
  /// Of bytes that may come from servers; null: as many as it takes.
  std::shared_ptr<EgressBudget> budget = {};
  ReachOptions reach = {};
  /// "s3" or "https": which to read where an object lies at both; empty: as the set that names it.
  std::string prefer_scheme = {};
};

/// What reading has cost so far.
struct Counters {
  uint64_t requests =
      0;  ///< requests that went to a store after coalescing (http: including retries)
  uint64_t retries = 0;
  uint64_t bytes_asked = 0;    ///< by callers, and given to them
  uint64_t bytes_fetched = 0;  ///< from stores; http: all bodies that came, also of errors
  uint64_t head_bytes = 0;     ///< http: of the heads of answers
  uint64_t sent_bytes = 0;     ///< http: of requests
  uint64_t cache_hits = 0;     ///< ranges answered without a request
  /// Batches of requests to servers that somebody waited for: each takes a round trip at least.
  uint64_t rounds = 0;
};

/// Thread-safe. Shared by everything that reads in one run.
class Session {
 public:
  explicit Session(SessionOptions options = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Adds a store for a URL scheme ("memory", "s3", ...), or replaces one (tests inject faults this
  /// way). "file" (also for plain paths), "http", "https" and "s3" are there from the start.
  void mount(const std::string& scheme, std::shared_ptr<ByteStore> store);

  /// From now on reads objects behind https from S3 where they lie there, too, and S3 lets us: see
  /// DirectStore. `keys` gives the credentials for that; null: those of the session. Before
  /// anything is read.
  Result<> read_directly(DirectPlaces places, const S3CredentialsProvider& keys,
                         std::function<void(const std::string&)> say);

  /// See ByteStore. Ranges of the whole batch, over all objects, are coalesced and fetched
  /// together: do not loop over single reads. `arrived`, if there is one, is told of some answers
  /// while others are under way, see ByteStore::read_and_tell.
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests,
                                        const Arrived& arrived = {});
  Result<SharedBytes> read_one(const std::string& url, Range range = {},
                               const ReachPtr& reach = {});
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {});
  /// The state of an object as of now and its first `length` bytes (if it has so many), in one
  /// round trip where that can be. What came is cached.
  Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {});
  Result<std::vector<std::string>> list(const std::string& prefix);
  Result<std::vector<std::string>> list_directory(const std::string& directory);
  /// As `stat`, of many at once.
  std::vector<Result<ObjectInfo>> stat_many(std::span<const std::string> urls,
                                            const ReachPtr& reach = {});
  Result<> list_each(const std::string& prefix,
                     const std::function<Result<>(const std::string& url)>& visit);

  /// Writing, see ByteStore. What is committed or removed is forgotten here, as by `forget`.
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url);
  Result<ObjectInfo> put(const std::string& url, ByteSpan bytes,
                         const PutCondition& condition = {});
  Result<> remove(const std::string& url);

  /// What an earlier scan, perhaps of another process, has read of this state of an object; from
  /// then on those ranges are hits for `read`, too.
  std::vector<Extent> known_index(const std::string& url, const ObjectInfo& state);
  /// Keeps what a scan has read for the next one, where that may be.
  void keep_index(const std::string& url, const ObjectInfo& state, std::vector<Extent> extents);
  /// From now on nothing is read through indexes that are kept.
  void read_without_index();

  /// Reads only this state of an object from now on, see ByteStore::expect.
  void expect(const std::string& url, const ObjectInfo& state);
  /// Takes the object as it is from now on: forgets its first-seen state and its cached blocks.
  void forget(const std::string& url);

  /// Null: there is none.
  const EgressBudget* budget() const;
  /// How many bytes it takes to read these from servers, as far as they are not here already:
  /// with the gaps between ranges that are fetched together. Ranges to an unknown end count as 0.
  uint64_t bytes_to_fetch(std::span<const ReadRequest> requests);
  /// How many bytes of fetched ranges are kept, in memory and on disk together.
  uint64_t cache_bytes() const;

  const std::string& preferred_scheme() const;
  /// What the content of the object at this URL may name. Goes with every read of what it names.
  ReachPtr reach_from(const std::string& url) const;

  Counters counters() const;
  /// The store that reads this URL: for another session over it.
  Result<std::shared_ptr<ByteStore>> store(const std::string& url) const;
  /// Coalescing and request limits of the store behind this URL.
  Result<StoreTraits> traits(const std::string& url) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "https" of "https://x/y"; "file" for plain paths.
std::string scheme_of(const std::string& url);
/// Resolves `relative` (a URL, an absolute path, or relative to the directory of `base`).
std::string resolve_url(const std::string& base, const std::string& relative);
/// Absolute, normalised form of what a user typed: plain paths become absolute paths; URLs stay.
std::string normal_url(const std::string& source);

}  // namespace upwell::io
