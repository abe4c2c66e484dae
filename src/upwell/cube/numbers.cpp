// Numbers of one type as another.

#include <algorithm>

#include "cube/half.hpp"
#include "cube/values.hpp"

namespace upwell {
namespace {

/// Calls visit(a value of the C++ type); false for what is none.
template <typename Visit>
bool with_number_type(const DataType& type, const Visit& visit) {
  const bool sign = type.kind == Kind::kInt;
  if (type.kind == Kind::kFloat) {
    if (type.size == 4) return visit(float{}), true;
    if (type.size == 8) return visit(double{}), true;
    return false;
  }
  if (!sign && type.kind != Kind::kUint) return false;
  switch (type.size) {
    case 1:
      return sign ? visit(int8_t{}) : visit(uint8_t{}), true;
    case 2:
      return sign ? visit(int16_t{}) : visit(uint16_t{}), true;
    case 4:
      return sign ? visit(int32_t{}) : visit(uint32_t{}), true;
    case 8:
      return sign ? visit(int64_t{}) : visit(uint64_t{}), true;
    default:
      return false;
  }
}

template <typename From, typename To>
void convert_all(const uint8_t* in, size_t count, uint8_t* out) {
  for (size_t i = 0; i < count; ++i) {
    From from;
    std::memcpy(&from, in + i * sizeof(From), sizeof(From));
    const auto to =
        static_cast<To>(from);  // NOLINT(bugprone-signed-char-misuse): numbers, not text
    std::memcpy(out + i * sizeof(To), &to, sizeof(To));
  }
}

}  // namespace

std::optional<DataType> common_number_type(const DataType& a, const DataType& b) {
  if (!a.is_number() || !b.is_number()) return {};
  const DataType x = memory_type(a), y = memory_type(b);
  if (x == y) return x;
  const bool x_float = x.kind == Kind::kFloat, y_float = y.kind == Kind::kFloat;
  if (x_float && y_float) return DataType::floating(std::max(x.size, y.size));
  if (x_float || y_float) {
    const uint32_t integer = x_float ? y.size : x.size, real = x_float ? x.size : y.size;
    if (integer == 8) return {};
    return DataType::floating(integer == 4 || real == 8 ? 8 : 4);
  }
  if (x.kind == y.kind) return x.size > y.size ? x : y;
  const uint32_t plain = x.kind == Kind::kUint ? x.size : y.size;
  const uint32_t with_sign = x.kind == Kind::kUint ? y.size : x.size;
  if (plain == 8) return {};
  return DataType::integer(std::max(with_sign, plain * 2));
}

Result<> convert_numbers(const DataType& from, ByteSpan in, size_t count, const DataType& to,
                         MutableByteSpan out) {
  if (from.kind == Kind::kFloat && from.size == 2) {
    Bytes wide(count * 4);
    for (size_t i = 0; i < count; ++i) {
      const float v = half_to_float(load_le<uint16_t>(in.data() + i * 2));
      std::memcpy(wide.data() + i * 4, &v, 4);
    }
    return convert_numbers(DataType::floating(4), wide, count, to, out);
  }
  bool known = false;
  with_number_type(from, [&](auto source) {
    known = with_number_type(to, [&](auto target) {
      convert_all<decltype(source), decltype(target)>(in.data(), count, out.data());
    });
  });
  if (known) return {};
  return fail(Code::kUnsupported, "cannot turn " + describe(from) + " into " + describe(to));
}

}  // namespace upwell
