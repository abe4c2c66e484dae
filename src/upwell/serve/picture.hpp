#pragma once
// A picture of a variable: which two dimensions, which coordinates, what the title says.

#include <map>
#include <string>
#include <string_view>

#include "cube/cf.hpp"
#include "serve/draw/plot.hpp"

namespace upwell::serve {

/// Position along a dimension by its name; negative ones count from the end.
using PictureIndex = std::map<std::string, int64_t>;

/// "time:0,depth:-1". kInvalidArgument for anything else.
Result<PictureIndex> parse_picture_index(std::string_view text);

/// long_name, else standard_name, else the name.
std::string picture_title(const Array& array);
/// "" where the units are none ("1").
std::string picture_units(const Array& array);
/// A date without the zeros at its end: "2010-01-15", "2010-01-15 06:00". "?" for no time.
std::string date_text(const cf::TimeUnits& units, double value);

/// What kind of coordinate this is, by CF (1.11 section 4): units, standard_name, axis; and by the
/// usual names where those are missing.
draw::AxisKind axis_kind(const Array& coordinate);

/// The coordinate variable of dimension `name`, seen from the group of the array at `path`: there
/// or in a group above. Null: there is none.
const Array* coordinate_of(const Dataset& dataset, std::string_view path, const std::string& name);

/// True when there is something to draw: numbers along at least one dimension.
bool can_draw(const Array& array);

/// About how much memory drawing takes at most.
uint64_t memory_to_draw(const Array& array);

/// Draws the array at `path` ("a/v"): latitude and longitude, or the last two dimensions, at
/// `index` of the others (default 0); a curve when there is one dimension. Large fields are read
/// with a step. PNG. kInvalidArgument for a dimension or index that is not there, kUnsupported when
/// there is nothing to draw; otherwise errors of the source.
Result<Bytes> draw_picture(io::Session& session, const Dataset& dataset, std::string_view path,
                           const Array& array, const PictureIndex& index);

}  // namespace upwell::serve
