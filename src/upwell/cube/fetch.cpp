#include "cube/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "base/parallel.hpp"

namespace upwell {
namespace {

// Remote reads want many ranges in flight. Local ones cost little each: every core reads what it
// decodes next, which is then still in its cache, and waits for no other core.
constexpr uint64_t kLocalBatch = 1ULL << 20;
constexpr uint64_t kRemoteBatch = 64ULL << 20;

struct Batch {
  size_t begin = 0, end = 0;                 // tasks
  std::vector<Result<SharedBytes>> answers;  // of the stored ones among them, in order
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

  /// The tasks from `begin` on that fit into one batch.
  Batch next(size_t begin, uint64_t limit) const {
    Batch batch{begin, begin, {}};
    uint64_t bytes = 0;
    while (batch.end < tasks_.size() && (bytes == 0 || bytes < limit))
      bytes += stored_bytes(tasks_[batch.end++]);
    return batch;
  }

  void fetch(Batch& batch) const {
    std::vector<io::ReadRequest> requests;
    for (size_t i = batch.begin; i < batch.end; ++i) {
      if (tasks_[i].ref.state != ChunkRef::State::kStored) continue;
      const Granule& granule = dataset_.granules->at(tasks_[i].ref.granule);
      requests.push_back({granule.url, range_of_(tasks_[i]), granule.reach});
    }
    batch.answers = session_.read(requests);
  }

  /// Decoders that fit into the budget for the tasks of `batch`.
  size_t at_once(const Batch& batch) const {
    size_t n = core_count();
    for (size_t i = batch.begin; i < batch.end; ++i)
      n = std::min(n, decoders_at_once(*tasks_[i].segment->layout, options_));
    return n;
  }

  Result<> deliver(const Batch& batch, const StoredChunkSink& sink, size_t threads) const {
    std::vector<size_t> answer_of(batch.end - batch.begin);
    size_t stored = 0;
    for (size_t i = batch.begin; i < batch.end; ++i) {
      answer_of[i - batch.begin] = stored;
      if (tasks_[i].ref.state == ChunkRef::State::kStored) ++stored;
    }
    auto one = [&](size_t k) -> Result<> {
      return deliver_one(batch.begin + k, batch, answer_of[k], sink);
    };
    if (threads > 1)
      return parallel_for(batch.end - batch.begin, one, threads < core_count() ? threads : 0);
    for (size_t k = 0; k < batch.end - batch.begin; ++k) UPWELL_CHECK(one(k));
    return {};
  }

  /// Every core fetches a small batch and decodes it.
  Result<> run_local(const StoredChunkSink& sink, bool in_order) const {
    std::vector<Batch> batches;
    size_t threads = in_order ? 1 : core_count();
    for (size_t begin = 0; begin < tasks_.size(); begin = batches.back().end) {
      batches.push_back(next(begin, std::min(options_.memory_budget / 2, kLocalBatch)));
      threads = std::min(threads, at_once(batches.back()));
    }
    auto one = [&](size_t i) -> Result<> {
      fetch(batches[i]);
      Result<> delivered = deliver(batches[i], sink, 1);
      batches[i].answers.clear();
      return delivered;
    };
    if (threads > 1) return parallel_for(batches.size(), one, threads < core_count() ? threads : 0);
    for (size_t i = 0; i < batches.size(); ++i) UPWELL_CHECK(one(i));
    return {};
  }

  /// The next batch is fetched while the current one is decoded.
  Result<> run_remote(const StoredChunkSink& sink, bool in_order) const {
    // Two are in flight.
    const uint64_t limit = std::min(options_.memory_budget / 2, kRemoteBatch);
    Batch current = next(0, limit);
    fetch(current);
    while (true) {
      Batch following = current.end < tasks_.size() ? next(current.end, limit) : Batch{};
      std::future<void> fetching;
      if (following.end > following.begin)
        fetching = std::async(std::launch::async, [&] { fetch(following); });
      Result<> delivered = deliver(current, sink, in_order ? 1 : at_once(current));
      if (fetching.valid()) fetching.wait();
      UPWELL_CHECK(std::move(delivered));
      if (following.end == following.begin) return {};
      current = std::move(following);
    }
  }

 private:
  uint64_t stored_bytes(const ChunkTask& task) const {
    if (task.ref.state != ChunkRef::State::kStored) return 0;
    uint64_t length = range_of_(task).length;
    if (length != io::kToEnd) return length;
    return element_count(task.segment->layout->chunk_shape) * task.segment->layout->type.size;
  }

  Result<> deliver_one(size_t i, const Batch& batch, size_t answer,
                       const StoredChunkSink& sink) const {
    const ChunkTask& task = tasks_[i];
    ByteSpan stored = task.ref.bytes.span();
    bool in_granule = task.ref.state == ChunkRef::State::kStored;
    auto explain = [&](Error error) {
      error.context.push_back(chunk_name(array_, task));
      if (in_granule) error.context.push_back(dataset_.granules->at(task.ref.granule).url);
      return fail(std::move(error));
    };
    if (in_granule) {
      const auto& bytes = batch.answers[answer];
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
  // A batch ends with the chunk that fills it.
  const uint64_t chunk = element_count(layout.chunk_shape) * std::max(layout.type.size, 1U);
  return 2 * (std::min(options.memory_budget / 2, kRemoteBatch) + chunk);
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
