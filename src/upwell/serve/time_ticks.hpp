#pragma once
// Ticks of a time axis, on dates that people count by.

#include <vector>

#include "cube/cf.hpp"
#include "serve/draw/plot.hpp"

namespace upwell::serve {

/// At most about `wanted` ticks between two values of a time coordinate: whole years, months, days,
/// hours, minutes or seconds of its calendar, written as far as they differ ("2001-03").
std::vector<draw::Tick> time_ticks(const cf::TimeUnits& units, double low, double high, int wanted);

}  // namespace upwell::serve
