// What to relax where a search found nothing.

#include <fmt/format.h>

#include <algorithm>

#include "access/cmr_search.hpp"

namespace upwell::access {
namespace {

/// Each condition that is left out costs a request.
constexpr size_t kMostAsked = 6;

/// "temporal" of "temporal[]", "passes" of "passes[0][pass]", "short_name" of
/// "options[short_name][pattern]".
std::string condition_of(std::string name) {
  constexpr std::string_view kOptions = "options[";
  if (name.starts_with(kOptions)) name = name.substr(kOptions.size());
  return name.substr(0, name.find_first_of("[]"));
}

/// What the user called it.
std::string option_of(const std::string& condition) {
  for (const CmrParameter& p : cmr_parameters()) {
    if (condition_of(p.name) != condition) continue;
    const std::string option = p.option;
    return option.substr(0, option.find(','));
  }
  return "--parameter " + condition;
}

}  // namespace

Result<std::string> CmrSearch::why_none(const Pairs& pairs) {
  const std::string collection = "collection_concept_id";
  std::vector<std::string> conditions;
  for (const auto& [name, value] : pairs) {
    const std::string condition = condition_of(name);
    if (condition != collection && condition != "sort_key" &&
        std::find(conditions.begin(), conditions.end(), condition) == conditions.end())
      conditions.push_back(condition);
  }
  std::string without;
  for (size_t i = 0; i < std::min(conditions.size(), kMostAsked); ++i) {
    if (conditions.size() == 1) break;  // the same as the whole collection
    Pairs others;
    for (const auto& pair : pairs)
      if (condition_of(pair.first) != conditions[i]) others.push_back(pair);
    UPWELL_TRY(const uint64_t hits, count("granules", others));
    without +=
        fmt::format("{}without {} there {}", without.empty() ? "" : ", ", option_of(conditions[i]),
                    hits == 0   ? "are none either"
                    : hits == 1 ? "is 1"
                                : fmt::format("are {}", hits));
  }
  Pairs whole;
  std::string ids;
  for (const auto& pair : pairs) {
    if (condition_of(pair.first) != collection) continue;
    whole.push_back(pair);
    ids += (ids.empty() ? "" : ", ") + pair.second;
  }
  std::string all;
  if (!whole.empty()) {
    UPWELL_TRY(const uint64_t hits, count("granules", whole));
    UPWELL_TRY(const auto extent, extent_of(whole));
    all = fmt::format("{} has {} granules", ids, hits);
    if (hits > 0 && !extent.first.empty())
      all += fmt::format(", from {} {}", extent.first,
                         extent.second.empty() ? "on" : "to " + extent.second);
  }
  std::string text = "no granule is so described";
  if (!without.empty()) text += ": " + without;
  if (!all.empty()) text += "; " + all;
  if (conditions.size() == 1) text += "; relax " + option_of(conditions[0]);
  return text;
}

}  // namespace upwell::access
