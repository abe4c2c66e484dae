#pragma once
// The parameters of NASA's catalogue on the command line, for `upwell search` and for commands that
// take what a search finds.

#include <functional>
#include <string>
#include <vector>

#include "access/cmr_parameters.hpp"
#include "access/search_client.hpp"
#include "access/umm_files.hpp"
#include "cli/command.hpp"

namespace CLI {
class App;
}

namespace upwell::cli {

struct CmrArguments {
  std::string host;
  bool uat = false;
  /// As given, in the order of the table of parameters.
  std::vector<std::vector<std::string>> values =
      std::vector<std::vector<std::string>>(access::cmr_parameters().size());
  std::vector<std::string> raw;
  access::FileChoice choice;
};

/// The help's group of an option; empty: it is not shown.
using GroupOf = std::function<std::string(const access::CmrParameter&)>;

/// Adds an option for each parameter of the table, but those whose names the command has already,
/// and --parameter.
void add_cmr_parameters(CLI::App* app, CmrArguments& args, const GroupOf& group_of);
/// --cmr-host and --uat.
void add_cmr_host(CLI::App* app, CmrArguments& args, const std::string& group);
/// --format-preference and --files.
void add_file_choice(CLI::App* app, CmrArguments& args, const std::string& group);

/// What was parsed, checked; what may not be meant is said on stderr. kInvalidArgument.
Result<access::CmrQuery> cmr_query(const CmrArguments& args, bool collections);
/// Where the catalogue is: "https://host". kInvalidArgument.
Result<std::string> catalogue_origin(const CmrArguments& args);
/// A client for it, with the token of `login` where that covers it; what it fetches counts in the
/// session. `origin`: empty: NASA's.
std::unique_ptr<access::SearchClient> catalogue_client(
    Context& context, const std::string& origin,
    const std::shared_ptr<access::EarthdataLogin>& login);

}  // namespace upwell::cli
