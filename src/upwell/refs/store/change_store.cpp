// A new part beside the others, then the manifest that names it: on a file system and in an object
// store. docs/decisions/append.md says why nothing is lost and no reader sees a mixture.

#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <random>
#include <regex>

#include "base/files.hpp"
#include "base/parallel.hpp"
#include "refs/store/store.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

/// Rows of chunks.arrow that an addition may move for the sake of few parts.
constexpr uint64_t kMostRowsMoved = 1 << 20;
constexpr std::string_view kPartPrefix = "part-";
constexpr std::string_view kManifestBegin = "{\"upwell\":";
constexpr uint64_t kPieceBytes = 4 << 20;  // of an upload, in memory
constexpr size_t kUploadsAtOnce = 5;
constexpr size_t kRemovalsAtOnce = 16;
/// So long a reader that has read a manifest finds its parts in an object store. Requests are
/// refused where clocks differ by more than a quarter of an hour, so any machine may measure it.
constexpr int64_t kGrace_s = int64_t{24} * 3600;

/// "part-12" (on a file system) or "part-12-0123456789abcdef" (in an object store).
bool is_part_name(const std::string& name) {
  static const std::regex kForm("part-[0-9]+(-[0-9a-f]{16})?");
  return std::regex_match(name, kForm);
}

/// What a run that was stopped may leave in a directory, see AtomicFile.
bool is_temporary_name(const std::string& name) {
  static const std::regex kForm(R"(\.(part-[0-9]+|manifest\.json)\.tmp-[0-9]+-[0-9]+)");
  return std::regex_match(name, kForm);
}

bool names_part(const StoreManifest& manifest, std::string_view name) {
  return std::any_of(manifest.parts.begin(), manifest.parts.end(),
                     [&](const StorePart& part) { return part.name == name; }) ||
         std::any_of(manifest.superseded.begin(), manifest.superseded.end(),
                     [&](const SupersededPart& part) { return part.name == name; });
}

// --- On a file system ----------------------------------------------------------------------------

Result<std::optional<StorePart>> change_locally(const fs::path& location, StoreManifest next,
                                                const PartInput& input) {
  const std::string name = std::string(kPartPrefix) + std::to_string(next.next_part++);
  UPWELL_TRY(AtomicDirectory directory, AtomicDirectory::create(location / name));
  UPWELL_TRY(StorePart part, write_part(directory.path(), name, next, input));
  next.parts.push_back(part);
  UPWELL_CHECK(directory.commit());
  UPWELL_CHECK(write_manifest(location, next));
  return part;
}

// --- In an object store --------------------------------------------------------------------------

/// No other run has this name, whatever it was begun upon.
std::string unique_part_name(uint64_t number) {
  std::random_device random;
  return fmt::format("{}{}-{:08x}{:08x}", kPartPrefix, number, random(), random());
}

Result<> upload(io::Session& session, const fs::path& file, const std::string& url) {
  std::ifstream in(file, std::ios::binary);
  UPWELL_TRY(std::unique_ptr<io::ObjectWriter> object, session.create(url));
  Bytes piece(kPieceBytes);
  while (in) {
    in.read(reinterpret_cast<char*>(piece.data()), static_cast<std::streamsize>(piece.size()));
    UPWELL_CHECK(object->write(ByteSpan(piece).first(static_cast<size_t>(in.gcount()))));
  }
  if (!in.eof()) return fail(Code::kInternal, file.string() + ": cannot be read again");
  UPWELL_CHECK(object->commit());
  return {};
}

/// Where conditions are not looked at, two runs at once would lose what one of them wrote.
Result<> check_conditions(io::Session& session, const std::string& url) {
  auto put = session.put(url, {}, io::PutCondition::unchanged("\"0\""));
  if (!put && put.error().code == Code::kChanged) return {};  // there is no such object
  if (!put) return fail(std::move(put).error());
  (void)session.remove(url);
  return fail(Code::kUnsupported, url +
                                      ": the service puts objects without regard to If-Match, so "
                                      "two runs at once could lose granules; write the store to "
                                      "a file system and copy it, manifest.json last");
}

/// Its columns are written in no order, so they pass through a directory of this machine.
Result<StorePart> upload_part(io::Session& session, const std::string& base,
                              const std::string& name, const StoreManifest& manifest,
                              const PartInput& input) {
  std::error_code error;
  const fs::path temporary = fs::temp_directory_path(error);
  if (error) return fail(Code::kCannotWrite, "no directory for temporary files: $TMPDIR");
  UPWELL_TRY(const AtomicDirectory directory, AtomicDirectory::create(temporary / "upwell-part"));
  UPWELL_TRY(StorePart part, write_part(directory.path() / name, name, manifest, input));
  const auto url = [&](size_t i) { return base + name + "/" + part.files[i].first; };
  auto done = blocking_for(part.files.size() + 1, kUploadsAtOnce, [&](size_t i) {
    return i < part.files.size()
               ? upload(session, directory.path() / name / part.files[i].first, url(i))
               : check_conditions(session, base + name + "/if-match");
  });
  if (done) return part;
  // No manifest was to name them yet.
  for (size_t i = 0; i < part.files.size(); ++i) (void)session.remove(url(i));
  return fail(std::move(done).error());
}

/// "part-1" of the URL of one of its files; empty: something else.
std::string_view part_of(std::string_view url, const std::string& base) {
  if (!url.starts_with(base)) return {};
  url.remove_prefix(base.size());
  const size_t slash = url.find('/');
  if (slash == std::string_view::npos || !is_part_name(std::string(url.substr(0, slash))))
    return {};
  return url.substr(0, slash);
}

/// Parts that `next` does without: readers that hold an older manifest may still open them.
std::vector<SupersededPart> superseded_by(const StoreManifest& before, const StoreManifest& next) {
  const int64_t now = std::time(nullptr);
  std::vector<SupersededPart> out;
  for (const SupersededPart& part : before.superseded)
    if (now - part.since_unix_s < kGrace_s) out.push_back(part);
  for (const StorePart& part : before.parts)
    if (!names_part(next, part.name)) out.push_back({part.name, now});
  return out;
}

Result<> remove_all(io::Session& session, const std::vector<std::string>& urls) {
  return blocking_for(urls.size(), kRemovalsAtOnce,
                      [&](size_t i) { return session.remove(urls[i]); });
}

Result<std::optional<StorePart>> change_remotely(io::Session& session, const std::string& base,
                                                 const StoreManifest& before, StoreManifest next,
                                                 const PartInput& input,
                                                 std::vector<std::string>& warnings) {
  const std::string name = unique_part_name(next.next_part++);
  UPWELL_TRY(StorePart part, upload_part(session, base, name, next, input));
  next.parts.push_back(part);
  next.superseded = superseded_by(before, next);
  UPWELL_TRY(const std::string text, manifest_json(next));
  // What lies here before the manifest is exchanged and is not named afterwards is nobody's: a run
  // that uploaded it began upon a manifest that is gone, and its own can no more be put.
  std::vector<std::string> left;
  auto swept = session.list_each(base, [&](const std::string& url) -> Result<> {
    const std::string_view of = part_of(url, base);
    if (!of.empty() && !names_part(next, of)) left.push_back(url);
    return {};
  });
  auto put = session.put(
      base + kManifest, as_bytes(text),
      before.etag.empty() ? io::PutCondition::absent() : io::PutCondition::unchanged(before.etag));
  // Whatever the answer was, our part stays: a manifest that was put and whose answer was lost may
  // name it. If none does, the next run takes it for what it is.
  if (!put && (put.error().code == Code::kChanged || put.error().code == Code::kAlreadyExists)) {
    // libcurl asks again by itself on a connection that ends without an answer.
    const auto there = session.read_one(base + kManifest);
    if (!there || as_text(there->span()) != text) return std::nullopt;
  } else if (!put) {
    return fail(std::move(put).error());
  }
  if (swept) swept = remove_all(session, left);
  if (!swept)
    warnings.push_back("what earlier runs left in " + base +
                       " could not be removed: " + swept.error().to_string());
  return part;
}

std::string with_slash(const std::string& url) { return url.ends_with('/') ? url : url + "/"; }

}  // namespace

uint64_t rows_behind(const Dataset& cube, const std::string& concat, uint64_t begin) {
  uint64_t rows = 0;
  for_each_array(cube.root, [&](const std::string&, const Array& array) {
    const auto& names = array.dimensions;
    const auto it = std::find(names.begin(), names.end(), concat);
    for (const Segment& segment : array.segments)
      if (it != names.end() && segment.origin[static_cast<size_t>(it - names.begin())] >= begin)
        rows += element_count(segment.grid);
  });
  return rows;
}

std::vector<StorePart> take_small_parts(StoreManifest& next, uint64_t rows) {
  std::vector<StorePart> taken;
  while (!next.parts.empty()) {
    const ReferenceCounts& last = next.parts.back().counts;
    const uint64_t own = last.stored + last.inlined + last.missing;
    if (own > rows || own + rows > kMostRowsMoved) break;
    rows += own;
    taken.insert(taken.begin(), std::move(next.parts.back()));
    next.parts.pop_back();
  }
  return taken;
}

Result<StoreManifest> manifest_there(io::Session& session, const std::string& url) {
  auto there = read_manifest_to_change(session, url);
  const bool absent = !there && there.error().code == Code::kNotFound &&
                      there.error().message.find("NoSuchBucket") == std::string::npos;
  if (absent) return StoreManifest{};
  if (!there && there.error().code == Code::kInvalidData) {
    const std::string name = with_slash(io::normal_url(url)) + kManifest;
    UPWELL_TRY(const SharedBytes broken, session.read_one(name));
    const std::string_view text = as_text(broken.span());
    // One of ours that nobody can read any more is replaced; what may be of another program is not.
    if (!text.empty() && !text.starts_with(kManifestBegin)) {
      there.error().message += "; remove it, or write under another name";
      return there;
    }
    UPWELL_TRY(const io::ObjectInfo state, session.stat(name));
    there = StoreManifest{};
    there->etag = state.etag;
  }
  if (there && there->etag.empty())
    return fail(Code::kUnsupported, url +
                                        ": the service gives no ETag for its manifest, so it "
                                        "cannot be replaced safely");
  return there;
}

Result<> sweep_parts(const fs::path& location, const StoreManifest& manifest) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(location, error)) {
    const std::string name = entry.path().filename().string();
    const bool ours = is_part_name(name) || is_temporary_name(name);
    const bool named = std::any_of(manifest.parts.begin(), manifest.parts.end(),
                                   [&](const StorePart& part) { return part.name == name; });
    if (ours && !named) fs::remove_all(entry.path(), error);
  }
  if (error) return fail(Code::kCannotWrite, location.string() + ": " + error.message());
  return {};
}

Result<std::optional<StorePart>> change_store(io::Session& session, const std::string& location,
                                              const StoreManifest& before, StoreManifest next,
                                              const PartInput& input,
                                              std::vector<std::string>& warnings) {
  next.next_part = before.next_part;
  if (io::scheme_of(location) == "file") return change_locally(location, std::move(next), input);
  return change_remotely(session, with_slash(location), before, std::move(next), input, warnings);
}

}  // namespace upwell::refs
