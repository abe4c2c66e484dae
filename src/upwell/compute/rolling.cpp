#include "compute/rolling.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <limits>

#include "base/parallel.hpp"
#include "cube/place.hpp"

namespace upwell::compute {
namespace {

/// Elements of a box that is read, as far as chunks allow it, and of a part of the result.
constexpr uint64_t kReadElements = 1 << 20;
constexpr uint64_t kResultElements = 1 << 16;

/// How the work is divided. Outputs are counted along the axis as the selected elements.
struct Division {
  TilePlan tiles;
  uint64_t cells;   ///< of the largest tile
  uint64_t read;    ///< elements of the array's axis that are read at once
  uint64_t part;    ///< outputs that are delivered at once
  uint64_t length;  ///< outputs of a unit of work: parts
  uint64_t units;   ///< of a tile

  uint64_t bytes = 0;  ///< that a unit takes
};

/// Of an element that is read: as stored, decoded, in a layer, and what is beside it.
uint64_t bytes_of_element(const Reduction& reduction, const DataType& type) {
  return 2 * sizeof(double) + type.size +
         company_bytes(reduction, Shape(reduction.reduced.size(), 1));
}

/// Layers, an accumulator, counts and results, where so many elements of a cell are read at once.
uint64_t bytes_of_cell(const Reduction& reduction, const DataType& type, uint64_t at_once) {
  const uint64_t window = reduction.rolling->window;
  return window * type.size + at_once * bytes_of_element(reduction, type) +
         make_accumulator(reduction, type, window)->cell_bytes() + 3 * sizeof(double);
}

Division divide(const Array& array, const CheckedSelection& selection, const Reduction& reduction,
                const ReduceOptions& options, const DataType& type) {
  const Rolling& rolling = *reduction.rolling;
  const uint64_t extent = is_plain(array) ? 1 : chunk_extents(array)[rolling.axis];
  // Rather fewer cores than chunks that are decoded for several tiles.
  TileLimits limits;
  limits.cells =
      std::max<uint64_t>(1, options.memory_budget / 2 / bytes_of_cell(reduction, type, extent));
  if (is_plain(array)) limits.cells = std::min<uint64_t>(limits.cells, kResultElements);
  Division division{TilePlan(array, selection, reduction, limits), 1, extent, 1, 1, 1};
  division.cells = element_count(division.tiles.largest_tile());
  const uint64_t at_once =
      std::min(kReadElements, options.memory_budget / 8 / bytes_of_element(reduction, type));
  const uint64_t chunks = at_once / (division.cells * extent);
  division.read = extent * std::clamp<uint64_t>(chunks, 1, 64);
  const uint64_t all = selection.shape[rolling.axis];
  const uint64_t results = std::min(kResultElements, options.memory_budget / 8 / sizeof(double));
  division.part = std::clamp<uint64_t>(results / division.cells, 1, all);
  // A tile is one unit, for which nothing is read twice, unless there are fewer than cores.
  const uint64_t cores = options.threads > 0 ? options.threads : core_count();
  const uint64_t wanted = std::max<uint64_t>(1, 2 * cores / division.tiles.tiles());
  uint64_t length = std::max((all + wanted - 1) / wanted, 4 * rolling.window);
  length = (length + division.part - 1) / division.part * division.part;
  division.length = length;
  division.units = (all + length - 1) / length;
  division.bytes = division.cells * (bytes_of_cell(reduction, type, division.read) +
                                     division.part * sizeof(double)) +
                   company_decoding(reduction);
  return division;
}

/// Inputs [first, end) of outputs [begin, end).
std::pair<uint64_t, uint64_t> inputs_of(const Rolling& rolling, uint64_t begin, uint64_t end,
                                        uint64_t all) {
  return {begin - std::min(begin, rolling.before()), std::min(all, end + rolling.after())};
}

template <typename T>
bool has_missing(const uint8_t* values, size_t n) {
  const T* v = reinterpret_cast<const T*>(values);
  return std::any_of(v, v + n, [](T value) { return std::isnan(value); });
}

template <typename T>
void take_out_few(Bytes& results, const int64_t* counts, uint64_t least) {
  T* v = reinterpret_cast<T*>(results.data());
  for (size_t i = 0; i < results.size() / sizeof(T); ++i)
    if (static_cast<uint64_t>(counts[i]) < least) v[i] = std::numeric_limits<T>::quiet_NaN();
}

/// The windows of one unit of work, one after the other.
class Windows {
 public:
  Windows(const Reduction& reduction, const DataType& type, size_t cells)
      : rolling_(*reduction.rolling),
        counts_only_(reduction.function == Function::kCount),
        type_(type),
        result_type_(result_type(reduction, type)),
        cells_(cells),
        values_(make_accumulator(reduction, type, rolling_.window)) {
    Reduction counting = reduction;
    counting.function = Function::kCount;
    counter_ = make_accumulator(counting, type, rolling_.window);
  }

  /// The next layer: the cells' values at the next place along the axis.
  void push(Bytes values) {
    const bool missing = type_.size == 4 ? has_missing<float>(values.data(), cells_)
                                         : has_missing<double>(values.data(), cells_);
    layers_.push_back({std::move(values), !missing});
  }
  /// Number of the first layer that is kept, and behind the last.
  uint64_t first() const { return first_; }
  void begin_at(uint64_t first) { first_ = first; }
  uint64_t end() const { return first_ + layers_.size(); }
  void drop_before(uint64_t first) {
    for (; first_ < first && !layers_.empty(); ++first_) layers_.pop_front();
  }

  /// Of layers [first, end); one element of the result's type for each cell.
  const Bytes& reduce(uint64_t first, uint64_t end) {
    uint64_t complete = 0;
    for (uint64_t i = first; i < end; ++i) complete += layer(i).complete ? 1 : 0;
    const bool certain = complete >= rolling_.min_periods;
    if (end - first < rolling_.min_periods) {
      results_.resize(cells_ * result_type_.size);
      fill_all(quiet_nan(), results_);
      return results_;
    }
    const int64_t* counts = nullptr;
    if (!certain || counts_only_)
      counts = reinterpret_cast<const int64_t*>(added(*counter_, first, end).data());
    if (counts_only_) {
      results_.resize(cells_ * sizeof(double));
      auto* out = reinterpret_cast<double*>(results_.data());
      std::copy_n(counts, cells_, out);
    } else {
      const ByteSpan results = added(*values_, first, end);
      results_.assign(results.begin(), results.end());
    }
    if (!certain)
      result_type_.size == 4 ? take_out_few<float>(results_, counts, rolling_.min_periods)
                             : take_out_few<double>(results_, counts, rolling_.min_periods);
    return results_;
  }
  const DataType& type() const { return result_type_; }

 private:
  struct Layer {
    Bytes values;
    bool complete;  ///< nothing is missing
  };
  const Layer& layer(uint64_t i) const { return layers_[i - first_]; }
  ByteSpan added(Accumulator& accumulator, uint64_t first, uint64_t end) const {
    accumulator.reset(cells_);
    for (uint64_t i = first; i < end; ++i) accumulator.add(0, layer(i).values.data(), cells_);
    return accumulator.finish();
  }
  Bytes quiet_nan() const {
    Bytes bytes(result_type_.size);
    const float single = NAN;
    const double plain = NAN;
    std::memcpy(bytes.data(), bytes.size() == 4 ? static_cast<const void*>(&single) : &plain,
                bytes.size());
    return bytes;
  }

  const Rolling& rolling_;
  bool counts_only_;
  DataType type_, result_type_;
  size_t cells_;
  std::unique_ptr<Accumulator> values_, counter_;
  std::deque<Layer> layers_;
  uint64_t first_ = 0;
  Bytes results_;
};

class Roller {
 public:
  Roller(io::Session& session, const Dataset& dataset, const Array& array,
         const CheckedSelection& selection, const Reduction& reduction,
         const ReduceOptions& options, const TileSink& sink, const PieceAdder& adder)
      : session_(session),
        dataset_(dataset),
        array_(array),
        selection_(selection),
        reduction_(reduction),
        rolling_(*reduction.rolling),
        options_(options),
        sink_(sink),
        adder_(adder),
        all_(selection.shape[rolling_.axis]),
        division_(divide(array, selection, reduction, options, adder.type())) {}

  Result<> run() {
    if (division_.bytes > options_.memory_budget)
      return fail(Code::kInvalidArgument, array_.name +
                                              ": windows of one part of the result need " +
                                              megabytes(division_.bytes) + ", more than the " +
                                              std::to_string(options_.memory_budget >> 20) +
                                              " MB that memory was limited to");
    const uint64_t units = division_.tiles.tiles() * division_.units;
    threads_ = std::min<uint64_t>(
        threads_within_budget(session_, dataset_, array_, options_, division_.bytes), units);
    Progress progress("reducing " + array_.name, "parts", units, options_.progress);
    return blocking_for(units, threads_, [&](size_t unit) -> Result<> {
      Result<> done = roll_unit(unit / division_.units, unit % division_.units);
      progress.advance();
      return done;
    });
  }

 private:
  /// The whole axis of a tile.
  Box column(uint64_t tile) const {
    Box box = division_.tiles.unit(tile, 0);
    box.origin[rolling_.axis] = 0;
    box.shape[rolling_.axis] = all_;
    return box;
  }

  Result<> roll_unit(uint64_t tile, uint64_t number) const {
    const Box whole = column(tile);
    const uint64_t cells = element_count(whole.shape) / all_;
    const uint64_t begin = number * division_.length;
    const uint64_t end = std::min(all_, begin + division_.length);
    const auto [first, last] = inputs_of(rolling_, begin, end, all_);
    Windows windows(reduction_, adder_.type(), cells);
    windows.begin_at(first);
    for (uint64_t part = begin; part < end; part += division_.part) {
      Box box = whole;
      box.origin[rolling_.axis] = part;
      box.shape[rolling_.axis] = std::min(division_.part, end - part);
      UPWELL_CHECK(roll_part(box, last, windows));
    }
    return {};
  }

  /// `last`: behind the inputs of the unit.
  Result<> roll_part(const Box& box, uint64_t last, Windows& windows) const {
    const size_t axis = rolling_.axis;
    const Shape strides = c_strides(box.shape);
    Bytes results(element_count(box.shape) * windows.type().size);
    Shape counts = box.shape;
    counts[axis] = 1;
    for (uint64_t i = 0; i < box.shape[axis]; ++i) {
      const uint64_t at = box.origin[axis] + i;
      const auto [from, to] = inputs_of(rolling_, at, at + 1, all_);
      windows.drop_before(from);
      while (windows.end() < to) UPWELL_CHECK(load(box, last, windows));
      const Bytes& cells = windows.reduce(from, to);
      copy_box({cells.data(), 0, c_strides(counts)}, {results.data(), i * strides[axis], strides},
               counts, windows.type().size);
    }
    return sink_(box, results);
  }

  /// Reads what comes next, to the end of chunks.
  Result<> load(const Box& tile, uint64_t last, Windows& windows) const {
    const size_t axis = rolling_.axis;
    const uint64_t step = selection_.step[axis];
    const uint64_t first = windows.end();
    const uint64_t place = selection_.origin[axis] + first * step;
    const uint64_t stop = (place / division_.read + 1) * division_.read;
    const uint64_t n = std::min(last - first, (stop - place + step - 1) / step);
    Selection selection{selection_.origin, tile.shape, selection_.step};
    for (size_t d = 0; d < tile.shape.size(); ++d)
      selection.origin[d] += (d == axis ? first : tile.origin[d]) * selection_.step[d];
    selection.shape[axis] = n;
    ReadOptions read;
    read.memory_budget = options_.memory_budget / threads_;
    read.in_order = true;
    UPWELL_TRY(const Values raw, read_raw(session_, dataset_, array_, selection, read));
    const size_t size = adder_.type().size;
    const uint64_t elements = element_count(selection.shape);
    Bytes values(elements * size);
    UPWELL_CHECK(adder_.decode(raw.data, elements, values));
    if (reduction_.where) {
      UPWELL_TRY(const auto mask, mask_of(session_, dataset_, *reduction_.where, selection, read));
      take_out(adder_.type(), values.data(), mask.data(), elements);
    }
    const Shape strides = c_strides(selection.shape);
    Shape counts = selection.shape;
    counts[axis] = 1;
    for (uint64_t i = 0; i < n; ++i) {
      Bytes layer(elements / n * size);
      copy_box({values.data(), i * strides[axis], strides}, {layer.data(), 0, c_strides(counts)},
               counts, size);
      windows.push(std::move(layer));
    }
    return {};
  }

  io::Session& session_;
  const Dataset& dataset_;
  const Array& array_;
  const CheckedSelection& selection_;
  const Reduction& reduction_;
  const Rolling& rolling_;
  const ReduceOptions& options_;
  const TileSink& sink_;
  const PieceAdder& adder_;
  uint64_t all_;  // outputs, and elements of the axis
  Division division_;
  size_t threads_ = 1;
};

}  // namespace

Result<> roll(io::Session& session, const Dataset& dataset, const Array& array,
              const CheckedSelection& selection, const Reduction& reduction,
              const ReduceOptions& options, const TileSink& sink, const PieceAdder& adder) {
  return Roller(session, dataset, array, selection, reduction, options, sink, adder).run();
}

std::vector<Pass> rolling_passes(const Array& array, const CheckedSelection& selection,
                                 const Reduction& reduction, const ReduceOptions& options,
                                 const DataType& type) {
  const Rolling& rolling = *reduction.rolling;
  const Division division = divide(array, selection, reduction, options, type);
  const uint64_t all = selection.shape[rolling.axis];
  std::vector<Pass> passes;
  for (uint64_t unit = 0; unit < division.units; ++unit) {
    const uint64_t begin = unit * division.length;
    const auto [first, end] =
        inputs_of(rolling, begin, std::min(all, begin + division.length), all);
    Pass pass{{selection.origin, selection.shape, selection.step}, unit, 1};
    pass.selection.origin[rolling.axis] += first * selection.step[rolling.axis];
    pass.selection.shape[rolling.axis] = end - first;
    pass.times = tiles_of_chunk(array, selection, reduction, division.tiles);
    passes.push_back(std::move(pass));
  }
  return passes;
}

Shape rolling_tile(const Array& array, const CheckedSelection& selection,
                   const Reduction& reduction) {
  const Division division = divide(array, selection, reduction, {}, DataType::floating(8));
  Shape tile = division.tiles.largest_unit();
  tile[reduction.rolling->axis] = division.part;
  return tile;
}

}  // namespace upwell::compute
