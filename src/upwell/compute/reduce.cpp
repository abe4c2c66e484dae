#include "compute/reduce.hpp"

#include <algorithm>
#include <charconv>
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

/// Elements of a box whose condition or weights are in memory; a chunk may have more.
constexpr uint64_t kCompanyElements = 1 << 22;

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
  const auto& groups = reduction.groups;
  if (groups && (groups->axis >= checked.shape.size() || !reduction.reduced[groups->axis] ||
                 groups->group.size() != checked.shape[groups->axis] || groups->count == 0))
    return fail(Code::kInvalidArgument, array.name + ": the groups are not of a reduced axis");
  if (reduction.weights && reduction.function != Function::kMean &&
      reduction.function != Function::kSum)
    return fail(Code::kInvalidArgument, "weights go with mean and sum");
  return checked;
}

/// Values that go into one cell at most.
uint64_t most_values(const CheckedSelection& selection, const Reduction& reduction) {
  uint64_t most = 1;
  for (size_t d = 0; d < selection.shape.size(); ++d) {
    if (!reduction.reduced[d]) continue;
    uint64_t along = selection.shape[d];
    if (reduction.groups && reduction.groups->axis == d) {
      std::vector<uint64_t> of_group(reduction.groups->count, 0);
      for (const uint32_t group : reduction.groups->group)
        if (group != kNoGroup) ++of_group[group];
      along = *std::max_element(of_group.begin(), of_group.end());
    }
    most *= along;
  }
  return most;
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
        most_values_(most_values(selection, reduction)),
        plan_(array, selection, reduction, limits()) {}

  Result<> run() {
    if (totals_bytes() + company_bytes() > options_.memory_budget)
      return fail(Code::kInvalidArgument,
                  array_.name +
                      ": the totals of one part of the result, which is as large as the "
                      "chunks are, need " +
                      std::to_string(((totals_bytes() + company_bytes()) >> 20) + 1) +
                      " MB, more than the " + std::to_string(options_.memory_budget >> 20) +
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

  TileLimits limits() const {
    TileLimits limits;
    if (reduction_.where || reduction_.weights) limits.elements = kCompanyElements;
    if (reduction_.function != Function::kQuantile) return limits;
    const uint64_t cores = options_.threads > 0 ? options_.threads : core_count();
    const uint64_t groups = reduction_.groups ? reduction_.groups->count : 1;
    limits.cells = std::max<uint64_t>(
        1, options_.memory_budget / (2 * cores) / (groups * make()->cell_bytes()));
    return limits;
  }

  /// Of a core: condition and weights of a box, and what they are made from.
  uint64_t company_bytes() const {
    const Shape unit = plan_.largest_unit();
    uint64_t bytes = 0;
    if (reduction_.where) {
      bytes += element_count(unit);
      for (const BesideArray& array : reduction_.where->arrays) bytes += array.memory(unit);
    }
    if (reduction_.weights)
      bytes += element_count(unit) * sizeof(double) + reduction_.weights->array.memory(unit);
    return 2 * bytes;  // a piece takes its part
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
    const uint64_t each = std::max<uint64_t>(decoding + totals_bytes() + company_bytes(), 1);
    size_t most = options_.threads > 0 ? options_.threads : core_count();
    if (remote) most = std::max(most, kRemoteThreads);
    return std::clamp<uint64_t>(options_.memory_budget / each, 1, most);
  }

  std::unique_ptr<Accumulator> make() const {
    return make_accumulator(reduction_, adder_.type(), most_values_);
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
    UPWELL_TRY(const UnitCompany company, company_of(unit));
    UPWELL_TRY(const bool fill_counts, add_chunks(unit, company, *accumulator));
    if (fill_counts) UPWELL_CHECK(add_fill(unit, company, *accumulator));
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

  Result<UnitCompany> company_of(const Box& unit) const {
    UnitCompany company;
    const Selection selection = selection_of(unit);
    if (reduction_.where) {
      UPWELL_TRY(company.mask,
                 mask_of(session_, dataset_, *reduction_.where, selection, read_options()));
    }
    if (reduction_.weights) {
      UPWELL_TRY(company.weights,
                 weights_of(session_, dataset_, *reduction_.weights, selection, read_options()));
    }
    return company;
  }

  /// True when there are elements which no chunk holds, and whose value counts.
  Result<bool> add_chunks(const Box& unit, const UnitCompany& company,
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
    UPWELL_CHECK(
        read_pieces(session_, dataset_, array_, selection_of(unit), sink, fill, read_options()));
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
  uint64_t most_values_;
  TilePlan plan_;
  size_t threads_ = 1;
  std::mutex mutex_;  // spare_
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
  if (type.kind != Kind::kFloat && reduction.where)
    type = DataType::floating(type.size <= 2 ? 4 : 8);
  switch (reduction.function) {
    case Function::kCount:
      return DataType::integer(8);
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
  return TilePlan(array, checked, reduction, {}).largest_tile();
}

namespace {

/// Groups [first, end), and the part of the axis that they span.
struct Batch {
  uint32_t first, end;
  uint64_t begin, span;
};

/// Where every group is one piece of the axis, groups go one after the other, some at a time:
/// totals of few, and no chunk is decoded for two batches but those that a border cuts. Others go
/// all at once, or as many as memory has the totals of.
std::vector<Batch> batches_of(const Array& array, const CheckedSelection& selection,
                              const Reduction& reduction, const ReduceOptions& options) {
  const Grouping& groups = *reduction.groups;
  std::vector<uint64_t> first(groups.count, UINT64_MAX), last(groups.count, 0);
  bool in_pieces = true;
  for (uint64_t i = 0; i < groups.group.size(); ++i) {
    const uint32_t group = groups.group[i];
    if (group == kNoGroup) continue;
    in_pieces = in_pieces && (first[group] == UINT64_MAX || last[group] + 1 == i);
    first[group] = std::min(first[group], i);
    last[group] = i;
  }
  Reduction one = reduction;
  one.groups->count = 1;
  const uint64_t cells = element_count(TilePlan(array, selection, one, {}).largest_tile());
  const uint64_t cores = options.threads > 0 ? options.threads : core_count();
  const uint64_t cell_bytes =
      make_accumulator(reduction, DataType::floating(8), most_values(selection, reduction))
          ->cell_bytes();
  // Three: blocks that wait to be added up.
  const uint64_t most =
      std::max<uint64_t>(1, options.memory_budget / (2 * cores) / (3 * cells * cell_bytes));
  // Totals of a batch are kept by every block of 32 chunks.
  uint64_t extent = 1;
  for (const Segment& segment : array.segments)
    extent = std::max(extent, segment.layout->chunk_shape[groups.axis]);
  const uint64_t length = 32 * extent / selection.step[groups.axis];
  std::vector<Batch> batches;
  for (uint32_t g = 0; g < groups.count; ++g) {
    Batch joined{g, g + 1, first[g], last[g] + 1 - first[g]};
    bool joins = false;
    if (!batches.empty()) {
      const Batch& before = batches.back();
      joined.begin = std::min(joined.begin, before.begin);
      joined.span = std::max(before.begin + before.span, last[g] + 1) - joined.begin;
      joined.first = before.first;
      joins = g - before.first < most && (!in_pieces || joined.span <= length);
    }
    if (joins)
      batches.back() = joined;
    else
      batches.push_back({g, g + 1, first[g], last[g] + 1 - first[g]});
  }
  return batches;
}

}  // namespace

Result<> reduce(io::Session& session, const Dataset& dataset, const Array& array,
                const Selection& selection, const Reduction& reduction,
                const ReduceOptions& options, const TileSink& sink) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument,
                array.name + " holds " + describe(array.type) + ", not numbers");
  UPWELL_TRY(const CheckedSelection checked, check_request(array, selection, reduction));
  auto run = [&](const CheckedSelection& part, const Reduction& of,
                 const TileSink& to) -> Result<> {
    auto adder = PieceAdder::make(cf::decoding_of(array), memory_type(array.type), of);
    if (!adder) return fail(std::move(adder).error().with(array.name));
    return Reducer(session, dataset, array, part, of, options, to, std::move(*adder)).run();
  };
  if (!reduction.groups) return run(checked, reduction, sink);
  const size_t axis = reduction.groups->axis;
  size_t axis_of_result = 0;
  for (size_t d = 0; d < axis; ++d) axis_of_result += reduction.in_result(d) ? 1 : 0;
  for (const Batch& batch : batches_of(array, checked, reduction, options)) {
    CheckedSelection part = checked;
    part.origin[axis] += batch.begin * part.step[axis];
    part.shape[axis] = batch.span;
    Reduction of = reduction;
    of.groups->count = batch.end - batch.first;
    const auto begin = reduction.groups->group.begin() + static_cast<std::ptrdiff_t>(batch.begin);
    of.groups->group.assign(begin, begin + static_cast<std::ptrdiff_t>(batch.span));
    for (uint32_t& group : of.groups->group)
      group = group >= batch.first && group < batch.end ? group - batch.first : kNoGroup;
    UPWELL_CHECK(run(part, of, [&](const Box& box, ByteSpan elements) {
      Box placed = box;
      placed.origin[axis_of_result] += batch.first;
      return sink(placed, elements);
    }));
  }
  return {};
}

}  // namespace upwell::compute
