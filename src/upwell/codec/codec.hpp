#pragma once
// Codecs: one step that turns stored bytes into array bytes and back. Never sees I/O.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::codec {

/// Names a codec and its parameters as numcodecs does ("zlib", {"level":5}), so that a reference
/// set can carry it unchanged. HDF5 filters that numcodecs has no name for keep HDF5's parameters:
/// "hdf5_szip", "hdf5_nbit", "hdf5_scaleoffset", "hdf5_lz4", "hdf5_bitshuffle", "lzf" with
/// {"cd_values":[...]}.
struct CodecSpec {
  std::string id;
  std::string config = "{}";  ///< JSON object without "id", keys sorted, no white space: equal text
                              ///< is an equal codec
  bool operator==(const CodecSpec&) const = default;
};

/// One codec with its parameters. Immutable and thread-safe.
class Codec {
 public:
  virtual ~Codec() = default;
  /// Replaces `out` with the decoded bytes. kInvalidData when `in` is broken or would decode to
  /// more than `limit` bytes: a decoder never allocates or writes beyond `limit`. kInvalidData too
  /// when a checksum does not match.
  virtual Result<> decode(ByteSpan in, size_t limit, Bytes& out) const = 0;
  /// Decodes into exactly `out.size()` bytes; kInvalidData for any other decoded size. Codecs that
  /// can write in place do so; the others decode into memory of their own first.
  virtual Result<> decode_into(ByteSpan in, MutableByteSpan out) const;
  /// The decoded bytes as a part of `in` where the codec only verifies or cuts (checksums), else in
  /// `scratch`. Limits and errors as `decode`.
  virtual Result<ByteSpan> decode_view(ByteSpan in, size_t limit, Bytes& scratch) const;
  /// Replaces `out` with the encoded bytes. kUnsupported for codecs that are only read.
  virtual Result<> encode(ByteSpan in, Bytes& out) const;
  /// The most bytes that encoding `decoded` bytes can give: bounds the input of this step, which is
  /// the output of the next.
  virtual size_t encoded_bound(size_t decoded) const = 0;
};

/// kUnsupported for an unknown id, kInvalidData for parameters that make no sense. `item_size`:
/// bytes of one array element where the codec sits (shuffle without "elementsize" needs it).
Result<std::shared_ptr<const Codec>> make_codec(const CodecSpec& spec, size_t item_size);

/// Ids that `make_codec` knows, sorted.
std::vector<std::string> codec_ids();

/// Codecs of a chunk, in encoding order (as in Zarr v2 filters + compressor, and as HDF5 numbers
/// its filters).
class Pipeline {
 public:
  static Result<Pipeline> make(std::span<const CodecSpec> specs, size_t item_size);

  /// Decodes into exactly `out.size()` bytes. Bit i of `filter_mask` set: step i was not applied to
  /// this chunk (HDF5 III.A.2). kInvalidData when the chunk decodes to any other size, except that
  /// a longer result is cut when the pipeline is empty.
  Result<> decode(ByteSpan stored, uint32_t filter_mask, MutableByteSpan out) const;
  /// For chunks whose decoded size is not known before (vlen-utf8 and the like): at most `limit`
  /// bytes.
  Result<Bytes> decode_unsized(ByteSpan stored, uint32_t filter_mask, size_t limit) const;
  Result<Bytes> encode(ByteSpan raw) const;

  bool empty() const { return steps_.empty(); }
  size_t size() const { return steps_.size(); }

 private:
  std::vector<std::shared_ptr<const Codec>> steps_;
};

/// numcodecs' vlen-utf8 and vlen-bytes layout: u32 count, then u32 length + bytes each.
Result<std::vector<std::string_view>> split_vlen(ByteSpan decoded, size_t max_items);
Bytes join_vlen(std::span<const std::string_view> items);

}  // namespace upwell::codec
