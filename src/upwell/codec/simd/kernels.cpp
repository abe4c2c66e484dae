#include "codec/simd/kernels.hpp"

namespace upwell::codec::simd {

void shuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out) {
  for (size_t b = 0; b < item_size; ++b) {
    for (size_t i = 0; i < count; ++i) out[b * count + i] = in[i * item_size + b];
  }
}

void unshuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out) {
  for (size_t b = 0; b < item_size; ++b) {
    for (size_t i = 0; i < count; ++i) out[i * item_size + b] = in[b * count + i];
  }
}

}  // namespace upwell::codec::simd
