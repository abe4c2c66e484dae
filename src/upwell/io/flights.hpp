#pragma once
// Fetches that are under way, so that others who want a part of one wait for it instead of asking
// again.

#include <algorithm>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

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

}  // namespace upwell::io
