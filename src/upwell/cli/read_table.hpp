#pragma once
// What `upwell read -o` takes along with an array: the same part of its coordinates, and of what
// describes them.

#include <optional>
#include <string>
#include <vector>

#include "cube/cf.hpp"
#include "cube/select.hpp"

namespace upwell::cli {

struct Column {
  std::string name;
  std::vector<std::string> dimensions;  ///< one per axis of `values`
  Attributes attributes;
  Values values;
  std::optional<cf::TimeUnits> time;  ///< `values` are decoded CF times
  std::optional<Values> ticks;        ///< the integers that such times were decoded from
  bool is_coordinate = false;         ///< of a dimension, or named by "coordinates" (CF 5)
};

struct Table {
  Column data;
  std::vector<Column> others;  ///< names differ from each other and from data's
  Attributes global_attributes;
};

/// kCoordinates: those of which every axis is one of the data's. kDescribed: all coordinates, and
/// bounds, climatologies, grid mappings and formula terms (CF 5.6, 7.1, 7.4, 4.3.3) of what is
/// there; attributes that name arrays are made to name what is there.
enum class Company { kNone, kCoordinates, kDescribed };

/// The fill value of decoded values of this type, float32 or float64.
Values quiet_nan(const DataType& type);

/// Reads the part `named` of the array at `path`, decoded unless `raw`, and its company. Axes of
/// which one element was taken are dropped, as numpy does; their coordinates become scalars. For
/// text (kCoordinates) characters are joined along their last axis.
Result<Table> read_table(io::Session& session, const Dataset& dataset, const std::string& path,
                         const NamedSelection& named, bool raw, Company company);

/// The table (kDescribed) of an array whose axes `reduced` disappear: nothing that has one of those
/// comes along. Its data have type, shape and attributes of the decoded values, but no values.
Result<Table> read_reduced_company(io::Session& session, const Dataset& dataset,
                                   const std::string& path, const NamedSelection& named,
                                   const std::vector<bool>& reduced);

}  // namespace upwell::cli
