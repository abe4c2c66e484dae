#include "serve/draw/image.hpp"

#include <libdeflate.h>

#include <array>
#include <cmath>

namespace upwell::serve::draw {
namespace {

void append_chunk(Bytes& png, std::string_view type, ByteSpan data) {
  const size_t start = png.size();
  png.resize(start + 12 + data.size());
  uint8_t* p = png.data() + start;
  store_be<uint32_t>(p, static_cast<uint32_t>(data.size()));
  std::memcpy(p + 4, type.data(), 4);
  if (!data.empty()) std::memcpy(p + 8, data.data(), data.size());
  store_be<uint32_t>(p + 8 + data.size(), libdeflate_crc32(0, p + 4, 4 + data.size()));
}

/// Rows with a filter byte each: "up" (2), which turns flat areas into zeros.
Bytes filtered_rows(const Image& image) {
  const size_t row = image.width * 3;
  Bytes out(image.height * (row + 1));
  for (size_t y = 0; y < image.height; ++y) {
    uint8_t* to = out.data() + y * (row + 1);
    const uint8_t* from = image.rgb.data() + y * row;
    *to++ = y == 0 ? 0 : 2;
    for (size_t i = 0; i < row; ++i) {
      to[i] = static_cast<uint8_t>(y == 0 ? from[i] : from[i] - *(from + i - row));
    }
  }
  return out;
}

}  // namespace

Image::Image(size_t w, size_t h, Color background) : width(w), height(h), rgb(w * h * 3) {
  for (size_t i = 0; i < w * h; ++i) {
    rgb[3 * i] = background.r;
    rgb[3 * i + 1] = background.g;
    rgb[3 * i + 2] = background.b;
  }
}

void Image::set(int64_t x, int64_t y, Color color) {
  if (x < 0 || y < 0 || x >= static_cast<int64_t>(width) || y >= static_cast<int64_t>(height)) {
    return;
  }
  uint8_t* p = rgb.data() + 3 * (static_cast<size_t>(y) * width + static_cast<size_t>(x));
  p[0] = color.r;
  p[1] = color.g;
  p[2] = color.b;
}

void Image::blend(int64_t x, int64_t y, Color color, double coverage) {
  if (x < 0 || y < 0 || x >= static_cast<int64_t>(width) || y >= static_cast<int64_t>(height)) {
    return;
  }
  uint8_t* p = rgb.data() + 3 * (static_cast<size_t>(y) * width + static_cast<size_t>(x));
  const auto mix = [coverage](uint8_t old_value, uint8_t new_value) {
    return static_cast<uint8_t>(std::lround(old_value + coverage * (new_value - old_value)));
  };
  p[0] = mix(p[0], color.r);
  p[1] = mix(p[1], color.g);
  p[2] = mix(p[2], color.b);
}

Color Image::at(size_t x, size_t y) const {
  const uint8_t* p = rgb.data() + 3 * (y * width + x);
  return {p[0], p[1], p[2]};
}

Result<Bytes> encode_png(const Image& image) {
  const Bytes rows = filtered_rows(image);
  libdeflate_compressor* compressor = libdeflate_alloc_compressor(6);
  if (compressor == nullptr) return fail(Code::kResourceExhausted, "no memory for a picture");
  Bytes packed(libdeflate_zlib_compress_bound(compressor, rows.size()));
  packed.resize(
      libdeflate_zlib_compress(compressor, rows.data(), rows.size(), packed.data(), packed.size()));
  libdeflate_free_compressor(compressor);

  constexpr std::array<uint8_t, 8> kSignature{0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
  Bytes png(kSignature.begin(), kSignature.end());
  std::array<uint8_t, 13> header{};
  store_be<uint32_t>(header.data(), static_cast<uint32_t>(image.width));
  store_be<uint32_t>(header.data() + 4, static_cast<uint32_t>(image.height));
  header[8] = 8;  // bits
  header[9] = 2;  // RGB
  append_chunk(png, "IHDR", header);
  append_chunk(png, "IDAT", packed);
  append_chunk(png, "IEND", {});
  return png;
}

}  // namespace upwell::serve::draw
