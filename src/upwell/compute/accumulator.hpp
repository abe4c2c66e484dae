#pragma once
// The cells of one tile while values go into them.

#include <memory>

#include "compute/reduce.hpp"

namespace upwell::compute {

/// Totals of the cells of a tile. NaN counts for nothing.
class Accumulator {
 public:
  virtual ~Accumulator() = default;

  /// Begins again with `cells` cells that hold nothing.
  virtual void reset(size_t cells) = 0;
  /// values[i] goes into cell first + i. `values`: n aligned elements of the type that it was made
  /// for.
  virtual void add(size_t first, const void* values, size_t n) = 0;
  /// All go into one cell.
  virtual void fold(size_t cell, const void* values, size_t n) = 0;
  /// Adds what another one of the same making has in its cells, of which there are as many.
  virtual void merge(const Accumulator& other) = 0;
  /// One element of result_type for each cell; they lie in the accumulator, which is then good for
  /// reset only.
  virtual ByteSpan finish() = 0;
  /// Bytes that one cell takes, at most.
  virtual size_t cell_bytes() const = 0;
};

/// A value with what it counts, as weighted accumulators take them. What is missing is 0, 0.
struct Weighted {
  double product = 0;  ///< value times weight
  double weight = 0;
};

/// For values of a memory type: integers, float32 or float64; with reduction.weights for Weighted.
/// `most_values`: that a cell gets at most, where all are kept (kQuantile).
std::unique_ptr<Accumulator> make_accumulator(const Reduction& reduction, const DataType& type,
                                              uint64_t most_values);

/// Those that keep all values (kept_values.cpp).
std::unique_ptr<Accumulator> make_quantile_accumulator(double quantile, const DataType& type,
                                                       uint64_t most_values);

}  // namespace upwell::compute
