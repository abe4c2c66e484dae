#pragma once
// How many bytes a run may fetch from servers.

#include <cstdint>
#include <mutex>
#include <string>

#include "base/result.hpp"

namespace upwell::io {

/// Thread-safe.
class EgressBudget {
 public:
  explicit EgressBudget(uint64_t limit) : limit_(limit) {}

  /// kOverBudget when `planned` more bytes would pass the limit; `what` names them.
  Result<> check(uint64_t planned, const std::string& what) const;
  /// Bytes that have not been fetched, nor are on their way.
  uint64_t left() const;
  /// Sets `bytes` aside for an answer that begins. False when there are not so many.
  bool reserve(uint64_t bytes);
  /// The answer has ended, and so many bytes have come.
  void settle(uint64_t reserved, uint64_t arrived);
  /// "the budget is 500 MB, of which 480 MB are spent"; also how many are on their way.
  std::string state() const;
  /// The same, and what can be done.
  std::string refusal() const;
  /// "reading sst takes 20 MB: the budget is ..."
  std::string refusal_of(uint64_t planned, const std::string& what) const;

 private:
  const uint64_t limit_;
  mutable std::mutex mutex_;
  uint64_t spent_ = 0, reserved_ = 0;
};

}  // namespace upwell::io
