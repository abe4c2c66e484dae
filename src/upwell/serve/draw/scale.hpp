#pragma once
// What lies where on an axis, and which colour a value has.

#include <vector>

#include "serve/draw/color_map.hpp"
#include "serve/draw/plot.hpp"

namespace upwell::serve::draw {

/// Positions at the edges of an axis and which cell a position falls in.
class Scale {
 public:
  Scale(const Axis& axis, size_t count);

  size_t cell(double position) const;
  /// Cells lie by their number: the axis has no positions that grow or fall.
  bool indexed() const { return indexed_; }
  AxisKind kind() const { return kind_; }

  double low = 0, high = 1;

 private:
  std::vector<double> centers_;
  AxisKind kind_;
  bool descending_ = false;
  bool indexed_ = false;
};

/// Values that the colours cover.
struct ValueColors {
  double low = 0, high = 1;
  bool cut_low = false, cut_high = false;  ///< there are values beyond
  bool any = false;
  const ColorMap* map = nullptr;

  /// That of missing values for NaN.
  Color of(double value) const;
};

/// All values, unless a few far ones would drown the others; around zero where they lie on both
/// sides of it. What `style` says comes first.
ValueColors colors_of(const std::vector<Panel>& panels, const PlotStyle& style);

}  // namespace upwell::serve::draw
