#include "refs/compare/tally.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>

namespace upwell::refs {
namespace {

template <typename T>
bool is_missing(const MissingRule& rule, const Alignment& alignment, T value) {
  if constexpr (std::is_floating_point_v<T>) {
    if (std::isnan(value)) return true;
  }
  if (alignment.decoded) return false;  // NaN by now
  if constexpr (std::is_integral_v<T>) {
    const auto& all = rule.integers;
    return std::find(all.begin(), all.end(), static_cast<uint64_t>(value)) != all.end();
  }
  return std::any_of(rule.numbers.begin(), rule.numbers.end(), [&](double missing) {
    return rule.single ? static_cast<float>(missing) == static_cast<float>(value)
                       : missing == static_cast<double>(value);
  });
}

/// |x - y|, exact before it is rounded.
template <typename T>
double distance(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return std::abs(static_cast<double>(x) - static_cast<double>(y));
  } else {
    const uint64_t a = static_cast<uint64_t>(x), b = static_cast<uint64_t>(y);
    return static_cast<double>(x > y ? a - b : b - a);
  }
}

template <typename T>
bool same_bits(T x, T y) {
  using Bytes = std::array<uint8_t, sizeof(T)>;
  return std::bit_cast<Bytes>(x) == std::bit_cast<Bytes>(y);
}

template <typename T>
bool same_value(T x, T y) {
  if constexpr (std::is_floating_point_v<T>) {
    return x == y || (std::isnan(x) && std::isnan(y));
  } else {
    return x == y;
  }
}

}  // namespace

MissingRule::MissingRule(const Array& array)
    : single(array.type.kind == Kind::kFloat && array.type.size == 4) {
  const cf::Decoding decoding = cf::decoding_of(array);
  for (const double number : decoding.missing)
    if (!std::isnan(number)) numbers.push_back(number);
  if (array.type.kind == Kind::kFloat) return;
  const DataType type = cf::integers_as_read(decoding, memory_type(array.type));
  const uint32_t above = 64 - 8 * std::min<uint32_t>(type.size, 8);
  for (const uint64_t bits : decoding.missing_bits)
    integers.push_back(type.kind == Kind::kUint
                           ? bits
                           : static_cast<uint64_t>(static_cast<int64_t>(bits << above) >> above));
}

Result<> Tally::add(const ComparedBox& here) {
  const DataType& a = here.ours.type;
  const DataType& b = here.theirs.type;
  elements_ += here.ours.count();
  const bool comparable = equal_is_same_ || here.alignment.decoded || !a.is_number();
  if (comparable && a == b && !a.has_vlen() && here.ours.data == here.theirs.data) return {};
  if (a.is_number() && b.is_number()) {
    const auto plain = [&]<typename T>(T) {
      add_numbers<T>(here, [](const Values& values, size_t i) {
        T value;
        std::memcpy(&value, values.data.data() + i * sizeof(T), sizeof(T));
        return value;
      });
      return Result<>();
    };
    const bool alike = a.kind == b.kind && a.size == b.size;
    if (alike && a.kind == Kind::kFloat && a.size == 4) return plain(float{});
    if (alike && a.kind == Kind::kFloat && a.size == 8) return plain(double{});
    if (alike && a.kind == Kind::kUint && a.size == 8) return plain(uint64_t{});
    if (alike && a.kind != Kind::kFloat) {
      add_numbers<int64_t>(here, [](const Values& values, size_t i) { return values.integer(i); });
      return {};
    }
    add_numbers<double>(here, [](const Values& values, size_t i) { return values.number(i); });
    return {};
  }
  if (is_text(a) && is_text(b)) {
    add_others(here, [&](size_t i) { return here.ours.text(i) == here.theirs.text(i); });
    return {};
  }
  if (a.kind != b.kind || (a.kind != Kind::kCompound && a.size != b.size))
    return fail(Code::kUnsupported, describe(a) + " and " + describe(b) + " cannot be compared");
  add_others(here, [&](size_t i) { return same_element(here.ours, i, here.theirs, i); });
  return {};
}

template <typename T, typename Read>
void Tally::add_numbers(const ComparedBox& here, const Read& read) {
  const size_t count = here.ours.count();
  const bool equal_is_same = equal_is_same_ || here.alignment.decoded;
  for (size_t i = 0; i < count; ++i) {
    const T x = read(here.ours, i), y = read(here.theirs, i);
    const bool equal = options_.bitwise ? same_bits(x, y) : same_value(x, y);
    if (!equal || !equal_is_same) [[unlikely]]
      add_number(here, i, x, y);
  }
}

template <typename T>
void Tally::add_number(const ComparedBox& here, size_t i, T x, T y) {
  const bool no_x = is_missing(first_, here.alignment, x);
  const bool no_y = is_missing(second_, here.alignment, y);
  if (no_x || no_y) {
    if (no_x && no_y && !options_.bitwise) return;  // fill of one is fill of the other
    missing_ += no_x != no_y ? 1 : 0;
    return note(here, i, no_x == no_y ? Side::kNone : no_x ? Side::kFirst : Side::kSecond);
  }
  if (!options_.bitwise && same_value(x, y)) return;
  if (here.alignment.narrow && static_cast<float>(x) == static_cast<float>(y)) return;
  const double difference = distance(x, y);
  const double larger =
      std::max(std::abs(static_cast<double>(x)), std::abs(static_cast<double>(y)));
  if (options_.near(difference, larger) && (difference > 0 || !options_.bitwise)) return;
  note(here, i);
  note_largest(here, i, difference, absolute_);
  if (larger > 0 && std::isfinite(larger)) note_largest(here, i, difference / larger, relative_);
}

template <typename Same>
void Tally::add_others(const ComparedBox& here, const Same& same) {
  for (size_t i = 0; i < here.ours.count(); ++i)
    if (!same(i)) note(here, i);
}

Tally::Place Tally::place(const ComparedBox& here, size_t i) const {
  Place out;
  const size_t rank = here.box.shape.size();
  Shape& index = out.shown.index;
  index.resize(rank);
  uint64_t rest = i;
  for (size_t d = rank; d-- > 0;) {
    index[d] = here.box.origin[d] + rest % here.box.shape[d];
    rest /= here.box.shape[d];
  }
  for (size_t d = 0; d < rank; ++d) out.number = out.number * here.shape[d] + index[d];
  out.shown.first = element_shown(here.ours, i, options_.bitwise);
  out.shown.second = element_shown(here.theirs, i, options_.bitwise);
  return out;
}

void Tally::note(const ComparedBox& here, size_t i, Side missing) {
  ++differing_;
  if (places_.size() >= options_.places) return;
  places_.push_back(place(here, i));
  ValueDifference::Place& shown = places_.back().shown;
  if (shown.first != shown.second) return;
  if (missing == Side::kFirst) shown.first += " (missing)";
  if (missing == Side::kSecond) shown.second += " (missing)";
}

void Tally::note_largest(const ComparedBox& here, size_t i, double difference,
                         std::optional<Place>& largest) const {
  if (largest && difference <= largest->shown.difference) return;
  largest = place(here, i);
  largest->shown.difference = difference;
}

void Tally::merge(const Tally& other) {
  elements_ += other.elements_;
  differing_ += other.differing_;
  missing_ += other.missing_;
  places_.insert(places_.end(), other.places_.begin(), other.places_.end());
  std::sort(places_.begin(), places_.end(),
            [](const Place& a, const Place& b) { return a.number < b.number; });
  if (places_.size() > options_.places) places_.resize(options_.places);
  const auto keep_larger = [](std::optional<Place>& mine, const std::optional<Place>& its) {
    if (!its) return;
    const bool larger =
        !mine || its->shown.difference > mine->shown.difference ||
        (its->shown.difference == mine->shown.difference && its->number < mine->number);
    if (larger) mine = its;
  };
  keep_larger(absolute_, other.absolute_);
  keep_larger(relative_, other.relative_);
}

ValueDifference Tally::result() const {
  ValueDifference out{elements_, differing_, missing_, {}, {}, {}};
  for (const Place& place : places_) out.places.push_back(place.shown);
  if (absolute_) out.largest_absolute = absolute_->shown;
  if (relative_) out.largest_relative = relative_->shown;
  return out;
}

}  // namespace upwell::refs
