#pragma once
// Whether two arrays hold the same values at the same places.

#include <optional>
#include <string>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// The first of the elements that differ.
struct Mismatch {
  uint64_t elements = 0;
  uint64_t first = 0;  ///< C-order number
  std::string ours, theirs;
};

/// Bit for bit; text of different types by its characters. `ours` has the meaning of `store`,
/// `theirs` that of `array` of `granule` at `path`: times are brought to the store's units, and
/// where the packing differs, decoded values are compared. kUnsupported, with the reason, where
/// the two have no common type.
Result<std::optional<Mismatch>> compare_values(const Dataset& set, const Array& store,
                                               const Dataset& granule, const Array& array,
                                               const std::string& path, Values ours, Values theirs);

}  // namespace upwell::refs
