#pragma once
// --where, --group-by and --weights: which elements a reduction takes, in which groups, and what
// each counts.

#include <optional>
#include <string>
#include <vector>

#include "cli/reduced_output.hpp"
#include "cube/plan_cost.hpp"

namespace upwell::cli {

struct RefinementOptions {
  std::string where;     ///< see compute::Condition
  std::string group_by;  ///< "time.year"
  std::string weights;   ///< "area", or the name of a variable
};

class Refinement {
 public:
  /// Checks what can be without data. `dimensions`: those that are reduced. kInvalidArgument.
  static Result<Refinement> parse(const RefinementOptions& options,
                                  const std::vector<std::string>& dimensions);

  /// Paths of the variables that condition and weights need. kNotFound lists what there is.
  Result<std::vector<std::string>> paths(const Dataset& dataset) const;
  /// Completes `variable`, whose selection is known: reads the times of groups. `reads` gets what
  /// will be read beside it. kInvalidArgument where something does not fit the variable.
  Result<> apply(io::Session& session, const Dataset& dataset, ReducedVariable& variable,
                 std::vector<PlannedRead>& reads) const;

 private:
  Result<> add_where(const Dataset& dataset, ReducedVariable& variable,
                     std::vector<PlannedRead>& reads) const;
  Result<> add_weights(const Dataset& dataset, ReducedVariable& variable,
                       std::vector<PlannedRead>& reads) const;
  Result<> add_groups(io::Session& session, const Dataset& dataset,
                      ReducedVariable& variable) const;

  RefinementOptions options_;
  std::optional<compute::Condition> condition_;
  std::string dimension_, part_;  ///< of group_by
};

}  // namespace upwell::cli
