#include "access/secrets.hpp"

#include <algorithm>
#include <string_view>

namespace upwell::access {

std::string without_secrets(std::string text, const std::vector<std::string>& secrets) {
  constexpr std::string_view kStars = "***";
  std::vector<std::string> longest_first = secrets;  // one may be a part of another
  std::sort(longest_first.begin(), longest_first.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
  for (const std::string& secret : longest_first) {
    if (secret.empty()) continue;
    for (size_t at = text.find(secret); at != std::string::npos;
         at = text.find(secret, at + kStars.size()))
      text.replace(at, secret.size(), kStars);
  }
  return text;
}

}  // namespace upwell::access
