// The only file of its folder, so that Highway's repeated inclusion meets nothing else in a unity
// build.
#include "compute/simd/kernels.hpp"

// Only its headers are used; the assertions of sanitizer builds would need the library.
#define HWY_IS_DEBUG_BUILD 0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "compute/simd/kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "codec/simd/dispatch.hpp"

HWY_BEFORE_NAMESPACE();
namespace upwell::compute::simd {
namespace HWY_NAMESPACE {

// Plain loops, which the compiler vectorizes for each target. The component is compiled without
// contraction, so that none fuses a product and a sum into one rounding. NaN is what differs from
// itself: NOLINTBEGIN(misc-redundant-expression)

template <typename T>
void add_plain(const T* HWY_RESTRICT v, size_t n, double* HWY_RESTRICT sum) {
  for (size_t i = 0; i < n; ++i) sum[i] += v[i] != v[i] ? 0 : static_cast<double>(v[i]);
}

template <typename T>
void add_counted(const T* HWY_RESTRICT v, size_t n, double* HWY_RESTRICT sum,
                 uint32_t* HWY_RESTRICT count) {
  for (size_t i = 0; i < n; ++i) {
    sum[i] += v[i] != v[i] ? 0 : static_cast<double>(v[i]);
    count[i] += v[i] != v[i] ? 0 : 1;
  }
}

template <typename T>
bool add_far(const T* HWY_RESTRICT v, size_t n, double* HWY_RESTRICT origin,
             double* HWY_RESTRICT sum, double* HWY_RESTRICT squares, uint32_t* HWY_RESTRICT count,
             const uint32_t* HWY_RESTRICT limit) {
  uint32_t full = 0;
  for (size_t i = 0; i < n; ++i) {
    const auto x = static_cast<double>(v[i]);
    const double from = origin[i] != origin[i] ? x : origin[i];
    const double distance = x != x ? 0 : x - from;
    origin[i] = from;
    sum[i] += distance;
    squares[i] += distance * distance;
    count[i] += x != x ? 0 : 1;
    full |= static_cast<uint32_t>(count[i] >= limit[i]);
  }
  return full != 0;
}

// `|` and not `||`: both are cheaper than a branch.
template <typename T>
void take_least(const T* HWY_RESTRICT v, size_t n, T* HWY_RESTRICT best) {
  for (size_t i = 0; i < n; ++i) {
    const T b = best[i];
    best[i] = static_cast<int>(v[i] < b) | static_cast<int>(b != b) ? v[i] : b;
  }
}

template <typename T>
void take_most(const T* HWY_RESTRICT v, size_t n, T* HWY_RESTRICT best) {
  for (size_t i = 0; i < n; ++i) {
    const T b = best[i];
    best[i] = static_cast<int>(v[i] > b) | static_cast<int>(b != b) ? v[i] : b;
  }
}

void add_f(const float* v, size_t n, double* sum) { add_plain(v, n, sum); }
void add_d(const double* v, size_t n, double* sum) { add_plain(v, n, sum); }
void count_f(const float* v, size_t n, double* sum, uint32_t* c) { add_counted(v, n, sum, c); }
void count_d(const double* v, size_t n, double* sum, uint32_t* c) { add_counted(v, n, sum, c); }
bool far_f(const float* v, size_t n, double* origin, double* sum, double* sq, uint32_t* count,
           const uint32_t* limit) {
  return add_far(v, n, origin, sum, sq, count, limit);
}
bool far_d(const double* v, size_t n, double* origin, double* sum, double* sq, uint32_t* count,
           const uint32_t* limit) {
  return add_far(v, n, origin, sum, sq, count, limit);
}
void least_f(const float* v, size_t n, float* best) { take_least(v, n, best); }
void least_d(const double* v, size_t n, double* best) { take_least(v, n, best); }
void most_f(const float* v, size_t n, float* best) { take_most(v, n, best); }
void most_d(const double* v, size_t n, double* best) { take_most(v, n, best); }

// NOLINTEND(misc-redundant-expression)

}  // namespace HWY_NAMESPACE
}  // namespace upwell::compute::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace upwell::compute::simd {

void add(const float* v, size_t n, double* sum) { UPWELL_CHOSEN(add_f)(v, n, sum); }
void add(const double* v, size_t n, double* sum) { UPWELL_CHOSEN(add_d)(v, n, sum); }
void add(const float* v, size_t n, double* sum, uint32_t* count) {
  UPWELL_CHOSEN(count_f)(v, n, sum, count);
}
void add(const double* v, size_t n, double* sum, uint32_t* count) {
  UPWELL_CHOSEN(count_d)(v, n, sum, count);
}
bool add_distances(const float* v, size_t n, double* origin, double* sum, double* squares,
                   uint32_t* count, const uint32_t* limit) {
  return UPWELL_CHOSEN(far_f)(v, n, origin, sum, squares, count, limit);
}
bool add_distances(const double* v, size_t n, double* origin, double* sum, double* squares,
                   uint32_t* count, const uint32_t* limit) {
  return UPWELL_CHOSEN(far_d)(v, n, origin, sum, squares, count, limit);
}
void least(const float* v, size_t n, float* best) { UPWELL_CHOSEN(least_f)(v, n, best); }
void least(const double* v, size_t n, double* best) { UPWELL_CHOSEN(least_d)(v, n, best); }
void most(const float* v, size_t n, float* best) { UPWELL_CHOSEN(most_f)(v, n, best); }
void most(const double* v, size_t n, double* best) { UPWELL_CHOSEN(most_d)(v, n, best); }

}  // namespace upwell::compute::simd
#endif  // HWY_ONCE
