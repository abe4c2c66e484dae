#pragma once
// MITgcm's available_diagnostics.log: where on the grid each variable lies.

#include <map>
#include <string>
#include <string_view>

#include "io/session.hpp"
#include "produce/granules/grid.hpp"

namespace upwell::produce {

/// The vertical axis of a variable.
enum class Vertical { kNone, kCentres, kUpperFaces, kLowerFaces };

/// "k", "k_l" (upper faces of cells), "k_u" (lower faces).
const char* dimension_of(Vertical vertical);

struct Staggering {
  Point point = Point::kCentre;
  Vertical vertical = Vertical::kNone;
};

/// By variable. Left out are variables on axes that are neither of one level nor of the model's
/// (layers, spectral bands), and lines that describe no diagnostic.
std::map<std::string, Staggering> parse_diagnostics(std::string_view text);

/// Of a grid. kNotFound when there is none.
Result<std::map<std::string, Staggering>> load_diagnostics(io::Session& session,
                                                           const GridPlace& place);

}  // namespace upwell::produce
