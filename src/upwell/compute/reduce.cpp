#include "compute/reduce.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>

#include "base/parallel.hpp"
#include "compute/batches.hpp"
#include "compute/piece.hpp"
#include "compute/rolling.hpp"
#include "compute/work.hpp"
#include "cube/fetch.hpp"
#include "cube/place.hpp"

namespace upwell::compute {
namespace {

constexpr std::pair<const char*, Function> kFunctions[] = {
    {"mean", Function::kMean}, {"sum", Function::kSum},     {"min", Function::kMin},
    {"max", Function::kMax},   {"count", Function::kCount}, {"std", Function::kStd},
    {"var", Function::kVar}};

Result<CheckedSelection> check_request(const Array& array, const Selection& selection,
                                       const Reduction& reduction) {
  UPWELL_TRY(CheckedSelection checked, check_selection(array, selection));
  if (reduction.reduced.size() != array.shape.size() ||
      std::find(reduction.reduced.begin(), reduction.reduced.end(), true) ==
          reduction.reduced.end())
    return fail(Code::kInvalidArgument, array.name + ": no dimension is reduced");
  if (element_count(checked.shape) == 0)
    return fail(Code::kInvalidArgument, array.name + ": the selection holds nothing");
  const auto& groups = reduction.groups;
  if (groups && (groups->axis >= checked.shape.size() || !reduction.reduced[groups->axis] ||
                 groups->group.size() != checked.shape[groups->axis] || groups->count == 0))
    return fail(Code::kInvalidArgument, array.name + ": the groups are not of a reduced axis");
  if (const auto& rolling = reduction.rolling) {
    if (groups || reduction.weights || rolling->axis >= checked.shape.size() ||
        std::count(reduction.reduced.begin(), reduction.reduced.end(), true) != 1 ||
        !reduction.reduced[rolling->axis])
      return fail(Code::kInvalidArgument,
                  array.name +
                      ": windows are along the one axis that is reduced, without groups "
                      "and weights");
    if (rolling->window == 0 || rolling->min_periods == 0 ||
        rolling->min_periods > std::min(rolling->window, checked.shape[rolling->axis]))
      return fail(
          Code::kInvalidArgument,
          fmt::format("{}: windows of {} elements along {}, which has {}, never have the {} "
                      "values that they must have",
                      array.name, rolling->window, array.dimensions.at(rolling->axis),
                      checked.shape[rolling->axis], rolling->min_periods));
  }
  if (reduction.weights && reduction.function != Function::kMean &&
      reduction.function != Function::kSum)
    return fail(Code::kInvalidArgument, "weights go with mean and sum");
  return checked;
}

/// Without what of a window lies behind the ends of the axis wherever it is: that takes no memory.
Reduction within_axis(Reduction reduction, const CheckedSelection& selection) {
  Rolling& rolling = *reduction.rolling;
  const uint64_t n = selection.shape[rolling.axis];
  rolling.window = std::min(rolling.window, rolling.center ? 2 * n : n);
  return reduction;
}

/// Units of work in their order: a unit may begin only when those long before it are done, so that
/// what waits to be added up stays little.
class Window {
 public:
  explicit Window(uint64_t width) : width_(width) {}

  /// False when another one has failed.
  bool begin(uint64_t unit) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return failed_ || unit < first_ + width_; });
    return !failed_;
  }
  void end(uint64_t unit, bool failed) {
    std::lock_guard lock(mutex_);
    ended_.insert(unit);
    while (ended_.erase(first_) > 0) ++first_;
    failed_ = failed_ || failed;
    changed_.notify_all();
  }

 private:
  uint64_t width_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t first_ = 0;  // that has not ended
  std::set<uint64_t> ended_;
  bool failed_ = false;
};

Result<PieceAdder> adder_of(const Array& array, const Reduction& reduction) {
  auto adder = PieceAdder::make(cf::decoding_of(array), memory_type(array.type), reduction);
  if (!adder) return fail(std::move(adder).error().with(array.name));
  return adder;
}

/// The reduction of one array, or of some of its groups, as units of work.
class Reducer {
 public:
  /// `first_group`: the number in the result of group 0.
  static Result<std::unique_ptr<Reducer>> make(io::Session& session, const Dataset& dataset,
                                               const Array& array,
                                               const CheckedSelection& selection,
                                               const Reduction& reduction, uint64_t first_group,
                                               const ReduceOptions& options, const TileSink& sink) {
    auto own = std::make_shared<const Reduction>(reduction);
    UPWELL_TRY(PieceAdder adder, adder_of(array, *own));
    std::unique_ptr<Reducer> reducer(new Reducer(session, dataset, array, selection, std::move(own),
                                                 first_group, options, sink, std::move(adder)));
    UPWELL_CHECK(reducer->check_memory());
    return reducer;
  }

  uint64_t units() const { return plan_.tiles() * plan_.blocks(); }
  /// Of a core, besides decoding.
  uint64_t bytes() const {
    return totals_bytes() + company_bytes(*reduction_, plan_.largest_unit()) +
           company_decoding(*reduction_);
  }
  /// `threads`: that run units. Thread-safe.
  Result<> reduce_unit(uint64_t unit, size_t threads) {
    return reduce_unit(unit / plan_.blocks(), unit % plan_.blocks(), threads);
  }

 private:
  Reducer(io::Session& session, const Dataset& dataset, const Array& array,
          const CheckedSelection& selection, std::shared_ptr<const Reduction> reduction,
          uint64_t first_group, const ReduceOptions& options, const TileSink& sink,
          PieceAdder adder)
      : session_(session),
        dataset_(dataset),
        array_(array),
        selection_(selection),
        reduction_(std::move(reduction)),
        first_group_(first_group),
        options_(options),
        sink_(sink),
        adder_(std::move(adder)),
        most_values_(most_values(selection, *reduction_)),
        plan_(array, selection, *reduction_,
              tile_limits(selection, *reduction_, options, adder_.type())) {}

  Result<> check_memory() const {
    if (bytes() > options_.memory_budget)
      return fail(Code::kInvalidArgument,
                  array_.name +
                      ": the totals of one part of the result, which is as large as the "
                      "chunks are, and what is beside them need " +
                      megabytes(bytes()) + ", more than the " +
                      std::to_string(options_.memory_budget >> 20) +
                      " MB that memory was limited to");
    return {};
  }
  uint64_t totals_bytes() const {
    return element_count(plan_.largest_tile()) * make()->cell_bytes() *
           accumulators_of(plan_.blocks());
  }

  /// A tile of which some blocks are added up, and others wait for those before them.
  struct Tile {
    std::unique_ptr<Accumulator> total;
    std::map<uint64_t, std::unique_ptr<Accumulator>> waiting;
    uint64_t next = 0;  ///< block
  };

  std::unique_ptr<Accumulator> make() const {
    return make_accumulator(*reduction_, adder_.type(), most_values_);
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

  Result<> reduce_unit(uint64_t tile, uint64_t block, size_t threads) {
    const Box unit = plan_.unit(tile, block);
    const uint64_t cells = element_count(plan_.tile(tile).shape);
    auto accumulator = take(cells);
    std::vector<Box> parts{unit};
    if (reduction_->groups) parts = grouped_parts(unit, array_, selection_, *reduction_->groups);
    for (const Box& part : parts) {
      UPWELL_TRY(const UnitCompany company, company_of(part, threads));
      UPWELL_TRY(const bool fill_counts, add_chunks(part, company, threads, *accumulator));
      if (fill_counts) UPWELL_CHECK(add_fill(part, company, *accumulator));
    }
    return add_block(tile, block, std::move(accumulator));
  }

  Selection selection_of(const Box& unit) const {
    Selection s{selection_.origin, unit.shape, selection_.step};
    for (size_t d = 0; d < unit.origin.size(); ++d) s.origin[d] += unit.origin[d] * s.step[d];
    return s;
  }

  ReadOptions read_options(size_t threads) const {
    ReadOptions read;
    read.memory_budget = options_.memory_budget / threads;
    read.in_order = true;
    return read;
  }

  Result<UnitCompany> company_of(const Box& unit, size_t threads) const {
    UnitCompany company;
    const Selection selection = selection_of(unit);
    if (reduction_->where) {
      UPWELL_TRY(company.mask,
                 mask_of(session_, dataset_, *reduction_->where, selection, read_options(threads)));
    }
    if (reduction_->weights) {
      UPWELL_TRY(company.weights, weights_of(session_, dataset_, *reduction_->weights, selection,
                                             read_options(threads)));
    }
    return company;
  }

  /// True when there are elements which no chunk holds, and whose value counts.
  Result<bool> add_chunks(const Box& unit, const UnitCompany& company, size_t threads,
                          Accumulator& accumulator) const {
    bool counts = false;
    auto sink = [&](const Box& piece, ByteSpan elements) {
      return adder_.add(piece, unit, elements, company, accumulator);
    };
    auto fill = [&](const Values& value, uint64_t count) -> Result<> {
      UPWELL_TRY(const bool missing, adder_.is_missing(value.data));
      counts = counts || (count > 0 && !missing);
      return {};
    };
    UPWELL_CHECK(read_pieces(session_, dataset_, array_, selection_of(unit), sink, fill,
                             read_options(threads)));
    return counts;
  }

  /// What no chunk of the unit holds, box by box.
  Result<> add_fill(const Box& unit, const UnitCompany& company, Accumulator& accumulator) const {
    UPWELL_TRY(const CheckedSelection checked, check_selection(array_, selection_of(unit)));
    UPWELL_TRY(const ChunkPlan plan, plan_chunks(array_, checked));
    Bytes heap, element;
    auto add = [&](const Box& box) {
      return adder_.add_constant(box, unit, element, company, accumulator);
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
    Box box = plan_.tile(number);
    if (reduction_->groups) {
      size_t axis = 0;
      for (size_t d = 0; d < reduction_->groups->axis; ++d)
        axis += reduction_->in_result(d) ? 1 : 0;
      box.origin[axis] += first_group_;
    }
    Result<> taken = sink_(box, total->finish());
    give_back(std::move(total));
    std::lock_guard lock(mutex_);
    if (++delivered_ == plan_.tiles()) spare_.clear();  // others go on
    return taken;
  }

  io::Session& session_;
  const Dataset& dataset_;
  const Array& array_;
  CheckedSelection selection_;
  std::shared_ptr<const Reduction> reduction_;  // adder_ works by it
  uint64_t first_group_;
  const ReduceOptions& options_;
  const TileSink& sink_;
  PieceAdder adder_;
  uint64_t most_values_;
  TilePlan plan_;
  std::mutex mutex_;        // spare_, delivered_
  uint64_t delivered_ = 0;  // tiles
  std::vector<std::unique_ptr<Accumulator>> spare_;
  std::mutex tiles_mutex_;
  std::map<uint64_t, Tile> tiles_;
};

}  // namespace

Result<> parse_function(const std::string& name, Reduction& reduction) {
  std::string known;
  for (const auto& [text, function] : kFunctions) {
    if (name == text) {
      reduction.function = function;
      return {};
    }
    known += std::string(text) + ", ";
  }
  reduction.function = Function::kQuantile;
  reduction.quantile = 0.5;
  if (name == "median") return {};
  double percent = -1;
  const char* end = name.data() + name.size();
  const bool is_percentile = name.size() > 1 && name[0] == 'p';
  if (is_percentile && std::from_chars(name.data() + 1, end, percent).ptr == end && percent >= 0 &&
      percent <= 100) {
    reduction.quantile = percent / 100;
    return {};
  }
  return fail(Code::kInvalidArgument, "'" + name + "' is no reduction; there are " + known +
                                          "median and percentiles, p0 to p100");
}

DataType result_type(const Reduction& reduction, const DataType& decoded) {
  DataType type = decoded;
  if (type.kind == Kind::kFloat && type.size == 2) type = DataType::floating(4);
  if (type.kind != Kind::kFloat && (reduction.where || reduction.rolling))
    type = DataType::floating(type.size <= 2 ? 4 : 8);
  switch (reduction.function) {
    case Function::kCount:
      return reduction.rolling ? DataType::floating(8) : DataType::integer(8);
    case Function::kMin:
    case Function::kMax:
      return type;
    case Function::kSum:
      if (reduction.weights) return DataType::floating(8);
      if (type.kind == Kind::kInt) return DataType::integer(8);
      if (type.kind == Kind::kUint) return DataType::unsigned_integer(8);
      return DataType::floating(8);
    default:
      return DataType::floating(8);
  }
}

Result<Shape> tile_shape(const Array& array, const Selection& selection,
                         const Reduction& reduction) {
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  if (reduction.rolling) return rolling_tile(array, checked, within_axis(reduction, checked));
  return TilePlan(array, checked, reduction, {}).largest_tile();
}

namespace {

/// Ends a unit, also where it throws: others wait for it.
struct Ending {
  Window& window;
  uint64_t unit;
  bool failed = true;
  Ending(Window& of, uint64_t number) : window(of), unit(number) {}
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;
  ~Ending() { window.end(unit, failed); }
};

/// The units of all, those of the first reducer first.
Result<> run_all(io::Session& session, const Dataset& dataset, const Array& array,
                 std::vector<std::unique_ptr<Reducer>>& reducers, const ReduceOptions& options) {
  std::vector<uint64_t> first{0};
  uint64_t bytes = 0;
  for (const auto& reducer : reducers) {
    first.push_back(first.back() + reducer->units());
    bytes = std::max(bytes, reducer->bytes());
  }
  const size_t threads = std::min<uint64_t>(
      threads_within_budget(session, dataset, array, options, bytes), first.back());
  Window window(2 * threads);
  Progress progress("reducing " + array.name, "blocks", first.back(), options.progress);
  return blocking_for(first.back(), threads, [&](size_t unit) -> Result<> {
    if (!window.begin(unit)) return {};  // the error of the other one is reported
    const auto behind = std::upper_bound(first.begin(), first.end(), unit);
    const auto number = static_cast<size_t>(behind - first.begin()) - 1;
    Ending ending{window, unit};
    Result<> done = reducers[number]->reduce_unit(unit - first[number], threads);
    ending.failed = !done;
    progress.advance();
    return done;
  });
}

}  // namespace

Result<std::vector<Pass>> passes_of(const Array& array, const Selection& selection,
                                    const Reduction& reduction, const ReduceOptions& options) {
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  UPWELL_TRY(const PieceAdder adder, adder_of(array, reduction));
  if (reduction.rolling)
    return rolling_passes(array, checked, within_axis(reduction, checked), options, adder.type());
  const auto times = [&](const CheckedSelection& part, const Reduction& of) {
    const TilePlan plan(array, part, of, tile_limits(part, of, options, adder.type()));
    return tiles_of_chunk(array, part, of, plan);
  };
  std::vector<Pass> passes;
  if (!reduction.groups) {
    passes.push_back({selection, 0, times(checked, reduction)});
    return passes;
  }
  const Batches batches = batches_of(array, checked, reduction, options, adder.type());
  for (const Batch& batch : batches.list) {
    const CheckedSelection part = selection_of(batch, checked, reduction.groups->axis);
    Reduction of = reduction;
    of.groups = grouping_of(batch, *reduction.groups);
    const Box all{Shape(part.shape.size(), 0), part.shape};
    const uint64_t of_chunk = times(part, of);
    for (const Box& box : grouped_parts(all, array, part, *of.groups)) {
      Pass pass{{part.origin, box.shape, part.step}, batch.first, of_chunk};
      for (size_t d = 0; d < box.origin.size(); ++d)
        pass.selection.origin[d] += box.origin[d] * part.step[d];
      passes.push_back(std::move(pass));
    }
  }
  return passes;
}

Result<> reduce(io::Session& session, const Dataset& dataset, const Array& array,
                const Selection& selection, const Reduction& reduction,
                const ReduceOptions& options, const TileSink& sink) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument,
                array.name + " holds " + describe(array.type) + ", not numbers");
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  UPWELL_CHECK(check_chunks(array, checked, options));
  UPWELL_CHECK(check_company_chunks(reduction, checked, options));
  UPWELL_TRY(const PieceAdder adder, adder_of(array, reduction));
  if (reduction.rolling)
    return roll(session, dataset, array, checked, within_axis(reduction, checked), options, sink,
                adder);
  std::vector<std::unique_ptr<Reducer>> reducers;
  const auto add = [&](const CheckedSelection& part, const Reduction& of,
                       uint64_t first_group) -> Result<> {
    UPWELL_TRY(auto reducer,
               Reducer::make(session, dataset, array, part, of, first_group, options, sink));
    reducers.push_back(std::move(reducer));
    return {};
  };
  if (!reduction.groups) {
    UPWELL_CHECK(add(checked, reduction, 0));
    return run_all(session, dataset, array, reducers, options);
  }
  const Batches batches = batches_of(array, checked, reduction, options, adder.type());
  for (const Batch& batch : batches.list) {
    Reduction of = reduction;
    of.groups = grouping_of(batch, *reduction.groups);
    UPWELL_CHECK(add(selection_of(batch, checked, reduction.groups->axis), of, batch.first));
    if (batches.of_pieces) continue;
    // The totals of this batch take the memory that there is.
    UPWELL_CHECK(run_all(session, dataset, array, reducers, options));
    reducers.clear();
  }
  return reducers.empty() ? Result<>() : run_all(session, dataset, array, reducers, options);
}

}  // namespace upwell::compute
