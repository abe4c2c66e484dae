// Numbers of one type as another.

#include <algorithm>
#include <cmath>

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

bool is_whole(const DataType& type) { return type.kind == Kind::kInt || type.kind == Kind::kUint; }

/// Element i of both, of which `b` was made from `a`.
bool same_number(const Values& a, const Values& b, size_t i) {
  constexpr double kExactDouble = 9007199254740992.0;  // 2^53
  if (is_whole(a.type) && is_whole(b.type)) return a.integer(i) == b.integer(i);
  const double before = a.number(i), after = b.number(i);
  if (is_whole(a.type) && std::abs(before) > kExactDouble) return false;
  return before == after || (std::isnan(before) && std::isnan(after));
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

std::optional<Values> exact_numbers(const Values& values, const DataType& type) {
  if (!values.type.is_number() || !type.is_number()) return {};
  const size_t count = values.count();
  // Beyond these a conversion to an integer is not defined.
  const int bits = static_cast<int>(type.size) * 8;
  const double top = std::ldexp(1.0, type.kind == Kind::kInt ? bits - 1 : bits);
  const double bottom = type.kind == Kind::kInt ? -top : 0;
  for (size_t i = 0; i < count && is_whole(type); ++i) {
    const double value = values.number(i);
    if (!(value >= bottom && value < top)) return {};
  }
  Values out;
  out.type = type;
  out.shape = values.shape;
  out.data.resize(count * type.size);
  if (!convert_numbers(values.type, values.data, count, type, out.data)) return {};
  for (size_t i = 0; i < count; ++i)
    if (!same_number(values, out, i)) return {};
  return out;
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
