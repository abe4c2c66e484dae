#include "generate/generate.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <unordered_map>
#include <unordered_set>

#include "generate/names.hpp"
#include "io/moved_store.hpp"
#include "io/s3_dialect.hpp"
#include "refs/append_or_create.hpp"
#include "refs/granule_record.hpp"

namespace upwell::generate {
namespace {

/// CMR shows a change some minutes after the time that it gives it.
constexpr int64_t kSettles_s = 15 * 60;
/// How far back the feed of deleted granules reaches, less a margin.
constexpr int64_t kFeed_s = int64_t{360} * 86400;

std::string iso_of(int64_t unix_s) {
  const std::time_t time = unix_s;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z", parts.tm_year + 1900, parts.tm_mon + 1,
                     parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
}

class Generation {
 public:
  Generation(const GenerateContext& context, const GenerateOptions& options, GenerateReport& report)
      : context_(context), options_(options), report_(report) {}

  Result<> run() {
    const int64_t begin = std::time(nullptr);
    UPWELL_TRY(const std::string stem,
               output_stem(options_.collection, options_.start, options_.end));
    report_.output = options_.output + stem + "s3.json";
    UPWELL_CHECK(find_collection());
    // Changes bear the catalogue's times, and the clock of this machine may be wrong: with one that
    // is ahead, what changes next would be taken for known.
    const int64_t now = context_.cmr.first_answer_unix_s().value_or(begin);
    UPWELL_CHECK(read_set());
    UPWELL_CHECK(list(now));
    UPWELL_CHECK(choose_places());
    return write(stem, iso_of(now - kSettles_s));
  }

 private:
  Result<> find_collection() {
    access::CmrQuery query;
    query.select.emplace_back("short_name", options_.collection);
    const CollectionForm* form = options_.form ? &*options_.form : nullptr;
    const auto choose = [&](const char* name, const std::string& given, const std::string& formed) {
      const std::string& value = given.empty() ? formed : given;
      if (!value.empty()) query.select.emplace_back(name, value);
    };
    choose("version", options_.version, form != nullptr ? form->version : "");
    choose("provider", options_.provider, form != nullptr ? form->provider : "");
    UPWELL_TRY(const access::Pairs pairs, context_.cmr.granule_pairs(query));
    report_.collection_id = pairs.back().second;
    question_.collection_id = report_.collection_id;
    UPWELL_TRY(question_.temporal, temporal_of(options_.start, options_.end));
    question_.files = options_.files;
    question_.skip_missing = options_.virtualize.skip_missing;
    if (form != nullptr) question_.searches = form->searches;
    return context_.cmr
        .collections({{"concept_id[]", report_.collection_id}}, {},
                     [&](const access::Collection& collection, std::string_view) -> Result<> {
                       question_.s3_credentials = collection.s3_credentials;
                       return {};
                     })
        .map([](const auto&) {});
  }

  /// What the set that is there says of its granules; nothing: there is none to add to.
  Result<> read_set() {
    auto there = context_.outputs.stat(io::normal_url(report_.output));
    if (!there && there.error().code == Code::kNotFound) return {};
    if (!there) return fail(std::move(there).error());
    replaces_ = true;
    if (options_.rebuild) return {};
    auto set = refs::read_store_record(context_.outputs, report_.output);
    if (!set && set.error().code == Code::kInvalidData)
      return fail(
          std::move(set).error().with("the set that is there cannot be read; --rebuild "
                                      "makes it anew"));
    UPWELL_TRY(set_, std::move(set));
    if (!set_)
      context_.say(report_.output +
                   " was made by another program and does not say of which granules: it is made "
                   "anew");
    if (!set_ || !set_->catalogue) return {};
    const std::string& before = set_->catalogue->instructions;
    // Where nothing is said, the set goes on with what it copies.
    constexpr std::string_view kLoad = "load ";
    if (before.starts_with(kLoad))
      load_before_ = before.substr(kLoad.size(), before.find(';') - kLoad.size());
    if (before.empty() || before == instructions()) return {};
    context_.say(report_.output + " was made by other instructions, it is made anew: " + before +
                 " before, now " + instructions());
    set_.reset();
    return {};
  }

  /// What decides on granules and references beside the catalogue, on one line.
  std::string instructions() const {
    const refs::CombineOptions combine = combine_options();
    std::string out = "load ";
    if (combine.load_given || !combine.load.empty())
      out += fmt::format("{}", fmt::join(combine.load, ","));
    else
      out += load_before_;
    const auto add = [&](const char* name, const std::string& value) {
      if (!value.empty()) out += fmt::format("; {} {}", name, value);
    };
    add("drop", fmt::format("{}", fmt::join(combine.drop, ",")));
    add("along", combine.concat);
    add("order by", combine.order_by);
    add("files", options_.files.pattern);
    for (const auto& search : question_.searches)
      add("search", search.granule_name + (search.temporal.empty() ? "" : " " + search.temporal));
    if (!options_.form) return out;
    for (const auto& [name, fact] : options_.form->coordinates)
      add("coordinate", name + " " + to_string(fact));
    for (const std::string& name : options_.form->constant) add("constant", name);
    return out;
  }

  Result<> list(int64_t now) {
    const std::string since = set_ && set_->catalogue ? set_->catalogue->as_of : "";
    // A time to come is of a clock that was wrong: no feed tells what has changed since then.
    const bool by_feed = !since.empty() && since > iso_of(now - kFeed_s) && since <= iso_of(now);
    UPWELL_TRY(listing_, list_granules(context_.cmr, question_, by_feed ? since : ""));
    report_.listed = listing_.granules.size();
    for (const std::string& name : listing_.without_data)
      context_.say("missing " + name + ": no link of its record leads to data");
    if (!set_) {
      if (!listing_.granules.empty()) return {};
      return fail(Code::kNotFound,
                  fmt::format("{} has no granules{}; nothing was written", options_.collection,
                              question_.temporal.empty() ? "" : " in " + question_.temporal));
    }
    if (!by_feed) return find_gone(listing_, false, 0);
    UPWELL_TRY(const uint64_t deleted, context_.cmr.count_deleted(question_.collection_id, since));
    UPWELL_TRY(const size_t others, count_others(context_.cmr, question_, listing_, since));
    if (deleted == 0 && others == 0 && !some_may_have_moved()) return {};
    UPWELL_TRY(all_, list_granules(context_.cmr, question_, ""));
    return find_gone(*all_, true, deleted + others);
  }

  /// Whether what is listed has names that are not in the set though it is not new, or none any
  /// more: another name may be in the set.
  bool some_may_have_moved() const {
    if (!listing_.without_data.empty()) return true;
    std::unordered_set<std::string> there;
    for (const refs::GranuleRecord& granule : set_->granules) there.insert(granule.url);
    return std::any_of(listing_.granules.begin(), listing_.granules.end(),
                       [&](const ListedGranule& granule) {
                         return granule.record.revision > 1 && !there.contains(granule.name());
                       });
  }

  /// What is in the set and no longer in the catalogue. `explained`: the feeds tell of so many that
  /// were deleted or are no answer any more, and `listing_` of those that may have moved.
  Result<> find_gone(const Listing& all, bool explained, uint64_t deleted) {
    std::unordered_set<std::string> there;
    for (const ListedGranule& granule : all.granules) there.insert(granule.name());
    for (const refs::GranuleRecord& granule : set_->granules)
      if (!there.contains(granule.url)) gone_.push_back(granule.url);
    report_.gone = gone_.size();
    const size_t changed = listing_.granules.size() + listing_.without_data.size();
    if (explained && gone_.size() > deleted + changed)
      return fail(
          Code::kUnavailable,
          fmt::format("{} granules of {} are no longer in the catalogue, {} among them, but "
                      "its feed tells of {}: try again, or make the set anew with --rebuild",
                      gone_.size(), report_.output, gone_[0], deleted));
    if (gone_.size() < set_->granules.size()) return {};
    // Nothing of it stays: a collection of one file that gets a new name each time.
    if (all.granules.empty())
      return fail(Code::kNotFound, options_.collection + " has no granules any more; " +
                                       report_.output + " stays as it is");
    listing_ = all;
    gone_.clear();
    set_.reset();
    return {};
  }

  // --- Where granules lie ----------------------------------------------------------------------

  /// A granule has one name, its S3 URL where it has one; `places_` tells where else it lies.
  Result<> choose_places() {
    if (set_ && set_->catalogue) places_ = set_->catalogue->places;
    const bool moved = std::any_of(
        listing_.granules.begin(), listing_.granules.end(), [&](const ListedGranule& granule) {
          const std::string before = elsewhere(places_, granule.s3);
          return !before.empty() && !granule.https.empty() && before != granule.https;
        });
    if (moved) {
      // Other granules of the set may have moved too.
      places_.clear();
      if (!all_) {
        UPWELL_TRY(all_, list_granules(context_.cmr, question_, ""));
      }
      add_places(places_, all_->granules);
    } else {
      add_places(places_, listing_.granules);
    }
    std::vector<std::string> outputs = options_.copies;
    outputs.push_back(options_.output);
    for (const std::string& place : outputs)
      if (const auto bucket = io::parse_s3_url(place))
        listing_.s3_credentials.erase(bucket->bucket);
    session_ = context_.session(listing_.s3_credentials);
    UPWELL_TRY(const bool through_s3, reads_through_s3());
    if (through_s3 || places_.empty()) return {};
    UPWELL_TRY(auto s3, session_->store("s3://"));
    UPWELL_TRY(auto https, session_->store("https://"));
    session_->mount("s3",
                    std::make_shared<io::MovedStore>(std::move(s3), std::move(https), places_));
    return {};
  }

  Result<bool> reads_through_s3() {
    const ListedGranule* without_s3 = nullptr;
    const ListedGranule* without_https = nullptr;
    for (const ListedGranule& granule : listing_.granules) {
      if (granule.s3.empty()) without_s3 = &granule;
      if (granule.https.empty()) without_https = &granule;
    }
    if (options_.access == Access::kS3) {
      if (without_s3 == nullptr) return true;
      return fail(Code::kInvalidArgument,
                  without_s3->record.name + " has no S3 link: leave out --access s3");
    }
    if (options_.access == Access::kHttps && without_https != nullptr)
      return fail(Code::kInvalidArgument,
                  without_https->record.name + " has no https link: leave out --access https");
    if (options_.access == Access::kHttps || without_s3 != nullptr || listing_.granules.empty())
      return false;
    auto seen = session_->stat(listing_.granules[0].s3);
    // One that was withdrawn meanwhile is met again when it is scanned.
    // The outputs' endpoint may be another service, without the archive's bucket.
    const bool bucket = seen || seen.error().message.find("NoSuchBucket") == std::string::npos;
    if (seen || (seen.error().code == Code::kNotFound && bucket)) return true;
    if (without_https != nullptr) return fail(std::move(seen).error());
    // Without a login, or with a wrong one, https will tell, unless it needs none.
    if (seen.error().code != Code::kUnauthenticated)
      context_.say("granules are read over https, since S3 is not open from here (" +
                   seen.error().to_string() + "; --access https does not try)");
    return false;
  }

  // --- Writing ---------------------------------------------------------------------------------

  refs::VirtualizeOptions plan(const std::string& stem) const {
    refs::VirtualizeOptions out = options_.virtualize;
    std::vector<std::string> directories = options_.copies;
    directories.insert(directories.begin(), options_.output);
    for (const std::string& directory : directories) {
      const std::string base = directory + stem;
      out.copies.push_back({base + "https.json", places_});
      if (options_.parquet) out.copies.push_back({base + "https.parq", places_});
      if (options_.parquet) out.copies.push_back({base + "s3.parq", {}});
      if (directory != options_.output) out.copies.push_back({base + "s3.json", {}});
    }
    out.combine = combine_options();
    return out;
  }

  refs::CombineOptions combine_options() const {
    refs::CombineOptions combine = options_.virtualize.combine;
    if (!options_.form) return combine;
    const CollectionForm& form = *options_.form;
    if (!form.dimension.empty()) combine.concat = form.dimension;
    if (combine.concat.empty()) combine.concat = form.concat;
    if (combine.order_by.empty()) combine.order_by = form.order_by;
    combine.drop.insert(combine.drop.end(), form.drop.begin(), form.drop.end());
    if (form.load && !combine.load_given) {
      combine.load = *form.load;
      combine.load_given = true;
    }
    return combine;
  }

  Result<> write(const std::string& stem, const std::string& as_of) {
    refs::AppendOptions append;
    append.virtualize = plan(stem);
    append.virtualize.output.catalogue = refs::CatalogueState{as_of, places_, instructions()};
    append.virtualize.combine.on_overlap = refs::Overlap::kReplace;
    append.remove = gone_;
    std::vector<std::string> sources;
    std::unordered_map<std::string, const access::Granule*> records;
    for (const ListedGranule& granule : listing_.granules) {
      sources.push_back(granule.name());
      records.emplace(sources.back(), &granule.record);
    }
    if (options_.form && !options_.form->dimension.empty()) {
      append.virtualize.amend = [&](const std::string& url, Dataset& dataset) -> Result<> {
        const auto it = records.find(url);
        if (it == records.end()) return {};
        return apply_form(*options_.form, *it->second, dataset);
      };
    }
    report_.created = !set_;
    refs::AppendReport& changes = report_.changes;
    if (set_ || !replaces_)
      return refs::append_or_create(*session_, report_.output, sources, append, changes);
    UPWELL_CHECK(refs::virtualize(*session_, sources, report_.output, append.virtualize,
                                  changes.virtualize));
    changes.added = changes.granules = changes.virtualize.combine.order.size();
    changes.written = true;
    return {};
  }

  const GenerateContext& context_;
  const GenerateOptions& options_;
  GenerateReport& report_;
  Question question_;
  std::optional<refs::StoreRecord> set_;
  bool replaces_ = false;                   // something is there
  Listing listing_;                         // what is to be scanned
  std::optional<Listing> all_;              // of the collection, where it was asked for
  std::string load_before_ = "by default";  // see instructions
  std::vector<std::string> gone_;
  std::shared_ptr<io::Session> session_;
  Places places_;  // s3 ▸ https
};

}  // namespace

Result<> generate(const GenerateContext& context, const GenerateOptions& options,
                  GenerateReport& report) {
  return Generation(context, options, report).run();
}

}  // namespace upwell::generate
