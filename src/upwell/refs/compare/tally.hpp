#pragma once
// Differences of values, counted: the first ones, and the largest.

#include <optional>
#include <vector>

#include "cube/cf.hpp"
#include "cube/read.hpp"
#include "refs/align_values.hpp"
#include "refs/compare/compare.hpp"

namespace upwell::refs {

/// Which elements of an array are no values, beside NaN.
struct MissingRule {
  std::vector<double> numbers;
  std::vector<uint64_t> integers;  ///< as the array's attributes let them be read, in 64 bits
  bool single = false;             ///< float32

  explicit MissingRule(const Array& array);
  bool operator==(const MissingRule&) const = default;
};

/// Elements of two arrays that are compared: numbers that are aligned, or others.
struct ComparedBox {
  const Shape& shape;    ///< of the arrays
  const Selection& box;  ///< that the values are of
  const Values& ours;
  const Values& theirs;
  Alignment alignment;
};

/// Differences met so far. Merging in any order gives the same.
class Tally {
 public:
  Tally(const CompareOptions& options, const MissingRule& first, const MissingRule& second)
      : options_(options),
        first_(first),
        second_(second),
        equal_is_same_(options.bitwise || first == second) {}

  /// kUnsupported: these cannot be compared.
  Result<> add(const ComparedBox& here);
  void merge(const Tally& other);

  uint64_t differing() const { return differing_; }
  /// Without coordinates.
  ValueDifference result() const;

 private:
  struct Place {
    uint64_t number = 0;  ///< C order, in the array
    ValueDifference::Place shown;
  };

  template <typename T, typename Read>
  void add_numbers(const ComparedBox& here, const Read& read);
  template <typename T>
  void add_number(const ComparedBox& here, size_t i, T x, T y);
  template <typename Same>
  void add_others(const ComparedBox& here, const Same& same);
  Place place(const ComparedBox& here, size_t i) const;
  enum class Side { kNone, kFirst, kSecond };
  /// `missing`: where the value stands for none.
  void note(const ComparedBox& here, size_t i, Side missing = Side::kNone);
  void note_largest(const ComparedBox& here, size_t i, double difference,
                    std::optional<Place>& largest) const;

  const CompareOptions& options_;
  const MissingRule& first_;
  const MissingRule& second_;
  const bool equal_is_same_;  // elsewhere a value of one side may be the fill of the other
  uint64_t elements_ = 0, differing_ = 0, missing_ = 0;
  std::vector<Place> places_;  // the first ones, in order
  std::optional<Place> absolute_, relative_;
};

}  // namespace upwell::refs
