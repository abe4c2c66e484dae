#include "cli/command.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "access/s3_keys.hpp"
#include "base/machine.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kVersion = "0.1.0";

void print_stats(const io::Counters& counters, double wall_s) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  nlohmann::ordered_json line{{"requests", counters.requests},
                              {"rounds", counters.rounds},
                              {"retries", counters.retries},
                              {"bytes_asked", counters.bytes_asked},
                              {"bytes_fetched", counters.bytes_fetched},
                              {"bytes_headers", counters.head_bytes},
                              {"bytes_sent", counters.sent_bytes},
                              {"cache_hits", counters.cache_hits},
                              {"wall_s", wall_s},
                              {"cpu_s", seconds(usage.ru_utime) + seconds(usage.ru_stime)},
                              {"peak_memory_bytes", peak_memory()}};
  fmt::print(stderr, "{}\n", line.dump());
}

/// Insertions, deletions, exchanges and swaps of neighbours that make one word of the other.
size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<size_t> before, last, row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    before = std::exchange(last, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row.back();
}

/// Brings out what was printed. Where whoever read it has seen enough (`upwell info x | head`) the
/// process ends as one that SIGPIPE kills, without a word.
Result<> finish_output() {
  const bool bad = std::ferror(stdout) != 0;
  if (std::fflush(stdout) == 0 && !bad) return {};
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  if (::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0) {
    std::signal(SIGPIPE, SIG_DFL);
    std::raise(SIGPIPE);
  }
  return fail(Code::kCannotWrite, "standard output");
}

/// Memory that ran out ends the command like any other limit, not the process.
Result<> run_guarded(const std::function<Result<>(Context&)>& body, Context& context) {
  try {
    return body(context);
  } catch (const std::system_error& error) {  // fmt::print, where there is no room for it
    return fail(Code::kCannotWrite, std::string("standard output: ") + error.what());
  } catch (const std::bad_alloc&) {
    return fail(Code::kResourceExhausted, "out of memory; select less or join fewer granules");
  }
}

std::string size_of(const std::string& text, bool kb_is_1000) {
  std::string number = text;
  try {
    if (CLI::AsSizeValue(kb_is_1000)(number).empty()) return number;
  } catch (const CLI::ValidationError&) {
    // said below, in words that do not list every spelling
  }
  throw CLI::ValidationError("'" + text +
                             "' is no size: write bytes, or a number with KB, MB, GB or TB");
}

}  // namespace

std::string binary_size(const std::string& text) { return size_of(text, false); }
std::string decimal_size(const std::string& text) { return size_of(text, true); }

std::string check_positive(const std::string& number) {
  return std::strtod(number.c_str(), nullptr) > 0 ? "" : "must be more than 0, not " + number;
}

std::string trusted_certificates() {
  const io::Environment env = io::process_environment();
  const std::string named = env("CURL_CA_BUNDLE");
  return named.empty() ? env("SSL_CERT_FILE") : named;
}

namespace {

std::function<void(const std::string&)> note_printer_of(const CommonOptions& common) {
  if (common.quiet) return {};
  return [](const std::string& text) { fmt::print(stderr, "note: {}\n", text); };
}

std::shared_ptr<access::EarthdataLogin> login_for(access::EarthdataOptions options,
                                                  const CommonOptions& common) {
  options.ca_file = trusted_certificates();
  options.attempts = common.retries + 1;
  options.stall_timeout_s = common.timeout_s;
  options.say = note_printer_of(common);
  if (!common.quiet)
    options.warn = [said = std::string()](const std::string& text) mutable {
      if (text != std::exchange(said, text)) fmt::print(stderr, "warning: {}\n", text);
    };
  return std::make_shared<access::EarthdataLogin>(std::move(options));
}

io::SessionOptions session_options(const CommonOptions& options,
                                   const std::shared_ptr<access::EarthdataLogin>& login,
                                   const std::shared_ptr<io::EgressBudget>& budget) {
  io::SessionOptions session;
  session.budget = budget;
  session.ca_file = trusted_certificates();
  session.login = login;
  if (!options.s3_credentials.empty())
    session.s3_credentials = access::earthdata_s3_keys(login, options.s3_credentials);
  session.disk_cache = options.cache_dir;
  session.cache_bytes = options.cache_bytes;
  if (options.index_cache.empty()) {
    session.index_cache = io::usual_index_directory();
  } else if (options.index_cache != "none") {
    session.index_cache = options.index_cache;
  }
  session.stall_timeout_s = options.timeout_s;
  session.attempts = options.retries + 1;
  session.s3 = options.s3;
  session.reach = options.reach;
  session.prefer_scheme = options.prefer;
  return session;
}

}  // namespace

Context::Context(const CommonOptions& options)
    : options_(options),
      login_(login_for(options.earthdata, options)),
      budget_(options.budget > 0 ? std::make_shared<io::EgressBudget>(options.budget) : nullptr),
      session_(std::make_unique<io::Session>(session_options(options, login_, budget_))) {}

std::shared_ptr<access::EarthdataLogin> Context::new_login(access::EarthdataOptions options) const {
  return login_for(std::move(options), options_);
}

std::shared_ptr<io::Session> Context::new_session(size_t share) const {
  constexpr uint64_t kMemoryCache = 256 << 20;
  io::SessionOptions session = session_options(options_, login_, budget_);
  // A disk cache is shared anyhow.
  if (session.disk_cache.empty())
    session.cache_bytes = (session.cache_bytes > 0 ? session.cache_bytes : kMemoryCache) / share;
  return std::make_shared<io::Session>(session);
}

std::shared_ptr<io::Session> Context::add_session(
    const std::function<void(io::SessionOptions&)>& adjust) {
  io::SessionOptions session = session_options(options_, login_, budget_);
  adjust(session);
  return added_.emplace_back(std::make_shared<io::Session>(session));
}

io::Counters Context::counters() const {
  io::Counters sum = session_->counters();
  for (const auto& session : added_) {
    const io::Counters more = session->counters();
    sum.requests += more.requests;
    sum.retries += more.retries;
    sum.bytes_asked += more.bytes_asked;
    sum.bytes_fetched += more.bytes_fetched;
    sum.cache_hits += more.cache_hits;
    sum.rounds += more.rounds;
    sum.head_bytes += more.head_bytes;
    sum.sent_bytes += more.sent_bytes;
  }
  const io::Traffic login = login_->traffic();
  sum.requests += login.requests;
  sum.retries += login.retries;
  sum.bytes_fetched += login.bytes;
  sum.head_bytes += login.head_bytes;
  sum.sent_bytes += login.sent_bytes;
  return sum;
}

std::function<void(const std::string&)> Context::note_printer() const {
  return note_printer_of(options_);
}

Progress::Style Context::progress_style() const {
  return options_.quiet ? Progress::Style::kQuiet : Progress::Style::kAuto;
}

refs::OpenOptions Context::open_options(std::vector<std::string> drop) const {
  refs::OpenOptions options;
  options.scan.drop = std::move(drop);
  options.scan.mds = options_.mds;
  options.only_as_recorded = !options_.ignore_changes;
  if (options_.sidecar == "always") options.sidecar = refs::SidecarUse::kAlways;
  if (options_.sidecar == "never") options.sidecar = refs::SidecarUse::kNever;
  return options;
}

void Context::print_notes(const std::string& source, const Dataset& dataset) const {
  if (options_.quiet) return;
  for (const std::string& note : dataset.notes)
    fmt::print(stderr, "{}: {}\n", io::shown_url(source), note);
}

namespace {

void add_earthdata_options(CLI::App& command, CommonOptions& common) {
  const char* group = "NASA Earthdata (who asks, see `upwell login --help` and docs/guide/nasa.md)";
  access::EarthdataOptions& earthdata = common.earthdata;
  command
      .add_option(
          "--earthdata-host", earthdata.host,
          "Earthdata Login's host: PROD, UAT or HOST[:PORT]. Default: $EARTHDATA_HOST, else "
          "urs.earthdata.nasa.gov")
      ->type_name("HOST")
      ->group(group);
  command
      .add_option("--earthdata-token-file", earthdata.token_file,
                  "Holds a token; read again when that has expired")
      ->type_name("FILE")
      ->group(group);
  command
      .add_option("--earthdata-token-command", earthdata.token_command,
                  "Prints a token (aws ssm get-parameter ...); run again when that has expired")
      ->type_name("COMMAND")
      ->group(group);
  command
      .add_option(
          "--earthdata-data-host", earthdata.data_hosts,
          "Send the token to this host, too; .DOMAIN: to those below. NASA's are known. May "
          "be repeated")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->group(group);
  command
      .add_option("--s3-credentials-endpoint", common.s3_credentials,
                  "Sign S3 requests with keys from this URL of a data centre "
                  "(https://.../s3credentials), which hold inside of us-west-2")
      ->type_name("URL")
      ->group(group);
}

}  // namespace

struct Program::Impl {
  CLI::App app{"Turns Earth-science granules into one cloud-native cube, without copying.",
               "upwell"};
  CommonOptions common;
  struct Body {
    CLI::App* command;
    std::string name;  ///< "produce tasks"
    std::function<Result<>(Context&)> run;
  };
  std::vector<Body> bodies;
};

Program::Program() : impl_(std::make_unique<Impl>()) {
  CLI::App& app = impl_->app;
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("upwell ") + kVersion);
  app.footer(
      "A first walk:\n"
      "  upwell info granule.nc                              what is in it\n"
      "  upwell virtualize *.nc -o cube.json --concat time   many granules, one cube, nothing "
      "copied\n"
      "  upwell read cube.json sst --sel lat=40:50 -o box.nc part of it\n"
      "  upwell serve cube.json                              for xarray and the browser\n"
      "\n`upwell COMMAND --help` teaches each command. Exit status: 0 done, 64 usage, 65 bad data, "
      "66 missing,\n"
      "73 cannot write, 75 try again, 77 not allowed, 78 bad configuration.");
}

Program::~Program() = default;

CLI::App* Program::add_group(const std::string& name, const std::string& description,
                             const std::string& footer) {
  CLI::App* group = impl_->app.add_subcommand(name, description);
  group->require_subcommand(1);
  group->footer(footer);
  return group;
}

CLI::App* Program::add(const std::string& name, const std::string& description,
                       const std::string& footer, std::function<Result<>(Context&)> body,
                       CLI::App* group) {
  CLI::App* command = (group ? group : &impl_->app)->add_subcommand(name, description);
  command->footer(footer);
  CommonOptions& common = impl_->common;
  const char* common_group = "Common options";
  command
      ->add_flag(
          "--stats", common.stats,
          "Print one JSON line on stderr: requests, rounds, bytes, hits, seconds, peak memory")
      ->group(common_group);
  command->add_flag("-q,--quiet", common.quiet, "No progress")->group(common_group);
  command->add_option("--cache-dir", common.cache_dir, "Keep fetched blocks here between runs")
      ->type_name("DIR")
      ->group(common_group);
  command
      ->add_option("--cache-size", common.cache_bytes,
                   "Most that is kept of fetched blocks, in memory and on disk together (500MB, "
                   "4GB). Default: 256MB, with --cache-dir 4GB")
      ->transform(binary_size, "")
      ->check(check_positive, "")
      ->type_name("SIZE")
      ->group(common_group);
  command
      ->add_option("--index-cache", common.index_cache,
                   "Where to keep what scans read of remote granules, so that they are opened with "
                   "one request the next time; none: nowhere. Default: ~/.cache/upwell/index")
      ->envname("UPWELL_INDEX_CACHE")
      ->type_name("DIR|none")
      ->group(common_group);
  command
      ->add_option(
          "--budget", common.budget,
          "Fetch no more than so much (500MB, 4GB): what would take more is refused before "
          "it begins, exit status 64")
      ->transform(decimal_size, "")
      ->check(check_positive, "")
      ->type_name("SIZE")
      ->group(common_group);
  command
      ->add_option(
          "--timeout", common.timeout_s,
          "Seconds without a byte until a request counts as failed; of NASA's catalogue, which may "
          "think for long, 190 unless this is given")
      ->each([&common](const std::string&) { common.timeout_given = true; })
      ->capture_default_str()
      ->check(check_positive, "")
      ->type_name("SECONDS")
      ->group(common_group);
  command->add_option("--retries", common.retries, "How often a failed request is tried again")
      ->capture_default_str()
      ->check(CLI::Range(0, 100))
      ->group(common_group);
  command
      ->add_flag("--ignore-changes", common.ignore_changes,
                 "Read granules of a reference set though their size or ETag changed since it was "
                 "made")
      ->group(common_group);
  const char* s3 = "S3 (besides the AWS_ environment variables and ~/.aws; see docs/guide/s3.md)";
  command
      ->add_option("--s3-endpoint", common.s3.endpoint,
                   "A service that is not Amazon's: http(s)://HOST[:PORT]")
      ->type_name("URL")
      ->group(s3);
  command
      ->add_option("--s3-profile", common.s3.profile,
                   "Take credentials and settings from this profile")
      ->type_name("NAME")
      ->group(s3);
  command->add_option("--s3-region", common.s3.region, "Default: found out")
      ->type_name("REGION")
      ->group(s3);
  command
      ->add_flag("--s3-anonymous", common.s3.anonymous,
                 "Sign nothing, even where there are credentials: for public buckets")
      ->group(s3);
  command
      ->add_flag("--s3-requester-pays", common.s3.requester_pays,
                 "Agree to pay for requests, where a bucket's owner wants that")
      ->group(s3);
  command
      ->add_option(
          "--prefer", common.prefer,
          "Where granules lie in S3 and behind https, as a reference set or a search says: "
          "which to try first")
      ->check(CLI::IsMember({"s3", "https"}))
      ->group(s3);
  command
      ->add_option(
          "--sidecar", common.sidecar,
          "A DMR++ beside a granule (X.dmrpp) that agrees with it: use it for formats that "
          "are not read here (auto), for every granule (always), or never")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str()
      ->group(common_group);
  add_earthdata_options(*command, common);
  const char* references = "References (what a reference set may lead to; see docs/guide/read.md)";
  command
      ->add_option("--allow-host", common.reach.hosts,
                   "References and redirects may lead to this host wherever it lies, also at "
                   "private, loopback and link-local addresses. May be repeated")
      ->type_name("HOST")
      ->allow_extra_args(false)
      ->group(references);
  command
      ->add_option("--allow-root", common.reach.roots,
                   "References of local sets may lead to files below this directory, and to no "
                   "others. May be repeated")
      ->type_name("DIR")
      ->check(CLI::Validator(CLI::ExistingDirectory).description(""))
      ->allow_extra_args(false)
      ->group(references);
  const char* mds =
      "MITgcm output, .meta and .data (a reference set keeps with which it was made; see "
      "docs/guide/mds.md)";
  command
      ->add_option("--mds-reference", common.mds.reference,
                   "Date of time step 0: times become dates instead of step numbers")
      ->type_name("DATE")
      ->group(mds);
  command
      ->add_option("--mds-delta-t", common.mds.delta_t,
                   "Seconds of one time step, where the .meta has no timeInterval; where it has, "
                   "they are compared")
      ->check(CLI::Validator(check_positive, ""))
      ->type_name("SECONDS")
      ->group(mds);
  command
      ->add_flag(
          "--mds-compact", [&common](int64_t) { common.mds.tiles = false; },
          "Leave llc grids as they lie in the file, nx wide and 13 nx high, instead of 13 tiles")
      ->group(mds);
  const std::string full_name = group ? group->get_name() + " " + name : name;
  impl_->bodies.push_back({command, full_name, std::move(body)});
  return command;
}

namespace {

/// Of names, the one that a typing mistake may have made this word of.
struct NearestName {
  std::string word, name = {};  // empty: none is near
  size_t least = 3;             // more typing mistakes make another word

  /// `most`: as many make another of `other`.
  void try_name(const std::string& other, size_t most) {
    const size_t distance = other.starts_with(word) ? 1 : edit_distance(word, other);
    if (distance >= std::min(least, most)) return;
    least = distance;
    name = other;
  }
};

/// kInvalidArgument, with the command that may be meant, when `app` has no subcommand `word`.
Result<const CLI::App*> find_command(const CLI::App& app, const std::string& word) {
  std::string names;
  NearestName nearest{word};
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    const std::string& name = command->get_name();
    if (name == word) return command;
    names += (names.empty() ? "" : ", ") + name;
    nearest.try_name(name, name.size() - 1);
  }
  return fail(Code::kInvalidArgument,
              fmt::format("unknown command '{}'; {}", word,
                          nearest.name.empty() ? "there are " + names + " (upwell --help)"
                                               : "did you mean '" + nearest.name + "'?"));
}

/// What the first words name, as far as they must be names of commands.
Result<const CLI::App*> check_commands(const CLI::App& program, int argc, char** argv) {
  const CLI::App* app = &program;
  for (int k = 1; k < argc && argv[k][0] != '-'; ++k) {
    if (app->get_require_subcommand_min() == 0) break;
    UPWELL_TRY(app, find_command(*app, argv[k]));
  }
  return app;
}

/// kInvalidArgument where an option that the command does not have looks like one that it has.
Result<> check_options(const CLI::App& command, int argc, char** argv) {
  for (int k = 1; k < argc && std::string_view(argv[k]) != "--"; ++k) {
    const std::string_view word(argv[k]);
    if (word.size() < 4 || !word.starts_with("--")) continue;
    NearestName nearest{std::string(word.substr(2, word.find('=') - 2))};
    if (command.get_option_no_throw("--" + nearest.word) != nullptr) continue;
    for (const CLI::Option* option : command.get_options())
      for (const std::string& name : option->get_lnames()) nearest.try_name(name, name.size() / 2);
    if (!nearest.name.empty())
      return fail(Code::kInvalidArgument, fmt::format("unknown option --{}; did you mean --{}?",
                                                      nearest.word, nearest.name));
  }
  return {};
}

/// "produce granules"
std::string command_words(const CLI::App* command) {
  const CLI::App* above = command->get_parent();
  if (above == nullptr) return {};
  const std::string words = command_words(above);
  return words + (words.empty() ? "" : " ") + command->get_name();
}

/// What there is, in a few lines.
void print_short_help(const CLI::App& program) {
  fmt::print(stderr, "{}\n\nUsage: upwell COMMAND ...\n\n", program.get_description());
  for (const CLI::App* command : program.get_subcommands([](const CLI::App*) { return true; }))
    fmt::print(stderr, "  {:<12}{}\n", command->get_name(), command->get_description());
  fmt::print(stderr,
             "\n`upwell COMMAND --help` teaches each command, `upwell --help` a first walk.\n");
}

}  // namespace

int Program::run(int argc, char** argv) {
  // A reader of ours that went away is told apart by the error of the write.
  std::signal(SIGPIPE, SIG_IGN);
  if (argc < 2) {
    print_short_help(impl_->app);
    return exit_status(Code::kInvalidArgument);
  }
  const auto known = check_commands(impl_->app, argc, argv);
  if (!known) {
    fmt::print(stderr, "upwell: {}\n", known.error().message);
    return exit_status(known.error().code);
  }
  try {
    impl_->app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 prints help and version itself (status 0); everything else is wrong usage.
    if (const auto meant = check_options(**known, argc, argv);
        !meant && error.get_exit_code() != 0) {
      fmt::print(stderr, "upwell: {}\n", meant.error().message);
      return exit_status(meant.error().code);
    }
    if (const auto words = (*known)->remaining();
        !words.empty() && dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
      fmt::print(stderr, "upwell {0}: '{1}' is not expected; `upwell {0} --help` shows what is\n",
                 command_words(*known), io::shown_url(words.front()));
      return exit_status(Code::kInvalidArgument);
    }
    return impl_->app.exit(error) == 0 ? 0 : exit_status(Code::kInvalidArgument);
  }
  for (auto& [command, name, body] : impl_->bodies) {
    if (!command->parsed()) continue;
    auto start = std::chrono::steady_clock::now();
    Context context(impl_->common);
    Result<> result = run_guarded(body, context);
    double wall_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (auto printed = finish_output(); result) result = std::move(printed);
    if (!result)
      fmt::print(stderr, "upwell {}: {}: {}\n", name, to_string(result.error().code),
                 result.error().to_string());
    if (impl_->common.stats) print_stats(context.counters(), wall_s);
    return result ? 0 : exit_status(result.error().code);
  }
  return exit_status(Code::kInternal);
}

}  // namespace upwell::cli
