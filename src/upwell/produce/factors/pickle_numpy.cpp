// What the few names that a pickle may use stand for. None of them is called: each is a pattern of
// arguments that becomes an array, a type or a number.

#include <fmt/format.h>

#include <array>

#include "produce/factors/pickle_machine.hpp"

namespace upwell::produce {
namespace {

using Kind = PickleObject::Kind;

enum class AllowedName : int64_t { kReconstruct, kScalar, kFromBuffer, kNdarray, kDtype, kEncode };

struct Allowed {
  std::string_view module, name;
  AllowedName meaning;
};

// numpy 2 renamed numpy.core to numpy._core.
constexpr std::array kAllowed{
    Allowed{"numpy.core.multiarray", "_reconstruct", AllowedName::kReconstruct},
    Allowed{"numpy._core.multiarray", "_reconstruct", AllowedName::kReconstruct},
    Allowed{"numpy.core.multiarray", "scalar", AllowedName::kScalar},
    Allowed{"numpy._core.multiarray", "scalar", AllowedName::kScalar},
    Allowed{"numpy.core.numeric", "_frombuffer", AllowedName::kFromBuffer},
    Allowed{"numpy._core.numeric", "_frombuffer", AllowedName::kFromBuffer},
    Allowed{"numpy", "ndarray", AllowedName::kNdarray},
    Allowed{"numpy", "dtype", AllowedName::kDtype},
    Allowed{"_codecs", "encode", AllowedName::kEncode},
};

constexpr ElementType kObjectType{'O', 8, false};

tl::unexpected<Error> bad_object(const std::string& what) { return fail(Code::kInvalidData, what); }

}  // namespace

Result<> PickleMachine::push_global(std::string_view module, std::string_view name) {
  for (const Allowed& allowed : kAllowed) {
    if (allowed.module != module || allowed.name != name) continue;
    UPWELL_TRY(const uint32_t i, make(Kind::kGlobal));
    object(i).integer = static_cast<int64_t>(allowed.meaning);
    return push(i);
  }
  return fail(Code::kUnsupported, fmt::format("it names {}.{}, which is neither called nor read",
                                              module.substr(0, 100), name.substr(0, 100)));
}

Result<> PickleMachine::reduce() {
  UPWELL_TRY(const uint32_t a, pop());
  UPWELL_TRY(const uint32_t f, pop());
  const PickleObject& arguments = object(a);
  if (object(f).kind != Kind::kGlobal || arguments.kind != Kind::kTuple)
    return bad_object("a call of something that is no function, or without arguments");
  switch (static_cast<AllowedName>(object(f).integer)) {
    case AllowedName::kReconstruct: {  // (ndarray, (0,), b'b'): an array that BUILD fills
      UPWELL_TRY(const uint32_t i, make(Kind::kArray));
      object(i).array = {{'u', 1, false}, {0}, {}};
      return push(i);
    }
    case AllowedName::kDtype:
      return reduce_type(arguments);
    case AllowedName::kScalar:
      return reduce_scalar(arguments);
    case AllowedName::kFromBuffer:
      return reduce_buffer(arguments);
    case AllowedName::kEncode:
      return reduce_encode(arguments);
    case AllowedName::kNdarray:
      break;
  }
  return fail(Code::kUnsupported, "an array that is made in an unknown way");
}

/// ('f8', align, copy)
Result<> PickleMachine::reduce_type(const PickleObject& arguments) {
  UPWELL_TRY(const PickleObject* name, result_.item(arguments, 0));
  const std::string_view text = as_text(name->bytes);
  ElementType type = kObjectType;
  if (text != "O8" && text != "O4" && text != "O") {
    UPWELL_TRY(type, parse_element_type(text));
  }
  UPWELL_TRY(const uint32_t i, make(Kind::kType));
  object(i).array.type = type;
  return push(i);
}

/// (dtype, bytes)
Result<> PickleMachine::reduce_scalar(const PickleObject& arguments) {
  UPWELL_TRY(const PickleObject* type, result_.item(arguments, 0));
  UPWELL_TRY(const PickleObject* data, result_.item(arguments, 1));
  if (type->kind != Kind::kType || data->kind != Kind::kBytes ||
      data->bytes.size() != type->array.type.size)
    return bad_object("a scalar whose bytes are not of its type");
  const NpyArray one{type->array.type, {}, data->bytes};
  if (one.type.kind == 'S') return push_bytes(Kind::kBytes, one.data);
  UPWELL_TRY(const std::vector<double> value, one.as_doubles());
  if (one.type.kind == 'f') return push_float(value[0]);
  if (value[0] < -9e15 || value[0] > 9e15)
    return fail(Code::kUnsupported, "an integer scalar of more than 53 bits");
  return push_integer(static_cast<int64_t>(value[0]),
                      one.type.kind == 'b' ? Kind::kBool : Kind::kInteger);
}

/// (buffer, dtype, shape, order)
Result<> PickleMachine::reduce_buffer(const PickleObject& arguments) {
  UPWELL_TRY(const PickleObject* data, result_.item(arguments, 0));
  UPWELL_TRY(const PickleObject* type, result_.item(arguments, 1));
  UPWELL_TRY(const PickleObject* shape, result_.item(arguments, 2));
  UPWELL_TRY(const PickleObject* order, result_.item(arguments, 3));
  UPWELL_TRY(const uint32_t i, make(Kind::kArray));
  UPWELL_CHECK(set_array(object(i), *shape, *type, as_text(order->bytes) == "F", *data));
  return push(i);
}

/// (text, 'latin1'): how protocols 0 to 2 carry bytes
Result<> PickleMachine::reduce_encode(const PickleObject& arguments) {
  UPWELL_TRY(const PickleObject* text, result_.item(arguments, 0));
  UPWELL_TRY(const PickleObject* encoding, result_.item(arguments, 1));
  const std::string_view name = as_text(encoding->bytes);
  if (text->kind != Kind::kText || (name != "latin1" && name != "latin-1"))
    return fail(Code::kUnsupported, "bytes in another encoding than latin1");
  const ByteSpan in = text->bytes;
  Bytes out;
  out.reserve(in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    const uint8_t c = in[i];
    if (c < 0x80) {
      out.push_back(c);
      continue;
    }
    // U+0080 to U+00FF are two bytes of UTF-8 that begin with C2 or C3.
    if ((c != 0xc2 && c != 0xc3) || i + 1 == in.size() || (in[i + 1] & 0xc0) != 0x80)
      return bad_object("text that is not latin1");
    out.push_back(static_cast<uint8_t>((c & 3) << 6 | (in[++i] & 0x3f)));
  }
  return push_bytes(Kind::kBytes, keep(std::move(out)));
}

Result<> PickleMachine::build() {
  UPWELL_TRY(const uint32_t s, pop());
  UPWELL_TRY(const uint32_t target, pop());
  UPWELL_CHECK(push(target));
  const PickleObject& state = object(s);
  if (object(target).kind == Kind::kType) return build_type(target, state);
  if (object(target).kind == Kind::kArray) return build_array(target, state);
  return fail(Code::kUnsupported, "the state of something that is neither array nor type");
}

/// (version, byte order, subtype, names, fields, size, alignment, flags)
Result<> PickleMachine::build_type(uint32_t target, const PickleObject& state) {
  UPWELL_TRY(const PickleObject* order, result_.item(state, 1));
  for (const size_t structured : {2, 3, 4}) {
    UPWELL_TRY(const PickleObject* part, result_.item(state, structured));
    if (part->kind != Kind::kNone) return fail(Code::kUnsupported, "a structured type");
  }
  object(target).array.type.big = as_text(order->bytes) == ">";
  return {};
}

/// (version, shape, dtype, Fortran order, bytes or a list of objects)
Result<> PickleMachine::build_array(uint32_t target, const PickleObject& state) {
  UPWELL_TRY(const PickleObject* shape, result_.item(state, 1));
  UPWELL_TRY(const PickleObject* type, result_.item(state, 2));
  UPWELL_TRY(const PickleObject* fortran, result_.item(state, 3));
  UPWELL_TRY(const PickleObject* data, result_.item(state, 4));
  return set_array(object(target), *shape, *type, fortran->integer != 0, *data);
}

Result<> PickleMachine::set_array(PickleObject& array, const PickleObject& shape,
                                  const PickleObject& type, bool fortran,
                                  const PickleObject& data) {
  if (shape.kind != Kind::kTuple || type.kind != Kind::kType)
    return bad_object("an array without a shape or a type");
  NpyArray filled{type.array.type, {}, {}};
  for (const uint32_t i : shape.items) {
    const PickleObject& size = object(i);
    if (size.kind != Kind::kInteger || size.integer < 0 || filled.shape.size() >= 32)
      return bad_object("a shape that is none");
    filled.shape.push_back(static_cast<uint64_t>(size.integer));
  }
  if (fortran && filled.shape.size() > 1)
    return fail(Code::kUnsupported, "an array in Fortran order");
  UPWELL_TRY(const uint64_t n, element_count(filled.shape, uint64_t{1} << 46));
  if (filled.type == kObjectType) {
    if (data.kind != Kind::kList || data.items.size() != n)
      return bad_object(fmt::format("an array of {} objects without them", n));
    UPWELL_CHECK(count_items(n));
    array.items = std::vector<uint32_t>(data.items);
  } else {
    if (data.kind != Kind::kBytes || data.bytes.size() != n * filled.type.size)
      return bad_object(fmt::format("an array of {} × {} bytes that has {}", n, filled.type.size,
                                    data.bytes.size()));
    filled.data = data.bytes;
  }
  array.array = std::move(filled);
  return {};
}

}  // namespace upwell::produce
