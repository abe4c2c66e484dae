#include "cube/segment_values.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell {
namespace {

/// The fill value in memory form.
Result<Bytes> fill_element(const DataType& type, const std::optional<Bytes>& fill, Bytes& heap) {
  DataType memory = memory_type(type);
  Bytes element(memory.size);
  std::fill(element.begin(), element.end(), uint8_t{0});
  if (fill && type.kind == Kind::kVlenString && type.size == 0) {
    const VlenHandle handle{heap.size(), fill->size()};
    heap.insert(heap.end(), fill->begin(), fill->end());
    std::memcpy(element.data(), &handle, sizeof(handle));
    return element;
  }
  if (!fill || type.has_vlen()) return element;
  if (fill->size() != type.size)
    return fail(Code::kInvalidData,
                fmt::format("the fill value has {} bytes, the type {}", fill->size(), type.size));
  UPWELL_CHECK(to_memory(type, *fill, 1, element));
  return element;
}

}  // namespace

Result<ToArrayType> ToArrayType::make(const SegmentLayout& layout, const DataType& array_type) {
  ToArrayType out;
  out.from_ = out.decoded_ = memory_type(layout.type);
  out.to_ = memory_type(array_type);
  if (layout.packing && layout.type.is_number()) {
    Array packed;
    packed.type = layout.type;
    packed.attributes = *layout.packing;
    out.decoding_ = cf::decoding_of(packed);
    out.decoded_ = cf::decoded_type(out.decoding_, out.from_);
  }
  out.identity_ = !out.decoding_.to_float && out.from_ == out.to_;
  if (out.decoded_ == out.to_ || common_number_type(out.decoded_, out.to_) == out.to_) return out;
  return fail(Code::kUnsupported, fmt::format("one granule stores {}, the array holds {}",
                                              describe(layout.type), describe(array_type)));
}

Result<> ToArrayType::apply(ByteSpan in, size_t count, MutableByteSpan out) const {
  if (decoded_ == to_) return cf::decode_into(decoding_, from_, in, out);
  Bytes decoded(count * decoded_.size);
  UPWELL_CHECK(cf::decode_into(decoding_, from_, in, decoded));
  return convert_numbers(decoded_, decoded, count, to_, out);
}

Result<Bytes> fill_of(const Array& array, Bytes& heap) {
  return fill_element(array.type, array.fill, heap);
}

Result<Bytes> fill_of(const Array& array, const Segment& segment, Bytes& heap) {
  const SegmentLayout& layout = *segment.layout;
  if (!layout.fill) return fill_of(array, heap);
  UPWELL_TRY(Bytes element, fill_element(layout.type, layout.fill, heap));
  UPWELL_TRY(const ToArrayType conversion, ToArrayType::make(layout, array.type));
  if (conversion.is_identity()) return element;
  Bytes converted(conversion.size_out());
  UPWELL_CHECK(conversion.apply(element, 1, converted));
  return converted;
}

}  // namespace upwell
