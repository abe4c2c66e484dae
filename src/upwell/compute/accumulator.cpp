#include "compute/accumulator.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "compute/simd/kernels.hpp"

namespace upwell::compute {
namespace {

/// Partial results side by side when many values go into one cell: they map to vector registers.
constexpr size_t kFoldLanes = 8;
/// Values of a cell that are added up plainly, before rounding is kept beside: their sum is off by
/// 1e-13 of the sum of magnitudes at most.
constexpr uint32_t kMostPlain = 1024;

template <typename T>
bool is_missing(T v) {
  return v != v;  // NOLINT(misc-redundant-expression): NaN, and no integer
}

template <typename T>
ByteSpan bytes_of(const std::vector<T>& cells) {
  return {reinterpret_cast<const uint8_t*>(cells.data()), cells.size() * sizeof(T)};
}

/// How many values went into each cell: 32 bits within a block, 64 once blocks are added up.
class Counts {
 public:
  void reset(size_t cells) {
    block_.assign(cells, 0);
    wide_.clear();
  }
  uint32_t* block() { return block_.data(); }
  size_t size() const { return block_.size(); }
  uint64_t at(size_t i) const { return wide_.empty() ? block_[i] : wide_[i]; }
  std::vector<uint64_t>& wide() {
    if (wide_.empty()) wide_.assign(block_.begin(), block_.end());
    return wide_;
  }
  void merge(const Counts& other) {
    wide();
    for (size_t i = 0; i < wide_.size(); ++i) wide_[i] += other.at(i);
  }

 private:
  std::vector<uint32_t> block_;
  std::vector<uint64_t> wide_;
};

/// Sums of cells: few values plainly, those sums with what rounding took from them (Knuth's
/// two-sum).
class Sums {
 public:
  void reset(size_t cells) {
    plain_.assign(cells, 0);
    sum_.clear();
    low_.clear();
    passes_ = 0;
    end_ = 0;
    dirty_first_ = cells;
    dirty_end_ = 0;
  }
  /// Where n values are to be added, one for each cell from `first` on.
  double* plain(size_t first, size_t n) {
    // Calls for cells behind those before are one pass, which adds to no cell twice.
    if (first < end_ && ++passes_ >= kMostPlain) settle();
    end_ = first + n;
    dirty_first_ = std::min(dirty_first_, first);
    dirty_end_ = std::max(dirty_end_, end_);
    return plain_.data() + first;
  }
  double at(size_t i) const {
    if (sum_.empty()) return plain_[i];
    const double s = sum_[i] + plain_[i];
    // Infinite sums leave NaN beside them.
    if (!std::isfinite(s)) return s;
    return s + (low_[i] + lost(sum_[i], plain_[i], s));
  }
  void add(size_t i, double v) {
    widen();
    const double s = sum_[i] + v;
    low_[i] += lost(sum_[i], v, s);
    sum_[i] = s;
  }
  void merge(const Sums& other) {
    for (size_t i = 0; i < plain_.size(); ++i) {
      add(i, other.plain_[i]);
      if (other.sum_.empty()) continue;
      add(i, other.sum_[i]);
      low_[i] += other.low_[i];
    }
  }
  /// The sums as plain doubles; then good for reset only.
  std::vector<double>& finish() {
    for (size_t i = 0; i < plain_.size(); ++i) plain_[i] = at(i);
    return plain_;
  }

 private:
  /// What rounding took from a + b = s.
  static double lost(double a, double b, double s) {
    const double part = s - a;
    return (a - (s - part)) + (b - part);
  }
  void widen() {
    if (!sum_.empty()) return;
    sum_.assign(plain_.size(), 0);
    low_.assign(plain_.size(), 0);
  }
  void settle() {
    for (size_t i = dirty_first_; i < dirty_end_; ++i) {
      add(i, plain_[i]);
      plain_[i] = 0;
    }
    passes_ = 0;
    dirty_first_ = plain_.size();
    dirty_end_ = 0;
  }

  std::vector<double> plain_, sum_, low_;
  uint32_t passes_ = 0;
  size_t end_ = 0;                          // of the last call's cells
  size_t dirty_first_ = 0, dirty_end_ = 0;  // cells that plain_ has something of
};

/// kSum of floats and kMean.
template <typename T>
class SumAccumulator final : public Accumulator {
 public:
  explicit SumAccumulator(bool mean) : mean_(mean) {}

  void reset(size_t cells) override {
    sums_.reset(cells);
    counts_.reset(mean_ ? cells : 0);
    cells_ = cells;
  }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    double* sum = sums_.plain(first, n);
    uint32_t* count = mean_ ? counts_.block() + first : nullptr;
    if constexpr (std::is_floating_point_v<T>) {
      mean_ ? simd::add(v, n, sum, count) : simd::add(v, n, sum);
    } else {
      for (size_t i = 0; i < n; ++i) sum[i] += static_cast<double>(v[i]);
      for (size_t i = 0; i < n && mean_; ++i) ++count[i];
    }
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    std::array<double, kFoldLanes> sum{};
    std::array<uint32_t, kFoldLanes> count{};
    auto take = [&](size_t k, T value) {
      sum[k] += is_missing(value) ? 0 : static_cast<double>(value);
      count[k] += is_missing(value) ? 0 : 1;
    };
    const size_t whole = n - n % kFoldLanes;
    for (size_t i = 0; i < whole; i += kFoldLanes) {
      for (size_t k = 0; k < kFoldLanes; ++k) take(k, v[i + k]);
    }
    for (size_t i = whole; i < n; ++i) take(i - whole, v[i]);
    for (size_t k = 1; k < kFoldLanes; ++k) {
      sum[0] += sum[k];
      count[0] += count[k];
    }
    sums_.add(cell, sum[0]);
    if (mean_) counts_.block()[cell] += count[0];
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const SumAccumulator&>(other);
    sums_.merge(o.sums_);
    if (mean_) counts_.merge(o.counts_);
  }
  ByteSpan finish() override {
    std::vector<double>& sums = sums_.finish();
    // 0 / 0 is the NaN that stands for nothing.
    for (size_t i = 0; i < cells_ && mean_; ++i) sums[i] /= static_cast<double>(counts_.at(i));
    return bytes_of(sums);
  }
  size_t cell_bytes() const override { return 3 * sizeof(double) + (mean_ ? 12 : 0); }

 private:
  bool mean_;
  size_t cells_ = 0;
  Sums sums_;
  Counts counts_;
};

/// kSum of integers, exact modulo 2^64 as numpy's.
template <typename T>
class IntegerSumAccumulator final : public Accumulator {
 public:
  void reset(size_t cells) override { sums_.assign(cells, 0); }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    uint64_t* sum = sums_.data() + first;
    for (size_t i = 0; i < n; ++i) sum[i] += wide(v[i]);
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; ++i) sum += wide(v[i]);
    sums_[cell] += sum;
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const IntegerSumAccumulator&>(other);
    for (size_t i = 0; i < sums_.size(); ++i) sums_[i] += o.sums_[i];
  }
  ByteSpan finish() override { return bytes_of(sums_); }
  size_t cell_bytes() const override { return sizeof(uint64_t); }

 private:
  static uint64_t wide(T v) {
    if constexpr (std::is_signed_v<T>)
      return static_cast<uint64_t>(static_cast<int64_t>(v));
    else
      return v;
  }
  std::vector<uint64_t> sums_;
};

template <typename T>
class CountAccumulator final : public Accumulator {
 public:
  void reset(size_t cells) override { counts_.reset(cells); }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    uint32_t* count = counts_.block() + first;
    for (size_t i = 0; i < n; ++i) count[i] += is_missing(v[i]) ? 0 : 1;
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    uint32_t count = 0;
    for (size_t i = 0; i < n; ++i) count += is_missing(v[i]) ? 0 : 1;
    counts_.block()[cell] += count;
  }
  void merge(const Accumulator& other) override {
    counts_.merge(static_cast<const CountAccumulator&>(other).counts_);
  }
  ByteSpan finish() override { return bytes_of(counts_.wide()); }
  size_t cell_bytes() const override { return sizeof(uint32_t) + sizeof(uint64_t); }

 private:
  Counts counts_;
};

/// kMin and kMax. A cell without values is NaN; one of integers always has some.
template <typename T, bool kLeast>
class ExtremeAccumulator final : public Accumulator {
 public:
  void reset(size_t cells) override { best_.assign(cells, kNothing); }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    T* best = best_.data() + first;
    if constexpr (std::is_floating_point_v<T>)
      kLeast ? simd::least(v, n, best) : simd::most(v, n, best);
    else
      for (size_t i = 0; i < n; ++i) best[i] = better(best[i], v[i]);
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    std::array<T, kFoldLanes> best;
    best.fill(best_[cell]);
    const size_t whole = n - n % kFoldLanes;
    for (size_t i = 0; i < whole; i += kFoldLanes) {
      for (size_t k = 0; k < kFoldLanes; ++k) best[k] = better(best[k], v[i + k]);
    }
    for (size_t i = whole; i < n; ++i) best[0] = better(best[0], v[i]);
    for (const T b : best) best_[cell] = better(best_[cell], b);
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const ExtremeAccumulator&>(other);
    for (size_t i = 0; i < best_.size(); ++i) best_[i] = better(best_[i], o.best_[i]);
  }
  ByteSpan finish() override { return bytes_of(best_); }
  size_t cell_bytes() const override { return sizeof(T); }

 private:
  static constexpr T kNothing = std::is_floating_point_v<T> ? std::numeric_limits<T>::quiet_NaN()
                                : kLeast                    ? std::numeric_limits<T>::max()
                                                            : std::numeric_limits<T>::lowest();
  static T better(T best, T v) {
    const bool wins = kLeast ? v < best : v > best;
    return wins || is_missing(best) ? v : best;
  }
  std::vector<T> best_;
};

/// Count, mean and sum of the squared distances from it. The mean is origin + rest, so that it has
/// digits enough where it is large beside the deviation.
struct Moments {
  uint64_t count = 0;
  double origin = NAN, rest = 0, squares = 0;
};

/// Both together (Chan, Golub and LeVeque 1979).
Moments joined(const Moments& a, const Moments& b) {
  if (a.count == 0) return b;
  if (b.count == 0) return a;
  Moments both;
  both.count = a.count + b.count;
  const double part = static_cast<double>(b.count) / static_cast<double>(both.count);
  const double shift = (b.origin - a.origin) + (b.rest - a.rest);
  both.squares = a.squares + b.squares + shift * shift * static_cast<double>(a.count) * part;
  const double moved = a.rest + shift * part;
  both.origin = a.origin + moved;
  const double taken = both.origin - a.origin;
  both.rest = (a.origin - (both.origin - taken)) + (moved - taken);
  return both;
}

/// Of `count` values whose distances from `origin` have the sums `sum` and `squares`.
Moments moments_of(uint64_t count, double origin, double sum, double squares) {
  if (count == 0) return {};
  const double rest = sum / static_cast<double>(count);
  const double about_mean = squares - sum * rest;
  return {count, origin, rest, about_mean < 0 ? 0 : about_mean};  // below 0 by rounding only
}

/// kStd and kVar. Values are added as distances from the mean of those before, and the squares of
/// these; when they have become as many as those before (kMostPlain at most), they are joined with
/// them. However far the mean moves meanwhile, that adds to the result what it may cost in digits.
template <typename T>
class SpreadAccumulator final : public Accumulator {
 public:
  SpreadAccumulator(bool root, uint64_t ddof) : root_(root), ddof_(ddof) {}

  void reset(size_t cells) override {
    origin_.assign(cells, NAN);
    for (auto* of_cells : {&rest_, &joined_squares_, &sum_, &squares_}) of_cells->assign(cells, 0);
    joined_count_.assign(cells, 0);
    count_.assign(cells, 0);
    limit_.assign(cells, 1);
  }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    bool full = false;
    if constexpr (std::is_floating_point_v<T>) {
      full = simd::add_distances(v, n, origin_.data() + first, sum_.data() + first,
                                 squares_.data() + first, count_.data() + first,
                                 limit_.data() + first);
    } else {
      for (size_t i = 0; i < n; ++i) {
        const auto x = static_cast<double>(v[i]);
        const size_t cell = first + i;
        if (is_missing(origin_[cell])) origin_[cell] = x;
        const double distance = x - origin_[cell];
        sum_[cell] += distance;
        squares_[cell] += distance * distance;
        full = ++count_[cell] >= limit_[cell] || full;
      }
    }
    for (size_t cell = first; cell < first + n && full; ++cell)
      if (count_[cell] >= limit_[cell]) put(cell, all_of(cell));
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    double origin = NAN;
    for (size_t i = 0; i < n && is_missing(origin); ++i) origin = static_cast<double>(v[i]);
    if (is_missing(origin)) return;
    // Twice: about the first value, then about their mean.
    const Moments rough = moments_about(origin, v, n);
    const Moments own = moments_about(rough.origin + rough.rest, v, n);
    put(cell, joined(all_of(cell), own));
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const SpreadAccumulator&>(other);
    for (size_t i = 0; i < sum_.size(); ++i) put(i, joined(all_of(i), o.all_of(i)));
  }
  ByteSpan finish() override {
    for (size_t i = 0; i < sum_.size(); ++i) {
      const Moments all = all_of(i);
      const double variance =
          all.count > ddof_ ? all.squares / static_cast<double>(all.count - ddof_) : NAN;
      squares_[i] = root_ ? std::sqrt(variance) : variance;
    }
    return bytes_of(squares_);
  }
  size_t cell_bytes() const override {
    return 5 * sizeof(double) + sizeof(uint64_t) + 2 * sizeof(uint32_t);
  }

 private:
  static Moments moments_about(double origin, const T* v, size_t n) {
    std::array<double, kFoldLanes> sum{}, squares{};
    std::array<uint32_t, kFoldLanes> count{};
    auto take = [&](size_t k, T value) {
      const auto x = static_cast<double>(value);
      const double distance = is_missing(x) ? 0 : x - origin;
      sum[k] += distance;
      squares[k] += distance * distance;
      count[k] += is_missing(x) ? 0 : 1;
    };
    const size_t whole = n - n % kFoldLanes;
    for (size_t i = 0; i < whole; i += kFoldLanes) {
      for (size_t k = 0; k < kFoldLanes; ++k) take(k, v[i + k]);
    }
    for (size_t i = whole; i < n; ++i) take(i - whole, v[i]);
    for (size_t k = 1; k < kFoldLanes; ++k) {
      sum[0] += sum[k];
      squares[0] += squares[k];
      count[0] += count[k];
    }
    return moments_of(count[0], origin, sum[0], squares[0]);
  }
  Moments all_of(size_t i) const {
    const Moments before{joined_count_[i], origin_[i], rest_[i], joined_squares_[i]};
    return joined(before, moments_of(count_[i], origin_[i], sum_[i], squares_[i]));
  }
  void put(size_t i, const Moments& all) {
    joined_count_[i] = all.count;
    origin_[i] = all.origin;
    rest_[i] = all.rest;
    joined_squares_[i] = all.squares;
    sum_[i] = squares_[i] = 0;
    count_[i] = 0;
    limit_[i] = static_cast<uint32_t>(std::clamp<uint64_t>(all.count, 1, kMostPlain));
  }

  bool root_;
  uint64_t ddof_;
  std::vector<double> origin_, rest_, joined_squares_;
  std::vector<uint64_t> joined_count_;
  std::vector<double> sum_, squares_;  // about origin_, of values that are not joined yet
  std::vector<uint32_t> count_, limit_;
};

/// kMean and kSum of values with weights.
class WeightedAccumulator final : public Accumulator {
 public:
  explicit WeightedAccumulator(bool mean) : mean_(mean) {}

  void reset(size_t cells) override {
    products_.reset(cells);
    weights_.reset(cells);
  }
  void add(size_t first, const void* values, size_t n) override {
    const auto* v = static_cast<const Weighted*>(values);
    double* product = products_.plain(first, n);
    double* weight = weights_.plain(first, n);
    for (size_t i = 0; i < n; ++i) {
      product[i] += v[i].product;
      weight[i] += v[i].weight;
    }
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const auto* v = static_cast<const Weighted*>(values);
    Weighted sum;
    for (size_t i = 0; i < n; ++i) {
      sum.product += v[i].product;
      sum.weight += v[i].weight;
    }
    products_.add(cell, sum.product);
    weights_.add(cell, sum.weight);
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const WeightedAccumulator&>(other);
    products_.merge(o.products_);
    weights_.merge(o.weights_);
  }
  ByteSpan finish() override {
    std::vector<double>& products = products_.finish();
    if (!mean_) return bytes_of(products);
    const std::vector<double>& weights = weights_.finish();
    // Nothing that counts has no mean.
    for (size_t i = 0; i < products.size(); ++i)
      products[i] = weights[i] == 0 ? NAN : products[i] / weights[i];
    return bytes_of(products);
  }
  size_t cell_bytes() const override { return 6 * sizeof(double); }

 private:
  bool mean_;
  Sums products_, weights_;
};

template <typename T>
std::unique_ptr<Accumulator> make_for(Function function, uint64_t ddof) {
  switch (function) {
    case Function::kMean:
      return std::make_unique<SumAccumulator<T>>(true);
    case Function::kSum:
      if constexpr (std::is_integral_v<T>)
        return std::make_unique<IntegerSumAccumulator<T>>();
      else
        return std::make_unique<SumAccumulator<T>>(false);
    case Function::kMin:
      return std::make_unique<ExtremeAccumulator<T, true>>();
    case Function::kMax:
      return std::make_unique<ExtremeAccumulator<T, false>>();
    case Function::kCount:
      return std::make_unique<CountAccumulator<T>>();
    case Function::kStd:
    case Function::kVar:
    case Function::kQuantile:
      break;
  }
  return std::make_unique<SpreadAccumulator<T>>(function == Function::kStd, ddof);
}

}  // namespace

std::unique_ptr<Accumulator> make_accumulator(const Reduction& reduction, const DataType& type,
                                              uint64_t most_values) {
  const Function function = reduction.function;
  const uint64_t ddof = reduction.ddof;
  if (reduction.weights) return std::make_unique<WeightedAccumulator>(function == Function::kMean);
  if (function == Function::kQuantile)
    return make_quantile_accumulator(reduction.quantile, type, most_values);
  if (type.kind == Kind::kFloat)
    return type.size == 4 ? make_for<float>(function, ddof) : make_for<double>(function, ddof);
  const bool sign = type.kind == Kind::kInt;
  switch (type.size) {
    case 1:
      return sign ? make_for<int8_t>(function, ddof) : make_for<uint8_t>(function, ddof);
    case 2:
      return sign ? make_for<int16_t>(function, ddof) : make_for<uint16_t>(function, ddof);
    case 4:
      return sign ? make_for<int32_t>(function, ddof) : make_for<uint32_t>(function, ddof);
    default:
      return sign ? make_for<int64_t>(function, ddof) : make_for<uint64_t>(function, ddof);
  }
}

}  // namespace upwell::compute
