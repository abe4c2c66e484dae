#include "io/s3_credentials.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iterator>

#include "base/text.hpp"
#include "io/container_credentials.hpp"

namespace upwell::io {
namespace {

std::string_view stripped(std::string_view text) {
  auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_true(const std::string& text) {
  std::string value = lower_case(text);
  return value == "1" || value == "true" || value == "yes";
}

/// A file that is not there has no sections.
Result<AwsProfiles> read_profiles(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return AwsProfiles{};
  std::string text{std::istreambuf_iterator<char>(file), {}};
  return parse_aws_profiles(text, path);
}

struct ProfileFiles {
  std::string credentials, config;
};

ProfileFiles profile_files(const Environment& env) {
  std::string home = env("HOME") + "/.aws/";
  ProfileFiles files{env("AWS_SHARED_CREDENTIALS_FILE"), env("AWS_CONFIG_FILE")};
  if (files.credentials.empty()) files.credentials = home + "credentials";
  if (files.config.empty()) files.config = home + "config";
  return files;
}

/// The settings of one profile: of the config file, and over them those of the credentials file.
Result<std::map<std::string, std::string>> read_profile(const ProfileFiles& files,
                                                        const std::string& name, bool named) {
  UPWELL_TRY(AwsProfiles config, read_profiles(files.config));
  UPWELL_TRY(AwsProfiles credentials, read_profiles(files.credentials));
  std::map<std::string, std::string> out;
  bool found = false;
  for (const auto& [profiles, section] :
       {std::pair(&credentials, name),
        std::pair(&config, name == "default" ? name : "profile " + name)}) {
    auto it = profiles->find(section);
    if (it == profiles->end()) continue;
    found = true;
    out.insert(it->second.begin(), it->second.end());
  }
  if (!found && named) {
    return fail(Code::kBadConfiguration, "AWS profile \"" + name + "\" is neither in " +
                                             files.credentials + " nor in " + files.config);
  }
  return out;
}

/// Both keys or none.
Result<S3Credentials> checked(S3Credentials credentials, const std::string& where) {
  if (credentials.access_key_id.empty() != credentials.secret_access_key.empty()) {
    return fail(Code::kBadConfiguration,
                where +
                    ": an access key id and a secret access key belong together; one is "
                    "missing");
  }
  return credentials;
}

Result<S3Credentials> environment_credentials(const Environment& env) {
  return checked({env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN"),
                  parse_expiration(env("AWS_CREDENTIAL_EXPIRATION"))},
                 "environment");
}

Result<S3Credentials> profile_credentials(const ProfileFiles& files, const std::string& name,
                                          bool named) {
  UPWELL_TRY(auto profile, read_profile(files, name, named));
  auto value = [&](const char* key) {
    auto it = profile.find(key);
    return it == profile.end() ? std::string() : it->second;
  };
  S3Credentials out{
      value("aws_access_key_id"), value("aws_secret_access_key"), value("aws_session_token"), {}};
  // Tools that write temporary credentials into the file use either name.
  for (const char* key : {"aws_expiration", "x_security_token_expires", "expiration"}) {
    if (!out.expires_unix_s) out.expires_unix_s = parse_expiration(value(key));
  }
  if (out.anonymous()) {
    for (const char* key : {"sso_session", "sso_start_url", "role_arn", "credential_process",
                            "web_identity_token_file", "login_session"}) {
      if (value(key).empty()) continue;
      return fail(Code::kBadConfiguration,
                  "AWS profile \"" + name + "\" logs in by " + key +
                      ", which is not read here: export its keys (aws configure "
                      "export-credentials --format env)");
    }
  }
  return checked(std::move(out), "AWS profile \"" + name + "\"");
}

std::string first_of(std::initializer_list<std::string> candidates) {
  for (const std::string& text : candidates) {
    if (!text.empty()) return text;
  }
  return {};
}

}  // namespace

Environment process_environment() {
  return [](const std::string& name) {
    const char* value = std::getenv(name.c_str());
    return std::string(value == nullptr ? "" : value);
  };
}

Result<AwsProfiles> parse_aws_profiles(std::string_view text, const std::string& file) {
  AwsProfiles profiles;
  std::map<std::string, std::string>* section = nullptr;
  std::string parent;
  size_t number = 0;
  auto wrong = [&](const std::string& what) {
    return fail(Code::kBadConfiguration, file + ", line " + std::to_string(number) + ": " + what);
  };
  while (!text.empty()) {
    ++number;
    size_t end = std::min(text.find('\n'), text.size());
    std::string_view raw = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    std::string_view line = stripped(raw);
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    if (line.front() == '[') {
      size_t close = line.find(']');
      if (close == std::string_view::npos) return wrong("a section without ']'");
      std::string name;  // with single spaces
      for (char c : stripped(line.substr(1, close - 1))) {
        if (c == '\t') c = ' ';
        if (c != ' ' || !name.ends_with(' ')) name += c;
      }
      section = &profiles[name];
      parent.clear();
      continue;
    }
    size_t equal = line.find('=');
    if (section == nullptr) return wrong("a setting before the first [section]");
    if (equal == std::string_view::npos) return wrong("neither [section] nor key = value");
    std::string key = lower_case(stripped(line.substr(0, equal)));
    std::string_view value = stripped(line.substr(equal + 1));
    if (size_t comment = std::min(value.find(" #"), value.find(" ;"));
        comment != std::string_view::npos) {
      value = stripped(value.substr(0, comment));
    }
    bool nested = (raw.front() == ' ' || raw.front() == '\t') && !parent.empty();
    if (!nested) parent = value.empty() ? key : "";
    section->insert_or_assign(nested ? parent + "." + key : key, std::string(value));
  }
  return profiles;
}

std::optional<int64_t> parse_expiration(const std::string& text) {
  std::tm t{};
  int used = 0;
  char separator = 0;
  if (std::sscanf(text.c_str(), "%4d-%2d-%2d%c%2d:%2d:%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday,
                  &separator, &t.tm_hour, &t.tm_min, &t.tm_sec, &used) != 7) {
    return {};
  }
  if (separator != 'T' && separator != ' ') return {};
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  std::string zone = text.substr(static_cast<size_t>(used));
  if (zone.starts_with('.'))
    zone.erase(0, std::min(zone.find_first_not_of(".0123456789"), zone.size()));
  int hours = 0;
  int minutes = 0;
  int64_t offset = 0;
  if (!zone.empty() && (zone[0] == '+' || zone[0] == '-') &&
      std::sscanf(zone.c_str() + 1, "%2d:%2d", &hours, &minutes) == 2) {
    offset = (hours * 60 + minutes) * (zone[0] == '-' ? -60 : 60);
  } else if (!zone.empty() && zone != "Z") {
    return {};
  }
  return int64_t{::timegm(&t)} - offset;
}

Result<S3Configuration> s3_configuration(const S3Settings& settings, const Environment& env) {
  const bool named = !settings.profile.empty() || !env("AWS_PROFILE").empty();
  const std::string name = first_of({settings.profile, env("AWS_PROFILE"), "default"});
  const ProfileFiles files = profile_files(env);
  UPWELL_TRY(auto profile, read_profile(files, name, named));

  S3Configuration out;
  out.endpoint = first_of({settings.endpoint, env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL")});
  if (out.endpoint.empty()) {
    // "services = x" names a section [services x] with an endpoint for each service.
    UPWELL_TRY(AwsProfiles config, read_profiles(files.config));
    std::string services;
    if (auto it = profile.find("services"); it != profile.end()) {
      services = config["services " + it->second]["s3.endpoint_url"];
    }
    out.endpoint = first_of({services, profile["s3.endpoint_url"], profile["endpoint_url"]});
  }
  while (out.endpoint.ends_with('/')) out.endpoint.pop_back();
  if (!out.endpoint.empty() && !out.endpoint.starts_with("https://") &&
      !out.endpoint.starts_with("http://")) {
    return fail(Code::kBadConfiguration,
                "S3 endpoint \"" + out.endpoint + "\": it must begin with https:// or http://");
  }
  out.region =
      first_of({settings.region, env("AWS_REGION"), env("AWS_DEFAULT_REGION"), profile["region"]});
  out.addressing_style = lower_case(profile["s3.addressing_style"]);
  if (settings.anonymous || is_true(env("AWS_NO_SIGN_REQUEST"))) {
    out.credentials = [] { return Result<S3Credentials>(S3Credentials{}); };
    return out;
  }
  // A profile that was named on purpose comes before keys that happen to be in the environment.
  const bool chosen = !settings.profile.empty();
  out.credentials = [env, files, name, named, chosen]() -> Result<S3Credentials> {
    if (!chosen) {
      UPWELL_TRY(S3Credentials found, environment_credentials(env));
      if (!found.anonymous()) return found;
    }
    UPWELL_TRY(S3Credentials kept, profile_credentials(files, name, named));
    if (!kept.anonymous() || named) return kept;
    UPWELL_TRY(S3Credentials task, container_credentials(env));
    return task.anonymous() ? instance_credentials(env) : task;
  };
  return out;
}

}  // namespace upwell::io
