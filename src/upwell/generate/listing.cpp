#include "generate/listing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "io/s3_dialect.hpp"

namespace upwell::generate {
namespace {

constexpr size_t kShown = 3;

/// Granules that cannot be taken, for one message.
struct Unfit {
  size_t count = 0;
  std::string text;

  void add(const std::string& granule, const std::string& why) {
    if (count++ < kShown) text += "\n  " + granule + ": " + why;
  }
};

/// An interval; either end may be open. Texts are of one form, so that they sort as times do.
struct Times {
  std::string from, to;
  bool all() const { return from.empty() && to.empty(); }
  bool none() const { return !to.empty() && to < from; }
};

/// What two "FROM,TO" have in common; empty ones are all times. CMR would take either.
Result<Times> both(const std::string& a, const std::string& b) {
  Times out;
  for (const std::string& text : {a, b}) {
    if (text.empty()) continue;
    UPWELL_TRY(const std::string checked, access::cmr_temporal(text));
    const size_t comma = checked.find(',');
    const std::string to = checked.substr(comma + 1);
    out.from = std::max(out.from, checked.substr(0, comma));
    if (out.to.empty() || (!to.empty() && to < out.to)) out.to = to;
  }
  return out;
}

void take_granule(access::Granule granule, const Question& question, Listing& out, Unfit& unfit) {
  if (!granule.broken.empty()) return unfit.add(granule.name, granule.broken);
  const auto files = access::data_files(granule, question.files);
  if (files.empty() && question.skip_missing) return out.without_data.push_back(granule.name);
  if (files.size() != 1)
    return unfit.add(granule.name,
                     files.empty() ? "no link leads to its data (--skip-missing leaves it out)"
                                   : fmt::format("{} data files, {} and {} among them; choose by "
                                                 "--files PATTERN",
                                                 files.size(), files[0]->name, files[1]->name));
  ListedGranule listed;
  listed.s3 = files[0]->s3;
  listed.https = files[0]->https;
  std::string endpoint = granule.s3_credentials;
  if (endpoint.empty()) endpoint = question.s3_credentials;
  if (const auto place = io::parse_s3_url(listed.s3); place && !endpoint.empty())
    out.s3_credentials.emplace(place->bucket, endpoint);
  granule.files = {};
  granule.footprint = {};
  granule.opendap = granule.s3_credentials = {};
  listed.record = std::move(granule);
  out.granules.push_back(std::move(listed));
}

using PlacePair = Places::value_type;

/// The bucket and what https has before its keys, or the longest run of whole names at the end that
/// both share: gateways may name a bucket in their own way. Nothing in common: the object itself.
PlacePair shortest_place(const std::string& s3, const std::string& https) {
  constexpr size_t kScheme = std::string_view("s3://").size();
  const size_t slash = s3.find('/', kScheme);
  for (size_t at = kScheme - 1; at < s3.size(); at = s3.find('/', at + 1)) {
    const std::string_view tail = std::string_view(s3).substr(at);  // "/bucket/a/f.nc"
    if (!https.ends_with(tail)) continue;
    const size_t key = tail.size() - (at < slash ? slash - at : 0) - 1;
    return {s3.substr(0, s3.size() - key), https.substr(0, https.size() - key)};
  }
  return {s3, https};
}

PlacePair directory_place(const std::string& s3, const std::string& https) {
  const size_t a = s3.rfind('/') + 1, b = https.rfind('/') + 1;
  if (s3.substr(a) != https.substr(b)) return {s3, https};
  return {s3.substr(0, a), https.substr(0, b)};
}

/// The longer, the more special. One that is there is replaced: what came later is newer.
void insert_place(Places& places, PlacePair place) {
  for (PlacePair& known : places) {
    if (known.first != place.first) continue;
    known.second = std::move(place.second);
    return;
  }
  const auto shorter = std::find_if(places.begin(), places.end(), [&](const PlacePair& p) {
    return p.first.size() < place.first.size();
  });
  places.insert(shorter, std::move(place));
}

void add_place(Places& places, const std::string& s3, const std::string& https) {
  const auto taken = [&](const PlacePair& place) {
    return std::any_of(places.begin(), places.end(),
                       [&](const PlacePair& p) { return p.first == place.first; });
  };
  PlacePair place = shortest_place(s3, https);
  if (taken(place)) place = directory_place(s3, https);
  if (taken(place)) place = {s3, https};
  insert_place(places, std::move(place));
}

}  // namespace

Result<Listing> list_granules(access::CmrSearch& cmr, const Question& question,
                              const std::string& updated_since) {
  std::vector<CollectionForm::Search> searches = question.searches;
  if (searches.empty()) searches.emplace_back();
  Listing out;
  Unfit unfit;
  std::unordered_set<std::string> seen;  // of several searches that overlap
  for (const CollectionForm::Search& search : searches) {
    access::Pairs pairs{{"collection_concept_id[]", question.collection_id}};
    UPWELL_TRY(const Times times, both(question.temporal, search.temporal));
    if (times.none()) continue;
    if (!times.all()) pairs.emplace_back("temporal[]", times.from + "," + times.to);
    if (!search.granule_name.empty()) {
      pairs.emplace_back("readable_granule_name[]", search.granule_name);
      pairs.emplace_back("options[readable_granule_name][pattern]", "true");
    }
    if (!updated_since.empty()) pairs.emplace_back("updated_since", updated_since);
    UPWELL_TRY(const access::SearchOutcome outcome,
               cmr.granules(pairs, {}, [&](access::Granule granule, std::string_view) -> Result<> {
                 if (searches.size() == 1 || seen.insert(granule.concept_id).second)
                   take_granule(std::move(granule), question, out, unfit);
                 return {};
               }));
    if (!outcome.difference.empty())
      return fail(Code::kUnavailable, outcome.difference + "; search again");
  }
  if (unfit.count == 0) return out;
  return fail(Code::kInvalidData, fmt::format("{} of {} granules cannot be taken:{}{}", unfit.count,
                                              unfit.count + out.granules.size(), unfit.text,
                                              unfit.count > kShown ? "\n  ..." : ""));
}

Result<size_t> count_others(access::CmrSearch& cmr, const Question& question,
                            const Listing& listing, const std::string& updated_since) {
  if (question.searches.empty() && question.temporal.empty()) return size_t{0};
  std::unordered_set<std::string> known;
  for (const ListedGranule& granule : listing.granules) known.insert(granule.record.concept_id);
  size_t others = 0;
  const auto count = [&](const access::Granule& granule, std::string_view) -> Result<> {
    // The first revision of one was never an answer.
    others += granule.revision > 1 && !known.contains(granule.concept_id) ? 1 : 0;
    return {};
  };
  UPWELL_TRY(const access::SearchOutcome outcome,
             cmr.granules({{"collection_concept_id[]", question.collection_id},
                           {"updated_since", updated_since}},
                          {}, count));
  if (!outcome.difference.empty())
    return fail(Code::kUnavailable, outcome.difference + "; search again");
  return others;
}

std::string elsewhere(const Places& places, const std::string& s3) {
  for (const auto& [from, to] : places)
    if (s3.starts_with(from)) return to + s3.substr(from.size());
  return {};
}

void add_places(Places& places, const std::vector<ListedGranule>& granules) {
  // Of several records of one object the last counts.
  std::unordered_map<std::string, std::string> links;
  for (const ListedGranule& granule : granules)
    if (!granule.s3.empty() && !granule.https.empty()) links[granule.s3] = granule.https;
  const auto told = [&](const ListedGranule& granule) {
    const auto link = links.find(granule.s3);
    return link == links.end() || elsewhere(places, granule.s3) == link->second;
  };
  for (const ListedGranule& granule : granules)
    if (!told(granule)) add_place(places, granule.s3, links[granule.s3]);
  // A pair that came later may fit granules that were told of before. An object's own pair is the
  // longest that fits it: no other takes it away again.
  for (const ListedGranule& granule : granules)
    if (!told(granule)) insert_place(places, {granule.s3, links[granule.s3]});
}

}  // namespace upwell::generate
