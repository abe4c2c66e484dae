// upwell serve SOURCE...

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "cli/command.hpp"
#include "refs/open.hpp"
#include "serve/http_server.hpp"
#include "serve/refresh.hpp"
#include "serve/site.hpp"

namespace upwell::cli {
namespace {

struct ServeArguments {
  std::vector<std::string> sources;
  std::string bind = "127.0.0.1:9000";
  bool keep_going = false;
  size_t threads = 0;
  size_t max_connections = 2048;
  size_t max_requests = 256;
  uint64_t memory_bytes = 0;
  double refresh_s = 2;
};

/// One SOURCE as typed: "id=path", or a path alone.
struct NamedSource {
  std::string id, source;
};

NamedSource named_source(const std::string& text) {
  const size_t equals = text.find('=');
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '-' || c == '_';
  };
  const std::string id = text.substr(0, equals);
  std::error_code ignored;
  const bool named = equals != std::string::npos && equals > 0 && id != "." && id != ".." &&
                     std::all_of(id.begin(), id.end(), is_plain) &&
                     !std::filesystem::exists(text, ignored);
  if (!named) return {serve::id_of_source(text), text};
  return {id, text.substr(equals + 1)};
}

Result<serve::ServerOptions> server_options(const ServeArguments& arguments) {
  serve::ServerOptions options;
  options.handler_threads = arguments.threads;
  options.max_connections = arguments.max_connections;
  options.max_requests = arguments.max_requests;
  const std::string& bind = arguments.bind;
  const size_t colon = bind.rfind(':');
  const std::string port = colon == std::string::npos ? bind : bind.substr(colon + 1);
  unsigned number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size() || number > 65535) {
    return fail(Code::kInvalidArgument, "--bind wants ADDRESS:PORT or PORT, not " + bind);
  }
  options.port = static_cast<uint16_t>(number);
  if (colon == std::string::npos) return options;
  options.address = bind.substr(0, colon);
  if (options.address.size() > 2 && options.address.front() == '[' &&
      options.address.back() == ']') {
    options.address = options.address.substr(1, options.address.size() - 2);
  }
  // Nothing is shown to the world that was not asked for.
  if (options.address.empty()) options.address = "127.0.0.1";
  if (options.address == "*") options.address = "0.0.0.0";
  return options;
}

/// Opens all sources at once and adds them in the order in which they were named.
Result<> open_sources(Context& context, const ServeArguments& arguments, serve::Site& site) {
  std::vector<NamedSource> named;
  for (const std::string& text : arguments.sources) named.push_back(named_source(text));
  std::vector<Result<Dataset>> opened(named.size(), fail(Code::kInternal, "not opened"));
  {
    Progress progress("opening", "sources", named.size(), context.progress_style());
    UPWELL_CHECK(blocking_for(named.size(), 8, [&](size_t i) -> Result<> {
      opened[i] =
          refs::open_source_with(context.session(), named[i].source, context.open_options());
      if (opened[i]) context.print_notes(named[i].source, *opened[i]);
      progress.advance();
      return {};
    }));
  }
  for (size_t i = 0; i < named.size(); ++i) {
    Result<> added;
    if (opened[i]) {
      added = site.add(named[i].id, named[i].source, std::move(*opened[i]));
    } else {
      added = fail(std::move(opened[i]).error());
    }
    if (added) continue;
    Error error = std::move(added).error().with(named[i].source);
    if (!arguments.keep_going) return fail(std::move(error));
    fmt::print(stderr, "upwell serve: left out: {}\n", error.to_string());
  }
  if (site.datasets().empty()) return fail(Code::kNotFound, "none of the sources could be opened");
  return {};
}

Result<> serve_sources(Context& context, const ServeArguments& arguments) {
  UPWELL_TRY(const serve::ServerOptions options, server_options(arguments));
  serve::SiteOptions site_options;
  site_options.memory_bytes = arguments.memory_bytes;
  serve::Site site(context.session(), site_options);
  UPWELL_CHECK(open_sources(context, arguments, site));
  site.seal();
  UPWELL_TRY(const auto server, serve::Server::listen(options, site.handlers()));
  fmt::print("serving {}\n", server->url());
  std::fflush(stdout);
  for (const auto& dataset : site.datasets()) {
    for (const Problem& problem : dataset->dataset().problems) {
      fmt::print(stderr, "upwell serve: {}: {} is left out: {}\n", dataset->id(), problem.path,
                 problem.error.to_string());
    }
  }
  serve::Refresher refresher(
      site,
      [&](const std::string& source) -> Result<serve::Refresher::Opened> {
        auto session = context.new_session(site.datasets().size());
        UPWELL_TRY(Dataset dataset,
                   refs::open_source_with(*session, source, context.open_options()));
        return serve::Refresher::Opened{std::move(session), std::move(dataset)};
      },
      [](const std::string& id, const std::string& what) {
        fmt::print(stderr, "upwell serve: {}: {}\n", id, what);
      });
  if (arguments.refresh_s > 0) refresher.start(arguments.refresh_s);
  server->run();
  return {};
}

}  // namespace

void add_serve_command(Program& program) {
  auto arguments = std::make_shared<ServeArguments>();
  CLI::App* command = program.add(
      "serve", "Serve cubes over HTTP: as Zarr v2 and v3, as references, and as pages to look at",
      "SOURCE is a granule, a reference set or a URL; ID=SOURCE names it, else its file name "
      "does.\n"
      "\nExamples:\n"
      "  upwell serve cube.json                          http://127.0.0.1:9000/ in a browser\n"
      "  upwell serve sst=cube.json wind.nc --bind 8080\n"
      "  python -c 'import xarray; print(xarray.open_zarr(\"http://127.0.0.1:9000/datasets/sst/"
      "zarr\"))'\n"
      "\nPrints `serving http://ADDRESS:PORT/` when it is ready; SIGINT or SIGTERM ends it after "
      "the requests in flight.",
      [arguments](Context& context) { return serve_sources(context, *arguments); });
  command->add_option("SOURCE", arguments->sources, "What to serve")->required();
  command
      ->add_option("--bind", arguments->bind,
                   "Address and port; port 0 takes a free one. PORT alone is of 127.0.0.1, which "
                   "only this machine reaches; 0.0.0.0:PORT lets everybody in")
      ->type_name("ADDRESS:PORT")
      ->capture_default_str();
  command->add_flag("--keep-going", arguments->keep_going,
                    "Serve the others when a source cannot be opened");
  command
      ->add_option("--refresh", arguments->refresh_s,
                   "Look every so many seconds whether a source was replaced, as upwell append "
                   "does, and then serve the new one; 0: never. Over a network five times more "
                   "seldom, while there are requests")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 86400.0))
      ->type_name("SECONDS");
  command->add_option("--threads", arguments->threads, "Threads that answer requests; 0: chosen")
      ->capture_default_str();
  command->add_option("--max-connections", arguments->max_connections, "Connections at once")
      ->capture_default_str();
  command
      ->add_option("--max-requests", arguments->max_requests, "Requests waiting or being answered")
      ->capture_default_str();
  command
      ->add_option("--memory", arguments->memory_bytes,
                   "Memory for reading, of all requests together (500MB, 4GB): a request waits "
                   "until it fits. Default: half of the machine's")
      ->transform(binary_size, "")
      ->type_name("SIZE");
}

}  // namespace upwell::cli
