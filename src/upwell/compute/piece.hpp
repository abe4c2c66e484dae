#pragma once
// A piece of stored values on its way into the cells of a tile.

#include <vector>

#include "compute/accumulator.hpp"
#include "cube/cf.hpp"

namespace upwell::compute {

/// Decodes the elements of pieces, and hands them to an accumulator in runs that are as long as can
/// be. Decoded values live a few thousand at a time.
class PieceAdder {
 public:
  /// `raw`: memory type of the elements. kUnsupported for numbers that cannot be decoded.
  static Result<PieceAdder> make(cf::Decoding decoding, const DataType& raw,
                                 std::vector<bool> reduced);

  /// The type that goes into accumulators: the decoded one, where half precision has become single.
  const DataType& type() const { return type_; }
  /// `elements`: those of `piece`, a box inside of `unit`, in C order. Cells are numbered in C
  /// order of the kept axes of `unit`. Piece's origin is relative to that of the unit.
  Result<> add(const Box& piece, const Shape& unit, ByteSpan elements,
               Accumulator& accumulator) const;
  /// As add, of a piece whose elements all are `element` (in memory form).
  Result<> add_constant(const Box& piece, const Shape& unit, ByteSpan element,
                        Accumulator& accumulator) const;
  /// Whether a value (one element in memory form) counts for nothing.
  Result<bool> is_missing(ByteSpan element) const;

 private:
  PieceAdder() = default;
  Result<> decode(ByteSpan raw, size_t count, MutableByteSpan out) const;
  cf::Decoding decoding_;
  DataType raw_, type_;
  std::vector<bool> reduced_;
};

}  // namespace upwell::compute
