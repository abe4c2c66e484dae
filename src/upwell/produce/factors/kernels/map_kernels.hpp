#pragma once
// The inner loops of mapping, compiled once per instruction set. Internal.

#include <cstddef>
#include <cstdint>

namespace upwell::produce {

/// out[i] = 0 + field[source[i]] where bit i of `ocean` is set, else NaN. (0 + x: a sum that begins
/// with 0, so that -0 becomes 0.)
void take_nearest(const float* field, const uint32_t* source, const uint8_t* ocean, size_t cells,
                  float* out);

/// Fields that are mapped together: their values for one point lie side by side.
inline constexpr size_t kLanes = 8;

/// out[cell × kLanes + lane] for `cells` rows that begin at `offsets`: the sum over the row of
/// weight × fields[source × kLanes + lane], in double, each product rounded by itself.
void sum_rows(const float* fields, const uint32_t* offsets, const uint32_t* sources,
              const double* weights, size_t cells, double* out);

/// Every kLanes-th value as float where its bit of `ocean` is set, else NaN.
void place_lane(const double* sums, const uint8_t* ocean, size_t cells, float* out);

}  // namespace upwell::produce
