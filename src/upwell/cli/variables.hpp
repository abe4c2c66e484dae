#pragma once
// The variables that a command is about, and the arrays that describe them (CF).

#include <set>
#include <string>
#include <vector>

#include "cube/select.hpp"

namespace upwell::cli {

/// The path of an array that a user names, with or without the leading '/'. kNotFound lists what
/// there is; one that could not be scanned is that error.
Result<std::string> find_variable(const Dataset& dataset, const std::string& name);

/// Coordinates of dimensions, and arrays that others name as their coordinates, bounds,
/// climatology, grid mapping, formula terms or cell measures.
std::set<std::string> describing_arrays(const Dataset& dataset);

/// `paths` and all that describes them, directly or not: coordinates of their dimensions, and what
/// they name.
std::set<std::string> with_company(const Dataset& dataset, const std::vector<std::string>& paths);

}  // namespace upwell::cli
