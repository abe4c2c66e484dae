#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>

#include "access/s3_keys.hpp"
#include "base/files.hpp"
#include "base/machine.hpp"
#include "base/parallel.hpp"
#include "cli/cmr_options.hpp"
#include "cli/granule_search.hpp"
#include "generate/generate.hpp"
#include "generate/names.hpp"
#include "io/parameter_store.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kGenerateHost = "cmr.earthdata.nasa.gov";
/// Of what was fetched, blocks are hardly ever read twice while a collection is scanned.
constexpr uint64_t kScanCache = 32 << 20;
constexpr uint64_t kLeastCache = 4 << 20;
/// What one granule under way may take: its metadata, and values that are compared.
constexpr uint64_t kScanBytes = 4 << 20;

struct GenerateArguments {
  std::string output_bucket, staging_bucket, output, memory_limit = "12GB";
  std::string ssm_user, ssm_password, form_file, on_drift = "refuse", check = "values", report;
  std::string cmr_host;
  std::vector<std::string> load;
  size_t cores = 16, scans = 48;
  generate::GenerateOptions options;
};

constexpr const char* kGenerateFooter =
    "Examples:\n"
    "  upwell generate --collection MUR-JPL-L4-GLOB-v4.1 --loadable-vars lat,lon,time -o ./\n"
    "  COLLECTION=MUR-JPL-L4-GLOB-v4.1 OUTPUT_BUCKET=my-bucket upwell generate   as a container\n"
    "  upwell generate --collection X --start-date 2020-01-01 --end-date 2020-12-31 -o ./\n"
    "  upwell generate --collection X --output-bucket my-bucket --parquet\n"
    "  upwell generate --collection X_L2 --collections collections.yaml -o ./\n"
    "\n"
    "Every granule of the collection is found in NASA's catalogue, its chunks are located, and "
    "two\n"
    "reference sets say where they lie: COLLECTION_virtual_s3.json for readers in us-west-2, and\n"
    "COLLECTION_virtual_https.json for everyone else. No data is copied. Run again, it adds\n"
    "granules that are new, replaces those that were revised and takes out those that were\n"
    "deleted since, as the catalogue's feeds tell; when nothing was, it changes nothing. It takes\n"
    "the environment of PO.DAAC's container; see docs/guide/generate.md for both side by side.\n"
    "\n"
    "Exit status: 0 done or nothing to do, 64 wrong option or date, 65 granules do not fit, 66 no\n"
    "such collection or granules, 73 cannot write, 75 try again, 77 not allowed or logged in, 78\n"
    "bad configuration.";

/// The user whom the Parameter Store names. kUnauthenticated when the login host refuses that user.
Result<std::shared_ptr<access::EarthdataLogin>> login_of(const GenerateArguments& args,
                                                         const Context& context) {
  if (args.ssm_user.empty() != args.ssm_password.empty())
    return fail(Code::kInvalidArgument,
                "SSM_EDL_USERNAME and SSM_EDL_PASSWORD belong together; one is missing");
  access::EarthdataOptions who = context.options().earthdata;
  if (args.ssm_user.empty()) return context.new_login(std::move(who));
  const CommonOptions& common = context.options();
  io::HttpOptions http;
  http.ca_file = trusted_certificates();
  http.attempts = common.retries + 1;
  http.stall_timeout_s = common.timeout_s;
  http.say = context.note_printer();
  const io::Environment env = io::process_environment();
  UPWELL_TRY(who.user, io::get_parameter(args.ssm_user, common.s3, http, env));
  UPWELL_TRY(who.password, io::get_parameter(args.ssm_password, common.s3, http, env));
  // Who stored them from a file stored its end of line, too.
  for (std::string* value : {&who.user, &who.password})
    value->resize(value->find_last_not_of("\r\n") + 1);
  who.password_source =
      "the parameters " + args.ssm_user + " and " + args.ssm_password + " of the Parameter Store";
  auto login = context.new_login(std::move(who));
  // Said here, and not as what the catalogue, S3 and https each make of it.
  if (auto token = login->token(); !token && token.error().code == Code::kUnauthenticated)
    return fail(std::move(token).error());
  return login;
}

Result<> place_outputs(const GenerateArguments& args, generate::GenerateOptions& options) {
  if (args.output.empty() == args.output_bucket.empty())
    return fail(Code::kInvalidArgument,
                "where to? Give --output-bucket BUCKET (OUTPUT_BUCKET), or --output DIRECTORY");
  options.output = args.output;
  if (!options.output.empty() && !options.output.ends_with('/')) options.output += '/';
  if (!args.output_bucket.empty()) {
    UPWELL_TRY(options.output, generate::bucket_directory(args.output_bucket, options.collection));
  }
  if (args.staging_bucket.empty()) return {};
  UPWELL_TRY(std::string staging,
             generate::bucket_directory(args.staging_bucket, options.collection));
  if (staging != options.output) options.copies.push_back(std::move(staging));
  return {};
}

Result<> read_form(const GenerateArguments& args, io::Session& session, bool quiet,
                   generate::GenerateOptions& options) {
  if (!args.form_file.empty()) {
    UPWELL_TRY(const SharedBytes text, session.read_one(io::normal_url(args.form_file)));
    UPWELL_TRY(options.form, generate::parse_collection_form(as_text(text.span()), args.form_file,
                                                             options.collection));
  }
  if (options.form || options.collection.find("L2") == std::string::npos) return {};
  options.form = generate::level2_form();
  if (!quiet)
    fmt::print(stderr, "{} has no form{}: its granules lie along {}\n", options.collection,
               args.form_file.empty() ? " (--collections)" : " in " + args.form_file,
               options.form->dimension);
  return {};
}

/// CPU_COUNT, BATCH_SIZE and MEMORY_LIMIT. Gives the bytes that fetched blocks may take.
Result<uint64_t> set_limits(const GenerateArguments& args, refs::VirtualizeOptions& virtualize) {
  UPWELL_TRY(const uint64_t memory, generate::memory_size(args.memory_limit));
  virtualize.threads = args.scans;
  if (memory == 0) return kScanCache;
  // Half for granules under way, an eighth for blocks; the rest for the index that is made.
  virtualize.threads =
      std::clamp<size_t>(memory / 2 / kScanBytes, 1, std::max<size_t>(args.scans, 1));
  return std::clamp(memory / 8, kLeastCache, kScanCache);
}

void print_granules(const refs::CombineReport& combine, bool created) {
  for (const std::string& warning : combine.warnings) fmt::print(stderr, "warning: {}\n", warning);
  for (const refs::SourceReport& source : combine.sources) {
    if (!source.reasons.empty())
      fmt::print(stderr, "skipped {}: {}\n", io::shown_url(source.url), source.reasons[0].message);
    else if (source.left_out())
      fmt::print(stderr, "{} {}\n", source.fate, io::shown_url(source.url));
  }
  if (!created) return;
  for (const refs::GapReport& gap : combine.gaps)
    fmt::print(stderr, "gap: {} to {} ({:.1f} steps), after {}\n", gap.from, gap.to, gap.steps,
               io::shown_url(gap.after));
}

/// Of a run that has come to its end.
void print_generated(const GenerateArguments& args, const generate::GenerateReport& report) {
  const refs::AppendReport& changes = report.changes;
  print_granules(changes.virtualize.combine, report.created);
  if (!changes.written) {
    fmt::print(stderr, "{}: nothing to do, {} granules are in it{}\n", report.output,
               changes.granules,
               changes.copies > 0 ? fmt::format("; {} other sets of it written", changes.copies)
                                  : std::string());
    return;
  }
  const refs::ReferenceCounts& counts = changes.virtualize.counts;
  fmt::print(stderr, "{}: {} added, {} replaced, {} removed, {} skipped; {} granules now\n",
             report.output, changes.added, changes.replaced, changes.removed, changes.skipped,
             changes.granules);
  fmt::print(stderr, "{} references to {:.1f} MiB, as s3 and https{}; peak memory {:.0f} MiB\n",
             counts.stored, static_cast<double>(counts.stored_bytes) / (1 << 20),
             args.options.parquet ? ", as JSON and Parquet" : "",
             static_cast<double>(peak_memory()) / (1 << 20));
}

Result<> write_report(const std::string& path, const generate::GenerateReport& report) {
  const std::string text = report.changes.to_json();
  return write_file_atomically(path, as_bytes(text));
}

Result<> run_generate(GenerateArguments& args, Context& context) {
  generate::GenerateOptions& options = args.options;
  refs::VirtualizeOptions& virtualize = options.virtualize;
  UPWELL_CHECK(place_outputs(args, options));
  UPWELL_CHECK(generate::output_stem(options.collection, options.start, options.end));
  UPWELL_CHECK(generate::temporal_of(options.start, options.end));
  UPWELL_TRY(const uint64_t cache, set_limits(args, virtualize));
  UPWELL_TRY(const std::string origin,
             access::cmr_origin(args.cmr_host.empty() ? kGenerateHost : args.cmr_host));
  const CoreLimit limit(args.cores);
  std::erase(args.load, "");
  virtualize.combine.load = args.load;
  virtualize.combine.load_given = !args.load.empty();
  virtualize.combine.skip_offenders = args.on_drift == "skip";
  virtualize.combine.check_values = args.check == "values";
  virtualize.progress = context.progress_style();
  virtualize.sidecar = context.open_options().sidecar;

  UPWELL_TRY(const auto login, login_of(args, context));
  const std::string& endpoint = context.options().s3_credentials;
  const auto outputs = context.add_session([&](io::SessionOptions& session) {
    session.s3_credentials = {};
    session.cache_bytes = cache;
  });
  UPWELL_CHECK(read_form(args, *outputs, context.options().quiet, options));
  const auto client = catalogue_client(context, origin, login);
  access::CmrSearch cmr(*client, origin);
  const generate::GenerateContext around{
      cmr, *outputs,
      [&](const std::map<std::string, std::string>& keys) {
        return context.add_session([&](io::SessionOptions& session) {
          session.login = login;
          session.s3_credentials = {};
          session.cache_bytes = cache;
          for (const auto& [bucket, of_record] : keys)
            session.s3_bucket_credentials[bucket] =
                access::earthdata_s3_keys(login, endpoint.empty() ? of_record : endpoint);
        });
      },
      [&](const std::string& text) {
        if (!context.options().quiet) fmt::print(stderr, "{}\n", text);
      }};
  generate::GenerateReport report;
  auto result = generate::generate(around, options, report);
  if (!args.report.empty()) {
    auto written = write_report(args.report, report);
    if (!written && result) result = std::move(written);
  }
  if (result && !context.options().quiet) print_generated(args, report);
  return with_withdrawal_advice(std::move(result), "--skip-missing");
}

void add_container_options(CLI::App* app, GenerateArguments& args) {
  const char* group = "What the container takes (each also as a variable of its environment)";
  const auto add = [&](const char* name, auto& target, const char* variable, const char* help) {
    return app->add_option(name, target, help)->envname(variable)->group(group);
  };
  add("--collection", args.options.collection, "COLLECTION",
      "Short name of the collection: MUR-JPL-L4-GLOB-v4.1")
      ->required()
      ->type_name("NAME");
  add("--loadable-vars,--loadable-coord-vars,--load", args.load, "LOADABLE_VARS",
      "Copy the values of these variables into the sets. Default: 1-D coordinates; always: the "
      "one along which granules follow each other")
      ->delimiter(',')
      ->transform([](const std::string& name) {
        const size_t first = name.find_first_not_of(' ');
        const size_t last = name.find_last_not_of(' ');
        return first == name.npos ? std::string() : name.substr(first, last + 1 - first);
      })
      ->type_name("NAME,...");
  add("--start-date", args.options.start, "START_DATE",
      "Only granules that reach beyond this date: 2022-01-31, 2022, 1-31-2022. It becomes part of "
      "the names")
      ->type_name("DATE");
  add("--end-date", args.options.end, "END_DATE", "Only granules that begin before this date ends")
      ->type_name("DATE");
  add("--output-bucket", args.output_bucket, "OUTPUT_BUCKET",
      "Write to s3://BUCKET/virtual_collections/COLLECTION/")
      ->type_name("BUCKET");
  add("--staging-bucket", args.staging_bucket, "STAGING_BUCKET",
      "Write the same to a second bucket, before the first")
      ->type_name("BUCKET");
  add("--cpu-count", args.cores, "CPU_COUNT", "Cores that are used, at most")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str()
      ->type_name("N");
  add("--memory-limit", args.memory_limit, "MEMORY_LIMIT",
      "Of the whole run: 12GB, 512MiB, auto. Fewer granules are read at once when it is small")
      ->capture_default_str()
      ->type_name("SIZE");
  add("--batch-size", args.scans, "BATCH_SIZE", "Granules that are read at once, at most")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str()
      ->type_name("N");
  add("--ssm-edl-username", args.ssm_user, "SSM_EDL_USERNAME",
      "Name of the parameter in AWS's Parameter Store that holds the Earthdata user's name. "
      "Default: who is logged in (upwell login)")
      ->type_name("PARAMETER");
  add("--ssm-edl-password", args.ssm_password, "SSM_EDL_PASSWORD", "Likewise of the password")
      ->type_name("PARAMETER");
}

void add_further_options(CLI::App* app, GenerateArguments& args) {
  generate::GenerateOptions& options = args.options;
  app->add_option("-o,--output", args.output,
                  "Write here instead: a directory, or s3://bucket/prefix/")
      ->type_name("DIR");
  app->add_flag("--parquet", options.parquet,
                "Write the same sets in Parquet, too (..._virtual_s3.parq, ..._virtual_https.parq)")
      ->envname("PARQUET");
  app->add_flag("--rebuild", options.rebuild, "From all granules, whatever is there");
  app->add_option("--collections", args.form_file,
                  "Says how granules of collections become one cube where that is not plain, above "
                  "all of Level 2; a path or URL")
      ->envname("COLLECTIONS_FILE")
      ->type_name("FILE.yaml");
  app->add_option("--collection-version", options.version, "Where several have that name")
      ->type_name("VERSION");
  app->add_option("--provider", options.provider, "Where several have that name: POCLOUD")
      ->type_name("NAME");
  const std::map<std::string, generate::Access> ways{{"auto", generate::Access::kAuto},
                                                     {"s3", generate::Access::kS3},
                                                     {"https", generate::Access::kHttps}};
  app->add_option("--access", options.access,
                  "How granules are read: from S3, over https, or from S3 where that is open")
      ->transform(CLI::CheckedTransformer(ways).description("{auto,s3,https}"))
      ->default_str("auto");
  app->add_option("--concat", options.virtualize.combine.concat,
                  "Dimension along which granules follow each other. Default: the unlimited one, "
                  "or CF time")
      ->type_name("DIM");
  app->add_option("--drop", options.virtualize.combine.drop, "Leave these variables out")
      ->delimiter(',')
      ->type_name("NAME,...");
  app->add_option("--on-drift", args.on_drift,
                  "When a granule does not fit beside the others: refuse all, or skip it")
      ->check(CLI::IsMember({"refuse", "skip"}))
      ->capture_default_str();
  app->add_option("--check", args.check,
                  "How variables that all granules share are compared: by their values, or by "
                  "their metadata only")
      ->check(CLI::IsMember({"values", "metadata"}))
      ->capture_default_str();
  app->add_flag("--skip-missing", options.virtualize.skip_missing,
                "Leave out granules that the catalogue has and the archive has not, with a word");
  app->add_option("--files", options.files.pattern,
                  "Where granules have several data files, those whose name matches")
      ->type_name("PATTERN");
  app->add_option("--report", args.report, "Write what was found as JSON")->type_name("R.json");
  app->add_option("--cmr-host", args.cmr_host, "Default: cmr.earthdata.nasa.gov")
      ->envname("CMR_HOST")
      ->type_name("HOST");
}

}  // namespace

void add_generate_command(Program& program) {
  auto args = std::make_shared<GenerateArguments>();
  CLI::App* app = program.add(
      "generate", "Make or update the reference sets of a whole NASA collection", kGenerateFooter,
      [args](Context& context) { return run_generate(*args, context); });
  add_container_options(app, *args);
  add_further_options(app, *args);
}

}  // namespace upwell::cli
