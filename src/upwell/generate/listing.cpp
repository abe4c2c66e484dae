#include "generate/listing.hpp"

#include <fmt/format.h>

#include <algorithm>
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

Result<std::pair<std::string, std::string>> place_pair(const std::string& s3,
                                                       const std::string& https) {
  UPWELL_TRY(const io::S3Url place, io::parse_s3_url(s3));
  const std::string whole = "/" + place.bucket + "/" + place.key;
  if (https.ends_with(whole))
    return std::pair("s3://" + place.bucket + "/",
                     https.substr(0, https.size() - place.key.size()));
  // Gateways may name a bucket in their own way: the longest run of whole names at the end.
  for (size_t at = 0; at != std::string::npos && at < place.key.size();) {
    const std::string tail = place.key.substr(at);
    if (https.ends_with("/" + tail))
      return std::pair(s3.substr(0, s3.size() - tail.size()),
                       https.substr(0, https.size() - tail.size()));
    at = place.key.find('/', at);
    if (at != std::string::npos) ++at;
  }
  return fail(Code::kInvalidData, s3 + " and " + https + " do not end alike");
}

}  // namespace upwell::generate
