#include "compute/units.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/text.hpp"

namespace upwell::compute {
namespace {

struct Unit {
  std::string_view symbols;  ///< between spaces; as they are written
  std::string_view names;    ///< between spaces; in any case, and with an s for the plural
  std::string_view means;    ///< in other units; "" of a dimension
  bool takes_prefixes = false;
  int origin = 0;  ///< its zero, in hundredths of it above that of `means`
};

/// The first ones are the dimensions. Angles are one, as they are not for UDUNITS: nobody means
/// 0.01 by half a degree.
constexpr size_t kDimensions = 8;
constexpr Unit kUnits[] = {
    {"m", "meter metre", "", true},
    {"g", "gram", "", true},
    {"s sec secs", "second sec", "", true},
    {"K", "kelvin degk degkelvin", "", true},
    {"mol", "mole einstein", "", true},
    {"A", "ampere amp", "", true},
    {"cd", "candela", "", true},
    {"", "deg degnorth degeast degtrue degn dege degt arc_degree arcdeg", ""},
    // Numbers. What "ppt" counts is not certain, and nor is it of "count".
    {"%", "percent", "0.01"},
    {"ppm ppmv", "", "1e-6"},
    {"ppb ppbv", "", "1e-9"},
    {"pptv", "", "1e-12"},
    {"", "fraction", "1"},
    {"", "molecule molec", "mol/602214076e15"},
    {"DU", "dobson", "446.2e-6 mol m-2"},
    // Times of known length, and angles.
    {"min mins", "minute", "60 s"},
    {"h hr hrs", "hour", "3600 s"},
    {"d", "day", "86400 s"},
    {"", "week", "604800 s"},
    {"rad", "radian", "180 deg/3.141592653589793", true},
    {"sr", "steradian", "rad2", true},
    {"", "arc_minute arcminute arcmin", "deg/60"},
    {"", "arc_second arcsecond arcsec", "deg/3600"},
    // Temperatures with zeros of their own.
    {"", "celsius degc degcelsius", "K", false, 27315},
    {"", "fahrenheit degf degfahrenheit", "5/9 K", false, 45967},
    // Lengths, areas, volumes, masses, speeds.
    {"", "micron", "1e-6 m"},
    {"", "angstrom", "1e-10 m"},
    {"in", "inch inches", "0.0254 m"},
    {"ft", "foot feet", "0.3048 m"},
    {"yd", "yard", "0.9144 m"},
    {"mi", "mile", "1609.344 m"},
    {"", "nautical_mile nmile", "1852 m"},
    {"ha", "hectare", "1e4 m2"},
    {"l L", "liter litre", "1e-3 m3", true},
    {"t", "tonne metric_ton", "1e6 g"},
    {"Mt", "megatonne", "1e12 g"},
    {"Gt", "gigatonne", "1e15 g"},
    {"kt kts", "knot", "1852 m/3600 s-1"},
    {"Gal", "gal", "1e-2 m s-2", true},
    {"", "sverdrup", "1e6 m3 s-1"},
    // Forces, pressures, energies, powers.
    {"N", "newton", "1e3 g m s-2", true},
    {"dyn", "dyne", "1e-5 N"},
    {"Pa", "pascal", "N m-2", true},
    {"bar", "bar", "1e5 Pa", true},
    {"mb", "", "100 Pa"},
    {"atm", "atmosphere", "101325 Pa", true},
    {"J", "joule", "N m", true},
    {"Wh", "watthour", "3600 J", true},
    {"erg", "erg", "1e-7 J"},
    {"W", "watt", "J/s", true},
    {"Hz", "hertz", "s-1", true},
    {"PVU", "potential_vorticity_unit", "1e-9 m2 s-1 K g-1"},
    // Electricity, light, radiation. Not "Sv": a sievert, and a sverdrup.
    {"C", "coulomb", "A s", true},
    {"V", "volt", "W/A", true},
    {"F", "farad", "C/V", true},
    {"", "ohm", "V/A", true},
    {"S", "siemens", "A/V", true},
    {"Wb", "weber", "V s", true},
    {"T", "tesla", "Wb m-2", true},
    {"H", "henry", "Wb/A", true},
    {"lm", "lumen", "cd sr", true},
    {"lx", "lux", "lm m-2", true},
    {"Bq", "becquerel", "s-1", true},
    {"Gy", "gray", "J/(1e3 g)", true},
};

struct Prefix {
  std::string_view symbol, name;
  int ten;
};
constexpr Prefix kPrefixes[] = {
    {"da", "deka", 1},   {"", "deca", 1},     {"h", "hecto", 2},  {"k", "kilo", 3},
    {"M", "mega", 6},    {"G", "giga", 9},    {"T", "tera", 12},  {"P", "peta", 15},
    {"E", "exa", 18},    {"Z", "zetta", 21},  {"Y", "yotta", 24}, {"d", "deci", -1},
    {"c", "centi", -2},  {"m", "milli", -3},  {"u", "micro", -6}, {"n", "nano", -9},
    {"p", "pico", -12},  {"f", "femto", -15}, {"a", "atto", -18}, {"z", "zepto", -21},
    {"y", "yocto", -24},
};

/// Beyond Unicode's first half, as it is written without.
constexpr std::pair<std::string_view, std::string_view> kPlain[] = {
    {"·", "*"}, {"⋅", "*"}, {"µ", "u"}, {"μ", "u"}, {"°", "deg"}, {"℃", "degC"}, {"℉", "degF"}};
constexpr std::pair<std::string_view, char> kRaised[] = {
    {"⁰", '0'}, {"¹", '1'}, {"²", '2'}, {"³", '3'}, {"⁴", '4'}, {"⁵", '5'},
    {"⁶", '6'}, {"⁷", '7'}, {"⁸", '8'}, {"⁹", '9'}, {"⁻", '-'}, {"⁺", '+'}};

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '%';
}
bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string in_plain_letters(std::string_view text) {
  std::string out;
  bool raised = false;
  while (!text.empty()) {
    const auto begins = [&](const auto& with) { return text.starts_with(with.first); };
    const auto* power = std::find_if(std::begin(kRaised), std::end(kRaised), begins);
    const auto* plain = std::find_if(std::begin(kPlain), std::end(kPlain), begins);
    const bool was_raised = std::exchange(raised, power != std::end(kRaised));
    if (raised) {
      if (!was_raised) out += '^';
      out += power->second;
      text.remove_prefix(power->first.size());
    } else if (plain != std::end(kPlain)) {
      out += plain->second;
      text.remove_prefix(plain->first.size());
    } else {
      out += text.front();
      text.remove_prefix(1);
    }
  }
  return out;
}

bool lists(std::string_view words, std::string_view word) {
  for (size_t at = 0; at < words.size();) {
    const size_t end = std::min(words.find(' ', at), words.size());
    if (words.substr(at, end - at) == word) return true;
    at = end + 1;
  }
  return false;
}

/// What a unit is in those of the dimensions: a fraction, a power of ten, and one of each.
/// Numerator and denominator are integers, and as such exact for all that people use.
struct Quantity {
  double numerator = 1, denominator = 1;
  int ten = 0;
  std::array<int, kDimensions> powers{};
  int origin = 0;

  static constexpr int kNoOrigin = -1;  ///< "0.1 degC": of a scale, or of a difference?

  bool is_number() const {
    return std::all_of(powers.begin(), powers.end(), [](int power) { return power == 0; });
  }
  bool is_one() const { return is_number() && numerator == 1 && denominator == 1 && ten == 0; }
  void reduce() {
    constexpr double kExact = 9007199254740992;
    if (numerator > kExact || denominator > kExact) return;
    const auto common = static_cast<double>(
        std::gcd(static_cast<int64_t>(numerator), static_cast<int64_t>(denominator)));
    numerator /= common;
    denominator /= common;
  }
  /// By a power of `by`, 1 or -1; false where it is no longer a unit that anyone means.
  bool multiply(const Quantity& by, int sign) {
    if (by.is_one()) return true;
    if (is_one() && sign > 0) {
      *this = by;
      return true;
    }
    const bool has_origin = origin != 0 || (by.origin != 0 && sign > 0);
    origin = has_origin && (is_number() || by.is_number()) ? kNoOrigin : 0;
    numerator *= sign > 0 ? by.numerator : by.denominator;
    denominator *= sign > 0 ? by.denominator : by.numerator;
    ten += sign * by.ten;
    reduce();
    bool good = numerator < 1e100 && denominator < 1e100 && std::abs(ten) <= 100;
    for (size_t d = 0; d < kDimensions; ++d) {
      powers[d] += sign * by.powers[d];
      good = good && std::abs(powers[d]) <= 100;
    }
    return good;
  }
};

std::optional<Quantity> parse_unit(std::string_view text);

std::optional<Quantity> quantity_of(const Unit& unit) {
  const auto index = static_cast<size_t>(&unit - kUnits);
  if (index < kDimensions) {
    Quantity out;
    out.powers[index] = 1;
    return out;
  }
  auto out = parse_unit(unit.means);
  if (out) out->origin = unit.origin;
  return out;
}

/// "degrees_north", "degreeN" and the like: "deg" and what follows.
std::string without_degrees(const std::string& name) {
  if (!name.starts_with("deg") || name == "degs") return name;
  std::string_view rest = std::string_view(name).substr(3);
  for (const std::string_view part : {"ree", "s", "_"})
    if (rest.starts_with(part)) rest.remove_prefix(part.size());
  return "deg" + std::string(rest);
}

bool is_named(const Unit& unit, const std::string& name) {
  const std::string spelled = without_degrees(name);
  if (lists(unit.names, spelled)) return true;
  // Of "degrees_S" the s is no plural, but the south.
  return !name.starts_with("deg") && name.ends_with('s') &&
         lists(unit.names, name.substr(0, name.size() - 1));
}

std::optional<Quantity> find_unit(std::string_view word) {
  for (const Unit& unit : kUnits)
    if (lists(unit.symbols, word)) return quantity_of(unit);
  const std::string name = lower_case(word);
  for (const Unit& unit : kUnits)
    if (is_named(unit, name)) return quantity_of(unit);
  for (const Prefix& prefix : kPrefixes) {
    const bool by_symbol = !prefix.symbol.empty() && word.starts_with(prefix.symbol);
    const bool by_name = name.starts_with(prefix.name);
    for (const Unit& unit : kUnits) {
      if (!unit.takes_prefixes) continue;
      if (!(by_symbol && lists(unit.symbols, word.substr(prefix.symbol.size()))) &&
          !(by_name && is_named(unit, name.substr(prefix.name.size()))))
        continue;
      auto out = quantity_of(unit);
      if (out) out->ten += prefix.ten;
      return out;
    }
  }
  return std::nullopt;
}

/// By recursive descent; every function takes what it can from where it stands, and says whether
/// that was a unit.
class UnitParser {
 public:
  explicit UnitParser(std::string_view text) : text_(text) {}

  std::optional<Quantity> parse() {
    Quantity out;
    skip();
    if (!product(out) || place_ < text_.size()) return std::nullopt;
    return out;
  }

 private:
  char next(size_t ahead = 0) const {
    return place_ + ahead < text_.size() ? text_[place_ + ahead] : '\0';
  }
  bool skip() {
    const size_t before = place_;
    while (is_blank(next())) ++place_;
    return place_ > before;
  }
  bool take(std::string_view sign) {
    if (!text_.substr(place_).starts_with(sign)) return false;
    place_ += sign.size();
    return true;
  }
  std::string_view word() {
    const size_t begin = place_;
    while (is_letter(next())) ++place_;
    return text_.substr(begin, place_ - begin);
  }
  bool take_per() {
    const size_t before = place_;
    if (word() == "per") return true;
    place_ = before;
    return false;
  }

  bool product(Quantity& out) {
    bool was_number = false;
    if (!power(out, was_number)) return false;
    for (;;) {
      const bool apart = skip();
      if (place_ == text_.size() || next() == ')') return true;
      const bool divides = take("/") || take_per();
      const bool times = !divides && take("*");
      if (!divides && !times && !take(".") && !apart && !was_number) return false;
      skip();
      // "m 2" and "m.2" are more likely to be a power that went wrong.
      if (!divides && !times && is_digit(next())) return false;
      Quantity by;
      if (!power(by, was_number) || !out.multiply(by, divides ? -1 : 1)) return false;
    }
  }
  bool power(Quantity& out, bool& is_number) {
    Quantity base;
    is_number = is_digit(next()) || (next() == '.' && is_digit(next(1)));
    if (is_number) {
      if (!number(base)) return false;
    } else if (take("(")) {
      skip();
      if (++depth_ > 10 || !product(base) || !take(")")) return false;
      --depth_;
    } else {
      const auto unit = find_unit(word());
      if (!unit) return false;
      base = *unit;
    }
    int raised_to = 1;
    if (!exponent(raised_to, is_number && !(base.numerator == 1 && base.ten == 1))) return false;
    out = Quantity{};
    if (raised_to == 1) out = base;
    for (int n = 0; raised_to != 1 && n < std::abs(raised_to); ++n) {
      base.origin = 0;
      if (!out.multiply(base, raised_to < 0 ? -1 : 1)) return false;
    }
    return true;
  }
  /// "2", "-2", "^2", "**-2"; a number other than 10 has none without a sign of it.
  bool exponent(int& raised_to, bool only_by_sign) {
    const bool by_sign = take("**") || take("^");
    if (!by_sign && only_by_sign) return true;
    const bool minus = next() == '-';
    const bool has_sign = minus || next() == '+';
    if (has_sign) ++place_;
    if (!is_digit(next())) return !by_sign && !has_sign;
    raised_to = 0;
    for (int digits = 0; is_digit(next()); ++place_) {
      if (++digits > 2) return false;
      raised_to = raised_to * 10 + (next() - '0');
    }
    if (minus) raised_to = -raised_to;
    return true;
  }
  bool number(Quantity& out) {
    double digits = 0;
    bool fraction = false;
    for (; is_digit(next()) || (next() == '.' && !fraction); ++place_) {
      if (next() == '.') {
        fraction = true;
        continue;
      }
      digits = digits * 10 + (next() - '0');
      if (fraction) --out.ten;
      if (digits > 9e15) return false;
    }
    const bool has_sign = next(1) == '-' || next(1) == '+';
    if ((next() == 'e' || next() == 'E') && is_digit(next(has_sign ? 2 : 1))) {
      ++place_;
      int ten = 0;
      if (!exponent(ten, false)) return false;
      out.ten += ten;
    }
    if (digits == 0) return false;
    for (; std::fmod(digits, 10) == 0; digits /= 10) ++out.ten;
    out.numerator = digits;
    return true;
  }

  std::string_view text_;
  size_t place_ = 0;
  int depth_ = 0;
};

std::optional<Quantity> parse_unit(std::string_view text) { return UnitParser(text).parse(); }

bool is_practical_salinity(std::string_view text) {
  const std::string name = lower_case(text);
  return name == "psu" || name == "pss" || name == "pss-78" || name == "pss78" ||
         name == "practical salinity unit" || name == "practical salinity units" ||
         name == "practical_salinity_unit" || name == "practical_salinity_units";
}

std::optional<UnitConversion> conversion(const Quantity& from, const Quantity& to) {
  if (from.powers != to.powers || from.origin == Quantity::kNoOrigin ||
      to.origin == Quantity::kNoOrigin)
    return std::nullopt;
  Quantity ratio = from;
  ratio.origin = 0;
  Quantity by = to;
  by.origin = 0;
  if (!ratio.multiply(by, -1)) return std::nullopt;
  const double ten = std::pow(10, std::abs(ratio.ten));
  const double numerator = ratio.numerator * (ratio.ten > 0 ? ten : 1);
  const double denominator = ratio.denominator * (ratio.ten < 0 ? ten : 1);
  return UnitConversion{numerator / denominator,
                        (from.origin * numerator - to.origin * denominator) / (100 * denominator)};
}

}  // namespace

std::optional<UnitConversion> unit_conversion(const std::string& from, const std::string& to) {
  if (from == to) return UnitConversion{};
  const bool salinity = is_practical_salinity(from) || is_practical_salinity(to);
  const auto read = [](const std::string& text) {
    return is_practical_salinity(text) ? parse_unit("1e-3") : parse_unit(in_plain_letters(text));
  };
  const auto a = read(from);
  const auto b = read(to);
  if (!a || !b) return std::nullopt;
  const auto found = conversion(*a, *b);
  // Later versions of CF hold 35 psu as 35 with units of 1, earlier ones with 1e-3.
  if (salinity && found && found->scale != 1) return std::nullopt;
  return found;
}

}  // namespace upwell::compute
