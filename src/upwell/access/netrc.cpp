#include "access/netrc.hpp"

#include <algorithm>

#include "base/text.hpp"

namespace upwell::access {
namespace {

bool is_netrc_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

struct NetrcWord {
  std::string text;
  NetrcEntry::Span at;
};

struct NetrcParser {
  std::string_view text;
  size_t at = 0;
  std::vector<NetrcEntry> entries;

  Result<> parse();
  Result<std::optional<NetrcWord>> next();
  Result<NetrcWord> value_of(const std::string& keyword);
  Result<> take(const std::string& keyword);
  void skip_line();
  void skip_macro();
  tl::unexpected<Error> wrong(const std::string& what) const {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<ptrdiff_t>(at), '\n');
    return fail(Code::kBadConfiguration, "line " + std::to_string(line) + ": " + what);
  }
};

void NetrcParser::skip_line() { at = std::min(text.find('\n', at), text.size()); }

/// To behind the next line with nothing on it.
void NetrcParser::skip_macro() {
  while (at < text.size()) {
    skip_line();
    at = std::min(at + 1, text.size());
    if (text.substr(at, 1) == "\n" || text.substr(at, 2) == "\r\n") return;
  }
}

Result<std::optional<NetrcWord>> NetrcParser::next() {
  while (at < text.size() && is_netrc_space(text[at])) ++at;
  if (at == text.size()) return std::nullopt;
  NetrcWord word;
  word.at.begin = at;
  const bool quoted = text[at] == '"';
  if (quoted) ++at;
  while (at < text.size() && (quoted ? text[at] != '"' : !is_netrc_space(text[at]))) {
    if (text[at] == '\\' && at + 1 < text.size() && (quoted || !is_netrc_space(text[at + 1]))) ++at;
    word.text += text[at++];
  }
  if (quoted && at == text.size()) {
    at = word.at.begin;
    return wrong("a quoted word that does not end");
  }
  if (quoted) ++at;
  word.at.end = at;
  return word;
}

Result<NetrcWord> NetrcParser::value_of(const std::string& keyword) {
  UPWELL_TRY(std::optional<NetrcWord> word, next());
  if (!word) return wrong("nothing follows \"" + keyword + "\"");
  return std::move(*word);
}

Result<> NetrcParser::take(const std::string& keyword) {
  if (keyword == "default") {
    entries.emplace_back();
    return {};
  }
  if (keyword == "machine") {
    UPWELL_TRY(NetrcWord name, value_of(keyword));
    entries.emplace_back();
    entries.back().machine = lower_case(name.text);
    entries.back().name_at = name.at;
    return {};
  }
  if (keyword == "macdef") {
    skip_macro();
    return {};
  }
  if (keyword != "login" && keyword != "user" && keyword != "password" && keyword != "account")
    return wrong("neither machine, default, login, password, account nor macdef");
  if (entries.empty()) return wrong("\"" + keyword + "\" before the first machine");
  UPWELL_TRY(NetrcWord value, value_of(keyword));
  NetrcEntry& entry = entries.back();
  if (keyword == "password") {
    entry.password = std::move(value.text);
    entry.password_at = value.at;
  } else if (keyword != "account") {
    entry.login = std::move(value.text);
    entry.login_at = value.at;
  }
  return {};
}

Result<> NetrcParser::parse() {
  while (true) {
    UPWELL_TRY(const std::optional<NetrcWord> word, next());
    if (!word) return {};
    if (text[word->at.begin] == '#') {
      at = word->at.begin;
      skip_line();
    } else {
      UPWELL_CHECK(take(word->text));
    }
  }
}

std::string netrc_word(const std::string& text) {
  const bool plain =
      !text.empty() && text.front() != '#' && std::none_of(text.begin(), text.end(), [](char c) {
        return is_netrc_space(c) || c == '"' || c == '\\';
      });
  if (plain) return text;
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

}  // namespace

Result<std::vector<NetrcEntry>> parse_netrc(std::string_view text) {
  NetrcParser parser{text, 0, {}};
  UPWELL_CHECK(parser.parse());
  return std::move(parser.entries);
}

std::optional<NetrcEntry> find_netrc(const std::vector<NetrcEntry>& entries,
                                     std::string_view machine) {
  for (const std::string& name : {lower_case(machine), std::string()}) {
    const auto found = std::find_if(entries.begin(), entries.end(),
                                    [&](const NetrcEntry& e) { return e.machine == name; });
    if (found != entries.end()) return *found;
  }
  return {};
}

Result<std::string> with_netrc_entry(std::string_view text, const std::string& machine,
                                     const std::string& login, const std::string& password) {
  UPWELL_TRY(const std::vector<NetrcEntry> entries, parse_netrc(text));
  std::string out(text);
  const auto entry = find_netrc(entries, machine);
  if (!entry || entry->machine.empty()) {
    // In front: behind "default" it would not be found, and behind a macro be a part of it.
    return "machine " + machine + " login " + netrc_word(login) + " password " +
           netrc_word(password) + "\n" + out;
  }
  struct Change {
    NetrcEntry::Span at;
    std::string text;
  };
  const size_t behind = entry->name_at.end;
  const auto change = [&](NetrcEntry::Span at, const std::string& keyword,
                          const std::string& word) {
    return at.end > 0 ? Change{at, netrc_word(word)}
                      : Change{{behind, behind}, " " + keyword + " " + netrc_word(word)};
  };
  Change changes[] = {change(entry->login_at, "login", login),
                      change(entry->password_at, "password", password)};
  // From behind, so that places in front stay where they are.
  if (changes[0].at.begin < changes[1].at.begin) std::swap(changes[0], changes[1]);
  for (const Change& c : changes) {
    // What was in quotes may stand right in front of the next word.
    const bool apart = c.at.end == out.size() || is_netrc_space(out[c.at.end]);
    out.replace(c.at.begin, c.at.end - c.at.begin, c.text + (apart ? "" : " "));
  }
  return out;
}

}  // namespace upwell::access
