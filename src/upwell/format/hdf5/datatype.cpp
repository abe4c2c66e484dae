#include "format/hdf5/datatype.hpp"

#include <algorithm>
#include <bit>

namespace upwell::format::hdf5 {
namespace {

constexpr int kMaxTypeDepth = 32;

struct TypeHead {
  uint8_t version = 0;
  uint8_t cls = 0;
  uint32_t bits = 0;
  uint32_t size = 0;
  uint64_t offset = 0;
};

Result<DataType> read_type(Cursor& in, int depth);

tl::unexpected<Error> bad_type(const TypeHead& head, std::string_view what) {
  return fail(Code::kInvalidData, fmt::format("datatype at offset {}: {}", head.offset, what));
}

/// Text up to a zero byte; with `padded` the field is a multiple of eight bytes.
std::string read_name(Cursor& in, bool padded) {
  std::string name;
  while (in.ok()) {
    char c = static_cast<char>(in.u8());
    if (c == 0) break;
    name += c;
  }
  if (padded) in.skip((8 - (name.size() + 1) % 8) % 8);
  return name;
}

ByteOrder simple_order(uint32_t bits) { return bits & 1 ? ByteOrder::kBig : ByteOrder::kLittle; }

bool is_machine_size(uint32_t size) { return size <= 8 && std::has_single_bit(size); }

Result<> check_bits(const TypeHead& head, const BitLayout& layout) {
  uint64_t total = uint64_t{head.size} * 8;
  if (layout.precision == 0 || uint64_t{layout.offset} + layout.precision > total)
    return bad_type(head, fmt::format("{} bits at bit {} do not fit into {} bytes",
                                      layout.precision, layout.offset, head.size));
  return {};
}

Result<DataType> read_fixed(Cursor& in, const TypeHead& head, bool bitfield) {
  DataType type;
  type.kind = bitfield ? Kind::kBitfield : head.bits & 8 ? Kind::kInt : Kind::kUint;
  type.size = head.size;
  type.order = simple_order(head.bits);
  BitLayout layout;
  layout.low_pad = head.bits >> 1 & 1;
  layout.high_pad = head.bits >> 2 & 1;
  layout.offset = in.u16();
  layout.precision = in.u16();
  UPWELL_CHECK(in.check("datatype"));
  UPWELL_CHECK(check_bits(head, layout));
  bool plain =
      is_machine_size(head.size) && layout.offset == 0 && layout.precision == head.size * 8;
  if (!plain) type.layout = std::make_shared<BitLayout>(layout);
  return type;
}

bool is_ieee(uint32_t size, const BitLayout& l) {
  struct Form {
    uint32_t size, sign, exponent, exponent_size, mantissa_size, bias;
  };
  static constexpr Form kForms[] = {
      {2, 15, 10, 5, 10, 15}, {4, 31, 23, 8, 23, 127}, {8, 63, 52, 11, 52, 1023}};
  return std::any_of(std::begin(kForms), std::end(kForms), [&](const Form& f) {
    return f.size == size && l.offset == 0 && l.precision == size * 8 &&
           l.sign_position == f.sign && l.exponent_position == f.exponent &&
           l.exponent_size == f.exponent_size && l.mantissa_position == 0 &&
           l.mantissa_size == f.mantissa_size && l.exponent_bias == f.bias && l.mantissa_norm == 2;
  });
}

Result<DataType> read_float(Cursor& in, const TypeHead& head) {
  DataType type;
  type.kind = Kind::kFloat;
  type.size = head.size;
  bool low = head.bits & 1, high = head.bits >> 6 & 1;
  if (high && !low) return bad_type(head, "unknown byte order");
  type.order = high ? ByteOrder::kVax : low ? ByteOrder::kBig : ByteOrder::kLittle;
  BitLayout layout;
  layout.low_pad = head.bits >> 1 & 1;
  layout.high_pad = head.bits >> 2 & 1;
  layout.internal_pad = head.bits >> 3 & 1;
  layout.mantissa_norm = head.bits >> 4 & 3;
  layout.sign_position = head.bits >> 8 & 0xff;
  layout.offset = in.u16();
  layout.precision = in.u16();
  layout.exponent_position = in.u8();
  layout.exponent_size = in.u8();
  layout.mantissa_position = in.u8();
  layout.mantissa_size = in.u8();
  layout.exponent_bias = in.u32();
  UPWELL_CHECK(in.check("datatype"));
  UPWELL_CHECK(check_bits(head, layout));
  // Positions count from the lowest bit of the element, not from that of the value.
  auto inside = [&](uint32_t at, uint32_t count) {
    return at >= layout.offset && at + count <= layout.offset + layout.precision;
  };
  if (layout.mantissa_norm == 3 || layout.exponent_size == 0 || layout.mantissa_size == 0 ||
      !inside(layout.sign_position, 1) || !inside(layout.exponent_position, layout.exponent_size) ||
      !inside(layout.mantissa_position, layout.mantissa_size))
    return bad_type(head, "the parts of the floating-point number do not fit");
  if (!is_ieee(head.size, layout)) type.layout = std::make_shared<BitLayout>(layout);
  return type;
}

Result<DataType> read_time(Cursor& in, const TypeHead& head) {
  DataType type;
  type.kind = Kind::kTime;
  type.size = head.size;
  type.order = simple_order(head.bits);
  BitLayout layout;
  layout.precision = in.u16();
  UPWELL_CHECK(in.check("datatype"));
  UPWELL_CHECK(check_bits(head, layout));
  if (layout.precision != head.size * 8) type.layout = std::make_shared<BitLayout>(layout);
  return type;
}

Result<StringPadding> read_padding(const TypeHead& head, uint32_t code) {
  switch (code) {
    case 0:
      return StringPadding::kNullTerminated;
    case 1:
      return StringPadding::kNullPadded;
    case 2:
      return StringPadding::kSpacePadded;
    default:
      return bad_type(head, fmt::format("unknown string padding {}", code));
  }
}

Result<DataType> read_string(const TypeHead& head) {
  DataType type;
  type.kind = Kind::kString;
  type.size = head.size;
  UPWELL_TRY(type.padding, read_padding(head, head.bits & 0xf));
  type.utf8 = (head.bits >> 4 & 0xf) == 1;
  return type;
}

Result<DataType> read_opaque(Cursor& in, const TypeHead& head) {
  DataType type;
  type.kind = Kind::kOpaque;
  type.size = head.size;
  auto tag = as_text(in.bytes(head.bits & 0xff));
  UPWELL_CHECK(in.check("datatype"));
  type.tag = std::string(tag.substr(0, tag.find('\0')));
  return type;
}

Result<std::shared_ptr<const DataType>> read_base(Cursor& in, int depth) {
  UPWELL_TRY(DataType base, read_type(in, depth + 1));
  return std::make_shared<const DataType>(std::move(base));
}

/// Wraps a member of a version 1 compound, which may be an array of its type.
Result<std::shared_ptr<const DataType>> member_array(const TypeHead& head,
                                                     std::shared_ptr<const DataType> base,
                                                     const std::vector<uint64_t>& dims) {
  uint64_t size = base->size;
  for (uint64_t extent : dims) {
    if (extent == 0 || size * extent > head.size)
      return bad_type(head, "the array of a member does not fit");
    size *= extent;
  }
  DataType array;
  array.kind = Kind::kArray;
  array.size = static_cast<uint32_t>(size);
  array.dims = dims;
  array.base = std::move(base);
  return std::make_shared<const DataType>(std::move(array));
}

Result<Member> read_member(Cursor& in, const TypeHead& head, int depth) {
  Member member;
  member.name = read_name(in, head.version < 3);
  // Version 3 and later: as many bytes as an offset inside this type needs.
  size_t offset_bytes = head.version < 3 ? 4 : (std::bit_width(head.size) + 7) / 8;
  member.offset = static_cast<uint32_t>(in.integer(offset_bytes));
  std::vector<uint64_t> dims;
  if (head.version == 1) {
    uint8_t rank = in.u8();
    if (rank > 4) return bad_type(head, fmt::format("member '{}' has rank {}", member.name, rank));
    in.skip(3 + 4 + 4);
    for (int i = 0; i < 4; ++i) {
      uint64_t extent = in.u32();
      if (i < rank) dims.push_back(extent);
    }
  }
  UPWELL_CHECK(in.check("datatype"));
  UPWELL_TRY(member.type, read_base(in, depth));
  if (!dims.empty()) {
    UPWELL_TRY(member.type, member_array(head, member.type, dims));
  }
  if (uint64_t{member.offset} + member.type->size > head.size)
    return bad_type(head, fmt::format("member '{}' ends outside of its compound", member.name));
  return member;
}

Result<DataType> read_compound(Cursor& in, const TypeHead& head, int depth) {
  DataType type;
  type.kind = Kind::kCompound;
  type.size = head.size;
  uint32_t count = head.bits & 0xffff;
  if (count == 0) return bad_type(head, "compound without members");
  for (uint32_t i = 0; i < count; ++i) {
    UPWELL_TRY(Member member, read_member(in, head, depth));
    type.members.push_back(std::move(member));
  }
  return type;
}

Result<DataType> read_enum(Cursor& in, const TypeHead& head, int depth) {
  DataType type;
  type.kind = Kind::kEnum;
  type.size = head.size;
  UPWELL_TRY(type.base, read_base(in, depth));
  if (type.base->kind != Kind::kInt && type.base->kind != Kind::kUint)
    return bad_type(head, "enumeration of something that is not an integer");
  if (type.base->size != head.size) return bad_type(head, "enumeration and base differ in size");
  type.order = type.base->order;
  uint32_t count = head.bits & 0xffff;
  for (uint32_t i = 0; i < count && in.ok(); ++i)
    type.values.push_back({read_name(in, head.version < 3), {}});
  for (EnumValue& value : type.values) value.value = to_bytes(in.bytes(head.size));
  UPWELL_CHECK(in.check("datatype"));
  return type;
}

Result<DataType> read_array(Cursor& in, const TypeHead& head, int depth) {
  DataType type;
  type.kind = Kind::kArray;
  type.size = head.size;
  uint8_t rank = in.u8();
  if (rank == 0 || rank > 32) return bad_type(head, fmt::format("array of rank {}", rank));
  if (head.version < 3) in.skip(3);
  for (int i = 0; i < rank; ++i) type.dims.push_back(in.u32());
  if (head.version < 3) in.skip(size_t{4} * rank);
  UPWELL_CHECK(in.check("datatype"));
  UPWELL_TRY(type.base, read_base(in, depth));
  uint64_t size = type.base->size;
  for (uint64_t extent : type.dims) {
    if (extent == 0 || size * extent > head.size) return bad_type(head, "array does not fit");
    size *= extent;
  }
  if (size != head.size)
    return bad_type(head, fmt::format("array of {} bytes claims {}", size, head.size));
  return type;
}

Result<DataType> read_vlen(Cursor& in, const TypeHead& head, int depth) {
  DataType type;
  uint32_t what = head.bits & 0xf;
  if (what > 1) return bad_type(head, fmt::format("unknown variable-length kind {}", what));
  size_t handle = 4 + in.facts().offset_size + 4;
  if (head.size != handle)
    return bad_type(
        head, fmt::format("variable-length handle of {} bytes, expected {}", head.size, handle));
  type.kind = what == 1 ? Kind::kVlenString : Kind::kVlen;
  type.size = head.size;
  UPWELL_TRY(auto base, read_base(in, depth));
  if (what == 1) {
    UPWELL_TRY(type.padding, read_padding(head, head.bits >> 4 & 0xf));
    type.utf8 = (head.bits >> 8 & 0xf) == 1;
  } else {
    type.base = std::move(base);
  }
  return type;
}

Result<DataType> read_reference(const TypeHead& head) {
  DataType type;
  type.size = head.size;
  switch (head.bits & 0xf) {
    case 0:
      type.kind = Kind::kReference;
      return type;
    case 1:
      type.kind = Kind::kRegionReference;
      return type;
    case 2:
      type.kind = Kind::kReference;
      type.tag = "object2";
      return type;
    case 3:
      type.kind = Kind::kRegionReference;
      type.tag = "region2";
      return type;
    case 4:
      type.kind = Kind::kReference;
      type.tag = "attribute";
      return type;
    default:
      return bad_type(head, fmt::format("unknown reference kind {}", head.bits & 0xf));
  }
}

Result<DataType> read_complex(Cursor& in, const TypeHead& head, int depth) {
  UPWELL_TRY(auto base, read_base(in, depth));
  if (base->kind != Kind::kFloat || uint64_t{base->size} * 2 != head.size)
    return bad_type(head, "complex number is not two floating-point numbers");
  if (base->layout || base->order == ByteOrder::kVax || base->size < 4)
    return fail(Code::kUnsupported,
                fmt::format("datatype at offset {}: complex numbers of {} bytes with an unusual "
                            "layout",
                            head.offset, head.size));
  DataType type;
  type.kind = Kind::kComplex;
  type.size = head.size;
  type.order = base->order;
  return type;
}

Result<DataType> read_type(Cursor& in, int depth) {
  TypeHead head;
  head.offset = in.file_offset();
  if (depth > kMaxTypeDepth) return bad_type(head, "nested too deep");
  uint8_t first = in.u8();
  head.version = first >> 4;
  head.cls = first & 0xf;
  head.bits = static_cast<uint32_t>(in.integer(3));
  head.size = in.u32();
  UPWELL_CHECK(in.check("datatype"));
  if (head.version < 1 || head.version > 5)
    return bad_type(head, fmt::format("unknown version {}", head.version));
  if (head.size == 0) return bad_type(head, "elements of no bytes");
  switch (head.cls) {
    case 0:
      return read_fixed(in, head, false);
    case 1:
      return read_float(in, head);
    case 2:
      return read_time(in, head);
    case 3:
      return read_string(head);
    case 4:
      return read_fixed(in, head, true);
    case 5:
      return read_opaque(in, head);
    case 6:
      return read_compound(in, head, depth);
    case 7:
      return read_reference(head);
    case 8:
      return read_enum(in, head, depth);
    case 9:
      return read_vlen(in, head, depth);
    case 10:
      return read_array(in, head, depth);
    case 11:
      return read_complex(in, head, depth);
    default:
      return bad_type(head, fmt::format("unknown class {}", head.cls));
  }
}

}  // namespace

Result<DataType> read_datatype(Cursor& in) { return read_type(in, 0); }

}  // namespace upwell::format::hdf5
