#pragma once
// An array in boxes of whole chunks, for who reads all of it piece by piece.

#include "cube/read.hpp"

namespace upwell::refs {

struct Pieces {
  Shape extent;  ///< of a piece; those at the end may be shorter
  Shape grid;    ///< pieces along each axis
  uint64_t count = 0;

  /// One chunk each; or runs of chunks of about `bytes` at most, one after the other in C order.
  static Pieces of(const Array& array, uint64_t bytes = 0);
  /// The same of two arrays of one shape: chunks of either are read as few times as `bytes` allow.
  /// Values that are stored without codecs are cut within chunks too.
  static Pieces of_both(const Array& a, const Array& b, uint64_t bytes);

  Selection box(const Shape& shape, uint64_t number) const;
};

}  // namespace upwell::refs
