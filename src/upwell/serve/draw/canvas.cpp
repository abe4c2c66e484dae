#include "serve/draw/canvas.hpp"

#include <cmath>

namespace upwell::serve::draw {

Canvas::Canvas(double width, double height, double scale, Color background)
    : width_(width),
      height_(height),
      scale_(scale),
      image_(static_cast<size_t>(std::lround(width * scale)),
             static_cast<size_t>(std::lround(height * scale)), background) {}

int64_t Canvas::pixel(double unit) const { return std::lround(unit * scale_); }

void Canvas::line(Point from, Point to, double width, Color color, double opacity) {
  draw::line(image_, {from.x * scale_, from.y * scale_}, {to.x * scale_, to.y * scale_},
             width * scale_, color, opacity);
}

void Canvas::text(Point at, std::string_view utf8, double cap_height, Color color, Align align,
                  bool upward, bool bold) {
  draw::text(image_, {at.x * scale_, at.y * scale_}, utf8, cap_height * scale_, color, align,
             upward, bold);
}

void Canvas::outline(const Frame& f, Color color) {
  constexpr double kWidth = 1.3;
  const Point corners[] = {
      {f.x, f.y}, {f.x + f.width, f.y}, {f.x + f.width, f.y + f.height}, {f.x, f.y + f.height}};
  for (size_t k = 0; k < 4; ++k) line(corners[k], corners[(k + 1) % 4], kWidth, color);
}

}  // namespace upwell::serve::draw
