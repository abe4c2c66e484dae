#include "base/parallel.hpp"

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <limits>
#include <mutex>
#include <new>
#include <thread>
#include <vector>

namespace upwell {
namespace {

/// See CoreLimit.
std::atomic<size_t> core_limit{std::numeric_limits<size_t>::max()};

/// Keeps the first error and tells the others to stop.
class FirstError {
 public:
  bool stopped() const { return stopped_.load(std::memory_order_relaxed); }
  void set(Error error) {
    std::lock_guard lock(mutex_);
    if (!stopped_.exchange(true)) error_ = std::move(error);
  }
  Result<> take() {
    if (!stopped_) return {};
    return fail(std::move(error_));
  }

 private:
  std::atomic<bool> stopped_{false};
  std::mutex mutex_;
  Error error_;
};

/// fn(i), an exception as an error: beyond the end of a thread it would end the process.
Result<> guarded(const std::function<Result<>(size_t)>& fn, size_t i) {
  try {
    return fn(i);
  } catch (const std::bad_alloc&) {
    return fail(Code::kResourceExhausted, "out of memory");
  } catch (const std::exception& e) {
    return fail(Code::kInternal, e.what());
  }
}

}  // namespace

struct CoreLimit::Impl {
  explicit Impl(size_t cores)
      : before(core_limit.exchange(cores)),
        control(oneapi::tbb::global_control::max_allowed_parallelism, cores) {}
  ~Impl() { core_limit = before; }
  size_t before;
  oneapi::tbb::global_control control;
};

CoreLimit::CoreLimit(size_t cores)
    // A limit above what there is would be no limit, and oneTBB is slow to start.
    : impl_(cores < core_count() ? std::make_unique<Impl>(cores) : nullptr) {}
CoreLimit::~CoreLimit() = default;

size_t core_count() {
  // Not asked of oneTBB: it looks for half a dozen libraries first, for a millisecond.
  static const size_t cores = [] {
    cpu_set_t set;
    const bool known = ::sched_getaffinity(0, sizeof set, &set) == 0;
    return known ? static_cast<size_t>(CPU_COUNT(&set)) : std::thread::hardware_concurrency();
  }();
  return std::max<size_t>(std::min(cores, core_limit.load()), 1);
}

Result<> parallel_for(size_t n, const std::function<Result<>(size_t)>& fn, size_t max_threads) {
  if (n == 0) return {};
  if (n == 1) return guarded(fn, 0);
#ifdef __SANITIZE_THREAD__
  // TBB's own synchronisation is not instrumented, so ThreadSanitizer would report it.
  return blocking_for(n, max_threads > 0 ? max_threads : 4, fn);
#endif
  FirstError first;
  auto body = [&](size_t i) {
    if (first.stopped()) return;
    if (auto result = guarded(fn, i); !result) first.set(std::move(result).error());
  };
  // One by one: an element here is work of a millisecond, and its neighbour may be of ten.
  auto run = [&] {
    oneapi::tbb::parallel_for(size_t{0}, n, body, oneapi::tbb::simple_partitioner());
  };
  if (max_threads == 0) {
    run();
  } else {
    oneapi::tbb::task_arena(static_cast<int>(max_threads)).execute(run);
  }
  return first.take();
}

Result<> blocking_for(size_t n, size_t threads, const std::function<Result<>(size_t)>& fn) {
  if (n == 0) return {};
  FirstError first;
  std::atomic<size_t> next{0};
  auto worker = [&] {
    for (size_t i = next++; i < n && !first.stopped(); i = next++) {
      if (auto result = guarded(fn, i); !result) first.set(std::move(result).error());
    }
  };
  size_t extra = std::min(std::max<size_t>(threads, 1), n) - 1;
  std::vector<std::jthread> pool;
  for (size_t t = 0; t < extra; ++t) pool.emplace_back(worker);
  worker();
  pool.clear();
  return first.take();
}

}  // namespace upwell
