#pragma once
// Which of the ranges that are fetched together, or in parts, are here already.

#include <map>
#include <mutex>
#include <vector>

#include "io/ranges.hpp"

namespace upwell::io {

/// Tells of the members of fetches as soon as all their bytes have come, in whatever parts and
/// order. Thread-safe. A member with no end is not told of.
class Arrivals {
 public:
  /// All are kept by the caller. `arrived` is called with indices into `asked`.
  Arrivals(std::span<const ReadRequest> asked, std::span<const Fetch> fetches,
           const Arrived& arrived);
  /// Bytes of fetch `f`, from `offset` of the object on.
  void take(size_t f, uint64_t offset, const SharedBytes& bytes);

 private:
  struct Coming {
    std::map<uint64_t, SharedBytes> parts;  // by offset; what nobody waits for is dropped
    std::vector<size_t> waiting;            // members
  };

  std::span<const ReadRequest> asked_;
  const Arrived& arrived_;
  std::mutex mutex_;
  std::vector<Coming> coming_;  // one a fetch
};

}  // namespace upwell::io
