#pragma once
// A picture in memory, and PNG (ISO/IEC 15948) to hand it out.

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::serve::draw {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Color&) const = default;
};

/// 8-bit RGB, rows from the top.
struct Image {
  Image(size_t w, size_t h, Color background);

  size_t width = 0;
  size_t height = 0;
  std::vector<uint8_t> rgb;

  /// Outside of the image: nothing.
  void set(int64_t x, int64_t y, Color color);
  /// coverage 0: keeps what is there, 1: `color`.
  void blend(int64_t x, int64_t y, Color color, double coverage);
  Color at(size_t x, size_t y) const;
};

Result<Bytes> encode_png(const Image& image);

}  // namespace upwell::serve::draw
