#pragma once
// A piece of stored values on its way into the cells of a tile.

#include <vector>

#include "compute/accumulator.hpp"
#include "cube/cf.hpp"

namespace upwell::compute {

/// What a box of a selection has beside its values, by element in C order; empty where there is
/// none.
struct UnitCompany {
  std::vector<uint8_t> mask;  ///< 0: missing
  std::vector<double> weights;
};

/// Makes n values of a float type missing where the mask is 0.
void take_out(const DataType& type, uint8_t* values, const uint8_t* mask, size_t n);

/// Decodes the elements of pieces, and hands them to an accumulator in runs that are as long as can
/// be. Decoded values live a few thousand at a time.
class PieceAdder {
 public:
  /// `raw`: memory type of the elements. kUnsupported for numbers that cannot be decoded.
  /// `reduction` must live as long as this.
  static Result<PieceAdder> make(cf::Decoding decoding, const DataType& raw,
                                 const Reduction& reduction);

  /// The type of values: the decoded one, where half precision has become single, and integers
  /// that may be missing by a condition or at the end of windows have become floats, as in xarray.
  const DataType& type() const { return type_; }
  /// `elements`: those of `piece`, a box inside of `unit`, in C order. Cells are numbered in C
  /// order of the axes that the result has of `unit`, a box of the selection. Piece's origin is
  /// relative to that of the unit.
  Result<> add(const Box& piece, const Box& unit, ByteSpan elements, const UnitCompany& company,
               Accumulator& accumulator) const;
  /// As add, of a piece whose elements all are `element` (in memory form).
  Result<> add_constant(const Box& piece, const Box& unit, ByteSpan element,
                        const UnitCompany& company, Accumulator& accumulator) const;
  /// Values of type() of `count` elements in memory form.
  Result<> decode(ByteSpan elements, size_t count, MutableByteSpan out) const;
  /// Whether a value (one element in memory form) counts for nothing.
  Result<bool> is_missing(ByteSpan element) const;

 private:
  PieceAdder() = default;
  cf::Decoding decoding_;
  DataType raw_, type_;
  const Reduction* reduction_ = nullptr;
};

}  // namespace upwell::compute
