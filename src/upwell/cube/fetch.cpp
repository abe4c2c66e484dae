#include "cube/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/parallel.hpp"

namespace upwell {
namespace {

// Remote reads want many ranges in flight. Local ones cost little each: every core reads what it
// decodes next, which is then still in its cache, and waits for no other core.
constexpr uint64_t kLocalBatch = 1ULL << 20;
constexpr uint64_t kRemoteInFlight = 128ULL << 20;

/// Stored bytes that may be in memory at once.
uint64_t in_flight(const ReadOptions& options) {
  return std::min(options.memory_budget, kRemoteInFlight);
}

/// What came of a stored chunk; of others nothing has to come.
using Came = std::optional<Result<SharedBytes>>;

/// Chunks that are here and wait to be decoded. Thread-safe.
class Ready {
 public:
  explicit Ready(bool in_order) : in_order_(in_order) {}

  void put(size_t task, Came came) {
    std::lock_guard lock(mutex_);
    waiting_.emplace(task, std::move(came));
    changed_.notify_all();
  }
  /// The lowest, or the next one in order; nothing once there will be none.
  std::optional<std::pair<size_t, Came>> take() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] {
      if (ended_) return true;
      return !waiting_.empty() && (!in_order_ || waiting_.begin()->first == next_);
    });
    if (given_up_ || waiting_.empty()) return {};
    ++next_;
    auto first = waiting_.extract(waiting_.begin());
    return std::pair(first.key(), std::move(first.mapped()));
  }
  void end() {
    std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }

  /// Waits until no more than `most` bytes are fetched or on the way; false: to give up. Then
  /// counts `more`.
  bool make_room(uint64_t most, uint64_t more) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return given_up_ || held_ <= most; });
    held_ += more;
    return !given_up_;
  }
  void release(uint64_t bytes) {
    std::lock_guard lock(mutex_);
    held_ -= bytes;
    changed_.notify_all();
  }
  void give_up() {
    std::lock_guard lock(mutex_);
    given_up_ = ended_ = true;
    changed_.notify_all();
  }

 private:
  const bool in_order_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<size_t, Came> waiting_;
  size_t next_ = 0;
  uint64_t held_ = 0;
  bool ended_ = false, given_up_ = false;
};

/// Unless taken back, others need not wait for what will not come.
struct GiveUp {
  Ready* ready;
  ~GiveUp() {
    if (ready != nullptr) ready->give_up();
  }
};

class Fetcher {
 public:
  Fetcher(io::Session& session, const Dataset& dataset, const Array& array,
          const std::vector<ChunkTask>& tasks,
          const std::function<io::Range(const ChunkTask&)>& range_of, const ReadOptions& options)
      : session_(session),
        dataset_(dataset),
        array_(array),
        tasks_(tasks),
        range_of_(range_of),
        options_(options) {}

  /// True when every stored chunk lies where reading costs no more than copying.
  bool all_local() const {
    uint32_t last = UINT32_MAX;
    for (const ChunkTask& task : tasks_) {
      if (task.ref.state != ChunkRef::State::kStored || task.ref.granule == last) continue;
      last = task.ref.granule;
      auto traits = session_.traits(dataset_.granules->at(last).url);
      if (!traits || traits->worth_caching) return false;
    }
    return true;
  }

  /// Every core fetches a small batch and decodes it.
  Result<> run_local(const StoredChunkSink& sink, bool in_order) const {
    const uint64_t limit = std::min(options_.memory_budget / 2, kLocalBatch);
    std::vector<size_t> begins{0};
    while (begins.back() < tasks_.size()) begins.push_back(end_of_batch(begins.back(), limit));
    auto one = [&](size_t b) -> Result<> {
      auto answers = session_.read(requests(begins[b], begins[b + 1]));
      for (size_t i = begins[b], k = 0; i < begins[b + 1]; ++i)
        UPWELL_CHECK(deliver(i, is_stored(i) ? Came(std::move(answers[k++])) : Came(), sink));
      return {};
    };
    const size_t batches = begins.size() - 1, threads = in_order ? 1 : decoders();
    if (threads > 1) return parallel_for(batches, one, threads < core_count() ? threads : 0);
    for (size_t b = 0; b < batches; ++b) UPWELL_CHECK(one(b));
    return {};
  }

  /// Chunks are decoded as they come, and the next batch is asked for once the one before has come.
  Result<> run_remote(const StoredChunkSink& sink, bool in_order) const {
    Ready ready(in_order);
    auto fetching = std::async(std::launch::async, [&] {
      return blocking_for(1, 1, [&](size_t) { return fetch_all(ready, in_order); });
    });
    {
      const GiveUp at_the_end{&ready};  // before `fetching`, whose end is waited for
      const size_t threads = in_order ? 1 : std::min(decoders(), tasks_.size());
      UPWELL_CHECK(blocking_for(threads, threads, [&](size_t) { return decode(ready, sink); }));
    }
    return fetching.get();
  }

 private:
  bool is_stored(size_t i) const { return tasks_[i].ref.state == ChunkRef::State::kStored; }

  /// The tasks from `begin` on that fit into one batch end there.
  size_t end_of_batch(size_t begin, uint64_t limit) const {
    size_t end = begin;
    uint64_t bytes = 0;
    while (end < tasks_.size() && (bytes == 0 || bytes < limit)) bytes += stored_bytes(end++);
    return end;
  }

  /// For the stored ones among the tasks.
  std::vector<io::ReadRequest> requests(size_t begin, size_t end) const {
    std::vector<io::ReadRequest> requests;
    for (size_t i = begin; i < end; ++i) {
      if (!is_stored(i)) continue;
      const Granule& granule = dataset_.granules->at(tasks_[i].ref.granule);
      requests.push_back({granule.url, range_of_(tasks_[i]), granule.reach});
    }
    return requests;
  }

  Result<> decode(Ready& ready, const StoredChunkSink& sink) const {
    GiveUp otherwise{&ready};
    while (auto next = ready.take()) {
      UPWELL_CHECK(deliver(next->first, next->second, sink));
      next->second.reset();
      ready.release(stored_bytes(next->first));
    }
    otherwise.ready = nullptr;
    return {};
  }

  /// Batch by batch, two of them at once in memory at most.
  Result<> fetch_all(Ready& ready, bool in_order) const {
    struct End {
      Ready& ready;
      ~End() { ready.end(); }
    } at_the_end{ready};
    // A third for what has come early: it may hold more of a batch than is left to decode.
    const uint64_t limit = in_flight(options_) / (in_order ? 2 : 3);
    for (size_t begin = 0; begin < tasks_.size();) {
      const size_t end = end_of_batch(begin, limit);
      uint64_t bytes = 0;
      for (size_t i = begin; i < end; ++i) bytes += stored_bytes(i);
      if (!ready.make_room(limit, bytes)) return {};
      fetch(begin, end, ready, in_order);
      begin = end;
    }
    return {};
  }

  void fetch(size_t begin, size_t end, Ready& ready, bool in_order) const {
    std::vector<size_t> which;
    for (size_t i = begin; i < end; ++i) {
      if (is_stored(i)) {
        which.push_back(i);
      } else {
        ready.put(i, {});
      }
    }
    const std::vector<io::ReadRequest> asked = requests(begin, end);
    std::vector<std::atomic<bool>> told(which.size());
    io::Arrived arrived = [&](size_t k, const SharedBytes& bytes) {
      ready.put(which[k], Result<SharedBytes>(bytes));
      told[k] = true;
    };
    // In order, most of what came early would wait, in memory beside the rest.
    auto answers = session_.read(asked, in_order ? io::Arrived() : std::move(arrived));
    for (size_t k = 0; k < which.size(); ++k)
      if (!told[k]) ready.put(which[k], std::move(answers[k]));
  }

  /// Decoders that fit into the budget.
  size_t decoders() const {
    size_t n = core_count();
    const SegmentLayout* last = nullptr;
    for (const ChunkTask& task : tasks_) {
      if (task.segment->layout.get() == last) continue;
      last = task.segment->layout.get();
      n = std::min(n, decoders_at_once(*last, options_));
    }
    return n;
  }

  uint64_t stored_bytes(size_t i) const {
    if (!is_stored(i)) return 0;
    const ChunkTask& task = tasks_[i];
    const uint64_t length = range_of_(task).length;
    if (length != io::kToEnd) return length;
    return element_count(task.segment->layout->chunk_shape) * task.segment->layout->type.size;
  }

  Result<> deliver(size_t i, const Came& came, const StoredChunkSink& sink) const {
    const ChunkTask& task = tasks_[i];
    auto explain = [&](Error error) {
      error.context.push_back(chunk_name(array_, task));
      if (came) error.context.push_back(dataset_.granules->at(task.ref.granule).url);
      return fail(std::move(error));
    };
    ByteSpan stored = task.ref.bytes.span();
    if (came) {
      const Result<SharedBytes>& bytes = *came;
      if (!bytes && bytes.error().code == Code::kNotFound && task.ref.maybe_missing) {
        ChunkTask absent = task;
        absent.ref = {};
        return sink(absent, {});
      }
      if (!bytes) return explain(bytes.error());
      stored = bytes->span();
    }
    if (auto result = sink(task, stored); !result) return explain(std::move(result).error());
    return {};
  }

  io::Session& session_;
  const Dataset& dataset_;
  const Array& array_;
  const std::vector<ChunkTask>& tasks_;
  const std::function<io::Range(const ChunkTask&)>& range_of_;
  const ReadOptions& options_;
};

}  // namespace

uint64_t decoding_bytes(const SegmentLayout& layout) {
  const uint64_t bytes =
      element_count(layout.chunk_shape) * std::max(layout.type.size, memory_type(layout.type).size);
  return bytes * (layout.codecs.size() > 1 ? 3 : 1 + (layout.codecs.empty() ? 0 : 1)) +
         (layout.packing ? 8 * element_count(layout.chunk_shape) : 0);
}

size_t decoders_at_once(const SegmentLayout& layout, const ReadOptions& options) {
  const uint64_t each = std::max<uint64_t>(decoding_bytes(layout), 1);
  return std::clamp<uint64_t>(options.memory_budget / each, 1, core_count());
}

uint64_t bytes_in_flight(const SegmentLayout& layout, const ReadOptions& options) {
  // A batch ends with the chunk that fills it, and there are up to three.
  const uint64_t chunk = element_count(layout.chunk_shape) * std::max(layout.type.size, 1U);
  return in_flight(options) + 3 * chunk;
}

std::string chunk_name(const Array& array, const ChunkTask& task) {
  return fmt::format("chunk {} of {}", fmt::join(task.chunk, "."), array.name);
}

Result<> fetch_chunks(io::Session& session, const Dataset& dataset, const Array& array,
                      const std::vector<ChunkTask>& tasks,
                      const std::function<io::Range(const ChunkTask&)>& range_of,
                      const ReadOptions& options, const StoredChunkSink& sink, bool in_order) {
  if (tasks.empty()) return {};
  Fetcher fetcher(session, dataset, array, tasks, range_of, options);
  return fetcher.all_local() ? fetcher.run_local(sink, in_order)
                             : fetcher.run_remote(sink, in_order);
}

}  // namespace upwell
