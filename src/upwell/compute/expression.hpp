#pragma once
// Conditions on the values of a dataset's variables: "ice < 0.15 or isnan(ice)".

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "cube/data_type.hpp"

namespace upwell::compute {

/// What an expression has to know of a variable.
struct VariableFacts {
  DataType type;       ///< decoded: integers, float32 or float64
  std::string units;   ///< "" where it has none
  bool whole = false;  ///< integers, or floats that are integers or NaN: flags with a fill value
};

/// A condition, parsed and checked. Operators, from the loosest: or (||), and (&&), not (!),
/// comparisons (< <= > >= == !=, in (a, b), not in (a, b); a < b < c as in Python), & of bits, + -,
/// * /, unary -. Functions: isnan, isfinite, abs. Names with other characters than letters, digits,
/// '_' and '.' stand in quotes. A number may have a unit, which is converted to the units of what
/// it is compared with: sst > 5 degC, u > 3 'm s-1'; or added to, where both count from one zero.
/// Products have no units.
///
/// Values are as NumPy has them beside xarray's: float32 stays float32 beside numbers that are
/// written in the condition, and nothing but != holds for NaN.
class Condition {
 public:
  /// kInvalidArgument shows the place.
  static Result<Condition> parse(const std::string& text);

  const std::string& text() const { return text_; }
  /// Names of variables as written, each once.
  const std::vector<std::string>& names() const { return names_; }

  /// Checks units and kinds; `facts` of each name. kInvalidArgument where a number is no condition,
  /// units do not agree or are not known.
  Result<> bind(const std::vector<VariableFacts>& facts);

  /// What the condition says and may not mean, after bind: a number below 1 without a unit that is
  /// compared with percent. Empty: nothing.
  const std::string& doubt() const { return doubt_; }

  /// A few thousand elements at a time.
  static constexpr size_t kBlock = 1024;
  /// The condition at n <= kBlock places, as 0 or 1. `columns`: n values of each name. `scratch`
  /// grows to what is needed, and may be used again. Only after bind.
  void evaluate(const std::vector<const double*>& columns, size_t n, std::vector<double>& scratch,
                uint8_t* out) const;

 private:
  friend class ConditionParser;
  friend class ConditionBinder;

  enum class Op : uint8_t {
    kNumber,
    kVariable,
    kNot,
    kNegate,
    kIsNan,
    kIsFinite,
    kAbs,
    kOr,
    kAnd,
    kBitAnd,
    kLess,
    kLessEqual,
    kGreater,
    kGreaterEqual,
    kEqual,
    kNotEqual,
    kAdd,
    kSubtract,
    kMultiply,
    kDivide
  };
  /// A node of the tree. What it works on comes before it, and may serve several.
  struct Step {
    Op op = Op::kNumber;
    size_t place = 0;              // in the text
    double number = 0;             // kNumber
    bool whole = false;            // kNumber: written as an integer
    std::string unit;              // of a number
    size_t name = 0;               // kVariable
    size_t first = 0, second = 0;  // the steps that it works on
    // Set by bind:
    double scale = 1, offset = 0;  // bring `second` to the units of `first`
    bool single = false;           // the result is rounded to float32
  };
  Error at(size_t place, const std::string& what) const;

  std::string text_, doubt_;
  std::vector<std::string> names_;
  std::vector<Step> steps_;
};

}  // namespace upwell::compute
