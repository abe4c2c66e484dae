#pragma once
// Differences of values, counted: the first ones, and the largest.

#include <optional>
#include <vector>

#include "cube/cf.hpp"
#include "cube/read.hpp"
#include "refs/align_values.hpp"
#include "refs/compare/compare.hpp"

namespace upwell::refs {

/// Which elements of an array are no values.
struct MissingRule {
  cf::Decoding decoding;
  bool wide = false;    ///< integers of 64 bits: exact by their bits
  bool single = false;  ///< float32

  explicit MissingRule(const Array& array);
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
      : options_(options), first_(first), second_(second) {}

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
  void add_unequal(const ComparedBox& here, size_t i, T x, T y);
  template <typename Same>
  void add_others(const ComparedBox& here, const Same& same);
  Place place(const ComparedBox& here, size_t i) const;
  void note(const ComparedBox& here, size_t i);
  void note_largest(const ComparedBox& here, size_t i, double difference,
                    std::optional<Place>& largest) const;

  const CompareOptions& options_;
  const MissingRule& first_;
  const MissingRule& second_;
  uint64_t elements_ = 0, differing_ = 0, missing_ = 0;
  std::vector<Place> places_;  // the first ones, in order
  std::optional<Place> absolute_, relative_;
};

}  // namespace upwell::refs
