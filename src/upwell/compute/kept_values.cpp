// Accumulators that keep all values of a cell.

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <span>
#include <vector>

#include "compute/accumulator.hpp"

namespace upwell::compute {
namespace {

/// Where a cell's values take more, they lie together; where less, those of many cells do, the k-th
/// of each: then neighbours fill lines of the cache, and nothing is kept for values that do not
/// come.
constexpr size_t kLongCell = 1 << 16;

/// kQuantile: exact, and linear between the two values that are next to it (numpy's default).
template <typename T>
class QuantileAccumulator final : public Accumulator {
 public:
  QuantileAccumulator(double quantile, uint64_t most_values)
      : quantile_(quantile),
        most_values_(most_values),
        long_cells_(most_values * sizeof(T) > kLongCell) {}

  void reset(size_t cells) override {
    counts_.assign(cells, 0);
    const size_t row = long_cells_ ? most_values_ : cells;
    if (row == row_) return;
    row_ = row;
    rows_.clear();
  }
  void add(size_t first, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    for (size_t i = 0; i < n; ++i) put(first + i, v[i]);
  }
  void fold(size_t cell, const void* values, size_t n) override {
    const T* v = static_cast<const T*>(values);
    for (size_t i = 0; i < n; ++i) put(cell, v[i]);
  }
  void merge(const Accumulator& other) override {
    const auto& o = static_cast<const QuantileAccumulator&>(other);
    for (size_t cell = 0; cell < counts_.size(); ++cell)
      for (uint32_t k = 0; k < o.counts_[cell]; ++k) put(cell, o.at(cell, k));
  }
  ByteSpan finish() override {
    results_.resize(counts_.size());
    if (long_cells_)
      for (size_t cell = 0; cell < counts_.size(); ++cell)
        results_[cell] = counts_[cell] == 0 ? NAN : quantile_of({rows_[cell].get(), counts_[cell]});
    else
      finish_short();
    return {reinterpret_cast<const uint8_t*>(results_.data()), results_.size() * sizeof(double)};
  }
  size_t cell_bytes() const override {
    return most_values_ * sizeof(T) + sizeof(uint32_t) + sizeof(double) + sizeof(Row);
  }

 private:
  using Row = std::unique_ptr<T[]>;  // NOLINT(*-avoid-c-arrays): whose pages come when written

  T& at(size_t cell, uint32_t k) { return long_cells_ ? rows_[cell][k] : rows_[k][cell]; }
  const T& at(size_t cell, uint32_t k) const {
    return long_cells_ ? rows_[cell][k] : rows_[k][cell];
  }
  void put(size_t cell, T value) {
    if constexpr (std::is_floating_point_v<T>)
      if (std::isnan(value)) return;
    const uint32_t k = counts_[cell]++;
    const size_t row = long_cells_ ? cell : k;
    if (row >= rows_.size()) rows_.resize(row + 1);
    if (!rows_[row]) rows_[row].reset(new T[row_]);
    at(cell, k) = value;
  }

  void finish_short() {
    // Some cells at once, so that a line of a row is read once for all of them.
    constexpr size_t kAtOnce = 64 / sizeof(T);
    std::vector<std::vector<T>> values(kAtOnce);
    for (size_t first = 0; first < counts_.size(); first += kAtOnce) {
      const size_t n = std::min(kAtOnce, counts_.size() - first);
      uint32_t most = 0;
      for (size_t i = 0; i < n; ++i) {
        values[i].resize(counts_[first + i]);
        most = std::max(most, counts_[first + i]);
      }
      for (uint32_t k = 0; k < most; ++k)
        for (size_t i = 0; i < n; ++i)
          if (k < counts_[first + i]) values[i][k] = rows_[k][first + i];
      for (size_t i = 0; i < n; ++i)
        results_[first + i] = values[i].empty() ? NAN : quantile_of(values[i]);
    }
  }

  /// Changes the order of the values, of which there is one at least.
  double quantile_of(std::span<T> values) const {
    const double at = quantile_ * static_cast<double>(values.size() - 1);
    const auto below = static_cast<size_t>(at);
    const double part = at - static_cast<double>(below);
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(below);
    std::nth_element(values.begin(), middle, values.end());
    const auto low = static_cast<double>(*middle);
    if (part == 0) return low;
    const auto high = static_cast<double>(*std::min_element(middle + 1, values.end()));
    if (low == high) return low;  // infinities, too
    if (part == 0.5) return std::midpoint(low, high);
    return part < 0.5 ? low + (high - low) * part : high - (high - low) * (1 - part);
  }

  double quantile_;
  uint64_t most_values_;
  bool long_cells_;
  std::vector<uint32_t> counts_;  // by cell
  std::vector<Row> rows_;         // of each cell, or the k-th value of every cell
  size_t row_ = 0;                // elements of a row
  std::vector<double> results_;
};

}  // namespace

std::unique_ptr<Accumulator> make_quantile_accumulator(double quantile, const DataType& type,
                                                       uint64_t most_values) {
  const auto make = [&](auto value) -> std::unique_ptr<Accumulator> {
    return std::make_unique<QuantileAccumulator<decltype(value)>>(quantile, most_values);
  };
  if (type.kind == Kind::kFloat) return type.size == 4 ? make(float{}) : make(double{});
  const bool sign = type.kind == Kind::kInt;
  switch (type.size) {
    case 1:
      return sign ? make(int8_t{}) : make(uint8_t{});
    case 2:
      return sign ? make(int16_t{}) : make(uint16_t{});
    case 4:
      return sign ? make(int32_t{}) : make(uint32_t{});
    default:
      return sign ? make(int64_t{}) : make(uint64_t{});
  }
}

}  // namespace upwell::compute
