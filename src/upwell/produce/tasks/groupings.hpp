#pragma once
// Groupings metadata of ECCO (*groupings_for_{1D,latlon,native}_datasets.json): which fields make a
// dataset.

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"
#include "produce/tasks/job_file.hpp"

namespace upwell::produce {

/// A field that is made of several of the model's, such as EVEL of UVEL and VVEL.
struct VectorField {
  std::string name;
  std::vector<std::pair<std::string, std::string>> components;  ///< {"x","UVEL"}, {"y","VVEL"}
  bool operator==(const VectorField&) const = default;
};

/// A variable of the dataset and the fields of the model that it is made of: one, or the x and the
/// y component of a vector.
struct GroupingField {
  std::string name;
  std::vector<std::string> sources;
};

struct Grouping {
  std::string name, filename, dimension;
  std::vector<GroupingField> fields;  ///< in the order of the dataset: a renamed one is last
  std::vector<std::string> frequencies;
  std::optional<std::string> comment;
  std::vector<VectorField> field_components;                            ///< of 2026, as written
  std::vector<std::pair<std::string, std::string>> field_orientations;  ///< {"EVEL","zonal"}
};

/// Of one file. Vectors are read from field_components (2026) and from vector_inputs (2024).
/// kInvalidData, with the number of the grouping, where something is missing or of another type.
Result<std::vector<Grouping>> parse_groupings(const std::string& text, const std::string& name);

/// The groupings of each product type, from the directory, bucket or prefix `metadata_loc`, of
/// which only these types' files are read. kNotFound: none for a type; kInvalidData: several.
Result<std::map<ProductType, std::vector<Grouping>>> read_groupings(
    io::Session& session, const std::string& metadata_loc, const std::vector<ProductType>& types);

}  // namespace upwell::produce
