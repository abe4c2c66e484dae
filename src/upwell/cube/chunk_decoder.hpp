#pragma once
// From the stored bytes of one chunk to elements in memory form.

#include <memory>

#include "cube/dataset.hpp"
#include "cube/plan.hpp"
#include "cube/segment_values.hpp"

namespace upwell {

/// The decoded elements of one chunk. `elements` lies in `owner`, in a per-thread buffer (valid
/// until the thread decodes the next chunk), or in the stored bytes themselves.
struct DecodedChunk {
  ByteSpan elements;
  Shape strides;       ///< of elements along each axis
  uint64_t start = 0;  ///< element of the chunk that `elements` begins with
};

/// Gives back what this thread's buffers hold beyond some megabytes: for after the last use of a
/// large chunk.
void trim_decode_buffers();

/// Decodes chunks of one segment layout into elements of the array. Thread-safe.
class ChunkDecoder {
 public:
  static Result<std::shared_ptr<const ChunkDecoder>> make(const SegmentLayout& layout,
                                                          const DataType& array_type);

  /// Fixed-size types: elements in the array's memory form.
  Result<DecodedChunk> decode(const ChunkTask& task, ByteSpan stored) const;
  /// The same, straight into `out`, which is to hold the whole chunk in C order.
  Result<> decode_into(const ChunkTask& task, ByteSpan stored, MutableByteSpan out) const;
  /// Elements as stored, in chunk order, for types whose values lie in a heap.
  Result<ByteSpan> decode_stored(const ChunkTask& task, ByteSpan stored) const;
  /// Variable-length strings that a codec (vlen-utf8) carries in the chunk itself: one view an
  /// element, into `buffer`.
  Result<std::vector<std::string_view>> decode_text(const ChunkTask& task, ByteSpan stored,
                                                    Bytes& buffer) const;

  /// True when texts are in the chunk itself.
  bool carries_text() const { return carries_text_; }
  /// Which bytes of the stored chunk the task needs: all of them unless there are no codecs.
  io::Range needed_bytes(const ChunkTask& task) const;
  const Shape& strides() const { return strides_; }
  uint64_t chunk_elements() const { return elements_; }
  /// Bytes of one element that comes out.
  uint32_t memory_size() const { return to_array_.size_out(); }

 private:
  ChunkDecoder() = default;
  uint64_t element_number(const Shape& at) const;
  Result<DecodedChunk> decode_own(const ChunkTask& task, ByteSpan stored) const;
  Result<> decode_own_into(const ChunkTask& task, ByteSpan stored, MutableByteSpan out) const;
  DataType type_;
  codec::Pipeline pipeline_;
  ToArrayType to_array_;
  Shape strides_;
  uint64_t elements_ = 1;
  uint32_t memory_size_ = 0;
  bool native_ = false;  // stored form is memory form
  bool carries_text_ = false;
};

}  // namespace upwell
