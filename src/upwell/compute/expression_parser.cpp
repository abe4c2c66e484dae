// The grammar of conditions.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "compute/expression.hpp"
#include "compute/names.hpp"

namespace upwell::compute {
namespace {

/// Nested brackets and signs; what people write has a few.
constexpr int kDeepest = 100;
constexpr size_t kLongest = 10000;

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

  bool is_number(size_t step) const { return c_.steps_[step].op == Op::kNumber; }
  /// A written number that is used again: each place converts and rounds it by itself.
  size_t again(size_t step) {
    if (!is_number(step)) return step;
    c_.steps_.push_back(Step(c_.steps_[step]));
    return c_.steps_.size() - 1;
  }
  /// Arithmetic; of two written numbers at once, in doubles and as one number.
  Place calculate(Op op, size_t place, size_t left, size_t right) {
    if (!is_number(left) || !is_number(right)) return put(op, place, left, right);
    Step& a = c_.steps_[left];
    const Step& b = c_.steps_[right];
    if (!a.unit.empty() || !b.unit.empty())
      return fail(c_.at(place, "a number with a unit is not calculated with: write the result"));
    const double value = op == Op::kAdd        ? a.number + b.number
                         : op == Op::kSubtract ? a.number - b.number
                         : op == Op::kMultiply ? a.number * b.number
                                               : a.number / b.number;
    if (!std::isfinite(value)) return fail(c_.at(place, "the result is no number"));
    a.whole = a.whole && b.whole && op != Op::kDivide;
    a.number = value;
    c_.steps_.resize(left + 1);  // what comes behind was `right`
    return left;
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
        if (all) left = again(left);
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
      const size_t equal = put(Op::kEqual, place, again(left), one);
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
      UPWELL_TRY(left, calculate(plus ? Op::kAdd : Op::kSubtract, place, left, right));
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
      UPWELL_TRY(left, calculate(times ? Op::kMultiply : Op::kDivide, place, left, right));
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
      if (!minus) return of;
      if (!is_number(of)) return put(Op::kNegate, place, of);
      c_.steps_[of].number = -c_.steps_[of].number;
      return of;
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
    if (text_[place] == '0' && place + 1 < text_.size() &&
        std::isdigit(static_cast<unsigned char>(text_[place + 1])) != 0)
      return fail(
          here("a number does not begin with 0; dates are taken by --sel, as in "
               "--sel time=2003-06-01:"));
    double value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + place_, text_.data() + text_.size(), value);
    if (error != std::errc()) return fail(here("this is no number"));
    place_ = static_cast<size_t>(end - text_.data());
    const size_t step = put(Op::kNumber, place);
    c_.steps_[step].number = value;
    c_.steps_[step].whole = text_.substr(place, place_ - place).find_first_of(".eE") == text_.npos;
    skip();
    if (place_ >= text_.size()) return step;
    std::string unit;
    if (text_[place_] == '\'' || text_[place_] == '"') {
      UPWELL_TRY(unit, quoted());
    } else if (text_[place_] == '%') {
      ++place_;
      unit = "%";
    } else if (static_cast<unsigned char>(text_[place_]) >= 0x80) {
      return fail(here("units with other characters than letters stand in quotes: 5 '°C'"));
    } else if (begins_name(text_[place_])) {
      const size_t before = place_;
      unit = word();
      for (const char* reserved : {"and", "or", "not", "in"}) {
        if (unit != reserved) continue;
        place_ = before;
        unit.clear();
      }
      if (const std::string whole = whole_unit(before); !unit.empty() && whole != unit)
        return fail(c_.at(before, "units of several parts stand in quotes: '" + whole + "'"));
    }
    c_.steps_[step].unit = unit;
    return step;
  }
  /// "-1", "^2" or "**2" of "s-1", "m^2" and "m**2"
  bool is_power(size_t at) const {
    const bool stars = text_.compare(at, 2, "**") == 0 || text_.compare(at - 1, 2, "**") == 0;
    if (text_.compare(at, 2, "**") == 0) ++at;
    return (text_[at] == '-' || text_[at] == '^' || stars) && at + 1 < text_.size() &&
           (std::isdigit(static_cast<unsigned char>(text_[at + 1])) != 0 || text_[at + 1] == '-');
  }
  /// What is likely to be meant as the unit of a number: "cm/day" and "m s-1" from "cm" and "m" on.
  std::string whole_unit(size_t begin) const {
    size_t end = begin;
    for (size_t at = begin; at < text_.size();) {
      const size_t word = at;
      while (at < text_.size() && (continues_name(text_[at]) || (at > word && is_power(at)))) ++at;
      const std::string part = text_.substr(word, at - word);
      if (part.empty() || part == "and" || part == "or" || part == "not" || part == "in") break;
      end = at;
      while (at < text_.size() && (is_space(text_[at]) || text_[at] == '/')) ++at;
    }
    return text_.substr(begin, end - begin);
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
      if (op != Op::kAbs || !is_number(of)) return put(op, place, of);
      c_.steps_[of].number = std::abs(c_.steps_[of].number);
      return of;
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

Result<Condition> Condition::parse(const std::string& text) {
  Condition condition;
  condition.text_ = text;
  if (text.size() > kLongest)
    return fail(Code::kInvalidArgument, "condition: longer than 10000 characters");
  UPWELL_CHECK(ConditionParser(condition).parse());
  return condition;
}

}  // namespace upwell::compute
