#pragma once
// Inner loops of accumulators that are compiled once per instruction set and chosen at run time:
// value i goes into cell i. NaN counts for nothing. The same bits on every processor.

#include <cstddef>
#include <cstdint>

namespace upwell::compute::simd {

void add(const float* v, size_t n, double* sum);
void add(const double* v, size_t n, double* sum);
void add(const float* v, size_t n, double* sum, uint32_t* count);
void add(const double* v, size_t n, double* sum, uint32_t* count);

/// Distances from `origin` (NaN before a cell's first value, which it becomes), and their squares.
/// True when a cell has got as many values as its `limit`.
bool add_distances(const float* v, size_t n, double* origin, double* sum, double* squares,
                   uint32_t* count, const uint32_t* limit);
bool add_distances(const double* v, size_t n, double* origin, double* sum, double* squares,
                   uint32_t* count, const uint32_t* limit);

/// A cell that is NaN takes any value.
void least(const float* v, size_t n, float* best);
void least(const double* v, size_t n, double* best);
void most(const float* v, size_t n, float* best);
void most(const double* v, size_t n, double* best);

}  // namespace upwell::compute::simd
