#pragma once
// CPU work on all cores. The only place that knows oneTBB.

#include <cstddef>
#include <functional>
#include <memory>

#include "base/result.hpp"

namespace upwell {

/// Calls fn(i) for i in [0, n) on all cores, in no order. The first error stops what has not begun
/// and is returned. What `fn` throws is one, too: kResourceExhausted (std::bad_alloc), else
/// kInternal. `max_threads` 0: all cores. Nested calls are fine.
Result<> parallel_for(size_t n, const std::function<Result<>(size_t)>& fn, size_t max_threads = 0);

/// Calls fn(i) for i in [0, n) on up to `threads` threads that may block (I/O). Errors as above.
Result<> blocking_for(size_t n, size_t threads, const std::function<Result<>(size_t)>& fn);

/// As long as it lives, this process uses no more cores than these. In one thread at a time.
class CoreLimit {
 public:
  explicit CoreLimit(size_t cores);
  ~CoreLimit();
  CoreLimit(const CoreLimit&) = delete;
  CoreLimit& operator=(const CoreLimit&) = delete;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Number of cores this process may use.
size_t core_count();

}  // namespace upwell
