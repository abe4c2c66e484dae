#pragma once
// The literals of Python that job files are written in: what ast.literal_eval takes of a line, as
// far as a job can use it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace upwell::produce {

struct PythonValue {
  enum class Kind { kInteger, kText, kSequence, kOther };
  Kind kind = Kind::kOther;
  int64_t integer = 0;
  std::string text;                ///< of kText; of kOther what it is: "None", "1.5"
  std::vector<PythonValue> items;  ///< of lists and tuples
  size_t column = 1;               ///< where it begins, in characters from 1
};

struct LiteralError {
  size_t column = 1;
  std::string message;
};

struct LiteralResult {
  std::optional<PythonValue> value;  ///< nothing: blank or only a comment
  std::optional<LiteralError> error;
};

/// Reads one line (without its end): integers of every base, strings with prefixes r and u and
/// every escape but \N, adjacent strings as one, lists, tuples with or without parentheses, a
/// comment at the end. Floats, None, True, False and bytes are kOther; dictionaries and sets are an
/// error here.
LiteralResult parse_python_literal(std::string_view line);

}  // namespace upwell::produce
