#pragma once
// What `upwell aggregate` reads: its granules as one dataset, and the variables of it that are
// reduced.

#include <algorithm>
#include <string>
#include <vector>

#include "base/machine.hpp"
#include "cli/command.hpp"
#include "cli/granule_search.hpp"
#include "cli/refinement.hpp"
#include "cli/result_output.hpp"
#include "refs/virtualize.hpp"

namespace upwell::cli {

struct AggregateArguments {
  std::vector<std::string> sources, variables, sel, isel;
  std::string reduce, output, bbox;
  std::string on_drift = "keep", check = "values";
  uint64_t ddof = 0, memory = std::max<uint64_t>(physical_memory() / 4, 512ULL << 20);
  bool nearest = false, compress = false, no_sync = false, load_given = false;
  refs::VirtualizeOptions combine;
  PlotOptions plot;
  GranuleSearch search;
  RefinementOptions refinement;
};

/// --reduce
struct ReduceRequest {
  std::vector<std::string> dimensions;
  compute::Reduction reduction;  ///< function and quantile
};

/// Which axes of `array` the dimensions are; those that it does not have go to `unknown`.
std::vector<bool> axes_of(const Array& array, const std::vector<std::string>& dimensions,
                          std::string& unknown);

/// kInvalidArgument for what holds no numbers.
Result<> check_numbers(const std::string& path, const Array& array);

/// What is reduced where no variables are named.
struct Choice {
  std::vector<std::string> paths;
  std::vector<std::string> flags;  ///< left out: there is no mean of flags
  std::vector<std::string> flat;   ///< left out: without the dimensions
};

Choice choose_all(const Dataset& dataset, const ReduceRequest& request);
void print_choice(const Choice& choice, const ReduceRequest& request);

/// What is named, as one dataset: opened, or joined in memory. Granules may have what others do not
/// have, as long as it is not reduced, nor read beside what is.
Result<Dataset> open_sources(AggregateArguments& args, Context& context,
                             std::vector<std::string> urls, const ReduceRequest& request,
                             const Refinement& refinement);

}  // namespace upwell::cli
