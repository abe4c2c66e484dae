#pragma once
// Where a value lies, in words for messages. Internal.

#include <cstdint>
#include <string>
#include <vector>

#include "produce/granules/grid.hpp"

namespace upwell::produce {

/// "k 3 (95 m), tile 5, j 12, i 0 (longitude 52.5, latitude -10.25)": the element `index` (C order)
/// of an array on these dimensions, with degrees and depth of its cell. On latitude and longitude
/// these are the centres of `target`, which may be null for arrays on the model's tiles.
std::string place_text(uint64_t index, const std::vector<std::string>& dimensions,
                       const Shape& shape, const ModelGrid& grid, const LatLonGrid* target);

}  // namespace upwell::produce
