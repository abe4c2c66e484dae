#pragma once
// Lines and text on an image. The letters are strokes of our own table, drawn smooth at any size.

#include <string_view>

#include "serve/draw/image.hpp"

namespace upwell::serve::draw {

struct Point {
  double x = 0, y = 0;
};

void fill_rect(Image& image, double x, double y, double width, double height, Color color);
/// Smooth, with round ends.
void line(Image& image, Point from, Point to, double width, Color color, double opacity = 1);

enum class Align { kLeft, kCenter, kRight };

/// Width in pixels of UTF-8 `text` whose capitals are `cap_height` pixels high.
double text_width(std::string_view text, double cap_height);
/// `at`: on the base line, at the left end, middle or right end. `upward`: turned by 90 degrees.
void text(Image& image, Point at, std::string_view utf8, double cap_height, Color color,
          Align align = Align::kLeft, bool upward = false, bool bold = false);
/// As much of `text` as fits, with an ellipsis when cut.
std::string fit_text(std::string_view utf8, double cap_height, double width);

}  // namespace upwell::serve::draw
