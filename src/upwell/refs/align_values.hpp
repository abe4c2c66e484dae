#pragma once
// Values of two arrays brought to one meaning, and single elements of them compared and shown.

#include <string>

#include "cube/dataset.hpp"

namespace upwell::refs {

bool is_text(const DataType& type);

/// Bit for bit; members of compounds by their names, sequences by their elements.
bool same_element(const Values& a, size_t i, const Values& b, size_t j);

/// Element i for people: text in quotes, of a NaN its bits, too, if `nan_bits`.
std::string element_shown(const Values& values, size_t i, bool nan_bits = true);

/// What `align_numbers` did beside giving both one type.
struct Alignment {
  bool decoded = false;  ///< scale, offset and missing values were applied
  bool narrow = false;   ///< decoded values agree when they do as float32
};

/// Brings numbers of two arrays at `path` to one meaning: times to the units of `a`; where they are
/// packed in different ways, decoded; else in one type, with the sign that _Unsigned gives. Missing
/// values stay as they are where nothing is decoded. kUnsupported where that is not possible
/// without changing a value.
Result<Alignment> align_numbers(const Dataset& a, const Array& a_array, const Dataset& b,
                                const Array& b_array, const std::string& path, Values& ours,
                                Values& theirs);

}  // namespace upwell::refs
