#include "refs/kerchunk_templates.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

namespace upwell::refs {
namespace {

constexpr int kMaxCallDepth = 8;
constexpr int kMaxParentheses = 32;
constexpr size_t kMaxRendered = 64 << 10;

bool is_name_start(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_name_part(char c) { return is_name_start(c) || (c >= '0' && c <= '9'); }

}  // namespace

/// Recursive descent over one expression:
///   sum = product {("+"|"-") product}; product = factor {("*"|"//"|"%") factor};
///   factor = ["-"] (number | 'text' | name | name "(" [name "=" sum {","...}] ")" | "(" sum ")")
class TemplateExpression {
 public:
  using Variables = std::map<std::string, TemplateValue>;
  TemplateExpression(std::string_view text, const Templates& templates, const Variables& variables,
                     int depth)
      : text_(text), templates_(templates), variables_(variables), depth_(depth) {}

  Result<TemplateValue> evaluate() {
    UPWELL_TRY(TemplateValue value, sum());
    skip_space();
    if (at_ != text_.size()) return unsupported();
    return value;
  }

 private:
  tl::unexpected<Error> unsupported() const {
    return fail(Code::kUnsupported, fmt::format("template expression {{{{{}}}}} is not understood "
                                                "at position {}",
                                                text_.substr(0, 200), at_));
  }
  tl::unexpected<Error> overflow() const {
    return fail(Code::kInvalidData,
                fmt::format("template expression {{{{{}}}}} overflows", text_.substr(0, 200)));
  }
  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t')) ++at_;
  }
  bool take(std::string_view token) {
    skip_space();
    if (text_.substr(at_, token.size()) != token) return false;
    at_ += token.size();
    return true;
  }

  Result<TemplateValue> sum() {
    UPWELL_TRY(TemplateValue value, product());
    while (true) {
      const bool plus = take("+");
      if (!plus && !take("-")) return value;
      UPWELL_TRY(const TemplateValue right, product());
      if (plus && std::holds_alternative<std::string>(value) &&
          std::holds_alternative<std::string>(right)) {
        std::get<std::string>(value) += std::get<std::string>(right);
        continue;
      }
      UPWELL_TRY(value, combine(plus ? '+' : '-', value, right));
    }
  }

  Result<TemplateValue> product() {
    UPWELL_TRY(TemplateValue value, factor());
    while (true) {
      const char op = take("//") ? '/' : take("*") ? '*' : take("%") ? '%' : '\0';
      if (op == '\0') return value;
      UPWELL_TRY(const TemplateValue right, factor());
      UPWELL_TRY(value, combine(op, value, right));
    }
  }

  Result<TemplateValue> combine(char op, const TemplateValue& left, const TemplateValue& right) {
    if (!std::holds_alternative<int64_t>(left) || !std::holds_alternative<int64_t>(right)) {
      return unsupported();
    }
    const int64_t a = std::get<int64_t>(left);
    const int64_t b = std::get<int64_t>(right);
    int64_t out = 0;
    if (op == '/' || op == '%') {
      if (b == 0 || (b == -1 && a == std::numeric_limits<int64_t>::min())) return overflow();
      // Python rounds down and gives the remainder the divisor's sign.
      const int64_t quotient = a / b - ((a % b != 0 && (a < 0) != (b < 0)) ? 1 : 0);
      return op == '/' ? quotient : a - quotient * b;
    }
    const bool bad = op == '+'   ? __builtin_add_overflow(a, b, &out)
                     : op == '-' ? __builtin_sub_overflow(a, b, &out)
                                 : __builtin_mul_overflow(a, b, &out);
    if (bad) return overflow();
    return out;
  }

  Result<TemplateValue> factor() {
    if (++parentheses_ > kMaxParentheses) return unsupported();
    auto value = factor_inside();
    --parentheses_;
    return value;
  }

  Result<TemplateValue> factor_inside() {
    if (take("-")) {
      UPWELL_TRY(const TemplateValue value, factor());
      return combine('-', int64_t{0}, value);
    }
    if (take("(")) {
      UPWELL_TRY(TemplateValue value, sum());
      if (!take(")")) return unsupported();
      return value;
    }
    skip_space();
    if (at_ == text_.size()) return unsupported();
    const char c = text_[at_];
    if (c == '\'' || c == '"') return quoted(c);
    if (c >= '0' && c <= '9') return number();
    if (is_name_start(c)) return named();
    return unsupported();
  }

  Result<TemplateValue> quoted(char quote) {
    const size_t end = text_.find(quote, at_ + 1);
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    if (end == std::string_view::npos || inside.find('\\') != std::string_view::npos) {
      return unsupported();
    }
    at_ = end + 1;
    return std::string(inside);
  }

  Result<TemplateValue> number() {
    int64_t value = 0;
    const auto [end, error] =
        std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc()) return overflow();
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }

  std::string name() {
    skip_space();
    const size_t begin = at_;
    while (at_ < text_.size() && is_name_part(text_[at_])) ++at_;
    return std::string(text_.substr(begin, at_ - begin));
  }

  Result<TemplateValue> named() {
    const std::string id = name();
    const bool call = take("(");
    if (!call) {
      if (const auto it = variables_.find(id); it != variables_.end()) return it->second;
    }
    const auto it = templates_.templates_.find(id);
    if (it == templates_.templates_.end()) {
      return fail(Code::kInvalidData, fmt::format("template expression {{{{{}}}}} uses the unknown "
                                                  "name '{}'",
                                                  text_.substr(0, 200), id));
    }
    if (!call) return it->second;
    Variables arguments;
    while (!take(")")) {
      if (!arguments.empty() && !take(",")) return unsupported();
      const std::string key = name();
      if (key.empty() || !take("=")) return unsupported();
      UPWELL_TRY(arguments[key], sum());
    }
    UPWELL_TRY(std::string text, templates_.render_at(it->second, arguments, depth_ + 1));
    return text;
  }

  std::string_view text_;
  const Templates& templates_;
  const Variables& variables_;
  int depth_;
  int parentheses_ = 0;
  size_t at_ = 0;
};

void Templates::define(std::string name, std::string text) {
  templates_[std::move(name)] = std::move(text);
}

Result<std::string> Templates::render(std::string_view text,
                                      const std::map<std::string, TemplateValue>& variables) const {
  return render_at(text, variables, 0);
}

Result<std::string> Templates::render_at(std::string_view text,
                                         const std::map<std::string, TemplateValue>& variables,
                                         int depth) const {
  if (depth > kMaxCallDepth) {
    return fail(Code::kInvalidData, "templates call each other more than 8 deep");
  }
  std::string out;
  while (true) {
    const size_t open = text.find("{{");
    out.append(text.substr(0, open));
    if (out.size() > kMaxRendered) {
      return fail(Code::kInvalidData, "a rendered template is longer than 64 KiB");
    }
    if (open == std::string_view::npos) return out;
    const size_t close = text.find("}}", open + 2);
    if (close == std::string_view::npos) {
      return fail(Code::kInvalidData,
                  "a template without closing braces: " + std::string(text.substr(open, 200)));
    }
    TemplateExpression expression(text.substr(open + 2, close - open - 2), *this, variables, depth);
    UPWELL_TRY(const TemplateValue value, expression.evaluate());
    if (const auto* number = std::get_if<int64_t>(&value)) {
      out += std::to_string(*number);
    } else {
      out += std::get<std::string>(value);
    }
    text.remove_prefix(close + 2);
  }
}

}  // namespace upwell::refs
