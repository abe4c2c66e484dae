#pragma once
// All of two datasets but the values.

#include "refs/compare/compare_values.hpp"

namespace upwell::refs {

/// Compares groups, dimensions, variables, attributes and encoding; adds what differs to `report`,
/// group by group. Gives the arrays whose values can be compared: those of one shape.
std::vector<ArrayPair> compare_structure(const Dataset& first, const Dataset& second,
                                         const CompareOptions& options, PairReport& report);

}  // namespace upwell::refs
