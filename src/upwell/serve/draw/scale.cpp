#include "serve/draw/scale.hpp"

#include <algorithm>
#include <cmath>

namespace upwell::serve::draw {
namespace {

bool strictly_monotonic(const std::vector<double>& values) {
  bool up = true;
  bool down = true;
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) return false;
    if (i == 0) continue;
    up = up && values[i] > values[i - 1];
    down = down && values[i] < values[i - 1];
  }
  return up || down;
}

/// What a few far values do not stretch.
void set_range(std::vector<float>& finite, ValueColors& colors) {
  const auto quantile = [&finite](double q) {
    const auto k = static_cast<int64_t>(q * static_cast<double>(finite.size() - 1));
    std::nth_element(finite.begin(), finite.begin() + k, finite.end());
    return static_cast<double>(finite[static_cast<size_t>(k)]);
  };
  const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
  const double low = *least;
  const double high = *most;
  const double low_quantile = quantile(0.004);
  const double high_quantile = quantile(0.996);
  const double core = high_quantile - low_quantile;
  colors.low = core > 0 && low_quantile - low > 0.25 * core ? low_quantile : low;
  colors.high = core > 0 && high - high_quantile > 0.25 * core ? high_quantile : high;
}

}  // namespace

Scale::Scale(const Axis& axis, size_t count) : centers_(axis.centers), kind_(axis.kind) {
  if (centers_.size() != count || !strictly_monotonic(centers_)) {
    centers_.resize(count);
    for (size_t i = 0; i < count; ++i) centers_[i] = static_cast<double>(i);
    indexed_ = true;
    kind_ = AxisKind::kPlain;
  }
  descending_ = count > 1 && centers_.front() > centers_.back();
  if (descending_) std::reverse(centers_.begin(), centers_.end());
  const double half_first = count > 1 ? (centers_[1] - centers_[0]) / 2 : 0.5;
  const double half_last = count > 1 ? (centers_[count - 1] - centers_[count - 2]) / 2 : 0.5;
  low = centers_.front() - half_first;
  high = centers_.back() + half_last;
  if (kind_ == AxisKind::kLatitude) {
    low = std::max(low, -90.0);
    high = std::min(high, 90.0);
  }
}

size_t Scale::cell(double position) const {
  const auto upper = std::lower_bound(centers_.begin(), centers_.end(), position);
  auto i = static_cast<size_t>(upper - centers_.begin());
  if (i == centers_.size()) --i;
  if (i > 0 && position - centers_[i - 1] < centers_[i] - position) --i;
  return descending_ ? centers_.size() - 1 - i : i;
}

Color ValueColors::of(double value) const {
  constexpr Color kMissing{205, 208, 212};
  if (!std::isfinite(value)) return kMissing;
  return color_of(*map, (value - low) / (high - low));
}

ValueColors colors_of(const std::vector<Panel>& panels, const PlotStyle& style) {
  std::vector<float> finite;
  for (const Panel& panel : panels)
    for (const float v : panel.values)
      if (std::isfinite(v)) finite.push_back(v);
  ValueColors colors;
  colors.any = !finite.empty();
  bool diverging = false;
  if (style.range) {
    colors.low = style.range->first;
    colors.high = style.range->second;
    diverging = colors.low == -colors.high;
  } else if (colors.any) {
    set_range(finite, colors);
    const double smaller = std::min(-colors.low, colors.high);
    diverging = smaller > 0 && smaller * 3 > std::max(-colors.low, colors.high);
    if (diverging) {
      colors.high = std::max(-colors.low, colors.high);
      colors.low = -colors.high;
    }
    if (!(colors.high > colors.low)) {
      const double pad = colors.low == 0 ? 1 : std::abs(colors.low) * 0.05;
      colors.low -= pad;
      colors.high += pad;
    }
  }
  if (colors.any) {
    const auto [least, most] = std::minmax_element(finite.begin(), finite.end());
    colors.cut_low = colors.low > *least;
    colors.cut_high = colors.high < *most;
  }
  colors.map = style.colors != nullptr ? style.colors
               : diverging             ? &diverging_map()
                                       : &sequential_map();
  return colors;
}

}  // namespace upwell::serve::draw
