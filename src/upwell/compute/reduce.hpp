#pragma once
// Reductions of an array over some of its axes, streaming in bounded memory.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "compute/beside.hpp"
#include "cube/read.hpp"

namespace upwell::compute {

enum class Function { kMean, kSum, kMin, kMax, kCount, kStd, kVar, kQuantile };

/// Of an element that belongs to no group.
constexpr uint32_t kNoGroup = UINT32_MAX;

/// Groups along one axis of a selection, each of which is reduced by itself.
struct Grouping {
  size_t axis = 0;
  std::vector<uint32_t> group;  ///< of each selected element along the axis
  uint32_t count = 0;           ///< of groups, all of which have elements
};

/// Windows of `window` elements along an axis, one for each element: those up to it, or, with
/// `center`, as many before it as behind (one more before, where the window is even). At the ends
/// of the axis they are shorter. A result of fewer than min_periods values is NaN.
struct Rolling {
  size_t axis = 0;
  uint64_t window = 1, min_periods = 1;
  bool center = false;

  uint64_t before() const { return center ? window / 2 : window - 1; }
  uint64_t after() const { return window - 1 - before(); }
};

struct Reduction {
  Function function = Function::kMean;
  std::vector<bool> reduced;  ///< by axis of the array
  uint64_t ddof = 0;          ///< kStd, kVar: the divisor is count - ddof
  double quantile = 0.5;      ///< kQuantile: 0 to 1
  /// The result has an axis of the groups in the place of groups->axis, which is reduced.
  std::optional<Grouping> groups = {};
  /// The result keeps the axis rolling->axis, which is the only one that is reduced.
  std::optional<Rolling> rolling = {};
  std::shared_ptr<const Mask> where = {};       ///< elements for which it does not hold are missing
  std::shared_ptr<const Weights> weights = {};  ///< kMean, kSum

  bool in_result(size_t axis) const {
    return !reduced[axis] || rolling || (groups && groups->axis == axis);
  }
};

/// "mean", "sum", "min", "max", "count", "std", "var", "median", or "p" and a percentage ("p90",
/// "p2.5"): sets function and quantile. kInvalidArgument names these.
Result<> parse_function(const std::string& name, Reduction& reduction);

/// What a reduction of values of the type `decoded` (cf::decoded_type) gives: kMean, kStd, kVar,
/// kQuantile, all with weights and the kSum of floats are float64; the kSum of integers is int64 or
/// uint64, kCount int64; kMin and kMax keep the type (half precision becomes float32). Where
/// elements may be missing by a condition or at the end of windows, integers count as the floats
/// that xarray makes of them, and counts of windows are float64.
DataType result_type(const Reduction& reduction, const DataType& decoded);

struct ReduceOptions {
  uint64_t memory_budget = 512ULL << 20;  ///< chunks that are decoded, and totals
  size_t threads = 0;                     ///< 0: every core
  Progress::Style progress = Progress::Style::kQuiet;
};

/// A good chunk shape for storing the result: its tiles.
Result<Shape> tile_shape(const Array& array, const Selection& selection,
                         const Reduction& reduction);

/// Part of a selection that is read as a whole, `times` times, before those of a higher number.
struct Pass {
  Selection selection;
  uint64_t number = 0, times = 1;
};

/// What reduce will read of the array, where memory does not hold all that is needed at once: more
/// than one pass. Errors as of reduce.
Result<std::vector<Pass>> passes_of(const Array& array, const Selection& selection,
                                    const Reduction& reduction, const ReduceOptions& options);

/// Called with a box of the result and its elements, of result_type, in C order. Calls may be
/// concurrent, and come in no order.
using TileSink = std::function<Result<>(const Box& box, ByteSpan elements)>;

/// Reduces a selection of decoded values (CF packing and missing values applied), skipping NaN as
/// xarray does by default: a mean, extreme, quantile, standard deviation or variance of nothing is
/// NaN, a sum of nothing 0. Quantiles are linear between values, as numpy's. Sums are of doubles,
/// of up to 1024 values plainly and compensated between those; squares are of distances from the
/// mean of the values before. Every core works on a tile of the result that is aligned with the
/// stored chunks, or on a block of chunks of one; blocks are added up in their order. So the result
/// does not depend on the number of cores, and memory not on the number of chunks.
///
/// kInvalidArgument for what does not hold numbers, when no axis is reduced or one of length 0 is,
/// a selection that does not fit, or totals of a tile or the decoding of a chunk that alone exceed
/// the budget; errors of reading name array, chunk and granule.
Result<> reduce(io::Session& session, const Dataset& dataset, const Array& array,
                const Selection& selection, const Reduction& reduction,
                const ReduceOptions& options, const TileSink& sink);

}  // namespace upwell::compute
