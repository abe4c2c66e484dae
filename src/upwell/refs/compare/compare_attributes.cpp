#include "refs/compare/compare_attributes.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "refs/align_values.hpp"

namespace upwell::refs {
namespace {

/// Zarr and reference sets keep attributes in JSON and variables in a directory.
bool keeps_types(const Dataset& dataset) {
  constexpr std::array<std::string_view, 4> kTyped{"hdf5", "netcdf3", "mds", "dmrpp"};
  return std::find(kTyped.begin(), kTyped.end(), dataset.format) != kTyped.end();
}

bool is_ignored(const std::string& owner, const std::string& name, const CompareOptions& options) {
  const std::string full = owner + ":" + name;
  return std::any_of(options.ignore.begin(), options.ignore.end(), [&](const std::string& pattern) {
    return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0 ||
           ::fnmatch(pattern.c_str(), full.c_str(), 0) == 0;
  });
}

/// Text has no length as a type: its length is that of the value.
std::string type_shown(const Attribute& attribute) {
  const DataType& type = attribute.value.type;
  if (attribute.null_space) return "empty";
  if (type.kind == Kind::kString || type.kind == Kind::kUnicode) return "characters";
  if (type.kind == Kind::kVlenString) return "string";
  return describe(type);
}

/// Follows from the values, so that it is as near as they are.
bool is_range(const std::string& name) {
  return name == "valid_min" || name == "valid_max" || name == "valid_range" ||
         name == "actual_range";
}

/// `near`: with what tolerance; null: none.
bool same_number(const Values& a, const Values& b, size_t i, bool narrow,
                 const CompareOptions* near) {
  const double x = a.number(i), y = b.number(i);
  if (std::isnan(x) || std::isnan(y)) return std::isnan(x) && std::isnan(y);
  if (near != nullptr && x != y && near->near(std::abs(x - y), std::max(std::abs(x), std::abs(y))))
    return true;
  const bool integers = a.type.kind != Kind::kFloat && b.type.kind != Kind::kFloat;
  if (integers) return a.integer(i) == b.integer(i);
  return x == y || (narrow && static_cast<float>(x) == static_cast<float>(y));
}

bool same_attribute(const Attribute& a, const Attribute& b, bool typed,
                    const CompareOptions& options) {
  if (a.null_space || b.null_space) return a.null_space == b.null_space;
  const Values& x = a.value;
  const Values& y = b.value;
  if (x.count() != y.count()) return false;
  // JSON has float32 as the shortest number that gives it back.
  const DataType single = DataType::floating(4);
  const bool narrow = !typed && (x.type == single || y.type == single);
  const CompareOptions* near = is_range(a.name) ? &options : nullptr;
  for (size_t i = 0; i < x.count(); ++i) {
    bool same = false;
    if (is_text(x.type) && is_text(y.type)) {
      same = x.text(i) == y.text(i);
    } else if (x.type.is_number() && y.type.is_number()) {
      same = same_number(x, y, i, narrow, near);
    } else {
      same = x.type.kind == y.type.kind && same_element(x, i, y, i);
    }
    if (!same) return false;
  }
  return true;
}

/// Where two texts differ.
size_t first_difference(const Attribute& a, const Attribute& b) {
  if (a.null_space || b.null_space || !is_text(a.value.type) || !is_text(b.value.type)) return 0;
  if (a.value.count() != 1 || b.value.count() != 1) return 0;
  const std::string x = a.value.text(0), y = b.value.text(0);
  const auto [it, other] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
  return static_cast<size_t>(it - x.begin());
}

std::string text_shown(const std::string& text, size_t around) {
  constexpr size_t kWidth = 60, kBefore = 20;
  size_t begin = around > kWidth - kBefore ? around - kBefore : 0;
  // Not inside a character of UTF-8.
  const auto inside = [&](size_t at) {
    return at < text.size() && (static_cast<uint8_t>(text[at]) & 0xC0U) == 0x80U;
  };
  begin = std::min(begin, text.size());
  while (begin > 0 && inside(begin)) --begin;
  size_t end = std::min(text.size(), begin + kWidth);
  while (end < text.size() && inside(end)) ++end;
  std::string out = text.substr(begin, end - begin);
  for (char& c : out)
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  return fmt::format("\"{}{}{}\"", begin > 0 ? "..." : "", out, end < text.size() ? "..." : "");
}

std::vector<std::string> names_of(const std::string& owner, const Attributes& attributes,
                                  const CompareOptions& options) {
  std::vector<std::string> names;
  for (const Attribute& attribute : attributes)
    if (!is_ignored(owner, attribute.name, options)) names.push_back(attribute.name);
  return names;
}

}  // namespace

SharedAbilities shared_abilities(const Dataset& first, const Dataset& second) {
  const bool both = keeps_types(first) && keeps_types(second);
  return {both, both, both};
}

std::string attribute_shown(const Attribute& attribute, size_t around) {
  constexpr size_t kMostElements = 8;
  if (attribute.null_space) return "(none)";
  const Values& values = attribute.value;
  std::string text;
  for (size_t i = 0; i < std::min<size_t>(values.count(), kMostElements); ++i)
    text += (i > 0 ? ", " : "") + (is_text(values.type) ? text_shown(values.text(i), around)
                                                        : element_shown(values, i, false));
  return values.count() > kMostElements ? text + ", ..." : text;
}

void compare_attributes(const std::string& owner, const Attributes& first, const Attributes& second,
                        const SharedAbilities& abilities, const CompareOptions& options,
                        std::vector<Difference>& differences) {
  const auto note = [&](const std::string& name, std::string message) {
    differences.push_back({owner + ":" + name, "attribute", std::move(message), {}});
  };
  for (const Attribute& a : first) {
    if (is_ignored(owner, a.name, options)) continue;
    const Attribute* b = find_attribute(second, a.name);
    if (b == nullptr) {
      note(a.name, "only in the first: " + attribute_shown(a));
      continue;
    }
    const std::string type = type_shown(a), other = type_shown(*b);
    if (abilities.types && type != other)
      note(a.name, fmt::format("type {}, {} in the second", type, other));
    if (same_attribute(a, *b, abilities.types, options)) continue;
    const size_t around = first_difference(a, *b);
    note(a.name,
         attribute_shown(a, around) + ", " + attribute_shown(*b, around) + " in the second");
  }
  for (const Attribute& b : second)
    if (find_attribute(first, b.name) == nullptr && !is_ignored(owner, b.name, options))
      note(b.name, "only in the second: " + attribute_shown(b));
  if (abilities.order && !options.ignore_order)
    compare_order(owner, "attributes", names_of(owner, first, options),
                  names_of(owner, second, options), differences);
}

void compare_order(const std::string& owner, const char* what,
                   const std::vector<std::string>& first, const std::vector<std::string>& second,
                   std::vector<Difference>& differences) {
  const auto shared = [](const std::vector<std::string>& names,
                         const std::vector<std::string>& others) {
    std::vector<std::string> out;
    for (const std::string& name : names)
      if (std::find(others.begin(), others.end(), name) != others.end()) out.push_back(name);
    return out;
  };
  const std::vector<std::string> ours = shared(first, second), theirs = shared(second, first);
  const auto [a, b] = std::mismatch(ours.begin(), ours.end(), theirs.begin(), theirs.end());
  if (a == ours.end() || b == theirs.end()) return;
  differences.push_back(
      {owner,
       "order",
       fmt::format("{} come in another order: {} comes {}, {} in the second", what, *a,
                   a == ours.begin() ? "first" : "after " + *(a - 1), *b),
       {}});
}

}  // namespace upwell::refs
