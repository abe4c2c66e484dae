#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/url_secrets.hpp"
#include "refs/verify.hpp"

namespace upwell::refs {
namespace {

using VerifyJson = nlohmann::ordered_json;

const char* state_name(GranuleVerdict::State state) {
  switch (state) {
    case GranuleVerdict::State::kUnchanged:
      return "unchanged";
    case GranuleVerdict::State::kUnrecorded:
      return "unrecorded";
    case GranuleVerdict::State::kChanged:
      return "changed";
    case GranuleVerdict::State::kVanished:
      return "vanished";
    case GranuleVerdict::State::kUnreachable:
      return "unreachable";
  }
  return "";
}

}  // namespace

size_t VerifyReport::count(GranuleVerdict::State state) const {
  return static_cast<size_t>(std::count_if(granules.begin(), granules.end(),
                                           [&](const auto& g) { return g.state == state; }));
}

bool VerifyReport::good() const {
  using State = GranuleVerdict::State;
  return findings.empty() && count(State::kChanged) == 0 && count(State::kVanished) == 0 &&
         count(State::kUnreachable) == 0;
}

std::string VerifyReport::to_json() const {
  VerifyJson out{{"source", without_url_secrets(source)}, {"format", format}, {"good", good()}};
  out["concat"] = concat;
  out["recorded"] = recorded;
  out["seed"] = seed;
  VerifyJson counts;
  for (const auto state : {GranuleVerdict::State::kUnchanged, GranuleVerdict::State::kUnrecorded,
                           GranuleVerdict::State::kChanged, GranuleVerdict::State::kVanished,
                           GranuleVerdict::State::kUnreachable})
    counts[state_name(state)] = count(state);
  out["counts"] = counts;
  out["variables"] = VerifyJson::array();
  for (const Variable& v : variables)
    out["variables"].push_back({{"path", v.path},
                                {"compared", v.compared},
                                {"differing", v.differing},
                                {"bytes", v.bytes}});
  out["findings"] = VerifyJson::array();
  for (const Finding& f : findings)
    out["findings"].push_back({{"granule", without_url_secrets(f.granule)},
                               {"path", f.path},
                               {"kind", f.kind},
                               {"message", f.message},
                               {"places", f.places}});
  out["granules"] = VerifyJson::array();
  for (const GranuleVerdict& g : granules) {
    VerifyJson one{{"url", without_url_secrets(g.url)}, {"state", state_name(g.state)}};
    if (!g.detail.empty()) one["detail"] = g.detail;
    one["compared"] = g.compared;
    one["bytes"] = g.bytes;
    out["granules"].push_back(std::move(one));
  }
  return out.dump(1, ' ', false, VerifyJson::error_handler_t::replace) + "\n";
}

}  // namespace upwell::refs
