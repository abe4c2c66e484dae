#pragma once
// Longitudes and latitudes on a plot: curvilinear cells and coastlines.

#include <optional>

#include "serve/draw/canvas.hpp"
#include "serve/draw/scale.hpp"

namespace upwell::serve::draw {

/// Degrees at the edges of a plot.
struct GeoBox {
  double west = 0, east = 360, south = -90, north = 90;
};

/// Bounds of a curvilinear grid; the whole circle when cells lie on both sides of every meridian.
/// nullopt: its positions are not degrees.
std::optional<GeoBox> bounds_of(const FieldPlot& plot);

/// The cells of a curvilinear grid as quadrilaterals, where they lie.
void draw_cells(Canvas& canvas, const Frame& frame, const FieldPlot& plot, const Panel& panel,
                const GeoBox& box, const ValueColors& colors);

/// Coasts and shores of lakes (Natural Earth, 1:10 million) as one thin line.
void draw_coastlines(Canvas& canvas, const Frame& frame, const GeoBox& box);

}  // namespace upwell::serve::draw
