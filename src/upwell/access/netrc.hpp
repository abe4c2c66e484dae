#pragma once
// Files that tell user names and passwords by machine, as ftp, curl and NASA's tools share them.
// https://www.gnu.org/software/inetutils/manual/html_node/The-_002enetrc-file.html

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

struct NetrcEntry {
  std::string machine;  ///< in small letters; empty: "default", which stands for every machine
  std::string login, password;
  /// Where the words stand in the text, from their first byte to behind their last; 0, 0: nowhere.
  struct Span {
    size_t begin = 0, end = 0;
  };
  Span name_at, login_at, password_at;
};

/// Words are separated by white space and may be in double quotes, with \" and \\ inside; # begins
/// a comment where a keyword is expected; "macdef" ends with an empty line; "account" is skipped.
/// kBadConfiguration with the line, never with a word of it.
Result<std::vector<NetrcEntry>> parse_netrc(std::string_view text);

/// The first entry of the machine, in whatever case, else "default"; nothing when there is neither.
std::optional<NetrcEntry> find_netrc(const std::vector<NetrcEntry>& entries,
                                     std::string_view machine);

/// The text with this login and password for the machine; all else stays as it is.
Result<std::string> with_netrc_entry(std::string_view text, const std::string& machine,
                                     const std::string& login, const std::string& password);

}  // namespace upwell::access
