#include "produce/tasks/python_literal.hpp"

#include <cctype>
#include <limits>

namespace upwell::produce {
namespace {

constexpr int kMaxDepth = 30;

bool name_start(char c) {
  return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_' || (c & 0x80) != 0;
}
bool is_digit(char c) { return c >= '0' && c <= '9'; }

int digit_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return 99;
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&out](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0 | code >> 6);
    put(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    put(0xE0 | code >> 12);
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  } else {
    put(0xF0 | code >> 18);
    put(0x80 | (code >> 12 & 0x3F));
    put(0x80 | (code >> 6 & 0x3F));
    put(0x80 | (code & 0x3F));
  }
}

/// A recursive descent over one line; the first fault ends it.
class LiteralParser {
 public:
  explicit LiteralParser(std::string_view line) : line_(line) {}

  LiteralResult parse() {
    LiteralResult result;
    skip_blanks();
    if (at_end()) return result;
    PythonValue value = expression_list();
    if (!error_ && !at_end()) fault(at_, "more follows where the list should have ended");
    if (error_) {
      result.error = std::move(error_);
    } else {
      result.value = std::move(value);
    }
    return result;
  }

 private:
  bool at_end() const { return at_ >= line_.size() || line_[at_] == '#'; }
  char peek(size_t ahead = 0) const {
    return at_ + ahead < line_.size() ? line_[at_ + ahead] : '\0';
  }
  void skip_blanks() {
    while (at_ < line_.size() && (line_[at_] == ' ' || line_[at_] == '\t' || line_[at_] == '\f'))
      ++at_;
  }
  size_t column(size_t offset) const {
    size_t n = 1;
    for (size_t k = 0; k < offset && k < line_.size(); ++k)
      if ((line_[k] & 0xC0) != 0x80) ++n;
    return n;
  }
  PythonValue fault(size_t offset, std::string message) {
    if (!error_) error_ = LiteralError{column(offset), std::move(message)};
    return {};
  }

  /// What may stand at the top: one value, or several with commas between, which are a tuple.
  PythonValue expression_list() {
    PythonValue first = value(0);
    if (error_ || peek() != ',') return first;
    PythonValue tuple;
    tuple.kind = PythonValue::Kind::kSequence;
    tuple.column = first.column;
    tuple.items.push_back(std::move(first));
    while (!error_ && peek() == ',') {
      ++at_;
      skip_blanks();
      if (at_end()) break;
      tuple.items.push_back(value(0));
    }
    return tuple;
  }

  PythonValue value(int depth) {
    if (depth > kMaxDepth) return fault(at_, "nested too deeply");
    const size_t begin = at_;
    const char c = peek();
    PythonValue result;
    if (at_end()) return fault(at_, "the line ends where a value should stand");
    if (c == '[' || c == '(') {
      result = sequence(depth);
    } else if (c == '{') {
      return fault(at_, "a dictionary or set, which no job has");
    } else if (is_digit(c) || ((c == '-' || c == '+' || c == '.') && !at_end())) {
      result = number();
    } else if (c == '\'' || c == '"' || name_start(c)) {
      result = name_or_text();
    } else {
      return fault(at_, std::string("'") + c + "' begins no value");
    }
    result.column = column(begin);
    skip_blanks();
    return result;
  }

  PythonValue sequence(int depth) {
    const size_t begin = at_;
    const char close = line_[at_] == '[' ? ']' : ')';
    PythonValue list;
    list.kind = PythonValue::Kind::kSequence;
    bool comma = false;
    ++at_;
    skip_blanks();
    while (!error_ && peek() != close) {
      if (at_end())
        return fault(begin, std::string("'") + line_[begin] + "' is not closed on its line");
      list.items.push_back(value(depth + 1));
      comma = false;
      if (error_ || peek() == close) continue;
      if (at_end()) continue;
      if (peek() != ',') return fault(at_, "a comma is missing");
      comma = true;
      ++at_;
      skip_blanks();
    }
    if (error_) return {};
    ++at_;
    // (x) is x, (x,) a tuple.
    if (close == ')' && list.items.size() == 1 && !comma) return std::move(list.items[0]);
    return list;
  }

  PythonValue number() {
    const size_t begin = at_;
    bool negative = false;
    while (peek() == '-' || peek() == '+') {
      if (peek() == '-') negative = !negative;
      ++at_;
      skip_blanks();
    }
    if (!is_digit(peek()) && !(peek() == '.' && is_digit(peek(1))))
      return fault(begin, "a sign or point without a number");
    int base = 10;
    if (peek() == '0' && peek(1) != '\0') {
      const char letter = static_cast<char>(std::tolower(static_cast<unsigned char>(peek(1))));
      base = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
    }
    PythonValue result;
    result.kind = PythonValue::Kind::kInteger;
    const size_t first = base == 10 ? at_ : at_ + 2;
    if (!digits(base, first, result.integer)) return {};
    if (base == 10 && (peek() == '.' || peek() == 'e' || peek() == 'E' || peek() == 'j'))
      return other_number(begin);
    if (base == 10 && line_[first] == '0' && result.integer != 0)
      return fault(begin, "a number that begins with 0, which Python does not read");
    if (name_start(peek()) || is_digit(peek())) return fault(at_, "a letter in a number");
    if (negative) result.integer = -result.integer;
    return result;
  }

  /// Digits with single underscores between.
  bool digits(int base, size_t from, int64_t& value) {
    at_ = from;
    bool digit = peek() == '.';  // .5 has none before the point
    while (digit_value(peek()) < base || (peek() == '_' && digit)) {
      if (peek() == '_' && digit_value(peek(1)) >= base) break;
      if (peek() != '_') {
        const int d = digit_value(peek());
        if (value > (std::numeric_limits<int64_t>::max() - d) / base) {
          fault(from, "the number is too large");
          return false;
        }
        value = value * base + d;
        digit = true;
      }
      ++at_;
    }
    if (!digit) fault(from, "a number without digits");
    return digit;
  }

  PythonValue other_number(size_t begin) {
    while (is_digit(peek()) || peek() == '.' || peek() == '_' || name_start(peek()) ||
           ((peek() == '-' || peek() == '+') && (line_[at_ - 1] == 'e' || line_[at_ - 1] == 'E')))
      ++at_;
    PythonValue result;
    result.text = std::string(line_.substr(begin, at_ - begin));
    return result;
  }

  /// None, True, False, or strings, of which adjacent ones are one.
  PythonValue name_or_text() {
    PythonValue result;
    result.kind = PythonValue::Kind::kText;
    bool any = false, bytes = false;
    while (!error_) {
      const size_t begin = at_;
      while (name_start(peek()) || is_digit(peek())) ++at_;
      const std::string_view prefix = line_.substr(begin, at_ - begin);
      if (peek() != '\'' && peek() != '"') {
        if (any) {
          at_ = begin;
          break;
        }
        return name(prefix, begin);
      }
      bool raw = false;
      for (char c : prefix) {
        const char letter = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (letter == 'r') raw = true;
        if (letter == 'b') bytes = true;
        if (letter != 'r' && letter != 'b' && letter != 'u')
          return fault(begin, "'" + std::string(prefix) + "' begins no string that is a literal");
      }
      quoted(raw, result.text);
      any = true;
      skip_blanks();
    }
    if (bytes) {
      result.kind = PythonValue::Kind::kOther;
      result.text = "bytes";
    }
    return result;
  }

  PythonValue name(std::string_view word, size_t begin) {
    if (word != "None" && word != "True" && word != "False")
      return fault(begin, "'" + std::string(word) + "' is a name; text stands in quotes");
    PythonValue result;
    result.text = std::string(word);
    return result;
  }

  void quoted(bool raw, std::string& out) {
    const size_t begin = at_;
    const char quote = line_[at_];
    const bool triple = peek(1) == quote && peek(2) == quote;
    at_ += triple ? 3 : 1;
    while (at_ < line_.size()) {
      const char c = line_[at_];
      if (c == quote && (!triple || (peek(1) == quote && peek(2) == quote))) {
        at_ += triple ? 3 : 1;
        return;
      }
      if (c == '\\' && at_ + 1 < line_.size()) {
        if (raw) {
          out.append(line_.substr(at_, 2));
          at_ += 2;
        } else {
          escape(out);
        }
        if (error_) return;
        continue;
      }
      out += c;
      ++at_;
    }
    fault(begin, "the string is not closed on its line");
  }

  void escape(std::string& out) {
    const size_t begin = at_;
    const char c = line_[at_ + 1];
    at_ += 2;
    constexpr std::string_view kNames = "\\'\"abfnrtv", kValues = "\\'\"\a\b\f\n\r\t\v";
    if (const size_t known = kNames.find(c); known != std::string_view::npos) {
      out += kValues[known];
    } else if (c == 'x' || c == 'u' || c == 'U') {
      code_point(begin, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    } else if (c >= '0' && c <= '7') {
      uint32_t code = static_cast<uint32_t>(c - '0');
      for (int k = 0; k < 2 && peek() >= '0' && peek() <= '7'; ++k)
        code = code * 8 + static_cast<uint32_t>(line_[at_++] - '0');
      append_utf8(out, code);
    } else if (c == 'N') {
      fault(begin, "characters by name are not read; write them out");
    } else {
      out += '\\';
      out += c;
    }
  }

  void code_point(size_t begin, int count, std::string& out) {
    uint32_t code = 0;
    for (int k = 0; k < count; ++k) {
      const int d = digit_value(peek());
      if (d >= 16) {
        fault(begin, "an escape with too few digits");
        return;
      }
      code = code * 16 + static_cast<uint32_t>(d);
      ++at_;
    }
    if (code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      fault(begin, "an escape that is no character");
      return;
    }
    append_utf8(out, code);
  }

  std::string_view line_;
  size_t at_ = 0;
  std::optional<LiteralError> error_;
};

}  // namespace

LiteralResult parse_python_literal(std::string_view line) { return LiteralParser(line).parse(); }

}  // namespace upwell::produce
