#include "access/earthdata_identity.hpp"

#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>

#include "access/netrc.hpp"
#include "access/token.hpp"
#include "base/files.hpp"
#include "base/text.hpp"

namespace upwell::access {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProduction = "urs.earthdata.nasa.gov";
constexpr const char* kAcceptance = "uat.urs.earthdata.nasa.gov";
constexpr size_t kMaxTokenFile = 64 << 10;

std::string without_space(std::string text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  text.erase(0,
             static_cast<size_t>(std::find_if_not(text.begin(), text.end(), space) - text.begin()));
  return text;
}

/// A token as it may stand in a header, whoever gave it.
Result<std::string> clean_token(std::string text, const std::string& source) {
  text = without_space(std::move(text));
  if (text.starts_with("Bearer ")) text = without_space(text.substr(7));
  if (text.empty()) return fail(Code::kBadConfiguration, source + ": no token in it");
  if (!is_header_word(text))
    return fail(Code::kBadConfiguration,
                source + ": not a token: it has spaces or characters that tokens do not have");
  return text;
}

Result<std::string> read_token_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(Code::kBadConfiguration,
                path + ": the token file cannot be read: " + std::strerror(errno));
  std::string text(kMaxTokenFile, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  return clean_token(std::move(text), path);
}

/// "/opt/bin/token" of a command, whose arguments may be secrets; empty where that is not plain to
/// see.
std::string program_of(const std::string& command) {
  const size_t begin = std::min(command.find_first_not_of(" \t"), command.size());
  const std::string word =
      command.substr(begin, command.find_first_of(" \t\n;|&<>()", begin) - begin);
  return word.find_first_of("=$`'\"\\") == std::string::npos ? word : std::string();
}

Result<std::string> run_token_command(const std::string& command) {
  std::FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr)
    return fail(Code::kBadConfiguration,
                "the token command cannot be run: " + std::string(std::strerror(errno)));
  std::string text(kMaxTokenFile, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), pipe));
  const int status = ::pclose(pipe);
  if (status != 0) {
    const std::string program = program_of(command);
    return fail(Code::kBadConfiguration,
                "the token command" + (program.empty() ? "" : " (" + program + " ...)") +
                    " ended with status " + std::to_string(WEXITSTATUS(status)));
  }
  return clean_token(std::move(text), "what the token command printed");
}

Result<> add_environment(const io::Environment& env, EarthdataIdentity& out) {
  if (out.token.empty() && !env("EARTHDATA_TOKEN").empty()) {
    UPWELL_TRY(out.token, clean_token(env("EARTHDATA_TOKEN"), "EARTHDATA_TOKEN"));
    out.token_source = "EARTHDATA_TOKEN";
  }
  const std::string user = env("EARTHDATA_USERNAME");
  const std::string password = env("EARTHDATA_PASSWORD");
  if (user.empty() != password.empty())
    return fail(Code::kBadConfiguration,
                std::string("EARTHDATA_USERNAME and EARTHDATA_PASSWORD "
                            "belong together; ") +
                    (user.empty() ? "EARTHDATA_USERNAME" : "EARTHDATA_PASSWORD") + " is not set");
  if (out.user.empty() && !user.empty()) {
    out.user = user;
    out.password = password;
    out.password_source = "EARTHDATA_USERNAME";
  }
  return {};
}

Result<std::string> read_netrc(const fs::path& path) {
  std::error_code unknown;
  if (fs::is_directory(path, unknown))
    return fail(Code::kBadConfiguration,
                path.string() + " is a directory; NETRC names the file of logins (else ~/.netrc)");
  std::ifstream file(path, std::ios::binary);
  if (!file)
    return fail(Code::kBadConfiguration,
                path.string() + ": cannot be read: " + std::strerror(errno));
  return std::string{std::istreambuf_iterator<char>(file), {}};
}

void warn_if_open_to_others(const EarthdataOptions& options, const fs::path& path) {
  struct stat state{};
  const bool open = ::stat(path.c_str(), &state) == 0 && S_ISREG(state.st_mode) &&
                    (state.st_mode & (S_IRGRP | S_IROTH)) != 0;
  if (open && options.warn)
    options.warn(path.string() + " can be read by others on this machine; chmod 600 " +
                 path.string());
}

Result<> add_netrc(const EarthdataOptions& options, const std::string& host,
                   EarthdataIdentity& out) {
  const fs::path path = netrc_path(options.environment);
  std::error_code error;
  if (!fs::exists(path, error)) return {};
  UPWELL_TRY(const std::string text, read_netrc(path));
  auto entries = parse_netrc(text);
  if (!entries)
    return fail(Code::kBadConfiguration, path.string() + ", " + entries.error().message);
  auto entry = find_netrc(*entries, host);
  if (!entry || entry->machine != host)
    entry = find_netrc(*entries, host.substr(0, host.find(':')));
  if (!entry) return {};
  if (entry->login.empty() || entry->password.empty())
    return fail(Code::kBadConfiguration,
                path.string() + ": the entry of " + (entry->machine.empty() ? "default" : host) +
                    " has no " + (entry->login.empty() ? "login" : "password"));
  warn_if_open_to_others(options, path);
  out.user = entry->login;
  out.password = entry->password;
  out.password_source = path.string() + (entry->machine.empty() ? " (default)" : "");
  return {};
}

}  // namespace

Result<std::string> earthdata_host(const EarthdataOptions& options) {
  std::string host = options.host.empty() ? options.environment("EARTHDATA_HOST") : options.host;
  if (host.empty() || host == "PROD" || host == "prod") return kProduction;
  if (host == "UAT" || host == "uat") return kAcceptance;
  if (host.starts_with("https://")) host.erase(0, 8);
  while (host.ends_with('/')) host.pop_back();
  const bool good = !host.empty() && std::all_of(host.begin(), host.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == ':';
  });
  if (!good)
    return fail(Code::kInvalidArgument,
                "Earthdata Login's host \"" + host + "\": PROD, UAT or HOST[:PORT] is wanted");
  return lower_case(host);
}

Result<EarthdataIdentity> find_earthdata_identity(const EarthdataOptions& options,
                                                  const std::string& host) {
  EarthdataIdentity out;
  if (!options.user.empty()) {
    out.user = options.user;
    out.password = options.password;
    out.password_source = options.password_source;
    return out;
  }
  if (!options.token_command.empty()) {
    UPWELL_TRY(out.token, run_token_command(options.token_command));
    out.token_source = "the token command";
  } else if (!options.token_file.empty()) {
    UPWELL_TRY(out.token, read_token_file(options.token_file));
    warn_if_open_to_others(options, options.token_file);
    out.token_source = options.token_file;
  }
  UPWELL_CHECK(add_environment(options.environment, out));
  if (!out.user.empty()) return out;
  auto netrc = add_netrc(options, host, out);
  // What is wrong with it does not matter where a token is at hand.
  if (!netrc && out.token.empty()) return fail(std::move(netrc).error());
  return out;
}

fs::path netrc_path(const io::Environment& environment) {
  const std::string named = environment("NETRC");
  return named.empty() ? fs::path(environment("HOME")) / ".netrc" : fs::path(named);
}

std::string shown_time(int64_t unix_s) {
  const time_t seconds = unix_s;
  std::tm t{};
  char text[64] = "";
  if (::gmtime_r(&seconds, &t) == nullptr ||
      std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &t) == 0)
    return std::to_string(unix_s) + " s after 1970";
  return text;
}

Result<> persist_in_netrc(const fs::path& file, const std::string& host, const std::string& user,
                          const std::string& password) {
  std::string text;
  std::error_code error;
  if (fs::exists(file, error)) {
    UPWELL_TRY(text, read_netrc(file));
  }
  auto changed = with_netrc_entry(text, host.substr(0, host.find(':')), user, password);
  if (!changed)
    return fail(Code::kBadConfiguration, file.string() + ", " + changed.error().message);
  // From the start: who opens a file while it may be read can go on reading it.
  const mode_t usual = ::umask(S_IXUSR | S_IRWXG | S_IRWXO);
  auto output = AtomicFile::create(file);
  ::umask(usual);
  if (!output) return fail(std::move(output).error());
  UPWELL_CHECK(output->write(as_bytes(*changed)));
  return output->commit();
}

}  // namespace upwell::access
