#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <unordered_map>

#include "base/parallel.hpp"
#include "io/digest.hpp"
#include "refs/store/part_columns.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kPartsAtOnce = 8;

constexpr uint64_t kManifestFront = 256 << 10;  // most are smaller: one round trip
constexpr int kManifestReads = 20;              // until bytes and ETag belong together
constexpr std::chrono::milliseconds kManifestPause{100};

class StoreOpener {
 public:
  StoreOpener(io::Session& session, std::string base, const OpenStoreOptions& options)
      : session_(session), base_(std::move(base)), options_(options) {}

  Result<Dataset> open(ByteSpan manifest_text) {
    auto manifest =
        parse_manifest(manifest_text, options_.drop, dataset_.problems, dataset_.dropped);
    if (!manifest) return fail(std::move(manifest).error().with(base_));
    manifest_ = std::move(*manifest);
    dataset_.format = "upwell";
    dataset_.root = std::move(manifest_.root);
    index_arrays(dataset_.root, "/");
    prefetch_parts(session_, base_, manifest_.parts);
    uint64_t start = 0;
    for (const StorePart& part : manifest_.parts) {
      auto added = add_part(part, start);
      if (!added) return fail(std::move(added).error().with(base_ + part.name));
      start += part.length;
    }
    for (const auto& [path, array] : arrays_) UPWELL_CHECK(check_covered(path, *array));
    return std::move(dataset_);
  }

 private:
  void index_arrays(Group& group, const std::string& path) {
    for (Array& array : group.arrays) arrays_[path + array.name] = &array;
    for (Group& child : group.groups) index_arrays(child, path + child.name + "/");
  }

  Result<> add_part(const StorePart& part, uint64_t start) {
    UPWELL_TRY(const auto columns,
               PartColumns::open(session_, base_, part, options_.urls, dataset_.granules));
    if (options_.only_as_recorded) columns->hold_granules(session_);
    dataset_.granule_count += part.granules;
    std::vector<std::shared_ptr<const SegmentLayout>> plain(columns->document().layouts.size());
    for (const PartDocument::OneSegment& one : columns->document().segments) {
      const auto found = arrays_.find(one.array);
      if (found == arrays_.end()) continue;  // dropped, or a problem
      Array& array = *found->second;
      const auto& layouts = columns->document().layouts;
      Segment segment = one.segment;
      segment.layout = is_decoded(one.array)
                           ? layouts[one.layout]
                           : without_packing(*layouts[one.layout], plain[one.layout]);
      const auto axis =
          std::find(array.dimensions.begin(), array.dimensions.end(), manifest_.concat);
      if (segment.shape.size() != array.shape.size())
        return fail(Code::kInvalidData, one.array + ": a segment of another rank");
      if (!manifest_.concat.empty() && axis != array.dimensions.end())
        segment.origin[static_cast<size_t>(axis - array.dimensions.begin())] += start;
      for (size_t d = 0; d < array.shape.size(); ++d)
        if (segment.origin[d] > array.shape[d] ||
            segment.shape[d] > array.shape[d] - segment.origin[d])
          return fail(Code::kInvalidData, one.array + ": a segment beyond the array");
      segment.chunks = std::make_shared<PartIndex>(columns, one.rows, element_count(segment.grid));
      array.segments.push_back(std::move(segment));
    }
    return {};
  }

  bool is_decoded(const std::string& path) const {
    return std::find(manifest_.decoded.begin(), manifest_.decoded.end(), path) !=
           manifest_.decoded.end();
  }

  /// `made`: the same, once it is there.
  static std::shared_ptr<const SegmentLayout> without_packing(
      const SegmentLayout& layout, std::shared_ptr<const SegmentLayout>& made) {
    if (made) return made;
    auto out = std::make_shared<SegmentLayout>(layout);
    out->packing.reset();
    return made = std::move(out);
  }

  /// What no segment held would read as fill.
  Result<> check_covered(const std::string& path, const Array& array) const {
    uint64_t covered = 0;
    for (const Segment& segment : array.segments) covered += element_count(segment.shape);
    if (covered == element_count(array.shape)) return {};
    return fail(Code::kInvalidData, fmt::format("{}: segments of {} hold {} of {} elements", base_,
                                                path, covered, element_count(array.shape)));
  }

  io::Session& session_;
  std::string base_;
  const OpenStoreOptions& options_;
  StoreManifest manifest_;
  Dataset dataset_;
  std::unordered_map<std::string, Array*> arrays_;
};

struct ManifestText {
  std::string name;  // URL
  SharedBytes bytes;
  std::string etag;
};

Result<ManifestText> read_manifest_text(io::Session& session, const std::string& url) {
  std::string name = io::normal_url(url);
  if (!name.ends_with(kManifest)) name += std::string(name.ends_with('/') ? "" : "/") + kManifest;
  UPWELL_TRY(io::Front front, session.front(name, kManifestFront));
  if (front.bytes.size() < front.info.size) {
    UPWELL_TRY(front.bytes, session.read_one(name));
  }
  return ManifestText{std::move(name), std::move(front.bytes), std::move(front.info.etag)};
}

/// Services that keep an object's ETag beside its bytes may answer with the new ETag and the old
/// bytes while it is replaced: a change of those, under that ETag, would undo another run's.
bool is_md5_of(const ManifestText& text) {
  return text.etag == '"' + io::hex_digest(io::DigestKind::kMd5, text.bytes.span()) + '"';
}

Result<StoreManifest> manifest_of(const ManifestText& text) {
  std::vector<Problem> problems;
  std::vector<std::string> dropped;
  auto manifest = parse_manifest(text.bytes.span(), {}, problems, dropped);
  if (!manifest) return fail(std::move(manifest).error().with(text.name));
  manifest->etag = text.etag;
  return manifest;
}

}  // namespace

Result<Dataset> open_store(io::Session& session, const std::string& base, ByteSpan manifest,
                           const OpenStoreOptions& options) {
  return StoreOpener(session, base, options).open(manifest);
}

Result<StoreManifest> read_manifest(io::Session& session, const std::string& url) {
  UPWELL_TRY(const ManifestText text, read_manifest_text(session, url));
  return manifest_of(text);
}

Result<StoreManifest> read_manifest_to_change(io::Session& session, const std::string& url) {
  UPWELL_TRY(ManifestText text, read_manifest_text(session, url));
  for (int attempt = 0; io::scheme_of(text.name) != "file" && !is_md5_of(text); ++attempt) {
    if (attempt == kManifestReads)
      return fail(Code::kUnavailable, text.name + ": other runs keep changing it: try again");
    std::this_thread::sleep_for(kManifestPause);
    session.forget(text.name);
    UPWELL_TRY(ManifestText again, read_manifest_text(session, url));
    const bool same =
        again.etag == text.etag && std::ranges::equal(again.bytes.span(), text.bytes.span());
    text = std::move(again);
    if (same) break;  // an ETag of another kind
  }
  return manifest_of(text);
}

Result<StoreRecord> record_of_store(io::Session& session, const std::string& url,
                                    const StoreManifest& manifest) {
  std::string base = io::normal_url(url);
  if (!base.ends_with('/')) base += '/';
  StoreRecord out;
  out.concat = manifest.concat;
  out.coordinate = manifest.coordinate;
  out.loaded = manifest.loaded;
  out.mds = manifest.mds;
  prefetch_parts(session, base, manifest.parts);
  std::vector<std::vector<GranuleRecord>> granules(manifest.parts.size());
  UPWELL_CHECK(blocking_for(granules.size(), kPartsAtOnce, [&](size_t i) -> Result<> {
    UPWELL_TRY(const auto columns,
               PartColumns::open(session, base, manifest.parts[i], {}, nullptr));
    UPWELL_TRY(granules[i], columns->granules());
    return {};
  }));
  for (auto& some : granules) std::move(some.begin(), some.end(), std::back_inserter(out.granules));
  return out;
}

}  // namespace upwell::refs
