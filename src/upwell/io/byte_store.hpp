#pragma once
// The narrow interface of everything that reads and writes objects: file, memory, http(s), s3; and
// stores over stores.

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/reach.hpp"

namespace upwell::io {

/// A range that ends where the object ends.
inline constexpr uint64_t kToEnd = std::numeric_limits<uint64_t>::max();

struct Range {
  uint64_t offset = 0;
  uint64_t length = kToEnd;
  bool operator==(const Range&) const = default;
};

/// What identifies one state of an object. Empty or absent: the store does not know.
struct ObjectInfo {
  uint64_t size = 0;
  std::string etag;
  std::optional<int64_t> mtime_ns;  ///< nanoseconds since 1970-01-01T00:00:00Z
  /// It was first seen so long after its last change, by the store's own clock, that no later
  /// change can share its ETag; or the store's ETags never come twice. No part of the identity.
  bool settled = false;
  bool operator==(const ObjectInfo& other) const {
    return size == other.size && etag == other.etag && mtime_ns == other.mtime_ns;
  }
};

/// What is asked of an object first.
struct Front {
  ObjectInfo info;
  SharedBytes bytes;  ///< its first bytes: as many as were asked for or all there are, or more
};

struct ReadRequest {
  std::string url;
  Range range;
  ReachPtr reach = {};  ///< of what names the object; null: the user
};

/// Told of answers as they come, with the index of the request. From any thread, and to return
/// soon.
using Arrived = std::function<void(size_t request, const SharedBytes& bytes)>;

/// What a round trip costs here: the session coalesces ranges by it.
struct StoreTraits {
  uint64_t coalesce_gap = 64 << 10;  ///< two ranges farther apart are never one request
  /// Of gaps up to coalesce_gap that is taken which makes a batch cheapest (io/line_cost.hpp), and
  /// large ranges are asked for in parts where that is faster. Latency 0: the widest, whole.
  double latency_s = 0;
  double round_trip_s = 0;  ///< what of the latency is the way; 0: large ranges stay whole
  double bytes_per_s = 0;
  uint64_t max_request = 16 << 20;  ///< a coalesced request does not grow beyond this
  size_t parallelism = 8;           ///< requests in flight to one host
  size_t ready = 8;                 ///< of these, without the wait for a connection
  bool worth_caching = true;        ///< false where reading again is as cheap as a cache
};

/// What a store has sent and received since it was made.
struct Traffic {
  uint64_t requests = 0;  ///< including retries and the steps of a redirect
  uint64_t retries = 0;
  uint64_t bytes = 0;       ///< of bodies that came, also of errors, redirects and failed attempts
  uint64_t head_bytes = 0;  ///< of the heads of answers
  uint64_t sent_bytes = 0;  ///< of requests, heads and bodies
};

/// What must hold of the object in whose place another is put, at that moment.
struct PutCondition {
  enum class When { kAlways, kAbsent, kUnchanged } when = When::kAlways;
  /// Of kUnchanged: the ETag that it must still have. Where ETags follow from the bytes (S3), an
  /// object with the same bytes as before counts as unchanged.
  std::string etag;

  static PutCondition absent() { return {When::kAbsent, {}}; }
  static PutCondition unchanged(std::string etag) { return {When::kUnchanged, std::move(etag)}; }
};

/// An object that is being written. Readers see nothing of it, or the old one, until `commit`.
/// Destroyed without a commit: nothing is left. Not thread-safe.
class ObjectWriter {
 public:
  virtual ~ObjectWriter() = default;
  virtual Result<> write(ByteSpan bytes) = 0;
  /// Puts the object in its place, in one step, and returns its new state (a time of modification
  /// only where it comes for free). kAlreadyExists: not absent; kChanged: not unchanged, or gone.
  /// Once only.
  virtual Result<ObjectInfo> commit(const PutCondition& condition) = 0;
  Result<ObjectInfo> commit() { return commit({}); }
};

/// Reads ranges of objects; writes objects as a whole. Thread-safe, blocking. A store shows one
/// state of an object: the one it first saw, until it is told to forget it. Every store passes the
/// conformance suite in io/byte_store_conformance.hpp.
class ByteStore {
 public:
  virtual ~ByteStore() = default;

  virtual StoreTraits traits() const = 0;
  /// The same for what lies behind this URL, as far as the way there is known.
  virtual StoreTraits traits_for(const std::string& /*url*/) const { return traits(); }

  /// Size and identity. kNotFound when there is no such object; kChanged when the object changed
  /// since this store first saw it; kPermissionDenied when `reach` does not lead there.
  virtual Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) = 0;

  /// Size and identity together with the first `length` bytes, in one round trip where the store
  /// can. Errors as of `stat` and `read`; an object that is shorter is no error.
  virtual Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {});

  /// Reads a batch, in parallel where that pays; result i answers request i and has exactly the
  /// length asked for (for kToEnd: up to the end; an offset at the end gives no bytes). One failing
  /// request does not fail the others. kInvalidData when the object ends before the range does;
  /// kChanged when the object changed since this store first saw it.
  virtual std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) = 0;
  /// As `read`. A store that can tells besides of answers while others are under way: of each at
  /// most once, and only of what it returns in the end.
  virtual std::vector<Result<SharedBytes>> read_and_tell(std::span<const ReadRequest> requests,
                                                         const Arrived& /*arrived*/) {
    return read(requests);
  }

  /// Objects below a prefix (a directory ending in '/'), sorted by URL. kUnsupported where a store
  /// cannot list.
  virtual Result<std::vector<std::string>> list(const std::string& prefix) = 0;
  /// The same one by one, in memory that does not grow with their number where a store lists in
  /// pages; ends with the first error of `visit`.
  virtual Result<> list_each(const std::string& prefix,
                             const std::function<Result<>(const std::string& url)>& visit) {
    UPWELL_TRY(std::vector<std::string> urls, list(prefix));
    for (const std::string& url : urls) UPWELL_CHECK(visit(url));
    return {};
  }

  /// Begins an object, in pieces of any size. kUnsupported where a store cannot write. What has
  /// been committed is what this store sees from then on: no kChanged for its own writes.
  virtual Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) {
    return fail(Code::kUnsupported, url + ": this kind of URL cannot be written");
  }
  /// Writes a whole object in one step.
  Result<ObjectInfo> put(const std::string& url, ByteSpan bytes,
                         const PutCondition& condition = {}) {
    UPWELL_TRY(std::unique_ptr<ObjectWriter> writer, create(url));
    UPWELL_CHECK(writer->write(bytes));
    return writer->commit(condition);
  }
  /// Removes an object; one that is not there is no error.
  virtual Result<> remove(const std::string& url) {
    return fail(Code::kUnsupported, url + ": this kind of URL cannot be removed");
  }

  /// Names of what lies directly in a directory (ending in '/'), sorted; those of directories end
  /// in
  /// '/'. Without an own way, from `list`, which names everything below.
  virtual Result<std::vector<std::string>> list_directory(const std::string& directory);

  /// The state in which this store first saw the object, without asking again; nothing when it has
  /// not seen it or does not remember.
  virtual std::optional<ObjectInfo> known(const std::string& /*url*/) const { return {}; }
  /// Takes `state` as first seen, as far as it is known (size 0, no ETag, no time: unknown), unless
  /// the store has seen the object already. For what was recorded earlier.
  virtual void expect(const std::string& /*url*/, const ObjectInfo& /*state*/) {}
  /// Forgets that state: the next stat or read takes the object as it is then.
  virtual void forget(const std::string& /*url*/) {}
  /// What has gone over the wire so far; nothing where a request is one read call.
  virtual std::optional<Traffic> traffic() const { return {}; }
};

}  // namespace upwell::io
