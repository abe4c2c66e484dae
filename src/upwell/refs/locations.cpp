#include "refs/locations.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace upwell::refs {
namespace {

bool is_remote_prefix(const std::string& text) {
  const std::string scheme = io::scheme_of(text);
  return (scheme == "s3" || scheme == "https" || scheme == "http") &&
         text.size() > scheme.size() + 3;
}

}  // namespace

Result<LocationPairs> read_locations(std::string_view document) {
  std::string_view head = document.substr(0, kLocationsHead);
  if (head.find("\"locations\"") == std::string_view::npos) return LocationPairs{};
  head = head.substr(0, std::min(head.find("\"refs\""), head.find("\"metadata\"")));
  while (!head.empty() && head.find_last_of(", \t\r\n") == head.size() - 1) head.remove_suffix(1);
  const auto json = nlohmann::json::parse(std::string(head) + "}", nullptr, false);
  if (!json.is_object() || !json.contains("locations")) return LocationPairs{};
  const auto wrong = [] {
    return fail(Code::kInvalidData, "\"locations\" is not a list of pairs of s3 and http(s) URLs");
  };
  LocationPairs pairs;
  if (!json["locations"].is_array()) return wrong();
  for (const auto& pair : json["locations"]) {
    if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
      return wrong();
    pairs.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
    if (!is_remote_prefix(pairs.back().first) || !is_remote_prefix(pairs.back().second))
      return wrong();
  }
  return pairs;
}

std::string locations_member(const LocationPairs& pairs) {
  if (pairs.empty()) return {};
  return "\"locations\":" + nlohmann::json(pairs).dump() + ",";
}

LocationChoice::LocationChoice(io::Session& session, LocationPairs pairs, io::ReachPtr reach)
    : session_(session),
      pairs_(std::move(pairs)),
      reach_(std::move(reach)),
      ways_(pairs_.size(), Way::kUndecided) {}

LocationChoice::Way LocationChoice::decide(const std::string& first,
                                           const std::string& second) const {
  const std::string& preferred = session_.preferred_scheme();
  const bool swapped =
      !preferred.empty() && io::scheme_of(first) != preferred && io::scheme_of(second) == preferred;
  const std::string& better = swapped ? second : first;
  const std::string& other = swapped ? first : second;
  const bool other_it_is = !session_.stat(better, reach_) && session_.stat(other, reach_);
  return swapped != other_it_is ? Way::kSecond : Way::kFirst;
}

std::string LocationChoice::place(const std::string& url) {
  for (size_t i = 0; i < pairs_.size(); ++i) {
    if (!url.starts_with(pairs_[i].first)) continue;
    const std::string second = pairs_[i].second + url.substr(pairs_[i].first.size());
    std::lock_guard lock(mutex_);
    if (ways_[i] == Way::kUndecided) ways_[i] = decide(url, second);
    return ways_[i] == Way::kSecond ? second : url;
  }
  return url;
}

}  // namespace upwell::refs
