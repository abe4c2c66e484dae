#include "refs/virtualize.hpp"

#include <algorithm>
#include <mutex>
#include <unordered_set>

#include "base/files.hpp"
#include "base/parallel.hpp"
#include "io/url.hpp"
#include "refs/granule_record.hpp"
#include "refs/kerchunk_json_writer.hpp"
#include "refs/kerchunk_parquet_writer.hpp"
#include "refs/open.hpp"
#include "refs/output_check.hpp"
#include "refs/published_urls.hpp"
#include "refs/source_list.hpp"
#include "refs/store/store.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kScansAtOnce = 16;

Result<> check_problems(const Dataset& dataset, const std::string& url,
                        const std::vector<std::string>& drop, CombineReport& report) {
  std::string text;
  for (const Problem& problem : dataset.problems) {
    if (names_array(drop, problem.path)) continue;
    report.refused.push_back({"unreadable variable", problem.path, problem.error.to_string()});
    text += (text.empty() ? "" : "; ") + problem.path + ": " + problem.error.to_string();
  }
  if (text.empty()) return {};
  return fail(Code::kInvalidData,
              url + ": a variable cannot be scanned: " + text + " (leave it out with --drop)");
}

std::string array_list(const Dataset& dataset) {
  std::string text;
  for_each_array(dataset.root, [&](const std::string& path, const Array&) {
    text += (text.empty() ? "" : ", ") + path.substr(path.rfind('/') == 0 ? 1 : 0);
  });
  return text;
}

/// Names of --drop, until some granule has them. Thread-safe.
class UnmetNames {
 public:
  UnmetNames(std::vector<std::string> names, const Dataset& first)
      : names_(std::move(names)), there_(array_list(first)) {
    meet(first);
  }
  void meet(const Dataset& dataset) {
    std::lock_guard lock(mutex_);
    if (names_.empty()) return;
    for_each_array(dataset.root, [&](const std::string& path, const Array&) { strike(path); });
    for (const std::string& path : dataset.dropped) strike(path);
    for (const Problem& problem : dataset.problems) strike(problem.path);
  }
  Result<> check() const {
    if (names_.empty()) return {};
    return fail(Code::kInvalidArgument,
                "--drop " + names_.front() + ": no granule has it; the first has " + there_);
  }

 private:
  void strike(const std::string& path) {
    std::erase_if(names_, [&](const std::string& name) { return names_array({name}, path); });
  }
  std::mutex mutex_;
  std::vector<std::string> names_;
  std::string there_;
};

/// Each OLD is the beginning of some granule's URL.
Result<> check_prefixes(const ReferenceOutputOptions& options, const GranuleTable& granules) {
  for (const auto& [from, to] : options.url_prefix) {
    bool met = false;
    for (uint32_t i = 0; i < granules.size() && !met; ++i)
      met = granules.at(i).url.starts_with(from);
    if (!met)
      return fail(Code::kInvalidArgument,
                  "--url-prefix " + from + "=" + to + ": no granule's URL begins with " + from +
                      (granules.size() > 0 ? "; the first is " + granules.at(0).url : ""));
  }
  return {};
}

/// A set from the network may lead to the network alone.
void warn_of_local_granules(const ReferenceOutputOptions& options, const GranuleTable& granules,
                            VirtualizeReport& report) {
  if (io::scheme_of(report.output) == "file") return;
  for (uint32_t i = 0; i < granules.size(); ++i) {
    const std::string url = output_url(options, granules.at(i).url);
    if (io::scheme_of(url) != "file") continue;
    report.combine.warnings.push_back(
        url + " lies on this machine, where readers of " + report.output +
        " will not look: copy the granules and say where they lie with --url-prefix");
    return;
  }
}

/// Nothing that is not a reference set is replaced, above all no granule.
Result<> check_local_output(const std::filesystem::path& output,
                            const std::vector<std::string>& urls) {
  const std::string name = output.string();
  const bool own = names_store(name);
  if (!own && !wants_parquet(output) && !name.ends_with(".json"))
    return fail(Code::kInvalidArgument,
                name + ": an output is named NAME.json, NAME.parq (Parquet) or NAME.upwell");
  std::error_code error;
  if (!std::filesystem::exists(output, error)) return {};
  UPWELL_CHECK(check_no_source(output, urls));
  const bool directory = std::filesystem::is_directory(output, error);
  if (directory != (own || wants_parquet(output)))
    return fail(Code::kAlreadyExists,
                name + (directory ? ": is a directory" : ": is a file, where a directory belongs"));
  if (directory && !std::filesystem::is_empty(output, error) &&
      !std::filesystem::exists(output / (own ? kManifest : ".zmetadata"), error))
    return fail(Code::kAlreadyExists, name + ": is a directory, but not a reference set");
  return {};
}

/// The same in an object store. A set in Parquet is many objects, which cannot be exchanged in one
/// step: a reader would see a mixture. It is only written where none is.
Result<> check_remote_output(io::Session& session, const std::string& output,
                             const std::vector<std::string>& urls) {
  const bool parquet = wants_parquet(output);
  if (!parquet && !names_store(output) && !output.ends_with(".json"))
    return fail(Code::kInvalidArgument, output +
                                            ": in an object store, a reference set is named "
                                            "NAME.json, NAME.parq or NAME.upwell");
  if (std::find(urls.begin(), urls.end(), output) != urls.end())
    return fail(Code::kInvalidArgument, output + " is one of the sources");
  UPWELL_CHECK(session.create(output));  // begins nothing yet: whether it may be written at all
  if (!parquet) return {};
  auto there = session.stat(output + (output.ends_with('/') ? "" : "/") + ".zmetadata");
  if (there)
    return fail(Code::kAlreadyExists,
                output +
                    ": there is a reference set in Parquet already, which cannot be replaced "
                    "in one step; remove it or write under another name");
  if (there.error().code != Code::kNotFound) return fail(std::move(there).error());
  return {};
}

Result<> cut_source(io::Session& session, const std::vector<std::string>& urls, Dataset& cube,
                    CombineReport& report) {
  if (urls.size() != 1 || cube.format != "upwell")
    return fail(Code::kInvalidArgument, "--longest-uniform is for one source in Upwell's own form");
  UPWELL_TRY(const StoreManifest manifest, read_manifest(session, urls[0]));
  UPWELL_TRY(const auto run, cut_to_longest_uniform(cube, manifest));
  report.warnings.push_back("only " + std::to_string(run.first) + " to " +
                            std::to_string(run.second) + " of " +
                            std::to_string(manifest.length()) + " along " + manifest.concat);
  return {};
}

/// As one part. `before`: of what is in its place, in an object store.
Result<> write_own_form(io::Session& session, const std::filesystem::path& output,
                        const Dataset& cube, const StoreRecord& record,
                        const ReferenceOutputOptions& form, const StoreManifest& before,
                        bool must_be_new, VirtualizeReport& report) {
  StoreManifest manifest = plan_store(cube, record, report.combine.decoded, form);
  PartInput input{{{&cube, 0}}, record.granules, form, 0};
  for (const GranuleRecord& granule : record.granules) input.length += granule.length;
  if (io::scheme_of(output.string()) != "file") {
    UPWELL_TRY(const auto part, change_store(session, output.string(), before, manifest, input,
                                             report.combine.warnings));
    if (!part && must_be_new) return fail(Code::kAlreadyExists, output.string() + " is there");
    if (!part) return fail(overtaken(output.string()));
    report.counts = part->counts;
    for (const auto& [name, size] : part->files) report.output_bytes += size;
    return {};
  }
  UPWELL_TRY(AtomicDirectory directory, AtomicDirectory::create(output));
  UPWELL_TRY(StorePart part, write_part(directory.path() / "part-1", "part-1", manifest, input));
  report.counts = part.counts;
  for (const auto& [name, size] : part.files) report.output_bytes += size;
  manifest.parts.push_back(std::move(part));
  manifest.next_part = 2;
  UPWELL_TRY(const uint64_t size, write_manifest(directory.path(), manifest));
  report.output_bytes += size;
  return directory.commit(form.sync);
}

}  // namespace

bool is_about_access(Code code) {
  switch (code) {
    case Code::kInvalidData:
    case Code::kUnsupported:
    case Code::kChanged:
      return false;
    default:
      return true;
  }
}

io::ObjectInfo identity_of(io::Session& session, const Dataset& dataset, const std::string& url) {
  if (dataset.granules->size() == 1) {
    const Granule& granule = dataset.granules->at(0);
    if (granule.url == url && granule.info.size > 0) return lasting_state(url, granule.info);
  }
  auto info = session.stat(url);
  return info ? lasting_state(url, *info) : io::ObjectInfo{};  // a directory has none
}

StoreRecord record_of(const CombineReport& report, const ReferenceOutputOptions& options,
                      const format::MdsOptions& mds) {
  StoreRecord out;
  out.concat = report.concat;
  out.coordinate = report.coordinate;
  out.loaded = report.loaded;
  out.catalogue = options.catalogue;
  for (const size_t i : report.order) {
    const SourceReport& source = report.sources[i];
    GranuleRecord granule{output_url(options, source.url), source.info, source.length};
    if (granule.url != source.url) granule.info.etag.clear();  // of the other place
    out.granules.push_back(std::move(granule));
    if (source.format == "mds") out.mds = mds;
  }
  return out;
}

bool is_withdrawn(const VirtualizeOptions& options, const Error& error) {
  return options.skip_missing && error.code == Code::kNotFound;
}

Result<Dataset> scan_source(io::Session& session, const std::string& url, const OpenOptions& open,
                            const VirtualizeOptions& options) {
  UPWELL_TRY(Dataset dataset, open_source_with(session, url, open));
  if (options.amend) UPWELL_CHECK(options.amend(url, dataset));
  return dataset;
}

namespace {

/// Opens the granule with which all others are compared: the first; with skip_offenders the first
/// that can be read. Those before it come last in `urls`, where they are met again, and reported.
Result<Dataset> open_first(io::Session& session, const OpenOptions& open,
                           const VirtualizeOptions& options, std::vector<std::string>& urls) {
  std::optional<Error> error;
  for (size_t i = 0; i < urls.size(); ++i) {
    auto first = scan_source(session, urls[i], open, options);
    CombineReport unused;
    if (first && options.combine.skip_offenders && urls.size() > 1) {
      if (auto sound = check_problems(*first, urls[i], open.scan.drop, unused); !sound)
        first = fail(std::move(sound).error());
    }
    if (first) {
      std::rotate(urls.begin(), urls.begin() + static_cast<ptrdiff_t>(i), urls.end());
      return first;
    }
    if (!error) error = Error(first.error()).with(io::shown_url(urls[i]));
    if (is_withdrawn(options, first.error())) continue;
    if (!options.combine.skip_offenders || is_about_access(first.error().code))
      return fail(with_prefix_hint(session, urls[i], std::move(first).error())
                      .with(io::shown_url(urls[i])));
  }
  return fail(std::move(*error));
}

}  // namespace

Result<Dataset> combine_sources(io::Session& session, const std::vector<std::string>& sources,
                                const VirtualizeOptions& options, CombineReport& report) {
  std::vector<std::string> urls = sources;
  ZarrArrayCache arrays;
  OpenOptions open;
  open.arrays = &arrays;
  open.sidecar = options.sidecar;
  format::ScanOptions& scan = open.scan;
  scan.drop = options.combine.drop;
  scan.one_layout = !options.combine.keep_segments;
  scan.mds = options.mds;
  scan.subchunk_bytes = 0;  // the combiner cuts contiguous arrays itself, when it knows all lengths
  Progress progress("scanning", "granules", urls.size(), options.progress);
  auto first = open_first(session, open, options, urls);
  if (!first) return fail(std::move(first).error());
  if (options.longest_uniform) UPWELL_CHECK(cut_source(session, urls, *first, report));
  report.sources.assign(1, {urls[0],
                            identity_of(session, *first, urls[0]),
                            0,
                            {},
                            {},
                            false,
                            {},
                            {},
                            first->notes,
                            first->format});
  UPWELL_CHECK(check_problems(*first, urls[0], scan.drop, report));
  std::unique_ptr<Combiner> combiner;
  {
    auto made = Combiner::make(session, urls, *first, options.combine, report.refused);
    if (!made) return fail(std::move(made).error().with(io::shown_url(urls[0])));
    combiner = std::move(*made);
  }
  combiner->report().sources[0].info = report.sources[0].info;
  combiner->report().sources[0].notes = report.sources[0].notes;
  combiner->report().warnings.insert(combiner->report().warnings.begin(), report.warnings.begin(),
                                     report.warnings.end());
  UnmetNames to_drop(options.combine.drop, *first);
  first = fail(Code::kInternal, "");  // drop the first dataset, too
  progress.advance();
  const size_t threads =
      options.threads > 0 ? options.threads : std::max(kScansAtOnce, 2 * core_count());
  auto done = blocking_for(urls.size() - 1, threads, [&](size_t k) -> Result<> {
    const size_t i = k + 1;
    auto dataset = scan_source(session, urls[i], open, options);
    if (dataset) {
      to_drop.meet(*dataset);
      combiner->report().sources[i].info = identity_of(session, *dataset, urls[i]);
      combiner->report().sources[i].notes = dataset->notes;
      auto added = combiner->add(i, *dataset);
      if (!added) {
        if (is_about_access(added.error().code))
          return fail(std::move(added).error().with(io::shown_url(urls[i])));
        combiner->reject(i, {"unreadable", "", added.error().to_string()});
      }
    } else if (is_withdrawn(options, dataset.error())) {
      combiner->leave_out(i);
    } else if (is_about_access(dataset.error().code)) {
      return fail(std::move(dataset).error().with(io::shown_url(urls[i])));
    } else {
      combiner->reject(i, {"unreadable", "", dataset.error().to_string()});
    }
    progress.advance();
    return {};
  });
  if (done) done = to_drop.check();
  Result<Dataset> out = done ? combiner->finish() : Result<Dataset>(fail(std::move(done).error()));
  report = std::move(combiner->report());
  return out;
}

Error overtaken(const std::string& output) {
  return {Code::kUnavailable,
          output + ": another run wrote it meanwhile, and this one changed nothing: run it again",
          {},
          {}};
}

bool wants_parquet(const std::filesystem::path& output) {
  const std::string name = output.string();
  return !names_store(name) &&
         (name.ends_with(".parq") || name.ends_with(".parquet") || name.ends_with("/"));
}

Result<> check_output(io::Session& session, const std::string& output,
                      const std::vector<std::string>& urls) {
  return io::scheme_of(output) == "file" ? check_local_output(output, urls)
                                         : check_remote_output(session, output, urls);
}

Result<> write_output(io::Session& session, const std::string& output, const Dataset& cube,
                      const ReferenceOutputOptions& form, uint64_t record_size,
                      const io::PutCondition& condition, VirtualizeReport& report) {
  const bool remote = io::scheme_of(output) != "file";
  if (wants_parquet(output) && remote) {
    const std::string base = output + (output.ends_with('/') ? "" : "/");
    const auto sink = [&](const std::string& name, ByteSpan bytes) -> Result<> {
      UPWELL_CHECK(session.put(base + name, bytes));
      return {};
    };
    UPWELL_TRY(report.counts,
               write_kerchunk_parquet(cube, form, record_size, sink, report.output_bytes));
    return {};
  }
  if (wants_parquet(output)) {
    UPWELL_TRY(AtomicDirectory directory, AtomicDirectory::create(output));
    UPWELL_TRY(report.counts,
               write_kerchunk_parquet(cube, form, record_size, directory_sink(directory.path()),
                                      report.output_bytes));
    return directory.commit(form.sync);
  }
  const auto write_json = [&](auto& target) -> Result<> {
    UPWELL_TRY(report.counts, write_kerchunk_json(cube, form, [&](ByteSpan bytes) -> Result<> {
                 report.output_bytes += bytes.size();
                 return target.write(bytes);
               }));
    return {};
  };
  if (remote) {
    UPWELL_TRY(std::unique_ptr<io::ObjectWriter> object, session.create(output));
    UPWELL_CHECK(write_json(*object));
    UPWELL_CHECK(object->commit(condition));
    return {};
  }
  UPWELL_TRY(AtomicFile file, AtomicFile::create(output));
  UPWELL_CHECK(write_json(file));
  return file.commit(form.sync);
}

Result<> rename_granules(Dataset& dataset, const ReferenceOutputOptions& form,
                         const GranuleTable* keep) {
  std::unordered_set<std::string> kept, taken;
  for (uint32_t i = 0; keep != nullptr && i < keep->size(); ++i) kept.insert(keep->at(i).url);
  const GranuleTable& granules = *dataset.granules;
  for (uint32_t i = 0; i < granules.size(); ++i) {
    const std::string& url = granules.at(i).url;
    if (!kept.contains(url) && !taken.insert(output_url(form, url)).second)
      return fail(Code::kInvalidArgument,
                  "--url-prefix gives two granules one URL: " + output_url(form, url));
  }
  auto renamed = std::make_shared<GranuleTable>();
  for (uint32_t i = 0; i < granules.size(); ++i) {
    Granule granule = granules.at(i);
    if (!kept.contains(granule.url)) {
      granule.url = output_url(form, granule.url);
    } else if (taken.contains(granule.url)) {
      granule.url += " (replaced)";
    }
    renamed->intern(granule);
  }
  dataset.granules = std::move(renamed);
  return {};
}

StoreRecord record_of_copy(const ReferenceCopy& copy, const StoreRecord& record) {
  ReferenceOutputOptions form;
  form.url_prefix = copy.url_prefix;
  StoreRecord out = record;
  for (GranuleRecord& granule : out.granules) {
    const std::string url = output_url(form, granule.url);
    if (url != granule.url) granule.info.etag.clear();  // of the other place
    granule.url = url;
  }
  return out;
}

Result<> write_copies(io::Session& session, const Dataset& cube, const StoreRecord& record,
                      const VirtualizeOptions& options) {
  for (const ReferenceCopy& copy : options.copies) {
    ReferenceOutputOptions form;
    form.url_prefix = copy.url_prefix;
    form.sync = options.output.sync;
    form.record = record_json(record_of_copy(copy, record));
    VirtualizeReport report;
    // Many objects: who opens it meanwhile finds no set instead of half of one and half of another.
    if (wants_parquet(copy.output) && io::scheme_of(copy.output) != "file")
      UPWELL_CHECK(session.remove(copy.output + "/.zmetadata"));
    auto written = write_output(session, copy.output, cube, form, options.record_size, {}, report);
    if (!written) return fail(std::move(written).error().with(copy.output));
  }
  return {};
}

Result<> virtualize(io::Session& session, const std::vector<std::string>& sources,
                    const std::filesystem::path& output, const VirtualizeOptions& options,
                    VirtualizeReport& report) {
  report.output = output.string();
  const bool own = names_store(report.output);
  report.format = own ? "upwell" : wants_parquet(output) ? "kerchunk-parquet" : "kerchunk-json";
  ReferenceOutputOptions form = options.output;
  auto write = [&]() -> Result<> {
    std::vector<std::string> foreign;
    UPWELL_TRY(std::vector<std::string> urls, expand_sources(session, sources, foreign));
    if (!foreign.empty()) report.combine.warnings.push_back(foreign_warning(foreign));
    for (std::string& told : leave_out_target(sources, report.output, urls))
      report.combine.warnings.push_back(std::move(told));
    if (urls.empty())
      return fail(Code::kInvalidArgument, "no sources but " + report.output + ", the output");
    for (const std::string& url : urls) UPWELL_CHECK(check_published(output_url(form, url)));
    UPWELL_CHECK(check_output(session, report.output, urls));
    if (options.combine.keep_drift && !own)
      return fail(Code::kInvalidArgument, report.output +
                                              ": only Upwell's own form holds granules that "
                                              "differ; name the output NAME.upwell");
    StoreManifest before;
    if (own && !options.must_be_new && io::scheme_of(report.output) != "file") {
      UPWELL_TRY(before, manifest_there(session, report.output));
    }
    VirtualizeOptions plan = options;
    plan.combine.keep_segments = own;
    UPWELL_TRY(Dataset cube, combine_sources(session, urls, plan, report.combine));
    UPWELL_CHECK(check_prefixes(options.output, *cube.granules));
    UPWELL_CHECK(check_published(*cube.granules, form));
    warn_of_local_granules(options.output, *cube.granules, report);
    const StoreRecord record = record_of(report.combine, options.output, options.mds);
    if (!options.copies.empty()) {
      UPWELL_CHECK(rename_granules(cube, options.output));
      form.url_prefix.clear();
      UPWELL_CHECK(write_copies(session, cube, record, options));
    }
    if (own)
      return write_own_form(session, output, cube, record, options.output, before,
                            options.must_be_new, report);
    form.record = record_json(record);
    return write_output(session, report.output, cube, form, options.record_size,
                        options.must_be_new ? io::PutCondition::absent() : io::PutCondition{},
                        report);
  };
  Result<> result = write();
  if (!result) report.error = result.error().to_string();
  return result;
}

}  // namespace upwell::refs
