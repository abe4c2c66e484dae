#pragma once
// Elements of a segment as elements of its array.

#include "cube/cf.hpp"

namespace upwell {

/// What segments that differ ask for beyond decoding their chunks: their own packing, and the wider
/// type that all of them share. Thread-safe.
class ToArrayType {
 public:
  /// kUnsupported when a segment stored so cannot be part of an array of this type.
  static Result<ToArrayType> make(const SegmentLayout& layout, const DataType& array_type);
  /// Nothing is to be done.
  bool is_identity() const { return identity_; }
  uint32_t size_in() const { return from_.size; }
  uint32_t size_out() const { return to_.size; }
  /// `in`: elements of the memory type of the layout; `out`: as many of the array's.
  Result<> apply(ByteSpan in, size_t count, MutableByteSpan out) const;

 private:
  bool identity_ = true;
  DataType from_, decoded_, to_;
  cf::Decoding decoding_;
};

/// The value of elements that no chunk of the array holds, in memory form; zeros where none is
/// known. Text goes into `heap`.
Result<Bytes> fill_of(const Array& array, Bytes& heap);
/// The same of chunks of this segment that were never written.
Result<Bytes> fill_of(const Array& array, const Segment& segment, Bytes& heap);

}  // namespace upwell
