#pragma once
// What every command of the program shares: a session made from common options, counters, progress,
// exit status.

#include <functional>
#include <memory>
#include <string>

#include "access/earthdata.hpp"
#include "base/progress.hpp"
#include "base/result.hpp"
#include "io/session.hpp"
#include "refs/open.hpp"

namespace CLI {
class App;
}

namespace upwell::cli {

/// Options that every command takes.
struct CommonOptions {
  bool stats = false;        ///< one JSON line on stderr at the end
  bool quiet = false;        ///< no progress
  std::string cache_dir;     ///< disk cache; empty: none
  uint64_t cache_bytes = 0;  ///< of memory and disk cache together; 0: chosen
  std::string index_cache;   ///< of what scans read; "none": none; empty: the usual place
  uint64_t budget = 0;       ///< bytes that may be fetched; 0: as many as it takes
  double timeout_s = 30;     ///< stall timeout of one request
  bool timeout_given = false;
  int retries = 4;
  bool ignore_changes = false;  ///< read granules that changed since their set was made
  io::S3Settings s3;
  access::EarthdataOptions earthdata;
  std::string s3_credentials;  ///< URL that gives Earthdata's S3 keys; empty: not asked
  io::ReachOptions reach;
  std::string prefer;            ///< "s3", "https" or empty
  std::string sidecar = "auto";  ///< "auto", "always" or "never"
  format::MdsOptions mds;
};

/// The file of trusted certificates that CURL_CA_BUNDLE or SSL_CERT_FILE names, as for curl and
/// OpenSSL (libcurl reads neither); empty: the system's.
std::string trusted_certificates();

/// Of an option: why `number` is not above 0; empty: it is.
std::string check_positive(const std::string& number);
/// Of an option: "500MB" or "4 GiB" in bytes, where KB is 1024 or 1000; KiB is 1024. Throws what
/// CLI11 shows.
std::string binary_size(const std::string& text);
std::string decimal_size(const std::string& text);

/// Passed to the body of a command.
class Context {
 public:
  explicit Context(const CommonOptions& options);
  io::Session& session() { return *session_; }
  /// Of all sessions.
  access::EarthdataLogin& login() { return *login_; }
  std::shared_ptr<access::EarthdataLogin> shared_login() { return login_; }
  /// Another one, of which the sessions know nothing.
  std::shared_ptr<access::EarthdataLogin> new_login(access::EarthdataOptions options) const;
  /// Another session with the same options, which has seen nothing yet. `share`: how many such
  /// there may be, that together keep no more blocks in memory than one.
  std::shared_ptr<io::Session> new_session(size_t share) const;
  /// Another session with the same options but for what `adjust` changes. It lives as long as this.
  std::shared_ptr<io::Session> add_session(const std::function<void(io::SessionOptions&)>& adjust);
  /// What all of it has cost so far: of `session()`, those that were added, and the login.
  io::Counters counters() const;
  Progress::Style progress_style() const;
  const CommonOptions& options() const { return options_; }
  /// How sources are opened; `drop`: arrays to leave out.
  refs::OpenOptions open_options(std::vector<std::string> drop = {}) const;
  /// Prints a note on stderr; empty when quiet.
  std::function<void(const std::string&)> note_printer() const;
  /// What was out of the ordinary about how a dataset was read, on stderr.
  void print_notes(const std::string& source, const Dataset& dataset) const;

 private:
  CommonOptions options_;
  std::shared_ptr<access::EarthdataLogin> login_;
  std::shared_ptr<io::EgressBudget> budget_;  ///< of all sessions
  std::unique_ptr<io::Session> session_;
  std::vector<std::shared_ptr<io::Session>> added_;
};

/// The program: subcommands register themselves here; `run` parses, runs one body, prints errors,
/// and gives the exit status.
class Program {
 public:
  Program();
  ~Program();

  /// Adds a subcommand with the common options. Declare more on the App that comes back (CLI11).
  /// `footer`: examples, shown below --help. `body` runs once after parsing; its error becomes
  /// "upwell COMMAND: error: ..." and the exit status.
  /// `group`: the command of which it is a subcommand, as add_group gave it.
  CLI::App* add(const std::string& name, const std::string& description, const std::string& footer,
                std::function<Result<>(Context&)> body, CLI::App* group = nullptr);
  /// A command that only has subcommands.
  CLI::App* add_group(const std::string& name, const std::string& description,
                      const std::string& footer);
  int run(int argc, char** argv);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// One per command, in x_command.cpp.
void add_search_command(Program& program);
void add_download_command(Program& program);
void add_info_command(Program& program);
void add_read_command(Program& program);
void add_aggregate_command(Program& program);
void add_virtualize_command(Program& program);
void add_append_command(Program& program);
void add_verify_command(Program& program);
void add_compare_command(Program& program);
void add_doctor_command(Program& program);
void add_serve_command(Program& program);
void add_produce_commands(Program& program);
void add_generate_command(Program& program);
void add_login_command(Program& program);

/// Everything above in one call, for main. Started by the name of a program of EDP, such as
/// edp_create_job_task_list, it is the command that takes that program's options.
int run_program(int argc, char** argv);

}  // namespace upwell::cli
