#pragma once
// Which of the instruction sets that a loop was compiled for (Highway's foreach_target) is used.

namespace upwell::codec::simd {

// Highway's own choice at run time lives in a shared library whose start-up measures clocks for
// milliseconds, which is longer than many a command takes.
enum class Level { kBaseline, kAvx2, kAvx512 };
inline Level processor_level() {
#if defined(__x86_64__) || defined(__i386__)
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("bmi2") ||
      !__builtin_cpu_supports("fma"))
    return Level::kBaseline;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl"))
    return Level::kAvx512;
  return Level::kAvx2;
#else
  return Level::kBaseline;
#endif
}

template <typename Function>
Function* choose(Function* avx512, Function* avx2, Function* baseline) {
  static const Level level = processor_level();
  if (level == Level::kAvx512 && avx512) return avx512;
  return level != Level::kBaseline && avx2 ? avx2 : baseline;
}

}  // namespace upwell::codec::simd

/// The best function `f` for this processor. What a target was not compiled for is null. After
/// hwy/highway.h.
#define UPWELL_CHOSEN(f)                                           \
  ::upwell::codec::simd::choose<decltype(HWY_STATIC_DISPATCH(f))>( \
      HWY_CHOOSE_AVX3(f), HWY_CHOOSE_AVX2(f), &HWY_STATIC_DISPATCH(f))
