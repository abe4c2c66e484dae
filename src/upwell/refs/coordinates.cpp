#include "refs/coordinates.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

namespace upwell::refs {
namespace {

constexpr double kExactDouble = 9007199254740992.0;  // 2^53

bool is_integer(const DataType& type) {
  return type.kind == Kind::kInt || type.kind == Kind::kUint;
}

bool gregorian(cf::Calendar c) {
  return c == cf::Calendar::kStandard || c == cf::Calendar::kProlepticGregorian;
}

/// Standard and proleptic Gregorian agree from 1582-10-15 on.
bool agree_on(cf::Calendar a, cf::Calendar b, const cf::DateTime& t) {
  if (a == b) return true;
  static const cf::DateTime reform{1582, 10, 15, 0, 0, 0, 0};
  return gregorian(a) && gregorian(b) && cf::compare(t, reform) >= 0;
}

Result<cf::DateTime> instant(const Values& values, size_t i, const cf::TimeUnits& units) {
  if (is_integer(values.type)) return cf::decode_time(units, values.integer(i));
  return cf::decode_time(units, values.number(i));
}

Result<double> exact_double(const cf::TimeUnits& to, const cf::DateTime& t) {
  UPWELL_TRY(double value, cf::encode_time(to, t));
  UPWELL_TRY(cf::DateTime back, cf::decode_time(to, value));
  if (cf::compare(back, t) != 0)
    return fail(Code::kUnsupported,
                cf::format_time(t) + " cannot be said exactly in '" + to.text + "'");
  return value;
}

template <typename T>
Values number_values(const DataType& type, const Shape& shape, const std::vector<T>& numbers) {
  Values out;
  out.type = type;
  out.shape = shape;
  out.data.resize(numbers.size() * sizeof(T));
  if (!numbers.empty()) std::memcpy(out.data.data(), numbers.data(), out.data.size());
  return out;
}

/// Text of one width is one type in a set, whatever fills it up: numpy's S has no kinds of padding.
bool alike(const DataType& a, const DataType& b) {
  return a == b || (a.kind == Kind::kString && b.kind == Kind::kString && a.size == b.size);
}

Values padded_as(const Values& values, const DataType& type) {
  Values out{type, values.shape, Bytes(values.data.size()), {}};
  std::fill(out.data.begin(), out.data.end(),
            static_cast<uint8_t>(type.padding == StringPadding::kSpacePadded ? ' ' : 0));
  for (size_t i = 0; i < values.count(); ++i) {
    const std::string text = values.text(i);
    std::copy(text.begin(), text.end(), out.data.begin() + static_cast<ptrdiff_t>(i * type.size));
  }
  return out;
}

}  // namespace

Result<Values> convert_time(const Values& values, const cf::TimeUnits& from,
                            const cf::TimeUnits& to, const std::vector<double>& fills) {
  const size_t count = values.count();
  std::vector<int64_t> whole(count);
  std::vector<double> numbers(count);
  bool all_whole = is_integer(values.type);
  for (size_t i = 0; i < count; ++i) {
    const double raw = values.number(i);
    if (std::isnan(raw) || std::find(fills.begin(), fills.end(), raw) != fills.end()) {
      numbers[i] = raw;
      if (all_whole) whole[i] = values.integer(i);
      continue;
    }
    UPWELL_TRY(cf::DateTime t, instant(values, i, from));
    if (!agree_on(from.calendar, to.calendar, t))
      return fail(Code::kUnsupported, "calendar " + cf::to_string(from.calendar) +
                                          " cannot be brought to " + cf::to_string(to.calendar));
    if (all_whole) {
      std::optional<int64_t> exact = cf::encode_time_exact(to, t);
      if (exact) {
        whole[i] = *exact;
      } else {
        all_whole = false;
      }
    }
    UPWELL_TRY(numbers[i], exact_double(to, t));
  }
  if (all_whole) return number_values(DataType::integer(8), values.shape, whole);
  return number_values(DataType::floating(8), values.shape, numbers);
}

Result<DataType> common_type(const std::vector<const Values*>& parts, const DataType* preferred) {
  bool same = true, integers = true;
  for (const Values* part : parts) {
    same = same && alike(part->type, parts[0]->type);
    integers = integers && is_integer(part->type);
  }
  if (preferred != nullptr && std::all_of(parts.begin(), parts.end(), [&](const Values* part) {
        return alike(part->type, *preferred) || exact_numbers(*part, *preferred);
      }))
    return *preferred;
  if (same && !parts.empty()) return parts[0]->type;
  for (const Values* part : parts) {
    if (!part->type.is_number())
      return fail(Code::kUnsupported, "types " + describe(parts[0]->type) + " and " +
                                          describe(part->type) + " have no common one");
    for (size_t i = 0; i < part->count() && is_integer(part->type); ++i) {
      const double value = part->number(i);
      const bool fits = integers ? value < 9223372036854775807.0 : std::abs(value) <= kExactDouble;
      if (!fits)
        return fail(Code::kUnsupported,
                    "value " + std::to_string(part->integer(i)) + " does not fit a common type");
    }
  }
  return integers ? DataType::integer(8) : DataType::floating(8);
}

Result<Values> cast_numbers(const Values& values, const DataType& type) {
  if (values.type == type) return values;
  if (alike(values.type, type)) return padded_as(values, type);
  std::optional<Values> cast = exact_numbers(values, type);
  if (!cast) return fail(Code::kInternal, "cast to " + describe(type));
  return std::move(*cast);
}

namespace {

/// -1, 0, 1: element i of a against element j of b, exactly.
int compare_at(const Extent& a, size_t i, const Extent& b, size_t j) {
  if (!a.exact.empty() && !b.exact.empty())
    return a.exact[i] < b.exact[j] ? -1 : a.exact[i] > b.exact[j];
  return a.values[i] < b.values[j] ? -1 : a.values[i] > b.values[j];
}

/// 1 ascending, -1 descending, 0 one value; nullopt: neither.
std::optional<int> direction_of(const Extent& e) {
  int direction = 0;
  for (size_t i = 1; i < e.values.size(); ++i) {
    int step = compare_at(e, i, e, i - 1);
    if (step == 0 || (direction != 0 && step != direction)) return std::nullopt;
    direction = step;
  }
  return direction;
}

bool usable(const Extent& e) {
  return !e.values.empty() &&
         std::all_of(e.values.begin(), e.values.end(), [](double v) { return std::isfinite(v); });
}

}  // namespace

OrderResult order_granules(const std::vector<Extent>& extents, const std::string& path,
                           const std::vector<std::string>& urls,
                           std::vector<std::vector<Reason>>& reasons) {
  OrderResult out;
  std::vector<const Extent*> good;
  size_t up = 0, down = 0;
  std::vector<int> directions(extents.size());
  for (size_t k = 0; k < extents.size(); ++k) {
    const Extent& e = extents[k];
    if (!usable(e)) {
      reasons[e.granule].push_back(
          {"order", path, "the coordinate has no value, or a missing one"});
      continue;
    }
    std::optional<int> direction = direction_of(e);
    if (!direction) {
      reasons[e.granule].push_back(
          {"order", path, "values neither rise nor fall strictly within the granule"});
      continue;
    }
    directions[k] = *direction;
    (*direction > 0 ? up : down) += *direction != 0;
    good.push_back(&e);
  }
  out.descending = down > up;
  std::erase_if(good, [&](const Extent* e) {
    int direction = directions[static_cast<size_t>(e - extents.data())];
    bool wrong = direction != 0 && (direction < 0) != out.descending;
    if (wrong)
      reasons[e->granule].push_back({"order", path,
                                     out.descending ? "values rise, in other granules they fall"
                                                    : "values fall, in other granules they rise"});
    return wrong;
  });
  const int sign = out.descending ? -1 : 1;
  std::stable_sort(good.begin(), good.end(), [&](const Extent* a, const Extent* b) {
    return compare_at(*a, 0, *b, 0) * sign < 0;
  });
  const Extent* last = nullptr;
  for (const Extent* e : good) {
    if (last != nullptr && compare_at(*last, last->values.size() - 1, *e, 0) * sign >= 0) {
      const bool same = last->values == e->values && last->exact == e->exact;
      reasons[e->granule].push_back(
          {same ? "duplicate" : "overlap", path,
           (same ? "same values as in " : "values overlap those of ") + urls[last->granule] +
               (same ? " (if another variable gives the order: --order-by)" : "")});
      continue;
    }
    out.order.push_back(e->granule);
    last = e;
  }
  return out;
}

std::vector<Gap> find_gaps(const std::vector<double>& values) {
  std::vector<Gap> gaps;
  if (values.size() < 3) return gaps;
  std::vector<double> steps(values.size() - 1);
  for (size_t i = 0; i < steps.size(); ++i) steps[i] = std::abs(values[i + 1] - values[i]);
  std::vector<double> sorted = steps;
  auto middle = sorted.begin() + static_cast<ptrdiff_t>((sorted.size() - 1) / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  const double median = *middle;
  if (!(median > 0)) return gaps;
  for (size_t i = 0; i < steps.size(); ++i)
    if (steps[i] > 1.5 * median) gaps.push_back({i, values[i], values[i + 1], steps[i] / median});
  return gaps;
}

std::string show_coordinate(double value, const std::optional<cf::TimeUnits>& units) {
  if (units) {
    auto t = cf::decode_time(*units, value);
    if (t) return cf::format_time(*t);
  }
  return fmt::format("{}", value);
}

}  // namespace upwell::refs
