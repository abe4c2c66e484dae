#include "compute/expression.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "compute/units.hpp"

namespace upwell::compute {
namespace {

/// Nested brackets and signs; what people write has a few.
constexpr int kDeepest = 100;
constexpr size_t kLongest = 10000;

bool begins_name(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; }
bool continues_name(char c) {
  return begins_name(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.';
}
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

Error Condition::at(size_t place, const std::string& what) const {
  return Error{Code::kInvalidArgument,
               fmt::format("condition: {}\n  {}\n  {}^", what, text_,
                           std::string(std::min(place, text_.size()), ' ')),
               {},
               {}};
}

/// By recursive descent; every function leaves a step and gives its number.
class ConditionParser {
 public:
  using Op = Condition::Op;
  using Step = Condition::Step;

  explicit ConditionParser(Condition& condition) : c_(condition), text_(condition.text_) {}

  Result<> parse() {
    UPWELL_CHECK(disjunction());
    skip();
    if (place_ < text_.size()) return fail(here("this is not expected here"));
    return {};
  }

 private:
  using Place = Result<size_t>;

  Error here(const std::string& what) const { return c_.at(place_, what); }
  void skip() {
    while (place_ < text_.size() && is_space(text_[place_])) ++place_;
  }
  /// A sign of one or two characters, of which no longer one begins so.
  bool take(std::string_view sign) {
    skip();
    if (text_.compare(place_, sign.size(), sign) != 0) return false;
    if (sign.size() == 1 && place_ + 1 < text_.size()) {
      const char next = text_[place_ + 1];
      const char c = sign[0];
      if ((c == '<' || c == '>' || c == '!' || c == '=') && next == '=') return false;
      if ((c == '&' || c == '|') && next == c) return false;
    }
    place_ += sign.size();
    return true;
  }
  bool take_word(std::string_view word) {
    skip();
    if (text_.compare(place_, word.size(), word) != 0) return false;
    const size_t end = place_ + word.size();
    if (end < text_.size() && continues_name(text_[end])) return false;
    place_ = end;
    return true;
  }
  size_t put(Op op, size_t place, size_t first = 0, size_t second = 0) {
    Step step;
    step.op = op;
    step.place = place;
    step.first = first;
    step.second = second;
    c_.steps_.push_back(std::move(step));
    return c_.steps_.size() - 1;
  }

  Place disjunction() {
    UPWELL_TRY(size_t left, conjunction());
    for (;;) {
      skip();
      const size_t place = place_;
      if (!take_word("or") && !take("||")) return left;
      UPWELL_TRY(const size_t right, conjunction());
      left = put(Op::kOr, place, left, right);
    }
  }
  Place conjunction() {
    UPWELL_TRY(size_t left, negation());
    for (;;) {
      skip();
      const size_t place = place_;
      if (!take_word("and") && !take("&&")) return left;
      UPWELL_TRY(const size_t right, negation());
      left = put(Op::kAnd, place, left, right);
    }
  }
  Place negation() {
    skip();
    const size_t place = place_;
    if (take_word("not") || take("!")) {
      if (++depth_ > kDeepest) return fail(here("this is nested too deeply"));
      UPWELL_TRY(const size_t of, negation());
      --depth_;
      return put(Op::kNot, place, of);
    }
    return comparison();
  }

  std::optional<Op> comparing() {
    constexpr std::pair<const char*, Op> kSigns[] = {
        {"<=", Op::kLessEqual}, {">=", Op::kGreaterEqual}, {"==", Op::kEqual},
        {"!=", Op::kNotEqual},  {"<", Op::kLess},          {">", Op::kGreater}};
    for (const auto& [sign, op] : kSigns)
      if (take(sign)) return op;
    return std::nullopt;
  }
  Place comparison() {
    UPWELL_TRY(size_t left, bits());
    std::optional<size_t> all;
    for (;;) {
      skip();
      const size_t place = place_;
      size_t result = 0;
      if (const auto op = comparing()) {
        // Each comparison converts a number by itself.
        if (all && c_.steps_[left].op == Op::kNumber) {
          c_.steps_.push_back(Step(c_.steps_[left]));
          left = c_.steps_.size() - 1;
        }
        UPWELL_TRY(const size_t right, bits());
        result = put(*op, place, left, right);
        left = right;
      } else if (take("=")) {
        return fail(c_.at(place, "write == to compare"));
      } else if (take_word("in")) {
        UPWELL_TRY(result, membership(left, place));
      } else if (const size_t before = place_; take_word("not")) {
        if (!take_word("in")) {
          place_ = before;
          return fail(here("this is not expected here"));
        }
        UPWELL_TRY(const size_t inside, membership(left, place));
        result = put(Op::kNot, place, inside);
      } else {
        return all.value_or(left);
      }
      all = all ? put(Op::kAnd, place, *all, result) : result;
    }
  }
  /// "(1, 2)" after "in"
  Place membership(size_t left, size_t place) {
    if (!take("(")) return fail(here("after 'in' comes a list: (1, 2)"));
    std::optional<size_t> any;
    do {
      UPWELL_TRY(const size_t one, sum());
      const size_t equal = put(Op::kEqual, place, left, one);
      any = any ? put(Op::kOr, place, *any, equal) : equal;
    } while (take(","));
    if (!take(")")) return fail(here("')' is missing"));
    return *any;
  }
  Place bits() {
    UPWELL_TRY(size_t left, sum());
    for (;;) {
      skip();
      const size_t place = place_;
      const bool is_or = take("|");
      if (!is_or && !take("&")) return left;
      UPWELL_TRY(const size_t right, sum());
      left = put(is_or ? Op::kOr : Op::kBitAnd, place, left, right);
    }
  }
  Place sum() {
    UPWELL_TRY(size_t left, product());
    for (;;) {
      skip();
      const size_t place = place_;
      const bool plus = take("+");
      if (!plus && !take("-")) return left;
      UPWELL_TRY(const size_t right, product());
      left = put(plus ? Op::kAdd : Op::kSubtract, place, left, right);
    }
  }
  Place product() {
    UPWELL_TRY(size_t left, factor());
    for (;;) {
      skip();
      const size_t place = place_;
      const bool times = take("*");
      if (!times && !take("/")) return left;
      UPWELL_TRY(const size_t right, factor());
      left = put(times ? Op::kMultiply : Op::kDivide, place, left, right);
    }
  }
  Place factor() {
    skip();
    const size_t place = place_;
    if (take("-") || take("+")) {
      const bool minus = text_[place] == '-';
      if (++depth_ > kDeepest) return fail(here("this is nested too deeply"));
      UPWELL_TRY(const size_t of, factor());
      --depth_;
      Step& step = c_.steps_[of];
      if (minus && step.op == Op::kNumber && of + 1 == c_.steps_.size()) {
        step.number = -step.number;
        return of;
      }
      return minus ? put(Op::kNegate, place, of) : of;
    }
    if (take("(")) {
      if (++depth_ > kDeepest) return fail(here("this is nested too deeply"));
      UPWELL_TRY(const size_t inner, disjunction());
      --depth_;
      if (!take(")")) return fail(here("')' is missing"));
      return inner;
    }
    return operand();
  }

  Place operand() {
    if (place_ >= text_.size()) return fail(here("something is missing at the end"));
    const char c = text_[place_];
    if (c == '\'' || c == '"') {
      const size_t place = place_;
      UPWELL_TRY(const std::string name, quoted());
      return variable(name, place);
    }
    if (std::isdigit(static_cast<unsigned char>(c)) != 0 || c == '.') return number();
    if (!begins_name(c)) return fail(here("this is not expected here"));
    const size_t place = place_;
    const std::string name = word();
    skip();
    if (place_ < text_.size() && text_[place_] == '(') return function(name, place);
    for (const char* reserved : {"and", "or", "not", "in"})
      if (name == reserved) return fail(c_.at(place, "'" + name + "' is not expected here"));
    return variable(name, place);
  }
  std::string word() {
    const size_t begin = place_;
    while (place_ < text_.size() && continues_name(text_[place_])) ++place_;
    return text_.substr(begin, place_ - begin);
  }
  Result<std::string> quoted() {
    const size_t end = text_.find(text_[place_], place_ + 1);
    if (end == text_.npos) return fail(here("this quote has no end"));
    std::string inner = text_.substr(place_ + 1, end - place_ - 1);
    place_ = end + 1;
    return inner;
  }
  Place number() {
    const size_t place = place_;
    double value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + place_, text_.data() + text_.size(), value);
    if (error != std::errc()) return fail(here("this is no number"));
    place_ = static_cast<size_t>(end - text_.data());
    const size_t step = put(Op::kNumber, place);
    c_.steps_[step].number = value;
    skip();
    if (place_ >= text_.size()) return step;
    std::string unit;
    if (text_[place_] == '\'' || text_[place_] == '"') {
      UPWELL_TRY(unit, quoted());
    } else if (text_[place_] == '%') {
      ++place_;
      unit = "%";
    } else if (begins_name(text_[place_])) {
      const size_t before = place_;
      unit = word();
      for (const char* reserved : {"and", "or", "not", "in"}) {
        if (unit != reserved) continue;
        place_ = before;
        unit.clear();
      }
    }
    c_.steps_[step].unit = unit;
    return step;
  }
  Place function(const std::string& name, size_t place) {
    constexpr std::pair<const char*, Op> kFunctions[] = {
        {"isnan", Op::kIsNan}, {"isfinite", Op::kIsFinite}, {"abs", Op::kAbs}};
    for (const auto& [known, op] : kFunctions) {
      if (name != known) continue;
      take("(");
      if (++depth_ > kDeepest) return fail(here("this is nested too deeply"));
      UPWELL_TRY(const size_t of, disjunction());
      --depth_;
      if (!take(")")) return fail(here("')' is missing"));
      return put(op, place, of);
    }
    return fail(c_.at(place, "'" + name + "' is no function; there are isnan, isfinite, abs"));
  }
  Place variable(const std::string& name, size_t place) {
    const auto known = std::find(c_.names_.begin(), c_.names_.end(), name);
    const auto index = static_cast<size_t>(known - c_.names_.begin());
    if (known == c_.names_.end()) c_.names_.push_back(name);
    const size_t step = put(Op::kVariable, place);
    c_.steps_[step].name = index;
    return step;
  }

  Condition& c_;
  const std::string& text_;
  size_t place_ = 0;
  int depth_ = 0;
};

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
    bool whole = true;                 ///< kWritten: without a fraction
    std::optional<std::string> units;  ///< where it has some that are known to hold
  };

  Result<> bind(Step& step, Facts& facts) {
    switch (step.op) {
      case Op::kNumber:
        facts.kind = Kind::kWritten;
        facts.whole = step.number == std::floor(step.number);
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
    const auto is_integer = [](const Facts& f) {
      return f.kind == Kind::kSmallInteger || f.kind == Kind::kInteger ||
             (f.kind == Kind::kWritten && f.whole);
    };
    if (!is_integer(a) || !is_integer(b))
      return fail(c_.at(step.place,
                        "& is of two integers (bits of a mask) or of two conditions in brackets"));
    facts.kind = Kind::kInteger;
    return {};
  }

  Result<> bind_numbers(Step& step, Facts& facts) {
    UPWELL_CHECK(want_number(step, step.first));
    UPWELL_CHECK(want_number(step, step.second));
    const bool product = step.op == Op::kMultiply || step.op == Op::kDivide;
    if (!product) UPWELL_CHECK(match_units(step, facts));
    const Kind kind = joined(facts_of_[step.first], facts_of_[step.second]);
    const bool compares = step.op >= Op::kLess && step.op <= Op::kNotEqual;
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
    facts.whole = false;
    step.single = facts.kind == Kind::kSingle;
    // Of differences ("sst - 273.15") nobody knows whether 5 degC is 5 K or 278.15 K.
    facts.units.reset();
    return {};
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
                                              "no units that are known"));
      const auto conversion = unit_conversion(written->unit, *other->units);
      if (!conversion) return fail(unlike(*written, written->unit, *other->units));
      written->number = written->number * conversion->scale + conversion->offset;
      written->unit.clear();
      facts_of_[written == &left ? step.first : step.second].units = other->units;
      facts.units = other->units;
      return {};
    }
    if (!a.units || !b.units || *a.units == *b.units) return {};
    const auto conversion = unit_conversion(*b.units, *a.units);
    if (!conversion) return fail(unlike(step, *b.units, *a.units));
    step.scale = conversion->scale;
    step.offset = conversion->offset;
    return {};
  }
  Error unlike(const Step& step, const std::string& from, const std::string& to) const {
    return c_.at(
        step.place,
        fmt::format("'{}' cannot be converted to '{}': different things, or not known here", from,
                    to));
  }

  Condition& c_;
  const std::vector<VariableFacts>& facts_;
  std::vector<Facts> facts_of_;
};

Result<Condition> Condition::parse(const std::string& text) {
  Condition condition;
  condition.text_ = text;
  if (text.size() > kLongest)
    return fail(Code::kInvalidArgument, "condition: longer than 10000 characters");
  UPWELL_CHECK(ConditionParser(condition).parse());
  return condition;
}

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
        fill(r, n,
             [&](size_t i) { return static_cast<int64_t>(a[i]) & static_cast<int64_t>(b[i]); });
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
