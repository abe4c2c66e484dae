#include "refs/source_list.hpp"

#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/parallel.hpp"
#include "base/text.hpp"
#include "format/mds/mds.hpp"
#include "refs/open.hpp"
#include "refs/store/store.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxListDepth = 8;
constexpr size_t kLooksAtOnce = 16;
constexpr const char* kMarkers[] = {".zmetadata", ".zgroup", ".zarray", "zarr.json"};

bool is_dataset_directory(const fs::path& path) {
  std::error_code ignored;
  for (const char* name : kMarkers)
    if (fs::exists(path / name, ignored)) return true;
  return names_store(path.string()) && fs::exists(path / kManifest, ignored);
}

/// Whether a store that has to be asked has a dataset there.
bool is_dataset_prefix(io::Session& session, const std::string& prefix) {
  std::vector<std::string> urls;
  for (const char* name : kMarkers) urls.push_back(prefix + name);
  if (names_store(prefix)) urls.push_back(prefix + kManifest);
  const auto answers = session.stat_many(urls);
  return std::any_of(answers.begin(), answers.end(), [](const auto& a) { return a.has_value(); });
}

/// Objects below a prefix; a dataset among them is one source, whatever lies in it. Names that
/// begin with a dot do not count, as in directories.
std::vector<std::string> sources_below(const std::string& prefix, std::vector<std::string> listed) {
  const auto parent = [](std::string_view url) { return url.substr(0, url.rfind('/') + 1); };
  std::unordered_set<std::string> datasets;
  for (const std::string& url : listed) {
    const std::string_view name = std::string_view(url).substr(parent(url).size());
    for (const char* marker : kMarkers)
      if (name == marker) datasets.insert(std::string(parent(url)));
    if (name == kManifest && names_store(parent(url))) datasets.insert(std::string(parent(url)));
  }
  std::vector<std::string> out;
  std::unordered_set<std::string> taken;
  for (std::string& url : listed) {
    std::string dataset;  // the outermost one
    bool hidden = false;
    for (size_t slash = url.find('/', prefix.size()); slash != std::string::npos;
         slash = url.find('/', slash + 1)) {
      if (dataset.empty() && datasets.contains(url.substr(0, slash + 1)))
        dataset = url.substr(0, slash + 1);
    }
    hidden = dataset.empty() && url.find("/.", prefix.size() - 1) != std::string::npos;
    if (hidden) continue;
    if (dataset.empty()) {
      out.push_back(std::move(url));
    } else if (taken.insert(dataset).second) {
      out.push_back(std::move(dataset));
    }
  }
  return out;
}

bool has_glob(const std::string& text) { return text.find_first_of("*?[") != std::string::npos; }

/// Where sources go, and what beside them is none.
struct Found {
  std::vector<std::string> sources, foreign;
};

/// Names that nothing but granules and what describes them have: such a file that cannot be read is
/// broken.
bool has_granule_name(std::string url) {
  url = lower_case(url);
  for (const char* end : {".nc", ".nc3", ".nc4", ".cdf", ".netcdf", ".h4", ".h5", ".hdf", ".hdf4",
                          ".hdf5", ".he2", ".he5", ".dmrpp", ".data", ".meta", "/"})
    if (url.ends_with(end)) return true;
  return false;
}

std::string some_of(const std::vector<std::string>& names) {
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), kShown); ++i)
    text += (i > 0 ? ", " : "") + names[i];
  return text + (names.size() > kShown ? ", ..." : "");
}

/// What lies below `where`: sources, and files of no format.
Result<> add_listed(io::Session& session, const std::string& where, std::vector<std::string> listed,
                    Found& out) {
  std::vector<char> is_foreign(listed.size(), 0);
  UPWELL_CHECK(blocking_for(listed.size(), kLooksAtOnce, [&](size_t i) -> Result<> {
    std::error_code ignored;
    if (has_granule_name(listed[i]) || fs::is_directory(listed[i], ignored)) return {};
    const auto source = looks_like_source(session, io::normal_url(listed[i]));
    is_foreign[i] = source && !*source ? 1 : 0;  // what cannot be read now fails later, by name
    return {};
  }));
  std::vector<std::string> foreign;
  for (size_t i = 0; i < listed.size(); ++i)
    (is_foreign[i] != 0 ? foreign : out.sources).push_back(std::move(listed[i]));
  if (foreign.size() == listed.size())
    return fail(Code::kInvalidData,
                where + ": none of its " + std::to_string(foreign.size()) +
                    " files is of a format that is read here: " + some_of(foreign));
  out.foreign.insert(out.foreign.end(), foreign.begin(), foreign.end());
  return {};
}

Result<> add_directory(io::Session& session, const std::string& path, Found& out) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.')) {
      if (it->is_directory(ignored)) it.disable_recursion_pending();
      continue;
    }
    if (it->is_directory(ignored)) {
      if (!is_dataset_directory(it->path())) continue;
      it.disable_recursion_pending();
      found.push_back(it->path().string());
    } else if (it->is_regular_file(ignored)) {
      found.push_back(it->path().string());
    }
  }
  if (error) return fail(Code::kNotFound, path + ": " + error.message());
  if (found.empty()) return fail(Code::kNotFound, path + ": the directory holds no files");
  std::sort(found.begin(), found.end());
  return add_listed(session, path, std::move(found), out);
}

Result<> add_glob(const std::string& pattern, std::vector<std::string>& out) {
  glob_t matches{};
  int status = ::glob(pattern.c_str(), GLOB_BRACE | GLOB_TILDE, nullptr, &matches);
  std::vector<std::string> found;
  for (size_t i = 0; status == 0 && i < matches.gl_pathc; ++i)
    found.emplace_back(matches.gl_pathv[i]);
  ::globfree(&matches);
  if (found.empty()) return fail(Code::kNotFound, pattern + ": no file matches");
  std::sort(found.begin(), found.end());
  out.insert(out.end(), found.begin(), found.end());
  return {};
}

/// "s3://bucket/2020/*.nc": '*' and '?' stay inside one name, as in a shell. Only what matches is
/// kept of the listing.
Result<> add_s3_glob(io::Session& session, const std::string& pattern,
                     std::vector<std::string>& out) {
  const size_t wild = pattern.find_first_of("*?[");
  const std::string prefix = pattern.substr(0, pattern.rfind('/', wild) + 1);
  if (prefix.size() <= std::string_view("s3://").size())
    return fail(Code::kInvalidArgument, pattern + ": the name of the bucket is no pattern");
  const size_t before = out.size();
  UPWELL_CHECK(session.list_each(prefix, [&](const std::string& url) -> Result<> {
    if (::fnmatch(pattern.c_str(), url.c_str(), FNM_PATHNAME | FNM_PERIOD) == 0) out.push_back(url);
    return {};
  }));
  if (out.size() == before) return fail(Code::kNotFound, pattern + ": no object matches");
  std::sort(out.begin() + static_cast<std::ptrdiff_t>(before), out.end());
  return {};
}

Result<> add_source(io::Session& session, const std::string& source, int depth, Found& out);

/// Standard input to its end.
Result<std::string> read_standard_input() {
  std::string text;
  std::array<char, 1 << 16> piece{};
  while (const size_t n = std::fread(piece.data(), 1, piece.size(), stdin))
    text.append(piece.data(), n);
  if (std::ferror(stdin) != 0) return fail(Code::kNotFound, "standard input cannot be read");
  return text;
}

/// The data files of a granule as `upwell search --format json` writes it.
Result<> add_granule_line(io::Session& session, const std::string& line, Found& out) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array())
    return fail(Code::kInvalidData,
                "not a granule of `upwell search --format json`: " + line.substr(0, 80));
  const size_t before = out.sources.size();
  for (const auto& file : *data) {
    const auto link = [&](const char* scheme) {
      const auto at = file.is_object() ? file.find(scheme) : file.end();
      const bool text = file.is_object() && at != file.end() && at->is_string();
      return text ? at->get<std::string>() : std::string();
    };
    const bool s3_first = session.preferred_scheme() == "s3";
    std::string url = link(s3_first ? "s3" : "https");
    if (url.empty()) url = link(s3_first ? "https" : "s3");
    if (!url.empty()) out.sources.push_back(std::move(url));
  }
  if (out.sources.size() == before)
    return fail(Code::kNotFound,
                "a granule of the list has no link to data: " + line.substr(0, 80));
  return {};
}

/// A line of `upwell search` as people read it: the link is its last word.
bool looks_like_table(const std::string& line) {
  const size_t last = line.rfind("  ");
  return last != std::string::npos && line.find("://", last) != std::string::npos &&
         io::scheme_of(line) == "file";
}

/// `base`: URL of the list, which relative paths are relative to.
Result<> add_lines(io::Session& session, const std::string& base, std::string_view text, int depth,
                   Found& out) {
  while (!text.empty()) {
    size_t end = std::min(text.find('\n'), text.size());
    std::string line(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    line.erase(0, line.find_first_not_of(" \t"));
    line.erase(line.find_last_not_of(" \t\r") + 1);
    if (line.empty() || line[0] == '#') continue;
    if (line[0] == '{') {
      UPWELL_CHECK(add_granule_line(session, line, out));
      continue;
    }
    if (looks_like_table(line))
      return fail(Code::kInvalidArgument,
                  "the list is a table for people: write `upwell search ... --format json` (or "
                  "urls), not '" +
                      line.substr(0, 60) + "...'");
    bool nested = line[0] == '@';
    std::string resolved = io::resolve_url(base, nested ? line.substr(1) : line);
    UPWELL_CHECK(add_source(session, nested ? "@" + resolved : resolved, depth + 1, out));
  }
  return {};
}

Result<> add_list(io::Session& session, const std::string& list, int depth, Found& out) {
  if (depth >= kMaxListDepth)
    return fail(Code::kInvalidArgument, "@" + list + ": lists name lists too deeply");
  const std::string url = io::normal_url(list);
  if (list == "-") {
    UPWELL_TRY(const std::string text, read_standard_input());
    return add_lines(session, url, text, depth, out);
  }
  UPWELL_TRY(SharedBytes bytes, session.read_one(url));
  return add_lines(session, url, as_text(bytes.span()), depth, out);
}

Result<> add_source(io::Session& session, const std::string& source, int depth, Found& out) {
  if (source.empty()) return fail(Code::kInvalidArgument, "a source is empty text");
  if (source[0] == '@') return add_list(session, source.substr(1), depth, out);
  if (io::scheme_of(source) != "file") {
    // A key may hold these letters: a name that is there is meant as it is.
    if (io::scheme_of(source) == "s3" && has_glob(source) && !session.stat(source))
      return add_s3_glob(session, source, out.sources);
    if (!source.ends_with('/')) {
      out.sources.push_back(source);
      return {};
    }
    if (is_dataset_prefix(session, source)) {
      out.sources.push_back(source);
      return {};
    }
    UPWELL_TRY(std::vector<std::string> listed, session.list(source));
    listed = sources_below(source, std::move(listed));
    if (listed.empty()) return fail(Code::kNotFound, source + ": nothing lies below it");
    return add_listed(session, source, std::move(listed), out);
  }
  std::string path = source.starts_with("file://") ? source.substr(7) : source;
  std::error_code ignored;
  if (fs::is_directory(path, ignored)) {
    if (!is_dataset_directory(path)) return add_directory(session, path, out);
  } else if (!fs::exists(path, ignored)) {
    if (has_glob(path)) return add_glob(path, out.sources);
    return fail(Code::kNotFound, source + ": no such file or directory");
  }
  out.sources.push_back(path);
  return {};
}

/// A DMR++ beside its granule is no source of its own.
void drop_sidecars(std::vector<std::string>& found) {
  constexpr std::string_view kSuffix = ".dmrpp";
  const std::unordered_set<std::string> all(found.begin(), found.end());
  std::erase_if(found, [&](const std::string& url) {
    return url.ends_with(kSuffix) && all.contains(url.substr(0, url.size() - kSuffix.size()));
  });
}

/// Of the pieces of a field (MITgcm's tiled output) the first is the source, for all of them.
void drop_pieces(std::vector<std::string>& found) {
  std::unordered_set<std::string> fields;
  std::erase_if(found, [&](const std::string& url) {
    const std::string field = format::mds::whole_url(url);
    return !field.empty() && !fields.insert(field).second;
  });
}

}  // namespace

std::string foreign_warning(const std::vector<std::string>& foreign) {
  if (foreign.empty()) return {};
  return (foreign.size() == 1 ? "1 file of no format that is read here was left out: "
                              : std::to_string(foreign.size()) +
                                    " files of no format that is read here were left out: ") +
         some_of(foreign);
}

Error with_prefix_hint(io::Session& session, const std::string& url, Error error) {
  if (error.code != Code::kNotFound || io::scheme_of(url) != "s3" || url.ends_with('/'))
    return error;
  bool any = false;
  (void)session.list_each(url + "/", [&](const std::string&) -> Result<> {
    any = true;
    return fail(Code::kCancelled, "one is enough");
  });
  if (any) error.message += "; objects lie below it: " + url + "/ names them all";
  return error;
}

std::vector<std::string> leave_out_target(const std::vector<std::string>& sources,
                                          const std::string& target,
                                          std::vector<std::string>& urls) {
  const auto plain = [](const std::string& name) {
    std::string url = io::normal_url(name);
    while (url.size() > 1 && url.ends_with('/')) url.pop_back();
    return url;
  };
  std::unordered_set<std::string> named;
  for (const std::string& source : sources) named.insert(plain(source));
  std::vector<std::string> told;
  const std::string own = plain(target);
  if (!named.contains(own) &&
      std::erase_if(urls, [&](const std::string& url) { return plain(url) == own; }) > 0)
    told.push_back(target + " lies among the sources, and was left out");
  std::vector<std::string> sets;
  for (const std::string& url : urls) {
    const std::string name = plain(url);
    const bool set = name.ends_with(".json") || name.ends_with(".parq") ||
                     name.ends_with(".parquet") || names_store(name);
    if (set && !named.contains(name)) sets.push_back(name);
  }
  if (!sets.empty() && sets.size() < urls.size())
    told.push_back(
        (sets.size() == 1
             ? "a reference set lies among the granules, and is a source like them: "
             : std::to_string(sets.size()) +
                   " reference sets lie among the granules, and are sources like them: ") +
        some_of(sets) + "; keep sets in a directory of their own");
  return told;
}

Result<std::vector<std::string>> expand_sources(io::Session& session,
                                                const std::vector<std::string>& sources,
                                                std::vector<std::string>& foreign) {
  Found found;
  for (const std::string& source : sources) UPWELL_CHECK(add_source(session, source, 0, found));
  std::vector<std::string> urls;
  std::unordered_set<std::string> seen;
  urls.reserve(found.sources.size());
  for (const std::string& source : found.sources) {
    std::string url = io::normal_url(source);
    // A pair of MITgcm output is one granule: the file that holds the values.
    if (const std::string data = format::mds::data_url(url); !data.empty()) url = data;
    if (seen.insert(url).second) urls.push_back(std::move(url));
  }
  drop_sidecars(urls);
  drop_pieces(urls);
  if (urls.empty()) return fail(Code::kInvalidArgument, "no sources");
  foreign = std::move(found.foreign);
  return urls;
}

}  // namespace upwell::refs
