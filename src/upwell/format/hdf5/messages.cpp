#include "format/hdf5/messages.hpp"

#include <algorithm>

#include "codec/hdf5_filters.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr size_t kMaxExtents = 32;

tl::unexpected<Error> bad_message(const char* what, const Cursor& in, std::string_view why) {
  return fail(Code::kInvalidData,
              fmt::format("{} message near offset {}: {}", what, in.file_offset(), why));
}

tl::unexpected<Error> bad_version(const char* what, const Cursor& in, unsigned version) {
  return bad_message(what, in, fmt::format("unknown version {}", version));
}

/// The length of a dimension, all ones meaning unlimited whatever the size of lengths is.
uint64_t read_extent(Cursor& in) {
  size_t size = in.facts().length_size;
  uint64_t v = in.length();
  uint64_t ones = size >= 8 ? kUndefined : (uint64_t{1} << (8 * size)) - 1;
  return v == ones ? kUndefined : v;
}

Result<Layout> read_layout_old(Cursor& in, uint8_t version) {
  Layout layout;
  layout.version = version;
  size_t rank = in.u8();
  uint8_t cls = in.u8();
  in.skip(5);
  if (rank == 0 || rank > kMaxExtents + 1 || cls > 2)
    return bad_message("layout", in, fmt::format("rank {}, class {}", rank, cls));
  layout.cls = static_cast<Layout::Class>(cls);
  if (layout.cls != Layout::Class::kCompact) layout.address = in.address();
  for (size_t i = 0; i < rank; ++i) layout.chunk.push_back(in.u32());
  if (layout.cls == Layout::Class::kChunked) {
    layout.element_size = layout.chunk.back();
    layout.chunk.pop_back();
  } else {
    layout.chunk.clear();
  }
  if (layout.cls == Layout::Class::kCompact) {
    uint32_t size = in.u32();
    layout.compact_offset = in.file_offset();
    layout.compact = in.bytes(size);
  }
  UPWELL_CHECK(in.check("layout message"));
  return layout;
}

Result<> read_chunk_index(Cursor& in, Layout& layout) {
  uint8_t kind = in.u8();
  switch (kind) {
    case 1:
      layout.index = ChunkIndexKind::kSingle;
      if (layout.flags & 2) {
        layout.single_size = in.length();
        layout.single_mask = in.u32();
      }
      break;
    case 2:
      layout.index = ChunkIndexKind::kImplicit;
      break;
    case 3:
      layout.index = ChunkIndexKind::kFixedArray;
      in.skip(1);
      break;
    case 4:
      layout.index = ChunkIndexKind::kExtensibleArray;
      in.skip(5);
      break;
    case 5:
      layout.index = ChunkIndexKind::kBtree2;
      in.skip(6);
      break;
    default:
      return bad_message("layout", in, fmt::format("unknown chunk index {}", kind));
  }
  layout.address = in.address();
  return {};
}

Result<> read_layout_chunked(Cursor& in, Layout& layout) {
  size_t rank = 0;
  if (layout.version == 3) {
    rank = in.u8();
    layout.address = in.address();
  } else {
    layout.flags = in.u8();
    rank = in.u8();
  }
  if (rank < 2 || rank > kMaxExtents + 1)
    return bad_message("layout", in, fmt::format("chunks of rank {}", rank));
  size_t width = layout.version == 3 ? 4 : in.u8();
  if (width == 0 || width > 8)
    return bad_message("layout", in, fmt::format("chunk extents of {} bytes", width));
  for (size_t i = 0; i < rank; ++i) layout.chunk.push_back(in.integer(width));
  layout.element_size = layout.chunk.back();
  layout.chunk.pop_back();
  if (layout.version > 3) UPWELL_CHECK(read_chunk_index(in, layout));
  return {};
}

}  // namespace

Result<Dataspace> read_dataspace(Cursor& in) {
  Dataspace space;
  uint8_t version = in.u8();
  size_t rank = in.u8();
  uint8_t flags = in.u8();
  UPWELL_CHECK(in.check("dataspace message"));
  if (version == 1) {
    in.skip(5);
  } else if (version == 2) {
    uint8_t kind = in.u8();
    if (kind > 2) return bad_message("dataspace", in, fmt::format("unknown kind {}", kind));
    space.null_space = kind == 2;
    if (kind != 1 && rank != 0) return bad_message("dataspace", in, "a scalar with extents");
  } else {
    return bad_version("dataspace", in, version);
  }
  if (rank > kMaxExtents) return bad_message("dataspace", in, fmt::format("rank {}", rank));
  for (size_t i = 0; i < rank; ++i) space.shape.push_back(in.length());
  if (flags & 1)
    for (size_t i = 0; i < rank; ++i) space.max_shape.push_back(read_extent(in));
  UPWELL_CHECK(in.check("dataspace message"));
  uint64_t count = 1;
  for (size_t i = 0; i < rank; ++i) {
    if (__builtin_mul_overflow(count, std::max<uint64_t>(space.shape[i], 1), &count))
      return bad_message("dataspace", in, "more elements than can be counted");
  }
  return space;
}

Result<std::optional<ByteSpan>> read_fill_old(Cursor& in) {
  uint32_t size = in.u32();
  ByteSpan value = in.bytes(size);
  UPWELL_CHECK(in.check("old fill value message"));
  if (size == 0) return std::nullopt;
  return value;
}

Result<std::optional<ByteSpan>> read_fill(Cursor& in) {
  uint8_t version = in.u8();
  bool defined = false;
  if (version == 1 || version == 2) {
    in.skip(2);
    uint8_t flag = in.u8();
    // Version 1 always has a size, version 2 only with a value.
    defined = version == 1 || flag == 1;
  } else if (version == 3) {
    defined = in.u8() & 0x20;
  } else {
    return bad_version("fill value", in, version);
  }
  if (!defined) {
    UPWELL_CHECK(in.check("fill value message"));
    return std::nullopt;
  }
  auto size = static_cast<int32_t>(in.u32());
  UPWELL_CHECK(in.check("fill value message"));
  if (size <= 0) return std::nullopt;
  ByteSpan value = in.bytes(static_cast<size_t>(size));
  UPWELL_CHECK(in.check("fill value message"));
  return value;
}

Result<Layout> read_layout(Cursor& in) {
  uint8_t version = in.u8();
  UPWELL_CHECK(in.check("layout message"));
  if (version == 1 || version == 2) return read_layout_old(in, version);
  if (version < 3 || version > 5) return bad_version("layout", in, version);
  Layout layout;
  layout.version = version;
  uint8_t cls = in.u8();
  if (cls > (version == 3 ? 2 : 3))
    return bad_message("layout", in, fmt::format("unknown class {}", cls));
  layout.cls = static_cast<Layout::Class>(cls);
  switch (layout.cls) {
    case Layout::Class::kCompact: {
      uint16_t size = in.u16();
      layout.compact_offset = in.file_offset();
      layout.compact = in.bytes(size);
      break;
    }
    case Layout::Class::kContiguous:
      layout.address = in.address();
      layout.size = in.length();
      break;
    case Layout::Class::kChunked:
      UPWELL_CHECK(read_layout_chunked(in, layout));
      break;
    case Layout::Class::kVirtual:
      layout.address = in.address();
      layout.heap_index = in.u32();
      break;
  }
  UPWELL_CHECK(in.check("layout message"));
  return layout;
}

Result<std::vector<FilterSpec>> read_filters(Cursor& in) {
  uint8_t version = in.u8();
  size_t count = in.u8();
  UPWELL_CHECK(in.check("filter pipeline message"));
  if (version != 1 && version != 2) return bad_version("filter pipeline", in, version);
  if (count > 32) return bad_message("filter pipeline", in, fmt::format("{} filters", count));
  if (version == 1) in.skip(6);
  std::vector<FilterSpec> filters;
  for (size_t i = 0; i < count; ++i) {
    FilterSpec filter;
    filter.id = in.u16();
    size_t name_size = version == 1 || filter.id >= 256 ? in.u16() : 0;
    filter.flags = in.u16();
    size_t values = in.u16();
    if (version == 1) name_size = (name_size + 7) / 8 * 8;
    auto name = as_text(in.bytes(name_size));
    filter.name = std::string(name.substr(0, name.find('\0')));
    if (values * 4 > in.left()) return bad_message("filter pipeline", in, "it is cut short");
    for (size_t k = 0; k < values; ++k) filter.values.push_back(in.u32());
    if (version == 1 && values % 2) in.skip(4);
    // The last filter's padding is missing in some files that libhdf5 reads.
    if (i + 1 < count) UPWELL_CHECK(in.check("filter pipeline message"));
    filters.push_back(std::move(filter));
  }
  return filters;
}

Result<std::vector<codec::CodecSpec>> to_codecs(const std::vector<FilterSpec>& filters,
                                                uint32_t element_size) {
  std::vector<codec::CodecSpec> codecs;
  for (const FilterSpec& filter : filters) {
    UPWELL_TRY(auto spec,
               codec::from_hdf5_filter(filter.id, filter.values, element_size, filter.name));
    codecs.push_back(std::move(spec));
  }
  return codecs;
}

Result<Link> read_link(Cursor& in) {
  Link link;
  uint8_t version = in.u8();
  UPWELL_CHECK(in.check("link message"));
  if (version != 1) return bad_version("link", in, version);
  uint8_t flags = in.u8();
  uint8_t kind = flags & 0x08 ? in.u8() : 0;
  if (flags & 0x04) link.order = in.u64();
  if (flags & 0x10) in.skip(1);
  uint64_t name_size = in.integer(size_t{1} << (flags & 3));
  if (name_size == 0 || name_size > in.left())
    return bad_message("link", in, fmt::format("name of {} bytes", name_size));
  link.name = std::string(as_text(in.bytes(name_size)));
  if (kind == 0) {
    link.kind = Link::Kind::kHard;
    link.address = in.address();
  } else if (kind == 1) {
    link.kind = Link::Kind::kSoft;
    link.path = std::string(as_text(in.bytes(in.u16())));
  } else if (kind == 64) {
    link.kind = Link::Kind::kExternal;
    size_t size = in.u16();
    auto value = as_text(in.bytes(size));
    UPWELL_CHECK(in.check("link message"));
    auto split = value.find('\0', 1);
    if (value.empty() || split == std::string_view::npos)
      return bad_message("link", in, "an external link without file and path");
    link.file = std::string(value.substr(1, split - 1));
    auto path = value.substr(split + 1);
    link.path = std::string(path.substr(0, path.find('\0')));
  } else {
    link.kind = Link::Kind::kOther;
  }
  UPWELL_CHECK(in.check("link message"));
  return link;
}

Result<DenseInfo> read_link_info(Cursor& in) {
  DenseInfo info;
  uint8_t version = in.u8();
  uint8_t flags = in.u8();
  if (in.ok() && version != 0) return bad_version("link info", in, version);
  info.tracks_order = flags & 1;
  if (flags & 1) in.skip(8);
  info.heap = in.address();
  info.names = in.address();
  UPWELL_CHECK(in.check("link info message"));
  return info;
}

Result<DenseInfo> read_attribute_info(Cursor& in) {
  DenseInfo info;
  uint8_t version = in.u8();
  uint8_t flags = in.u8();
  if (in.ok() && version != 0) return bad_version("attribute info", in, version);
  info.tracks_order = flags & 1;
  if (flags & 1) in.skip(2);
  info.heap = in.address();
  info.names = in.address();
  UPWELL_CHECK(in.check("attribute info message"));
  return info;
}

}  // namespace upwell::format::hdf5
