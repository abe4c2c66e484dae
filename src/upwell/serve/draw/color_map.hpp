#pragma once
// Colours for values, made in OKLab so that equal steps look equal and lightness never turns back.

#include <array>
#include <optional>
#include <string>

#include "serve/draw/image.hpp"

namespace upwell::serve::draw {

using ColorMap = std::array<Color, 256>;

/// Dark blue over green to pale yellow: for values in order.
const ColorMap& sequential_map();
/// Blue over white to red: for values around zero.
const ColorMap& diverging_map();

/// Black over purple and orange to pale yellow.
const ColorMap& heat_map();
const ColorMap& gray_map();

/// "sequential", "heat", "gray", "diverging", or one of these with "-reversed"; nullopt otherwise.
std::optional<ColorMap> color_map_of(const std::string& name);

/// `t` in 0..1, cut at the ends.
Color color_of(const ColorMap& map, double t);

}  // namespace upwell::serve::draw
