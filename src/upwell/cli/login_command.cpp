#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <array>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "cli/command.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kLoginFooter =
    "Examples:\n"
    "  upwell login                          who is logged in, until when; asks for a name and "
    "password\n"
    "                                        when nobody is\n"
    "  upwell login --persist                and keeps them in ~/.netrc for the next time\n"
    "  upwell login --check                  asks nobody; status 77 when something is wrong\n"
    "  upwell login --check https://data.host/granule.nc   may this user read that?\n"
    "  export EARTHDATA_TOKEN=$(upwell login --print-token)   for workers elsewhere: no password\n"
    "\n"
    "No other command has to come after it: each looks for who you are by itself, in this order:\n"
    "--earthdata-token-command or --earthdata-token-file; EARTHDATA_TOKEN; EARTHDATA_USERNAME and\n"
    "EARTHDATA_PASSWORD; the entry of the login host in $NETRC or ~/.netrc. With a name and "
    "password\n"
    "tokens are got, and renewed, as they are needed. An account costs nothing:\n"
    "https://urs.earthdata.nasa.gov/users/new";

struct LoginChoices {
  bool check = false, persist = false, print_token = false;
  std::string url;
};

/// The terminal does not show what is typed while this lives. A signal that ends the process does
/// not leave it so.
class SilentTerminal {
 public:
  SilentTerminal() {
    if (::tcgetattr(STDIN_FILENO, &usual_) != 0) return;
    struct sigaction restore{};
    restore.sa_handler = &end_by;
    for (size_t i = 0; i < kEnds.size(); ++i) ::sigaction(kEnds[i], &restore, &before_[i]);
    termios silent = usual_;
    silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    works_ = ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent) == 0;
    if (!works_) put_back_handlers();
  }
  ~SilentTerminal() {
    if (!works_) return;
    ::tcsetattr(STDIN_FILENO, TCSAFLUSH, &usual_);
    put_back_handlers();
  }
  SilentTerminal(const SilentTerminal&) = delete;
  SilentTerminal& operator=(const SilentTerminal&) = delete;
  bool works() const { return works_; }

 private:
  static constexpr std::array kEnds{SIGINT, SIGTERM, SIGHUP, SIGQUIT};

  static void end_by(int signal) {
    ::tcsetattr(STDIN_FILENO, TCSANOW, &usual_);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
  }
  void put_back_handlers() {
    for (size_t i = 0; i < kEnds.size(); ++i) ::sigaction(kEnds[i], &before_[i], nullptr);
  }

  static inline termios usual_{};  // where a handler finds it
  std::array<struct sigaction, kEnds.size()> before_{};
  bool works_ = false;
};

/// Without showing it where it is typed.
std::optional<std::string> ask_secret(const std::string& question) {
  std::string answer;
  {
    const SilentTerminal terminal;
    if (!terminal.works()) return {};
    fmt::print(stderr, "{}", question);  // only now: what was typed before is thrown away
    if (!std::getline(std::cin, answer)) answer.clear();
  }
  fmt::print(stderr, "\n");
  return answer.empty() ? std::nullopt : std::optional(answer);
}

Result<> ask_user(const std::string& host, access::EarthdataOptions& options) {
  fmt::print(stderr, "Earthdata Login at {}\nuser name: ", host);
  if (!std::getline(std::cin, options.user) || options.user.empty())
    return fail(Code::kUnauthenticated, "no user name was given");
  const auto password = ask_secret("password (not shown): ");
  if (!password) return fail(Code::kUnauthenticated, "no password was given");
  options.password = *password;
  return {};
}

void print_account(const access::EarthdataAccount& account) {
  fmt::print("logged in at {}{} (from {})\n", account.host,
             account.user.empty() ? "" : " as " + account.user, account.source);
  if (!account.expires_unix_s) {
    fmt::print("the token does not tell until when it is valid\n");
    return;
  }
  const int64_t left = *account.expires_unix_s - int64_t{std::time(nullptr)};
  const double days = static_cast<double>(left) / 86400;
  fmt::print("the token is valid until {} ({})\n", access::shown_time(*account.expires_unix_s),
             days >= 2 ? fmt::format("{:.0f} days", days) : fmt::format("{:.1f} hours", days * 24));
}

Result<> persist(const access::EarthdataOptions& options, const std::string& host) {
  UPWELL_TRY(const access::EarthdataIdentity who, access::find_earthdata_identity(options, host));
  if (who.user.empty())
    return fail(Code::kInvalidArgument,
                "--persist keeps a user name and password, and there is only a token");
  const auto file = access::netrc_path(options.environment);
  UPWELL_CHECK(access::persist_in_netrc(file, host, who.user, who.password));
  fmt::print("kept in {}\n", file.string());
  return {};
}

Result<> run_login(Context& context, const LoginChoices& choices) {
  access::EarthdataOptions options = context.options().earthdata;
  std::shared_ptr<access::EarthdataLogin> typed;
  access::EarthdataLogin* login = &context.login();
  UPWELL_TRY(const std::string host, access::earthdata_host(options));
  if (!choices.check && !choices.print_token && ::isatty(STDIN_FILENO) == 1) {
    UPWELL_TRY(const auto who, access::find_earthdata_identity(options, host));
    if (who.nobody()) {
      UPWELL_CHECK(ask_user(host, options));
      typed = context.new_login(options);
      login = typed.get();
    }
  }
  UPWELL_TRY(const access::EarthdataAccount account, login->check());
  if (choices.print_token) {
    UPWELL_TRY(const std::string token, login->token());
    fmt::print("{}\n", token);
    return {};
  }
  if (choices.check && choices.url.empty() && account.user.empty())
    return fail(Code::kUnauthenticated,
                "the token (from " + account.source + ") does not tell whose it is, so that " +
                    account.host +
                    " cannot be asked about it; see whether it opens data: upwell login --check "
                    "URL");
  print_account(account);
  if (choices.persist) UPWELL_CHECK(persist(options, host));
  if (choices.url.empty()) return {};
  UPWELL_CHECK(context.session().read_one(choices.url, {0, 1}));
  fmt::print("{}: can be read\n", io::shown_url(choices.url));
  return {};
}

}  // namespace

void add_login_command(Program& program) {
  auto choices = std::make_shared<LoginChoices>();
  CLI::App* command = program.add(
      "login", "Says who is logged in to NASA's Earthdata, and what is wrong if nobody is",
      kLoginFooter, [choices](Context& context) { return run_login(context, *choices); });
  command
      ->add_option("url", choices->url,
                   "Data that the user should be able to read: its first byte is")
      ->type_name("URL");
  command->add_flag("--check", choices->check, "Ask for nothing, only look");
  CLI::Option* persist = command->add_flag("--persist", choices->persist,
                                           "Keep the name and password in $NETRC or ~/.netrc, "
                                           "readable by you alone; its other entries stay");
  command->add_flag("--print-token", choices->print_token, "Print the token and nothing else")
      ->excludes(persist);
}

}  // namespace upwell::cli
