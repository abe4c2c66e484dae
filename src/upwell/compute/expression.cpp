#include "compute/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "compute/names.hpp"
#include "compute/units.hpp"

namespace upwell::compute {

/// Kinds, precision and units of every step, from those that it works on.
class ConditionBinder {
 public:
  using Op = Condition::Op;
  using Step = Condition::Step;

  ConditionBinder(Condition& condition, const std::vector<VariableFacts>& facts)
      : c_(condition), facts_(facts) {}

  Result<> bind() {
    for (Step& step : c_.steps_) {
      Facts facts;
      UPWELL_CHECK(bind(step, facts));
      facts_of_.push_back(std::move(facts));
    }
    if (facts_of_.back().kind != Kind::kTruth)
      return fail(c_.at(0, "this is a number, and no condition; compare it with something"));
    return {};
  }

 private:
  /// What NumPy would hold a result in.
  enum class Kind { kTruth, kWritten, kSmallInteger, kInteger, kSingle, kDouble };
  struct Facts {
    Kind kind = Kind::kTruth;
    bool whole = true;                 ///< holds integers only
    std::optional<std::string> units;  ///< where it has some that are known to hold
    bool shifted = false;  ///< a sum or the like: nobody knows whether it counts from the
                           ///< zero of its units ("sst - 273.15", "sst - mean")
  };

  Result<> bind(Step& step, Facts& facts) {
    switch (step.op) {
      case Op::kNumber:
        facts.kind = Kind::kWritten;
        facts.whole = step.whole;
        if (!step.unit.empty()) facts.units = step.unit;
        return {};
      case Op::kVariable:
        facts = of_variable(facts_[step.name]);
        return {};
      case Op::kNot:
        return want_truth(step, step.first);
      case Op::kIsNan:
      case Op::kIsFinite:
        return want_number(step, step.first);
      case Op::kNegate:
      case Op::kAbs:
        UPWELL_CHECK(want_number(step, step.first));
        facts = facts_of_[step.first];
        facts.shifted = true;
        return {};
      case Op::kOr:
      case Op::kAnd:
        UPWELL_CHECK(want_truth(step, step.first));
        return want_truth(step, step.second);
      case Op::kBitAnd:
        return bind_bits(step, facts);
      default:
        return bind_numbers(step, facts);
    }
  }

  static Facts of_variable(const VariableFacts& of) {
    Facts facts;
    if (of.type.kind == upwell::Kind::kFloat)
      facts.kind = of.type.size <= 4 ? Kind::kSingle : Kind::kDouble;
    else
      facts.kind = of.type.size <= 2 ? Kind::kSmallInteger : Kind::kInteger;
    facts.whole = of.whole;
    if (!of.units.empty()) facts.units = of.units;
    return facts;
  }

  Result<> want_truth(const Step& step, size_t of) const {
    if (facts_of_[of].kind == Kind::kTruth) return {};
    return fail(
        c_.at(c_.steps_[of].place,
              fmt::format("a number where '{}' wants a condition, as in a < 1", sign_of(step))));
  }
  Result<> want_number(const Step& step, size_t of) const {
    if (facts_of_[of].kind != Kind::kTruth) return {};
    return fail(
        c_.at(step.place, fmt::format("'{}' is of numbers, not of conditions", sign_of(step))));
  }
  std::string sign_of(const Step& step) const {
    size_t end = step.place;
    const std::string& text = c_.text_;
    if (end < text.size() && begins_name(text[end]))
      while (end < text.size() && continues_name(text[end])) ++end;
    else
      while (end < text.size() && end < step.place + 2 &&
             std::string("<>=!&|+-*/").find(text[end]) != text.npos)
        ++end;
    return text.substr(step.place, std::max<size_t>(end - step.place, 1));
  }

  Result<> bind_bits(Step& step, Facts& facts) {
    const Facts &a = facts_of_[step.first], &b = facts_of_[step.second];
    if (a.kind == Kind::kTruth && b.kind == Kind::kTruth) {
      step.op = Op::kAnd;
      return {};
    }
    UPWELL_CHECK(want_plain(step));
    if (a.kind == Kind::kTruth || b.kind == Kind::kTruth || !a.whole || !b.whole)
      return fail(c_.at(step.place,
                        "& is of two integers (bits of a mask) or of two conditions in brackets"));
    facts.kind = Kind::kInteger;
    return {};
  }

  /// Without units, which products and bits would change.
  Result<> want_plain(const Step& step) const {
    for (const size_t of : {step.first, step.second})
      if (!c_.steps_[of].unit.empty())
        return fail(c_.at(c_.steps_[of].place,
                          fmt::format("a number with a unit is compared, added or subtracted; "
                                      "under '{}' write it without",
                                      sign_of(step))));
    return {};
  }

  Result<> bind_numbers(Step& step, Facts& facts) {
    UPWELL_CHECK(want_number(step, step.first));
    UPWELL_CHECK(want_number(step, step.second));
    const bool product = step.op == Op::kMultiply || step.op == Op::kDivide;
    UPWELL_CHECK(product ? want_plain(step) : match_units(step, facts));
    const Kind kind = joined(facts_of_[step.first], facts_of_[step.second]);
    const bool compares = step.op >= Op::kLess && step.op <= Op::kNotEqual;
    if (compares) {
      doubt(step.first, step.second);
      doubt(step.second, step.first);
    }
    // A number that is written down becomes float32 beside one.
    if (kind == Kind::kSingle) {
      for (const size_t of : {step.first, step.second})
        if (facts_of_[of].kind == Kind::kWritten)
          c_.steps_[of].number = static_cast<float>(c_.steps_[of].number);
    }
    if (compares) {
      facts = Facts{};
      return {};
    }
    facts.kind = step.op == Op::kDivide && kind != Kind::kSingle ? Kind::kDouble : kind;
    facts.whole = false;  // they may be larger than what holds bits
    facts.shifted = true;
    step.single = facts.kind == Kind::kSingle;
    return {};
  }

  void doubt(size_t written, size_t other) {
    const auto& units = facts_of_[other].units;
    const double number = std::abs(c_.steps_[written].number);
    if (facts_of_[written].kind != Kind::kWritten || facts_of_[written].units ||
        (units != "%" && units != "percent") || number == 0 || number >= 1)
      return;
    c_.doubt_ = fmt::format(
        "{0:g} is compared with percent, so it is {0:g} %; if the fraction is meant, write {1:g} %",
        number, number * 100);
  }

  static Kind joined(const Facts& a, const Facts& b) {
    if (a.kind == Kind::kDouble || b.kind == Kind::kDouble) return Kind::kDouble;
    const auto of = [](const Facts& x, const Facts& y) {
      if (x.kind != Kind::kSingle) return false;
      return y.kind == Kind::kSingle || y.kind == Kind::kWritten || y.kind == Kind::kSmallInteger;
    };
    if (of(a, b) || of(b, a)) return Kind::kSingle;
    if (a.kind == Kind::kSingle || b.kind == Kind::kSingle) return Kind::kDouble;
    for (const auto& [x, y] : {std::pair{&a, &b}, std::pair{&b, &a}})
      if (x->kind == Kind::kWritten) {
        if (!x->whole) return Kind::kDouble;
        return y->kind;
      }
    return std::max(a.kind, b.kind);
  }

  /// Numbers that are written with a unit are converted to that of the other side; of two
  /// variables the second.
  Result<> match_units(Step& step, Facts& facts) {
    const Facts &a = facts_of_[step.first], &b = facts_of_[step.second];
    facts.units = a.units ? a.units : b.units;
    Step& left = c_.steps_[step.first];
    Step& right = c_.steps_[step.second];
    for (auto [written, other] : {std::pair{&left, &b}, std::pair{&right, &a}}) {
      if (written->op != Op::kNumber || written->unit.empty()) continue;
      if (!other->units)
        return fail(c_.at(written->place, "'" + written->unit +
                                              "' cannot be converted: what it is compared with has "
                                              "no units that are known; write the number as it is "
                                              "stored, without a unit"));
      UPWELL_TRY(const UnitConversion conversion,
                 conversion_of(step, *written, written->unit, *other));
      written->number = written->number * conversion.scale + conversion.offset;
      written->unit.clear();
      facts_of_[written == &left ? step.first : step.second].units = other->units;
      facts.units = other->units;
      return {};
    }
    if (!a.units || !b.units || *a.units == *b.units) return {};
    UPWELL_TRY(const UnitConversion conversion, conversion_of(step, step, *b.units, a, b.shifted));
    step.scale = conversion.scale;
    step.offset = conversion.offset;
    return {};
  }
  /// From units to those of `to`, for an operand of `step`. `at`: what an error points to.
  Result<UnitConversion> conversion_of(const Step& step, const Step& at, const std::string& from,
                                       const Facts& to, bool shifted = false) const {
    const auto conversion = unit_conversion(from, *to.units);
    if (!conversion) return fail(unlike(at, from, *to.units));
    const bool sum = step.op == Op::kAdd || step.op == Op::kSubtract;
    if (conversion->offset == 0 || !(sum || shifted || to.shifted)) return *conversion;
    return fail(
        c_.at(at.place, fmt::format("'{}' and '{}' count from different zeros, and whether "
                                    "this is a difference is not known: {}",
                                    from, *to.units,
                                    sum ? "write the number without a unit, or convert by hand"
                                        : "compare the variable itself")));
  }
  Error unlike(const Step& step, const std::string& from, const std::string& to) const {
    return c_.at(
        step.place,
        fmt::format("'{}' cannot be converted to '{}': different things, or not known here{}", from,
                    to,
                    from == "C"   ? "; C is coulomb: write degC"
                    : from == "F" ? "; F is farad: write degF"
                    : to == "C" || to == "F"
                        ? "; where it means a temperature, write the number without a unit"
                        : ""));
  }

  Condition& c_;
  const std::vector<VariableFacts>& facts_;
  std::vector<Facts> facts_of_;
};

Result<> Condition::bind(const std::vector<VariableFacts>& facts) {
  return ConditionBinder(*this, facts).bind();
}

namespace {

template <typename F>
void fill(double* out, size_t n, F&& of) {
  for (size_t i = 0; i < n; ++i) out[i] = static_cast<double>(of(i));
}

}  // namespace

void Condition::evaluate(const std::vector<const double*>& columns, size_t n,
                         std::vector<double>& scratch, uint8_t* out) const {
  // A column more for a second operand in other units.
  if (scratch.size() < (steps_.size() + 1) * kBlock) scratch.resize((steps_.size() + 1) * kBlock);
  std::vector<const double*> results(steps_.size());
  double* converted = scratch.data() + steps_.size() * kBlock;
  for (size_t s = 0; s < steps_.size(); ++s) {
    const Step& step = steps_[s];
    double* r = scratch.data() + s * kBlock;
    results[s] = r;
    const double* a = s > 0 ? results[step.first] : r;
    const double* b = s > 0 ? results[step.second] : r;
    if (step.scale != 1 || step.offset != 0) {
      fill(converted, n, [&](size_t i) { return b[i] * step.scale + step.offset; });
      b = converted;
    }
    switch (step.op) {
      case Op::kNumber:
        std::fill_n(r, n, step.number);
        break;
      case Op::kVariable:
        results[s] = columns[step.name];
        break;
      case Op::kNot:
        fill(r, n, [&](size_t i) { return a[i] == 0; });
        break;
      case Op::kNegate:
        fill(r, n, [&](size_t i) { return -a[i]; });
        break;
      case Op::kIsNan:
        fill(r, n, [&](size_t i) { return std::isnan(a[i]); });
        break;
      case Op::kIsFinite:
        fill(r, n, [&](size_t i) { return std::isfinite(a[i]); });
        break;
      case Op::kAbs:
        fill(r, n, [&](size_t i) { return std::abs(a[i]); });
        break;
      case Op::kOr:
        fill(r, n, [&](size_t i) { return (a[i] != 0) | (b[i] != 0); });
        break;
      case Op::kAnd:
        fill(r, n, [&](size_t i) { return (a[i] != 0) & (b[i] != 0); });
        break;
      case Op::kBitAnd:
        fill(r, n, [&](size_t i) {
          const bool missing = std::isnan(a[i]) || std::isnan(b[i]);
          return missing
                     ? NAN
                     : static_cast<double>(static_cast<int64_t>(a[i]) & static_cast<int64_t>(b[i]));
        });
        break;
      case Op::kLess:
        fill(r, n, [&](size_t i) { return a[i] < b[i]; });
        break;
      case Op::kLessEqual:
        fill(r, n, [&](size_t i) { return a[i] <= b[i]; });
        break;
      case Op::kGreater:
        fill(r, n, [&](size_t i) { return a[i] > b[i]; });
        break;
      case Op::kGreaterEqual:
        fill(r, n, [&](size_t i) { return a[i] >= b[i]; });
        break;
      case Op::kEqual:
        fill(r, n, [&](size_t i) { return a[i] == b[i]; });
        break;
      case Op::kNotEqual:
        fill(r, n, [&](size_t i) { return a[i] != b[i]; });
        break;
      case Op::kAdd:
        fill(r, n, [&](size_t i) { return a[i] + b[i]; });
        break;
      case Op::kSubtract:
        fill(r, n, [&](size_t i) { return a[i] - b[i]; });
        break;
      case Op::kMultiply:
        fill(r, n, [&](size_t i) { return a[i] * b[i]; });
        break;
      case Op::kDivide:
        fill(r, n, [&](size_t i) { return a[i] / b[i]; });
        break;
    }
    if (step.single) fill(r, n, [&](size_t i) { return static_cast<float>(r[i]); });
  }
  const double* result = results.back();
  for (size_t i = 0; i < n; ++i) out[i] = result[i] != 0;
}

}  // namespace upwell::compute
