#pragma once
// The memory that all requests in flight may use for reading, together.

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <set>

#include "base/result.hpp"

namespace upwell::serve {

/// Requests take what they will need before they read, first come, first served, and wait for each
/// other. Thread-safe.
class ByteBudget {
 public:
  /// Gives its bytes back at its end.
  class Lease {
   public:
    Lease(ByteBudget& budget, uint64_t bytes) : budget_(&budget), bytes_(bytes) {}
    Lease(Lease&& other) noexcept : budget_(other.budget_), bytes_(other.bytes_) {
      other.budget_ = nullptr;
    }
    Lease& operator=(Lease&&) = delete;
    ~Lease();

   private:
    ByteBudget* budget_;
    uint64_t bytes_;
  };

  explicit ByteBudget(uint64_t limit, double patience_s = 30)
      : limit_(limit), patience_s_(patience_s) {}

  /// A thread holds one lease at most. kResourceExhausted at once when `bytes` can never fit,
  /// kUnavailable when others keep the memory for longer than the patience.
  Result<Lease> take(uint64_t bytes);

 private:
  const uint64_t limit_;
  const double patience_s_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t used_ = 0;
  uint64_t next_ticket_ = 0;
  std::set<uint64_t> waiting_;
};

}  // namespace upwell::serve
