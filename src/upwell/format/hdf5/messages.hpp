#pragma once
// Messages of object headers that describe datasets and groups (format specification IV.A.2).

#include <optional>
#include <string>
#include <vector>

#include "codec/codec.hpp"
#include "cube/values.hpp"
#include "format/hdf5/chunk_walk.hpp"
#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Dataspace, versions 1 and 2 (IV.A.2.b).
struct Dataspace {
  bool null_space = false;
  Shape shape;
  Shape max_shape;  ///< {} when the file gives none; kUndefined for unlimited
};
Result<Dataspace> read_dataspace(Cursor& in);

/// The user-defined fill value, as stored; nullopt when it is the default or undefined (IV.A.2.e,
/// IV.A.2.f).
Result<std::optional<ByteSpan>> read_fill_old(Cursor& in);
Result<std::optional<ByteSpan>> read_fill(Cursor& in);

/// Data layout, versions 1 to 5 (IV.A.2.i).
struct Layout {
  enum class Class : uint8_t { kCompact = 0, kContiguous = 1, kChunked = 2, kVirtual = 3 };
  Class cls = Class::kContiguous;
  uint8_t version = 3;
  uint64_t address = kUndefined;  ///< of contiguous data, of the chunk index, of the global heap
                                  ///< collection of a virtual dataset; relative to the base
  std::optional<uint64_t> size;   ///< of contiguous data; versions 1 and 2 do not say
  ByteSpan compact;               ///< data in the message itself
  uint64_t compact_offset = 0;    ///< of these in the object
  uint32_t heap_index = 0;        ///< virtual
  // chunked:
  ChunkIndexKind index = ChunkIndexKind::kBtree1;
  Shape chunk;                ///< without the element size
  uint64_t element_size = 0;  ///< as the layout says it
  uint8_t flags = 0;          ///< versions 4 and 5
  uint64_t single_size = 0;
  uint32_t single_mask = 0;
};
Result<Layout> read_layout(Cursor& in);

/// Filter pipeline, versions 1 and 2 (IV.A.2.l).
struct FilterSpec {
  uint16_t id = 0;
  uint16_t flags = 0;
  std::string name;
  std::vector<uint32_t> values;
};
Result<std::vector<FilterSpec>> read_filters(Cursor& in);
/// As codecs, in encoding order. kUnsupported names the filter.
Result<std::vector<codec::CodecSpec>> to_codecs(const std::vector<FilterSpec>& filters,
                                                uint32_t element_size);

/// Link message (IV.A.2.g), also as it lies in a dense group's heap.
struct Link {
  enum class Kind : uint8_t { kHard, kSoft, kExternal, kOther } kind = Kind::kHard;
  std::string name;
  uint64_t address = kUndefined;  ///< kHard: of the object header
  std::string path;               ///< kSoft, kExternal
  std::string file;               ///< kExternal
  std::optional<uint64_t> order;  ///< creation order
};
Result<Link> read_link(Cursor& in);

/// Link info (IV.A.2.c) and attribute info (IV.A.2.v): where dense ones are.
struct DenseInfo {
  uint64_t heap = kUndefined;
  uint64_t names = kUndefined;  ///< version 2 B-tree by name
  bool tracks_order = false;
};
Result<DenseInfo> read_link_info(Cursor& in);
Result<DenseInfo> read_attribute_info(Cursor& in);

}  // namespace upwell::format::hdf5
