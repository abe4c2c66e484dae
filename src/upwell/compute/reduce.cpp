#include "compute/reduce.hpp"

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "base/parallel.hpp"
#include "compute/piece.hpp"
#include "compute/tile_plan.hpp"
#include "cube/fetch.hpp"
#include "cube/place.hpp"

namespace upwell::compute {
namespace {

constexpr std::pair<const char*, Function> kFunctions[] = {
    {"mean", Function::kMean}, {"sum", Function::kSum},     {"min", Function::kMin},
    {"max", Function::kMax},   {"count", Function::kCount}, {"std", Function::kStd},
    {"var", Function::kVar}};

/// Requests to a store far away that are on their way at once, where each core waits for its own.
constexpr size_t kRemoteThreads = 8;

Result<CheckedSelection> check_request(const Array& array, const Selection& selection,
                                       const Reduction& reduction) {
  UPWELL_TRY(CheckedSelection checked, check_selection(array, selection));
  if (reduction.reduced.size() != array.shape.size() ||
      std::find(reduction.reduced.begin(), reduction.reduced.end(), true) ==
          reduction.reduced.end())
    return fail(Code::kInvalidArgument, array.name + ": no dimension is reduced");
  if (element_count(checked.shape) == 0)
    return fail(Code::kInvalidArgument, array.name + ": the selection holds nothing");
  return checked;
}

/// Units of work in their order: a unit may begin only when those long before it are done, so that
/// what waits to be added up stays little.
class Window {
 public:
  explicit Window(uint64_t width) : width_(width) {}

  /// False when another one has failed.
  bool begin(uint64_t unit) {
    std::unique_lock lock(mutex_);
    running_.insert(unit);
    changed_.wait(lock, [&] { return failed_ || unit < *running_.begin() + width_; });
    return !failed_;
  }
  void end(uint64_t unit, bool failed) {
    std::lock_guard lock(mutex_);
    running_.erase(unit);
    failed_ = failed_ || failed;
    changed_.notify_all();
  }

 private:
  uint64_t width_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<uint64_t> running_;
  bool failed_ = false;
};

class Reducer {
 public:
  Reducer(io::Session& session, const Dataset& dataset, const Array& array,
          const CheckedSelection& selection, const Reduction& reduction,
          const ReduceOptions& options, const TileSink& sink, PieceAdder adder)
      : session_(session),
        dataset_(dataset),
        array_(array),
        selection_(selection),
        reduction_(reduction),
        options_(options),
        sink_(sink),
        adder_(std::move(adder)),
        plan_(array, selection, reduction.reduced) {}

  Result<> run() {
    if (totals_bytes() > options_.memory_budget)
      return fail(Code::kInvalidArgument,
                  array_.name +
                      ": the totals of one part of the result, which is as large as the "
                      "chunks are, need " +
                      std::to_string((totals_bytes() >> 20) + 1) + " MB, more than the " +
                      std::to_string(options_.memory_budget >> 20) +
                      " MB that memory was limited to");
    UPWELL_CHECK(check_chunks());
    const uint64_t units = plan_.tiles() * plan_.blocks();
    threads_ = std::min<uint64_t>(threads_within_budget(), units);
    Window window(2 * threads_);
    Progress progress("reducing " + array_.name, "blocks", units, options_.progress);
    return blocking_for(units, threads_, [&](size_t unit) -> Result<> {
      if (!window.begin(unit)) return {};  // the error of the other one is reported
      Result<> done = reduce_unit(unit / plan_.blocks(), unit % plan_.blocks());
      window.end(unit, !done);
      progress.advance();
      return done;
    });
  }

 private:
  /// A tile of which some blocks are added up, and others wait for those before them.
  struct Tile {
    std::unique_ptr<Accumulator> total;
    std::map<uint64_t, std::unique_ptr<Accumulator>> waiting;
    uint64_t next = 0;  ///< block
  };

  /// A chunk that is encoded is decoded as a whole, whatever memory was limited to.
  Result<> check_chunks() const {
    const auto megabytes = [](uint64_t bytes) { return std::to_string((bytes >> 20) + 1) + " MB"; };
    for (const Segment& segment : array_.segments) {
      const SegmentLayout& layout = *segment.layout;
      const uint64_t need = decoding_bytes(layout);
      if (layout.codecs.empty() || need <= options_.memory_budget ||
          element_count(covered_by(segment, selection_).shape) == 0)
        continue;
      std::string shape;
      for (const uint64_t n : layout.chunk_shape)
        shape += (shape.empty() ? "" : " x ") + std::to_string(n);
      return fail(Code::kInvalidArgument,
                  array_.name + ": one chunk of " + shape + " elements takes " +
                      megabytes(element_count(layout.chunk_shape) * layout.type.size) +
                      ", and decoding it needs " + megabytes(need) + ", more than the " +
                      std::to_string(options_.memory_budget >> 20) +
                      " MB that memory was limited to");
    }
    return {};
  }

  /// Of a core.
  uint64_t totals_bytes() const {
    // Blocks that wait for others to be added up: see Window.
    const uint64_t accumulators = plan_.blocks() > 1 ? 3 : 1;
    return element_count(plan_.largest_tile()) * make()->cell_bytes() * accumulators;
  }

  size_t threads_within_budget() const {
    uint64_t decoding = 0;
    bool remote = false;
    for (const Segment& segment : array_.segments)
      decoding = std::max(decoding, decoding_bytes(*segment.layout));
    for (uint32_t i = 0; i < dataset_.granules->size() && !remote; ++i) {
      auto traits = session_.traits(dataset_.granules->at(i).url);
      remote = !traits || traits->worth_caching;
    }
    const uint64_t each = std::max<uint64_t>(decoding + totals_bytes(), 1);
    size_t most = options_.threads > 0 ? options_.threads : core_count();
    if (remote) most = std::max(most, kRemoteThreads);
    return std::clamp<uint64_t>(options_.memory_budget / each, 1, most);
  }

  std::unique_ptr<Accumulator> make() const {
    return make_accumulator(reduction_.function, adder_.type(), reduction_.ddof);
  }

  std::unique_ptr<Accumulator> take(size_t cells) {
    std::unique_ptr<Accumulator> accumulator;
    {
      std::lock_guard lock(mutex_);
      if (!spare_.empty()) {
        accumulator = std::move(spare_.back());
        spare_.pop_back();
      }
    }
    if (!accumulator) accumulator = make();
    accumulator->reset(cells);
    return accumulator;
  }

  void give_back(std::unique_ptr<Accumulator> accumulator) {
    std::lock_guard lock(mutex_);
    spare_.push_back(std::move(accumulator));
  }

  Result<> reduce_unit(uint64_t tile, uint64_t block) {
    const Box unit = plan_.unit(tile, block);
    const uint64_t cells = element_count(plan_.tile(tile).shape);
    auto accumulator = take(cells);
    UPWELL_TRY(const bool fill_counts, add_chunks(unit, *accumulator));
    if (fill_counts) UPWELL_CHECK(add_fill(unit, *accumulator));
    return add_block(tile, block, std::move(accumulator));
  }

  Selection selection_of(const Box& unit) const {
    Selection s{selection_.origin, unit.shape, selection_.step};
    for (size_t d = 0; d < unit.origin.size(); ++d) s.origin[d] += unit.origin[d] * s.step[d];
    return s;
  }

  ReadOptions read_options() const {
    ReadOptions read;
    read.memory_budget = options_.memory_budget / threads_;
    read.in_order = true;
    return read;
  }

  /// True when there are elements which no chunk holds, and whose value counts.
  Result<bool> add_chunks(const Box& unit, Accumulator& accumulator) const {
    bool counts = false;
    auto sink = [&](const Box& piece, ByteSpan elements) {
      return adder_.add(piece, unit.shape, elements, accumulator);
    };
    auto fill = [&](const Values& value, uint64_t count) -> Result<> {
      UPWELL_TRY(const bool missing, adder_.is_missing(value.data));
      counts = counts || (count > 0 && !missing);
      return {};
    };
    UPWELL_CHECK(
        read_pieces(session_, dataset_, array_, selection_of(unit), sink, fill, read_options()));
    return counts;
  }

  /// What no chunk of the unit holds, box by box.
  Result<> add_fill(const Box& unit, Accumulator& accumulator) const {
    UPWELL_TRY(const CheckedSelection checked, check_selection(array_, selection_of(unit)));
    UPWELL_TRY(const ChunkPlan plan, plan_chunks(array_, checked));
    Bytes heap, element;
    auto add = [&](const Box& box) {
      return adder_.add_constant(box, unit.shape, element, accumulator);
    };
    for (const Segment* segment : plan.with_missing) {
      UPWELL_TRY(element, fill_of(array_, *segment, heap));
      UPWELL_CHECK(for_each_missing(*segment, checked, plan, add));
    }
    const std::vector<Box> boxes = uncovered(array_, checked);
    if (boxes.empty()) return {};
    UPWELL_TRY(element, fill_of(array_, heap));
    for (const Box& box : boxes) UPWELL_CHECK(add(box));
    return {};
  }

  /// Adds blocks to their tile in order; the last one finishes it.
  Result<> add_block(uint64_t number, uint64_t block, std::unique_ptr<Accumulator> accumulator) {
    if (plan_.blocks() == 1) return deliver(number, std::move(accumulator));
    std::unique_lock lock(tiles_mutex_);
    Tile& tile = tiles_[number];
    tile.waiting[block] = std::move(accumulator);
    while (!tile.waiting.empty() && tile.waiting.begin()->first == tile.next) {
      auto next = std::move(tile.waiting.begin()->second);
      tile.waiting.erase(tile.waiting.begin());
      ++tile.next;
      if (!tile.total) {
        tile.total = std::move(next);
        continue;
      }
      tile.total->merge(*next);
      give_back(std::move(next));
    }
    if (tile.next < plan_.blocks()) return {};
    auto total = std::move(tile.total);
    tiles_.erase(number);
    lock.unlock();
    return deliver(number, std::move(total));
  }

  Result<> deliver(uint64_t number, std::unique_ptr<Accumulator> total) {
    const Box box = plan_.tile(number);
    Result<> taken = sink_(box, total->finish());
    give_back(std::move(total));
    return taken;
  }

  io::Session& session_;
  const Dataset& dataset_;
  const Array& array_;
  const CheckedSelection& selection_;
  const Reduction& reduction_;
  const ReduceOptions& options_;
  const TileSink& sink_;
  PieceAdder adder_;
  TilePlan plan_;
  size_t threads_ = 1;
  std::mutex mutex_;  // spare_
  std::vector<std::unique_ptr<Accumulator>> spare_;
  std::mutex tiles_mutex_;
  std::map<uint64_t, Tile> tiles_;
};

}  // namespace

Result<Function> parse_function(const std::string& name) {
  std::string known;
  for (const auto& [text, function] : kFunctions) {
    if (name == text) return function;
    known += std::string(known.empty() ? "" : ", ") + text;
  }
  return fail(Code::kInvalidArgument, "'" + name + "' is no reduction; there are " + known);
}

DataType result_type(Function function, const DataType& decoded) {
  switch (function) {
    case Function::kCount:
      return DataType::integer(8);
    case Function::kMin:
    case Function::kMax:
      return decoded.kind == Kind::kFloat && decoded.size == 2 ? DataType::floating(4) : decoded;
    case Function::kSum:
      if (decoded.kind == Kind::kInt) return DataType::integer(8);
      if (decoded.kind == Kind::kUint) return DataType::unsigned_integer(8);
      return DataType::floating(8);
    default:
      return DataType::floating(8);
  }
}

Shape reduced_shape(const Shape& selection, const Reduction& reduction) {
  Shape shape;
  for (size_t d = 0; d < selection.size(); ++d)
    if (!reduction.reduced[d]) shape.push_back(selection[d]);
  return shape;
}

Result<Shape> tile_shape(const Array& array, const Selection& selection,
                         const Reduction& reduction) {
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  return TilePlan(array, checked, reduction.reduced).largest_tile();
}

Result<> reduce(io::Session& session, const Dataset& dataset, const Array& array,
                const Selection& selection, const Reduction& reduction,
                const ReduceOptions& options, const TileSink& sink) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument,
                array.name + " holds " + describe(array.type) + ", not numbers");
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  auto adder = PieceAdder::make(cf::decoding_of(array), memory_type(array.type), reduction.reduced);
  if (!adder) return fail(std::move(adder).error().with(array.name));
  return Reducer(session, dataset, array, checked, reduction, options, sink, std::move(*adder))
      .run();
}

}  // namespace upwell::compute
