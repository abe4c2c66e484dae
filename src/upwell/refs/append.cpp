#include "refs/append.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <unordered_set>

#include "base/files.hpp"
#include "base/parallel.hpp"
#include "io/url.hpp"
#include "refs/kerchunk_json_reader.hpp"
#include "refs/kerchunk_parquet_writer.hpp"
#include "refs/open.hpp"
#include "refs/published_urls.hpp"
#include "refs/source_list.hpp"
#include "refs/store/store.hpp"
#include "refs/store_lock.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

constexpr size_t kAppendScans = 16;
constexpr int kAttempts = 10;  // of a run that others overtake

bool matches(const std::string& pattern, const std::string& url) {
  const std::string leaf = url.substr(url.rfind('/') + 1);
  return pattern == url || pattern == leaf || io::normal_url(pattern) == url ||
         ::fnmatch(pattern.c_str(), url.c_str(), 0) == 0 ||
         ::fnmatch(pattern.c_str(), leaf.c_str(), 0) == 0;
}

std::optional<uint64_t> length_of(const Dataset& store, const std::string& concat) {
  std::optional<uint64_t> out;
  for_each_array(store.root, [&](const std::string&, const Array& array) {
    for (size_t d = 0; d < array.dimensions.size() && !out; ++d)
      if (array.dimensions[d] == concat) out = array.shape[d];
  });
  return out;
}

class Append {
 public:
  Append(io::Session& session, fs::path location, const AppendOptions& options,
         AppendReport& report)
      : session_(session), location_(std::move(location)), options_(options), report_(report) {
    open_.sidecar = options.virtualize.sidecar;
    open_.scan.subchunk_bytes = 0;
    open_.scan.drop = options.virtualize.combine.drop;
  }

  bool overtaken() const { return overtaken_; }

  Result<> run(const std::vector<std::string>& sources) {
    Result<> done = bring_up_to_date(sources);
    auto& warnings = report_.virtualize.combine.warnings;
    warnings.insert(warnings.begin(), told_.begin(), told_.end());
    return done;
  }

 private:
  Result<> bring_up_to_date(const std::vector<std::string>& sources) {
    const std::string name = location_.string();
    const bool in_place = options_.output.empty();
    const bool local = io::scheme_of(name) == "file";
    std::error_code ignored;
    own_ = names_store(name);
    open_.scan.one_layout = !own_;
    parquet_ = !own_ && (local ? fs::is_directory(location_, ignored) : wants_parquet(location_));
    document_ = own_ ? location_ / kManifest : parquet_ ? location_ / ".zmetadata" : location_;
    output_ = in_place ? name : options_.output;
    report_.virtualize.output = output_;
    const bool to_parquet = in_place ? parquet_ : wants_parquet(output_);
    report_.virtualize.format = own_ ? "upwell" : to_parquet ? "kerchunk-parquet" : "kerchunk-json";
    if (options_.virtualize.combine.keep_drift && !own_)
      return fail(Code::kInvalidArgument,
                  name + ": only Upwell's own form (NAME.upwell) holds granules that differ");
    if (!in_place && (own_ || names_store(output_)))
      return fail(Code::kUnsupported, output_ + ": Upwell's own form is added to in its place");
    if (in_place && !local && parquet_)
      return fail(Code::kUnsupported,
                  name +
                      ": a set in Parquet in an object store cannot be changed in one step; "
                      "write another one with -o");
    std::optional<StoreLock> lock;
    if (local) {
      UPWELL_TRY(StoreLock taken, StoreLock::take(document_));
      lock.emplace(std::move(taken));
    }
    forget_seen(local);
    if (in_place && !local)  // whether it may be written
      UPWELL_CHECK(session_.create(document_.string()));
    UPWELL_CHECK(read_store());
    report_.granules = record_.granules.size();
    UPWELL_CHECK(choose_sources(sources));
    const bool idle =
        urls_.size() == record_.granules.size() && to_remove_.empty() && in_place && !has_moved();
    if (!idle) UPWELL_CHECK(choose_concat());
    if (!record_.concat.empty()) UPWELL_CHECK(check_lengths());
    if (idle) return copy_unchanged(store_);
    if (!in_place) return write_anew();
    if (parquet_ && !to_remove_.empty()) return only_at_the_end();
    if (own_ && local) UPWELL_CHECK(sweep_parts(location_, manifest_));
    UPWELL_TRY(Dataset cube, combine(parquet_));
    count_changes();
    if (report_.added + report_.removed + report_.replaced == 0 && !has_moved())
      return own_ || parquet_ ? Result<>() : copy_unchanged(cube);
    if (own_) return write_own(cube);
    if (!parquet_) return write(cube);
    return is_at_the_end() ? extend(cube) : only_at_the_end();
  }

  /// Whether the catalogue says of the same granules that they lie elsewhere than the set has it.
  bool has_moved() const {
    const auto& now = options_.virtualize.output.catalogue;
    return now && record_.catalogue && now->places != record_.catalogue->places;
  }

  /// Copies that were asked for only now, or whose records are of another state of the set, which
  /// `set` is.
  Result<> copy_unchanged(const Dataset& set) {
    VirtualizeOptions missing = options_.virtualize;
    if (!missing.renew_copies) {
      UPWELL_TRY(missing.copies, lacking_copies());
    }
    UPWELL_CHECK(write_copies(session_, set, record_, missing));
    report_.copies = missing.copies.size();
    return {};
  }

  Result<std::vector<ReferenceCopy>> lacking_copies() const {
    std::vector<ReferenceCopy> lacking;
    for (const ReferenceCopy& copy : options_.virtualize.copies) {
      auto there = read_store_record(session_, copy.output, true);
      const Code code = there ? Code::kInternal : there.error().code;
      if (!there && code != Code::kNotFound && code != Code::kInvalidData &&
          code != Code::kUnsupported)
        return fail(std::move(there).error());
      if (there && *there && record_json(**there) == record_json(record_of_copy(copy, record_)))
        continue;
      lacking.push_back(copy);
    }
    return lacking;
  }

  Result<> write_anew() {
    std::vector<std::string> taken = urls_;
    taken.push_back(location_.string());
    UPWELL_CHECK(check_output(session_, output_, taken));
    UPWELL_TRY(Dataset cube, combine(false));
    count_changes();
    return write(cube);
  }

  /// Another run may have changed the set since this session saw it: while we waited, at the
  /// latest.
  void forget_seen(bool local) const {
    session_.forget(io::normal_url(document_.string()));
    if (!local || document_ == location_) return;
    std::error_code error;
    for (fs::recursive_directory_iterator it(location_, error), end; !error && it != end;
         it.increment(error))
      session_.forget(io::normal_url(it->path().string()));
  }

  Result<> only_at_the_end() const {
    return fail(Code::kUnsupported,
                location_.string() +
                    ": a set in Parquet grows only at its end, or readers that have it open would "
                    "see rows that moved; write another one with -o, or keep it in JSON");
  }

  /// The document of a set of kerchunk's, and its record.
  Result<> read_document() {
    const std::string url = io::normal_url(document_.string());
    UPWELL_CHECK(check_document(url));
    UPWELL_TRY(const SharedBytes document, session_.read_one(url));
    UPWELL_TRY(const io::ObjectInfo state, session_.stat(url));
    etag_ = state.etag;
    const std::string name = location_.string();
    auto locations = read_locations(as_text(document.span()));
    if (!locations) return fail(std::move(locations).error().with(name));
    locations_ = std::move(*locations);
    auto record = read_record(as_text(document.span()));
    if (!record) return fail(std::move(record).error().with(name));
    if (!*record)
      return fail(Code::kUnsupported,
                  name +
                      " does not say of which granules it is made and where each ends (member "
                      "\"upwell\"): make it with upwell virtualize");
    record_ = std::move(**record);
    if (!parquet_) return {};
    const auto json = nlohmann::json::parse(as_text(document.span()), nullptr, false);
    const bool told = json.is_object() && json.contains("record_size") &&
                      json["record_size"].is_number_unsigned();
    record_size_ = told ? json["record_size"].get<uint64_t>() : 0;
    return {};
  }

  Result<> read_own() {
    UPWELL_TRY(manifest_, read_manifest_to_change(session_, location_.string()));
    UPWELL_TRY(record_, record_of_store(session_, location_.string(), manifest_));
    return {};
  }

  Result<> read_store() {
    const std::string name = location_.string();
    UPWELL_CHECK(own_ ? read_own() : read_document());
    auto mds = mds_of_set(record_, options_.virtualize.mds);
    if (!mds) return fail(std::move(mds).error().with(name));
    open_.scan.mds = std::move(*mds);
    UPWELL_TRY(store_, open_source(session_, name));
    if (store_.format != (own_ ? "upwell" : parquet_ ? "kerchunk-parquet" : "kerchunk-json"))
      return fail(Code::kUnsupported, name + ": not a kerchunk reference set");
    if (!store_.problems.empty())
      return fail(Code::kInvalidData, name + ": " + store_.problems[0].path + ": " +
                                          store_.problems[0].error.to_string());
    const std::string& asked = options_.virtualize.combine.concat;
    if (!record_.concat.empty() && !asked.empty() && asked != record_.concat)
      return fail(Code::kInvalidArgument, name + " is joined along " + record_.concat);
    return {};
  }

  /// A set of one granule does not say along which dimension others follow; a new granule, which
  /// still knows what is unlimited, does as for virtualize.
  Result<> choose_concat() {
    std::string& concat = record_.concat;
    if (concat.empty()) concat = options_.virtualize.combine.concat;
    if (!concat.empty()) return {};
    Result<std::string> inferred = infer_concat(store_);
    for (size_t i = record_.granules.size(); i < urls_.size(); ++i) {
      auto granule = scan_source(session_, urls_[i], open_, options_.virtualize);
      if (!granule) continue;  // met again, and reported, when it is added
      inferred = infer_concat(*granule);
      break;
    }
    if (!inferred)
      return fail(
          Error(std::move(inferred).error()).with(location_.string() + " is of one granule"));
    concat = std::move(*inferred);
    return {};
  }

  Result<> check_lengths() {
    const std::string name = location_.string();
    const auto total = length_of(store_, record_.concat);
    if (!total)
      return fail(Code::kInvalidArgument, name + " has no dimension " + record_.concat +
                                              "; upwell virtualize --concat " + record_.concat +
                                              " makes one");
    if (record_.granules.size() == 1) record_.granules[0].length = *total;
    uint64_t sum = 0;
    for (const GranuleRecord& granule : record_.granules) sum += granule.length;
    if (sum != *total)
      return fail(Code::kInvalidData, name + ": its granules have " + std::to_string(sum) +
                                          " elements along " + record_.concat + ", its arrays " +
                                          std::to_string(*total) + ": another program changed it");
    return {};
  }

  /// A granule in place of a set is not read whole to find that out.
  Result<> check_document(const std::string& url) {
    constexpr uint64_t kHead = 512;
    UPWELL_TRY(const io::ObjectInfo info, session_.stat(url));
    UPWELL_TRY(const SharedBytes head, session_.read_one(url, {0, std::min(info.size, kHead)}));
    if (looks_like_json(head.span())) return {};
    return fail(Code::kInvalidData, location_.string() +
                                        ": not a reference set; append adds to NAME.json, "
                                        "NAME.parq or NAME.upwell that upwell virtualize wrote");
  }

  std::string own_url() const {
    std::string url = io::normal_url(location_.string());
    return url.ends_with('/') ? url.substr(0, url.size() - 1) : url;
  }

  Result<> choose_sources(const std::vector<std::string>& sources) {
    std::unordered_map<std::string, size_t> there;
    std::unordered_set<std::string> met;
    for (size_t i = 0; i < record_.granules.size(); ++i) {
      const std::string& url = record_.granules[i].url;
      there.emplace(url, i);
      urls_.push_back(url);
      for (const std::string& pattern : options_.remove) {
        if (!matches(pattern, url)) continue;
        to_remove_.insert(i);
        met.insert(pattern);
      }
    }
    for (const std::string& pattern : options_.remove)
      if (!met.contains(pattern))
        return fail(Code::kNotFound, "--remove " + pattern + ": " + location_.string() +
                                         " has no such granule; nothing was changed");
    if (sources.empty()) return {};
    std::vector<std::string> foreign;
    UPWELL_TRY(std::vector<std::string> wanted, expand_sources(session_, sources, foreign));
    told_ = leave_out_target(sources, location_.string(), wanted);
    if (!foreign.empty()) told_.insert(told_.begin(), foreign_warning(foreign));
    const auto itself = std::find_if(wanted.begin(), wanted.end(), [&](const std::string& url) {
      return url == own_url() || url == own_url() + "/";
    });
    if (itself != wanted.end())
      return fail(Code::kInvalidArgument, *itself + " is the set itself, and one of the sources");
    for (const std::string& url : wanted) {
      UPWELL_CHECK(check_published(output_url(options_.virtualize.output, url)));
      const auto known = there.find(output_url(options_.virtualize.output, url));
      if (known != there.end() && !to_remove_.contains(known->second)) {
        auto info = session_.stat(url);
        if (info && compare_states(record_.granules[known->second].info,
                                   lasting_state(url, *info)) == Sameness::kSame) {
          report_.unchanged.push_back(url);
          continue;
        }
      }
      urls_.push_back(url);
    }
    return {};
  }

  Result<Dataset> scan(const std::string& url) {
    auto dataset = scan_source(session_, url, open_, options_.virtualize);
    if (!dataset) return fail(with_prefix_hint(session_, url, std::move(dataset).error()));
    return adapted_to_store(std::move(*dataset), store_.root, record_.concat);
  }

  /// Arrays without the concat dimension lie in some granule of the store. When that one goes, or
  /// was written anew, they are taken from another.
  Result<> move_anchors() {
    UPWELL_TRY(const auto anchors, anchors_of(store_, record_));
    std::unordered_set<std::string> leaving;
    for (size_t i = 0; i < urls_.size(); ++i)
      if (i >= record_.granules.size() || to_remove_.contains(i) || replaced_.contains(i))
        leaving.insert(i < record_.granules.size()
                           ? urls_[i]
                           : output_url(options_.virtualize.output, urls_[i]));
    if (std::none_of(anchors.begin(), anchors.end(),
                     [&](const std::string& url) { return leaving.contains(url); }))
      return {};
    std::string other;
    for (size_t i = 0; i < urls_.size() && other.empty(); ++i)
      if (i >= record_.granules.size() || !leaving.contains(urls_[i])) other = urls_[i];
    if (other.empty()) return fail(Code::kInvalidArgument, "no granule would be left");
    UPWELL_TRY(const Dataset granule, scan(other));
    return take_static(session_, store_, record_, granule);
  }

  Result<Dataset> combine(bool only_after) {
    if (to_remove_.size() == urls_.size())
      return fail(Code::kInvalidArgument, "no granule would be left");
    if (only_after) return combine_once(true);
    // New granules at the end become a part of their own, and nothing of the store is looked up.
    // Every other change makes one new part of everything.
    if (own_ && to_remove_.empty() && !manifest_.concat.empty()) {
      UPWELL_TRY(Dataset cube, combine_once(true));
      if (is_at_the_end()) return cube;
      report_.virtualize.combine = {};
    }
    only_new_ = false;
    UPWELL_CHECK(move_anchors());
    UPWELL_TRY(Dataset cube, combine_once(false));
    const CombineReport& done = report_.virtualize.combine;
    for (size_t i = 0; i < record_.granules.size(); ++i)
      if (done.sources[i].fate == "replaced") replaced_.insert(i);
    if (replaced_.empty()) return cube;
    UPWELL_TRY(const auto anchors, anchors_of(store_, record_));
    if (std::none_of(replaced_.begin(), replaced_.end(),
                     [&](size_t i) { return anchors.contains(urls_[i]); }))
      return cube;
    UPWELL_CHECK(move_anchors());
    return combine_once(false);
  }

  /// Whether the granules of the store are where they were, with the new ones behind them.
  bool is_at_the_end() const {
    const std::vector<size_t>& order = report_.virtualize.combine.order;
    for (size_t i = 0; i < record_.granules.size(); ++i)
      if (i >= order.size() || order[i] != i) return false;
    return true;
  }

  Result<Dataset> combine_once(bool only_after) {
    CombineOptions options = options_.virtualize.combine;
    options.concat = record_.concat;
    options.only_after = only_after;
    options.keep_segments = own_;
    options.load = record_.loaded;
    options.load_exactly = options.load_given = true;
    if (!record_.coordinate.empty() && !record_.coordinate.ends_with("/" + record_.concat))
      options.order_by = record_.coordinate;
    std::vector<uint64_t> lengths;
    for (const GranuleRecord& granule : record_.granules) lengths.push_back(granule.length);
    CombineReport& report = report_.virtualize.combine;
    auto made = Combiner::resume(session_, urls_, store_, lengths, options, report.refused);
    if (!made) return fail(std::move(made).error().with(location_.string()));
    Combiner& combiner = **made;
    for (size_t i = 0; i < lengths.size(); ++i)
      combiner.report().sources[i].info = record_.granules[i].info;
    for (const size_t i : to_remove_) combiner.remove(i);
    auto done = add_new(combiner);
    Result<Dataset> out = done ? combiner.finish() : Result<Dataset>(fail(std::move(done).error()));
    report = std::move(combiner.report());
    return out;
  }

  Result<> add_new(Combiner& combiner) {
    const size_t first = record_.granules.size();
    Progress progress("scanning", "granules", urls_.size() - first, options_.virtualize.progress);
    const size_t threads = options_.virtualize.threads > 0
                               ? options_.virtualize.threads
                               : std::max(kAppendScans, 2 * core_count());
    return blocking_for(urls_.size() - first, threads, [&](size_t k) -> Result<> {
      const size_t i = first + k;
      auto added = [&]() -> Result<> {
        UPWELL_TRY(const Dataset dataset, scan(urls_[i]));
        combiner.report().sources[i].info = identity_of(session_, dataset, urls_[i]);
        combiner.report().sources[i].notes = dataset.notes;
        return combiner.add(i, dataset);
      }();
      progress.advance();
      if (added) return {};
      if (is_withdrawn(options_.virtualize, added.error())) {
        combiner.leave_out(i);
        return {};
      }
      if (is_about_access(added.error().code))
        return fail(std::move(added).error().with(io::shown_url(urls_[i])));
      combiner.reject(i, {"unreadable", "", added.error().to_string()});
      return {};
    });
  }

  void count_changes() {
    for (const SourceReport& source : report_.virtualize.combine.sources) {
      report_.added += source.fate == "added" && source.used;
      report_.replaced += source.fate == "replaced";
      report_.removed += source.fate == "removed";
      report_.skipped += source.fate == "skipped" || !source.reasons.empty();
    }
  }

  Result<> write_own(const Dataset& cube) {
    UPWELL_CHECK(check_published(*cube.granules, options_.virtualize.output));
    const StoreRecord record = new_record();
    UPWELL_CHECK(check_published(record));
    StoreManifest next = plan_store(cube, record, report_.virtualize.combine.decoded, {});
    next.locations = manifest_.locations;
    PartInput input{{{&cube, 0}}, {}, options_.virtualize.output, 0};
    std::vector<GranuleRecord> granules = record.granules;
    if (only_new_) {
      input.cubes[0].begin = manifest_.length();
      next.parts = manifest_.parts;
      StoreManifest moved;
      moved.parts = take_small_parts(next, rows_behind(cube, record_.concat, manifest_.length()));
      if (!moved.parts.empty())
        input.cubes.insert(input.cubes.begin(), PartInput::Cube{&store_, next.length()});
      UPWELL_TRY(StoreRecord old, record_of_store(session_, location_.string(), moved));
      granules = std::move(old.granules);
      granules.insert(granules.end(),
                      record.granules.begin() + static_cast<ptrdiff_t>(record_.granules.size()),
                      record.granules.end());
    }
    for (const GranuleRecord& granule : granules) input.length += granule.length;
    input.granules = granules;
    UPWELL_TRY(const auto part,
               change_store(session_, location_.string(), manifest_, std::move(next), input,
                            report_.virtualize.combine.warnings));
    overtaken_ = !part;
    if (overtaken_) return fail(refs::overtaken(output_));
    report_.virtualize.counts = part->counts;
    for (const auto& [file, size] : part->files) report_.virtualize.output_bytes += size;
    report_.written = true;
    return {};
  }

  /// The record of what is written: granules of the store keep their URLs.
  StoreRecord new_record() const {
    StoreRecord record = record_of(report_.virtualize.combine, {}, open_.scan.mds);
    if (!record.mds) record.mds = record_.mds;
    record.catalogue = options_.virtualize.output.catalogue;
    if (!record.catalogue) record.catalogue = record_.catalogue;
    size_t k = 0;
    for (const size_t i : report_.virtualize.combine.order) {
      GranuleRecord& granule = record.granules[k++];
      const std::string url = output_url(options_.virtualize.output, granule.url);
      if (i < record_.granules.size() || url == granule.url) continue;
      granule.url = url;
      granule.info.etag.clear();  // of the other place
    }
    return record;
  }

  /// Partitions first, each put into place whole, the document last.
  Result<> extend(Dataset& cube) {
    UPWELL_CHECK(keep_chunks(cube, store_, record_.concat));
    UPWELL_TRY(const ReferenceOutputOptions form, form_of(cube));
    const auto sink = [&](const std::string& name, ByteSpan bytes) -> Result<> {
      std::error_code error;
      fs::create_directories((location_ / name).parent_path(), error);
      return write_file_atomically(location_ / name, bytes);
    };
    UPWELL_CHECK(extend_kerchunk_parquet(store_, cube, form, record_size_, sink,
                                         report_.virtualize.counts,
                                         report_.virtualize.output_bytes));
    report_.written = true;
    return {};
  }

  Result<ReferenceOutputOptions> form_of(Dataset& cube) {
    ReferenceOutputOptions form;
    // --url-prefix is for the new granules: those of the store have their URLs.
    if (!options_.virtualize.output.url_prefix.empty())
      UPWELL_CHECK(rename_granules(cube, options_.virtualize.output, store_.granules.get()));
    UPWELL_CHECK(check_published(*cube.granules, form));
    const StoreRecord record = new_record();
    UPWELL_CHECK(check_published(record));
    form.locations = locations_;
    form.record = record_json(record);
    return form;
  }

  Result<> write(Dataset& cube) {
    UPWELL_TRY(const ReferenceOutputOptions form, form_of(cube));
    UPWELL_CHECK(write_copies(session_, cube, new_record(), options_.virtualize));
    const bool in_place = options_.output.empty();
    const uint64_t record_size = record_size_ > 0 ? record_size_ : options_.virtualize.record_size;
    auto written = write_output(session_, output_, cube, form, record_size,
                                in_place ? io::PutCondition::unchanged(etag_) : io::PutCondition{},
                                report_.virtualize);
    overtaken_ = !written && written.error().code == Code::kChanged && in_place &&
                 io::scheme_of(output_) != "file";
    if (overtaken_) return fail(refs::overtaken(output_));
    UPWELL_CHECK(written);
    report_.written = true;
    return {};
  }

  io::Session& session_;
  const fs::path location_;  // of the store
  fs::path document_;        // the same, or the document in it
  std::string output_;       // the same, or where the result goes
  std::string etag_;         // of the document
  bool parquet_ = false, own_ = false;
  bool overtaken_ = false;  // another run wrote the store while this one was busy
  bool only_new_ = true;    // own form: what is written are the new granules
  StoreManifest manifest_;  // of the own form
  uint64_t record_size_ = 0;
  const AppendOptions& options_;
  AppendReport& report_;
  OpenOptions open_;
  Dataset store_;
  StoreRecord record_;
  LocationPairs locations_;
  std::vector<std::string> urls_;  // of the store, then the new ones
  std::unordered_set<size_t> to_remove_, replaced_;
  std::vector<std::string> told_;  // warnings of what lies beside the granules
};

/// A part that the manifest named is gone: another run has put a larger one in its place since.
bool lacks_part(const Result<>& result, const fs::path& store) {
  return !result && result.error().code == Code::kNotFound &&
         result.error().to_string().find((store / "part-").string()) != std::string::npos;
}

}  // namespace

Result<> append(io::Session& session, const fs::path& store,
                const std::vector<std::string>& sources, const AppendOptions& options,
                AppendReport& report) {
  Result<> result;
  AppendOptions plan = options;
  for (int attempt = 1; attempt <= kAttempts; ++attempt) {
    report = {};
    Append append(session, store, plan, report);
    result = append.run(sources);
    // On a file system runs follow one another by a lock; here what the others wrote is the new
    // beginning. Granules that were scanned are in the session's cache.
    if ((!append.overtaken() && !lacks_part(result, store)) || attempt == kAttempts) break;
    plan.virtualize.renew_copies = true;
    session.forget(io::normal_url((store / kManifest).string()));
  }
  if (report.written) report.granules = report.virtualize.combine.order.size();
  if (!result) report.virtualize.error = result.error().to_string();
  return result;
}

std::string AppendReport::to_json() const {
  auto json = nlohmann::ordered_json::parse(virtualize.to_json());
  json["written"] = written;
  json["changes"] = {
      {"added", added}, {"replaced", replaced}, {"removed", removed}, {"skipped", skipped}};
  json["unchanged"] = unchanged;
  return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace upwell::refs
