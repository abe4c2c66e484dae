#pragma once
// --where, --group-by, --rolling and --weights: which elements a reduction takes, in which groups
// or windows, and what each counts.

#include <optional>
#include <string>
#include <vector>

#include "cli/reduced_output.hpp"

namespace upwell::cli {

struct RefinementOptions {
  std::optional<std::string> where;     ///< see compute::Condition
  std::optional<std::string> group_by;  ///< "time.year"
  std::optional<std::string> weights;   ///< "area", or the name of a variable
  std::optional<std::string> rolling;   ///< "time=12"
  std::optional<uint64_t> min_periods;  ///< of rolling; default: the window
  bool center = false;                  ///< of rolling
};

class Refinement {
 public:
  /// Checks what can be without data. `dimensions`: those that are reduced. kInvalidArgument.
  static Result<Refinement> parse(const RefinementOptions& options,
                                  const std::vector<std::string>& dimensions);

  /// Paths of the variables that condition and weights need. kNotFound lists what there is.
  Result<std::vector<std::string>> paths(const Dataset& dataset) const;
  /// What of condition and weights can be checked without values. As apply.
  Result<> check(const Dataset& dataset, const std::string& path) const;
  /// Completes `variable`, whose selection is known: reads the times of groups. kInvalidArgument
  /// where something does not fit the variable.
  Result<> apply(io::Session& session, const Dataset& dataset, ReducedVariable& variable) const;

 private:
  Result<> parse_groups(const std::string& text, const std::vector<std::string>& dimensions);
  Result<> parse_rolling(const std::vector<std::string>& dimensions);
  Result<> add_where(const Dataset& dataset, ReducedVariable& variable) const;
  Result<> add_weights(const Dataset& dataset, ReducedVariable& variable) const;
  Result<> add_groups(io::Session& session, const Dataset& dataset,
                      ReducedVariable& variable) const;
  void add_rolling(ReducedVariable& variable) const;

  RefinementOptions options_;
  std::optional<compute::Condition> condition_;
  std::string dimension_, part_;  ///< of group_by
  std::string rolled_;            ///< dimension of rolling
  uint64_t window_ = 0;
};

}  // namespace upwell::cli
