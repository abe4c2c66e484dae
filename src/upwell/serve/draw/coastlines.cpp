// Coastlines on a plot. The data are Natural Earth's, which is in the public domain:
// tools/coastlines.py makes coastlines.z and says what is in it.

#include <libdeflate.h>

#include <algorithm>
#include <cmath>

#include "serve/draw/geography.hpp"

// The file becomes part of the program.
asm(R"(
    .section .rodata
    .global upwell_coastlines, upwell_coastlines_end
    .type upwell_coastlines, @object
    .type upwell_coastlines_end, @object
    .hidden upwell_coastlines
    .hidden upwell_coastlines_end
upwell_coastlines:
    .incbin ")" UPWELL_COASTLINES R"("
upwell_coastlines_end:
    .byte 0
    .previous
)");
extern "C" {
extern const uint8_t upwell_coastlines[];
extern const uint8_t upwell_coastlines_end[];
}

namespace upwell::serve::draw {
namespace {

using Line = std::vector<Point>;  // longitude and latitude in degrees

Bytes inflated_coastlines() {
  const ByteSpan stored(upwell_coastlines, upwell_coastlines_end);
  Bytes bytes(1 << 20);
  libdeflate_decompressor* decompressor = libdeflate_alloc_decompressor();
  if (decompressor == nullptr) return {};
  size_t size = 0;
  auto result = LIBDEFLATE_INSUFFICIENT_SPACE;
  while (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
    bytes.resize(bytes.size() * 2);
    result = libdeflate_zlib_decompress(decompressor, stored.data(), stored.size(), bytes.data(),
                                        bytes.size(), &size);
  }
  libdeflate_free_decompressor(decompressor);
  bytes.resize(result == LIBDEFLATE_SUCCESS ? size : 0);
  return bytes;
}

std::vector<Line> read_coastlines() {
  constexpr double kStep = 0.0025;  // degrees, as in tools/coastlines.py
  const Bytes bytes = inflated_coastlines();
  size_t at = 0;
  const auto number = [&] {
    uint64_t value = 0;
    for (int shift = 0; at < bytes.size() && shift < 64; shift += 7) {
      const uint8_t byte = bytes[at++];
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) break;
    }
    return value;
  };
  const auto difference = [&] {
    const uint64_t zigzag = number();
    return static_cast<int64_t>(zigzag >> 1) ^ -static_cast<int64_t>(zigzag & 1);
  };
  std::vector<Line> lines;
  while (at < bytes.size()) {
    Line line(number());
    int64_t x = 0, y = 0;
    for (Point& point : line) {
      x += difference();
      y += difference();
      point = {static_cast<double>(x) * kStep, static_cast<double>(y) * kStep};
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

const std::vector<Line>& coastlines() {
  static const std::vector<Line> lines = read_coastlines();
  return lines;
}

/// How much of each pixel is covered by lines: where they meet, nothing counts twice.
class Coverage {
 public:
  Coverage(int64_t x, int64_t y, int64_t width, int64_t height)
      : x_(x), y_(y), width_(width), height_(height) {
    cells_.resize(static_cast<size_t>(std::max<int64_t>(0, width) * std::max<int64_t>(0, height)));
  }

  /// In pixels of the image.
  void add(Point a, Point b, double thickness) {
    a.x -= static_cast<double>(x_), b.x -= static_cast<double>(x_);
    a.y -= static_cast<double>(y_), b.y -= static_cast<double>(y_);
    const double reach = thickness / 2 + 1;
    const auto bound = [](double value, int64_t most) {
      return static_cast<int64_t>(std::clamp(value, 0.0, static_cast<double>(most)));
    };
    const int64_t x0 = bound(std::min(a.x, b.x) - reach, width_);
    const int64_t x1 = bound(std::max(a.x, b.x) + reach + 1, width_);
    const int64_t y0 = bound(std::min(a.y, b.y) - reach, height_);
    const int64_t y1 = bound(std::max(a.y, b.y) + reach + 1, height_);
    const double dx = b.x - a.x, dy = b.y - a.y;
    const double square = dx * dx + dy * dy;
    for (int64_t y = y0; y < y1; ++y) {
      for (int64_t x = x0; x < x1; ++x) {
        const double px = static_cast<double>(x) + 0.5 - a.x;
        const double py = static_cast<double>(y) + 0.5 - a.y;
        const double t = square > 0 ? std::clamp((px * dx + py * dy) / square, 0.0, 1.0) : 0;
        const double distance = std::hypot(px - t * dx, py - t * dy);
        float& cell = cells_[static_cast<size_t>(y * width_ + x)];
        cell = std::max(cell,
                        static_cast<float>(std::clamp(thickness / 2 + 0.5 - distance, 0.0, 1.0)));
      }
    }
  }

  void paint(Image& image, Color color, double opacity) const {
    for (int64_t y = 0; y < height_; ++y)
      for (int64_t x = 0; x < width_; ++x)
        if (const float c = cells_[static_cast<size_t>(y * width_ + x)]; c > 0)
          image.blend(x_ + x, y_ + y, color, c * opacity);
  }

 private:
  int64_t x_, y_, width_, height_;
  std::vector<float> cells_;
};

}  // namespace

void draw_coastlines(Canvas& canvas, const Frame& frame, const GeoBox& box) {
  constexpr Color kCoast{38, 44, 54};
  const double unit = frame.width < 300 ? 0.6 : 0.9;  // thickness; small maps have finer lines
  constexpr double kLeastStep = 0.6;  // pixels: what lies nearer to the point before is left out
  constexpr double kLeastSize = 6;    // units: lakes and islands below are dirt on the picture
  const double s = canvas.scale();
  const int64_t x0 = canvas.pixel(frame.x), x1 = canvas.pixel(frame.x + frame.width);
  const int64_t y0 = canvas.pixel(frame.y), y1 = canvas.pixel(frame.y + frame.height);
  Coverage coverage(x0, y0, x1 - x0, y1 - y0);
  Coverage halo(x0, y0, x1 - x0, y1 - y0);  // lets the line be seen on dark colours
  const double per_lon = static_cast<double>(x1 - x0) / (box.east - box.west);
  const double per_lat = static_cast<double>(y1 - y0) / (box.north - box.south);
  const double thickness = std::max(0.9, unit * s);
  for (const Line& line : coastlines()) {
    const auto [west, east] = std::minmax_element(
        line.begin(), line.end(), [](const Point& a, const Point& b) { return a.x < b.x; });
    const auto [south, north] = std::minmax_element(
        line.begin(), line.end(), [](const Point& a, const Point& b) { return a.y < b.y; });
    if (north->y < box.south || south->y > box.north) continue;
    if ((east->x - west->x) * per_lon < kLeastSize * s &&
        (north->y - south->y) * per_lat < kLeastSize * s)
      continue;
    const double first_turn = std::ceil((box.west - east->x) / 360);
    for (double turn = first_turn; west->x + turn * 360 <= box.east; ++turn) {
      const auto place = [&](const Point& p) -> Point {
        return {static_cast<double>(x0) + (p.x + turn * 360 - box.west) * per_lon,
                static_cast<double>(y0) + (box.north - p.y) * per_lat};
      };
      Point before = place(line.front());
      for (size_t i = 1; i < line.size(); ++i) {
        const Point at = place(line[i]);
        const bool near = std::abs(at.x - before.x) + std::abs(at.y - before.y) < kLeastStep;
        if (near && i + 1 < line.size()) continue;
        coverage.add(before, at, thickness);
        halo.add(before, at, 2.6 * thickness);
        before = at;
      }
    }
  }
  halo.paint(canvas.image(), {255, 255, 255}, 0.22);
  coverage.paint(canvas.image(), kCoast, 0.9);
}

}  // namespace upwell::serve::draw
