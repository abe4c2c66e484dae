#pragma once
// A picture that is laid out in units of its own, of `scale` pixels each: text and lines grow with
// it.

#include <string_view>

#include "serve/draw/image.hpp"
#include "serve/draw/text.hpp"

namespace upwell::serve::draw {

/// A rectangle, in units.
struct Frame {
  double x = 0, y = 0, width = 0, height = 0;
};

/// Everything is in units, from the top left.
class Canvas {
 public:
  Canvas(double width, double height, double scale, Color background);

  double width() const { return width_; }
  double height() const { return height_; }
  double scale() const { return scale_; }
  Image& image() { return image_; }

  void line(Point from, Point to, double width, Color color, double opacity = 1);
  void text(Point at, std::string_view utf8, double cap_height, Color color,
            Align align = Align::kLeft, bool upward = false, bool bold = false);
  void outline(const Frame& frame, Color color);
  /// Sets every pixel of `frame`: color(x, y) gets the middle of it as a part (0..1) of the frame,
  /// from its left and top.
  template <typename ColorAt>
  void fill(const Frame& frame, const ColorAt& color) {
    const int64_t x0 = pixel(frame.x), x1 = pixel(frame.x + frame.width);
    const int64_t y0 = pixel(frame.y), y1 = pixel(frame.y + frame.height);
    for (int64_t y = y0; y < y1; ++y)
      for (int64_t x = x0; x < x1; ++x)
        image_.set(x, y,
                   color((static_cast<double>(x - x0) + 0.5) / static_cast<double>(x1 - x0),
                         (static_cast<double>(y - y0) + 0.5) / static_cast<double>(y1 - y0)));
  }
  int64_t pixel(double unit) const;

 private:
  double width_, height_, scale_;
  Image image_;
};

}  // namespace upwell::serve::draw
