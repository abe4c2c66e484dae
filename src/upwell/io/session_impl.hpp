#pragma once
// What a Session holds: its stores, caches and counters. Of session.cpp and session_read.cpp alone.

#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "io/block_cache.hpp"
#include "io/disk_cache.hpp"
#include "io/flights.hpp"
#include "io/http_store.hpp"
#include "io/index_cache.hpp"
#include "io/session.hpp"

namespace upwell::io {
namespace session_detail {

struct Mount {
  std::shared_ptr<ByteStore> store;  // null: the built-in one, made when it is first used
};

}  // namespace session_detail

/// Bytes of memory and disk cache together, and of memory alone.
uint64_t cache_cap(const SessionOptions& options);
uint64_t memory_share(const SessionOptions& options);

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
                  const std::vector<size_t>& which, std::vector<Result<SharedBytes>>& results,
                  const Arrived& arrived);
  void read_cached_store(ByteStore& store, std::span<const ReadRequest> asked,
                         std::span<const size_t> which, std::vector<Result<SharedBytes>>& results,
                         const Arrived& arrived);
  void learn_states(ByteStore& store, std::span<const ReadRequest> asked,
                    std::span<const size_t> which);
  std::optional<SharedBytes> find_cached(ByteStore& store, const ReadRequest& request);
  std::shared_ptr<Flight> find_flight(const ReadRequest& request);
  /// Of a merged request, or a part of it: its index, where in the object the bytes lie, the bytes.
  using Came = std::function<void(size_t, uint64_t, const SharedBytes&)>;
  std::vector<Result<SharedBytes>> fetch(ByteStore& store, std::span<const ReadRequest> merged,
                                         const Came& came);
  void keep_of_failed(ByteStore& store, std::span<const ReadRequest> merged,
                      std::span<const ReadRequest> parts,
                      std::span<const Result<SharedBytes>> answers);
  std::vector<Result<SharedBytes>> fetch_and_keep(ByteStore& store,
                                                  std::span<const ReadRequest> merged,
                                                  const Came& came);
  void keep(ByteStore& store, const ReadRequest& request, const Result<SharedBytes>& answer);
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach, bool own_round = true);
};

}  // namespace upwell::io
