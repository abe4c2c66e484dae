#pragma once
// What `upwell read` writes: .npy, .nc, .csv.

#include <functional>
#include <string>
#include <vector>

#include "cube/values.hpp"

namespace upwell::cli {

/// One axis of the result, with the coordinate values that belong to it, if there is a coordinate.
struct Axis {
  std::string name;
  bool has_values = false;
  Values values;  ///< decoded as the array is
  Attributes attributes;
  std::vector<std::string> labels;  ///< as text, for CSV
};

struct Table {
  std::string name;
  Attributes attributes;
  Values values;
  std::vector<Axis> axes;     ///< one per axis of `values`
  std::vector<Axis> scalars;  ///< coordinates of axes of which one element was taken
  Attributes global_attributes;
};

/// By the ending of `target`: .npy, .nc, .csv; "-" is CSV on standard output. kInvalidArgument for
/// others.
Result<> write_table(const std::string& target, const Table& table);

/// Element i as people read it: shortest text that gives the number back, text as it is, "" for
/// NaN.
std::string element_text(const Values& values, size_t i);

}  // namespace upwell::cli
