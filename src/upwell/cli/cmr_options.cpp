#include "cli/cmr_options.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "access/cmr_search.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kCmrHost = "https://cmr.earthdata.nasa.gov";
constexpr const char* kUatHost = "https://cmr.uat.earthdata.nasa.gov";

/// "--bounding-box,--bbox" without the names that the command has already.
std::string free_names(const CLI::App& app, const std::string& names) {
  std::string kept;
  for (size_t begin = 0; begin < names.size();) {
    const size_t end = std::min(names.find(',', begin), names.size());
    const std::string name = names.substr(begin, end - begin);
    if (app.get_option_no_throw(name) == nullptr) kept += (kept.empty() ? "" : ",") + name;
    begin = end + 1;
  }
  return kept;
}

}  // namespace

void add_cmr_parameters(CLI::App* app, CmrArguments& args, const GroupOf& group_of) {
  const auto parameters = access::cmr_parameters();
  for (size_t i = 0; i < parameters.size(); ++i) {
    const access::CmrParameter& p = parameters[i];
    const std::string names = free_names(*app, p.option);
    if (names.empty()) continue;
    CLI::Option* option =
        app->add_option(names, args.values[i],
                        p.many ? std::string(p.help) + ". May be repeated" : std::string(p.help))
            ->type_name(p.form)
            ->allow_extra_args(false)
            ->group(group_of(p));
    if (!p.many) option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
  }
  constexpr access::CmrParameter kAny{
      "--parameter", "", access::ParameterKind::kText, access::ParameterScope::kBoth, true, "", ""};
  app->add_option("--parameter", args.raw,
                  "Any other parameter of CMR, as it is sent: 'options[temporal]"
                  "[exclude_boundary]=true'. May be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false)
      ->group(group_of(kAny));
}

void add_cmr_host(CLI::App* app, CmrArguments& args, const std::string& group) {
  app->add_option("--cmr-host", args.host, "Default: cmr.earthdata.nasa.gov")
      ->envname("CMR_HOST")
      ->type_name("HOST")
      ->group(group);
  app->add_flag("--uat", args.uat, "NASA's catalogue for tests, cmr.uat.earthdata.nasa.gov")
      ->group(group);
}

void add_file_choice(CLI::App* app, CmrArguments& args, const std::string& group) {
  app->add_option("--format-preference", args.choice.preference,
                  "Extensions of data files, the best first, where a granule has several. "
                  "Default: nc, h5, hdf, grib, ... before tif, and those before text")
      ->delimiter(',')
      ->type_name("EXT,...")
      ->group(group);
  app->add_option("--files", args.choice.pattern,
                  "Only files of granules whose name matches: '*.B04.tif'")
      ->type_name("PATTERN")
      ->group(group);
}

Result<access::CmrQuery> cmr_query(const CmrArguments& args, bool collections) {
  access::CmrQuery query;
  query.collections = collections;
  const auto parameters = access::cmr_parameters();
  for (size_t i = 0; i < parameters.size(); ++i)
    for (const std::string& value : args.values[i]) UPWELL_CHECK(query.add(parameters[i], value));
  for (const std::string& raw : args.raw) UPWELL_CHECK(query.add_raw(raw));
  UPWELL_CHECK(query.finish());
  for (const std::string& warning : query.warnings) fmt::print(stderr, "warning: {}\n", warning);
  return query;
}

Result<std::string> catalogue_origin(const CmrArguments& args) {
  if (args.uat) return access::cmr_origin(kUatHost);
  return access::cmr_origin(args.host.empty() ? kCmrHost : args.host);
}

namespace {

void warn(const std::string& text) { fmt::print(stderr, "warning: {}\n", text); }

/// Empty, with a word: the search goes on without.
std::string catalogue_token(access::EarthdataLogin& login, const std::string& origin) {
  if (!login.covers(origin)) {
    if (login.knows_somebody())
      warn(origin +
           (origin.starts_with("https://")
                ? " is not known to belong to Earthdata, so the token is not sent there; "
                  "--earthdata-data-host " +
                      io::host_of(origin) + " allows that"
                : " is not https, so the token is not sent there") +
           "; searching without a login");
    return {};
  }
  auto token = login.token();
  if (token) return *token;
  warn(token.error().to_string() + "; searching without a login");
  return {};
}

}  // namespace

std::unique_ptr<access::SearchClient> catalogue_client(
    Context& context, const std::string& origin,
    const std::shared_ptr<access::EarthdataLogin>& login) {
  const CommonOptions& common = context.options();
  access::SearchClientOptions options;
  options.attempts = common.retries + 1;
  if (common.timeout_given) options.stall_timeout_s = common.timeout_s;
  options.say = context.note_printer();
  // An Earthdata token is for Earthdata.
  options.token_origin = origin.empty() ? kCmrHost : origin;
  options.ca_file = trusted_certificates();
  options.token = [login, to = options.token_origin] { return catalogue_token(*login, to); };
  options.warn = warn;
  auto client = std::make_unique<access::SearchClient>(std::move(options));
  context.session().mount("catalogue", client->store());
  return client;
}

}  // namespace upwell::cli
