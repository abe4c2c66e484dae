#pragma once
// --bbox: a box of longitudes and latitudes as a selection by index.

#include <string>
#include <vector>

#include "cube/select.hpp"

namespace upwell::cli {

/// Degrees. West may be greater than east: the box then crosses the antimeridian.
struct BoundingBox {
  double west = 0, south = 0, east = 0, north = 0;
};

/// "W,S,E,N". kInvalidArgument says what is wrong with it.
Result<BoundingBox> parse_bounding_box(const std::string& text);

/// Where the longitudes of a global grid begin within the box, it is two pieces of the arrays at
/// `paths`. Gives a dataset in which these are one: every array along that dimension has what lies
/// between west and east alone, from west on, and the longitudes and their bounds count from west
/// (-10 to 10, 170 to 190). No values but of those two are read. Other datasets are given back as
/// they are.
Result<Dataset> join_across(io::Session& session, Dataset dataset,
                            const std::vector<std::string>& paths, const BoundingBox& box);

/// Whether longitudes lie in the box that are counted otherwise: 350 in one from -20 to 20.
Result<bool> counts_otherwise(io::Session& session, const Dataset& dataset, const Array& longitudes,
                              const BoundingBox& box);

/// The elements of `array` whose longitude and latitude lie in the box, ends included, whichever
/// way the coordinates run and wherever the longitudes begin (-180, 0). Goes by the 1-D coordinate
/// variables of its dimensions (CF 4.1, 4.2). kInvalidArgument where there are none, where no
/// element lies in the box, and where those that do are not in one piece (see join_across).
Result<std::vector<AxisRequest>> select_box(io::Session& session, const Dataset& dataset,
                                            const std::string& path, const Array& array,
                                            const BoundingBox& box);

}  // namespace upwell::cli
