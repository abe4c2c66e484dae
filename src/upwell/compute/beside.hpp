#pragma once
// What is read beside the array that is reduced: variables of a condition, and weights.

#include <memory>
#include <string>
#include <vector>

#include "compute/expression.hpp"
#include "cube/cf.hpp"
#include "cube/read.hpp"

namespace upwell::compute {

/// A variable whose dimensions are some of those of another one, found by their names.
class BesideArray {
 public:
  /// kInvalidArgument where `array` has a dimension that `reduced` has not, or one of another
  /// length, or holds no numbers. Both must live as long as this.
  static Result<BesideArray> make(const std::string& name, const Array& array,
                                  const Array& reduced);

  VariableFacts facts() const;
  const Array& array() const { return *array_; }
  /// What of the array belongs to a selection of the reduced one.
  Selection selection_of(const Selection& selection) const;
  /// About how many bytes reading takes for so many elements along each axis of the reduced array.
  uint64_t memory(const Shape& shape) const;
  /// Decoded values where `selection`, of the reduced array, is. kUnsupported for integers that a
  /// double does not hold.
  Result<Values> read(io::Session& session, const Dataset& dataset, const Selection& selection,
                      const ReadOptions& options) const;
  /// How far elements of `read` lie apart along each axis of the reduced array; 0 along those that
  /// this one has not.
  Shape strides(const Shape& shape) const;

 private:
  std::string name_;
  const Array* array_ = nullptr;
  cf::Decoding decoding_;
  std::vector<size_t> axis_;  ///< of the reduced array, by own axis
  size_t rank_ = 0;           ///< of the reduced array
};

/// Which elements count.
struct Mask {
  Condition condition;              ///< bound
  std::vector<BesideArray> arrays;  ///< by condition.names()
};

/// What each element counts.
struct Weights {
  BesideArray array;
  bool cosine = false;  ///< of degrees of latitude: as the area of a cell of a regular grid
};

/// 1 where the condition holds, for every element of a selection in C order.
Result<std::vector<uint8_t>> mask_of(io::Session& session, const Dataset& dataset, const Mask& mask,
                                     const Selection& selection, const ReadOptions& options);
/// The weight of every element. kInvalidData where one is missing, as xarray has it.
Result<std::vector<double>> weights_of(io::Session& session, const Dataset& dataset,
                                       const Weights& weights, const Selection& selection,
                                       const ReadOptions& options);

}  // namespace upwell::compute
