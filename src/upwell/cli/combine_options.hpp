#pragma once
// What `upwell virtualize` and `upwell append` have in common on the command line.

#include <functional>
#include <string>
#include <vector>

#include "cli/command.hpp"
#include "refs/virtualize.hpp"

namespace CLI {
class App;
}

namespace upwell::cli {

struct CombineArguments {
  std::string on_drift = "refuse", check = "values", report;
  std::vector<std::string> url_prefix;
};

/// Adds --on-drift, --check, --url-prefix, --report and --jobs. Both must outlive the parsing.
void add_combine_options(CLI::App* app, CombineArguments& args, refs::VirtualizeOptions& options);

/// Puts what was parsed into `options`. kInvalidArgument for what cannot be understood.
Result<> apply_combine_options(const CombineArguments& args, const Context& context,
                               refs::VirtualizeOptions& options);

/// Writes the report, which `json` makes, where --report asks for it: it tells why, above all when
/// `outcome` is an error. Gives `outcome` back, or why the report of a success could not be
/// written.
Result<> with_report(const CombineArguments& args, const std::function<std::string()>& json,
                     Result<> outcome);

/// How granules differ that were joined all the same.
void print_kept(const refs::CombineReport& report);

}  // namespace upwell::cli
