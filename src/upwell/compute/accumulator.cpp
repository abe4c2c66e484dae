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

template <typename T>
bool is_missing(T v) {
  return v != v;
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

/// Doubles with what rounding took from them (Knuth's two-sum), where many sums are added up.
class Sums {
 public:
  void reset(size_t cells) {
    sum_.assign(cells, 0);
    low_.clear();
  }
  double* plain() { return sum_.data(); }
  double at(size_t i) const {
    // Infinite sums leave NaN there.
    if (low_.empty() || !std::isfinite(sum_[i])) return sum_[i];
    return sum_[i] + low_[i];
  }
  void add(size_t i, double v) {
    if (low_.empty()) low_.assign(sum_.size(), 0);
    const double a = sum_[i], s = a + v, part = s - a;
    low_[i] += (a - (s - part)) + (v - part);
    sum_[i] = s;
  }
  void merge(const Sums& other) {
    for (size_t i = 0; i < sum_.size(); ++i) {
      add(i, other.sum_[i]);
      if (!other.low_.empty()) low_[i] += other.low_[i];
    }
  }

 private:
  std::vector<double> sum_, low_;
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
    double* sum = sums_.plain() + first;
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
    double* sum = sums_.plain();
    for (size_t i = 0; i < cells_; ++i) {
      sum[i] = sums_.at(i);
      // 0 / 0 is the NaN that stands for nothing.
      if (mean_) sum[i] /= static_cast<double>(counts_.at(i));
    }
    return {reinterpret_cast<const uint8_t*>(sum), cells_ * sizeof(double)};
  }
  size_t cell_bytes() const override { return 2 * sizeof(double) + (mean_ ? 12 : 0); }

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

/// kStd and kVar: sums of distances from one of the cell's own values, and of their squares. The
/// difference of those sums then loses few digits whatever the mean is.
template <typename T>
class SpreadAccumulator final : public Accumulator {
 public:
  SpreadAccumulator(bool root, uint64_t ddof) : root_(root), ddof_(ddof) {}

  void reset(size_t cells) override {
    origin_.assign(cells, NAN);
    sum_.assign(cells, 0);
    squares_.assign(cells, 0);
    counts_.reset(cells);
  }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    double *origin = origin_.data() + first, *sum = sum_.data() + first;
    double* squares = squares_.data() + first;
    uint32_t* count = counts_.block() + first;
    if constexpr (std::is_floating_point_v<T>) {
      simd::add_distances(v, n, origin, sum, squares, count);
    } else {
      for (size_t i = 0; i < n; ++i) {
        const auto x = static_cast<double>(v[i]);
        if (is_missing(origin[i])) origin[i] = x;
        const double distance = x - origin[i];
        sum[i] += distance;
        squares[i] += distance * distance;
        ++count[i];
      }
    }
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    double& origin = origin_[cell];
    for (size_t i = 0; i < n && is_missing(origin); ++i) origin = static_cast<double>(v[i]);
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
    for (size_t k = 0; k < kFoldLanes; ++k) {
      sum_[cell] += sum[k];
      squares_[cell] += squares[k];
      counts_.block()[cell] += count[k];
    }
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const SpreadAccumulator&>(other);
    for (size_t i = 0; i < sum_.size(); ++i) {
      const auto n = static_cast<double>(o.counts_.at(i));
      if (n == 0) continue;
      if (is_missing(origin_[i])) origin_[i] = o.origin_[i];
      const double shift = o.origin_[i] - origin_[i];
      squares_[i] += o.squares_[i] + 2 * shift * o.sum_[i] + n * shift * shift;
      sum_[i] += o.sum_[i] + n * shift;
    }
    counts_.merge(o.counts_);
  }
  ByteSpan finish() override {
    for (size_t i = 0; i < sum_.size(); ++i) {
      const uint64_t n = counts_.at(i);
      if (n <= ddof_) {
        squares_[i] = NAN;
        continue;
      }
      const double about_mean = squares_[i] - sum_[i] * sum_[i] / static_cast<double>(n);
      // Below 0 by rounding only.
      const double variance = about_mean < 0 ? 0 : about_mean / static_cast<double>(n - ddof_);
      squares_[i] = root_ ? std::sqrt(variance) : variance;
    }
    return bytes_of(squares_);
  }
  size_t cell_bytes() const override { return 3 * sizeof(double) + 12; }

 private:
  bool root_;
  uint64_t ddof_;
  std::vector<double> origin_, sum_, squares_;
  Counts counts_;
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
      break;
  }
  return std::make_unique<SpreadAccumulator<T>>(function == Function::kStd, ddof);
}

}  // namespace

std::unique_ptr<Accumulator> make_accumulator(Function function, const DataType& type,
                                              uint64_t ddof) {
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
