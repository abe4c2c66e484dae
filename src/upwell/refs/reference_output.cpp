#include "refs/reference_output.hpp"

#include <algorithm>
#include <fstream>
#include <numeric>

#include "refs/zarr_metadata.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kChunksAtOnce = 8192;

}  // namespace

std::string output_url(const ReferenceOutputOptions& options, const std::string& url) {
  for (const auto& [from, to] : options.url_prefix)
    if (url.starts_with(from)) return to + url.substr(from.size());
  return url;
}

std::string OutputUrls::url(uint32_t granule) const {
  return output_url(options_, granules_.at(granule).url);
}

Result<std::optional<uint64_t>> OutputUrls::length(const ChunkRef& ref) const {
  if (ref.length != io::kToEnd) return ref.length;
  const Granule& granule = granules_.at(ref.granule);
  if (granule.info.size > ref.offset) return granule.info.size - ref.offset;
  if (ref.offset == 0) return std::nullopt;
  return fail(Code::kUnsupported, granule.url + ": a chunk from " + std::to_string(ref.offset) +
                                      " to the end of an object of unknown size");
}

ObjectSink directory_sink(const std::filesystem::path& directory) {
  return [directory](const std::string& name, ByteSpan bytes) -> Result<> {
    const std::filesystem::path path = directory / name;
    std::error_code error;
    std::filesystem::create_directories(path.parent_path(), error);
    if (error) return fail(Code::kCannotWrite, path.string() + ": " + error.message());
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    out.close();
    if (!out) return fail(Code::kCannotWrite, path.string() + ": cannot write");
    return {};
  };
}

Group without_segments(const Group& group) {
  Group out;
  out.name = group.name;
  out.attributes = group.attributes;
  out.dimensions = group.dimensions;
  for (const Array& array : group.arrays) {
    Array head = array;
    head.segments.clear();
    head.max_shape.clear();
    head.dimensions.resize(head.shape.size());
    out.arrays.push_back(std::move(head));
  }
  for (const Group& child : group.groups) out.groups.push_back(without_segments(child));
  return out;
}

Result<> visit_chunks(
    const Segment& segment,
    const std::function<Result<>(uint64_t first, std::vector<ChunkRef>& refs)>& visit) {
  if (!segment.chunks) return {};
  const uint64_t count = element_count(segment.grid);
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs;
  for (uint64_t first = segment.chunks->next_stored(0); first < count;
       first = segment.chunks->next_stored(first + kChunksAtOnce)) {
    positions.resize(std::min(kChunksAtOnce, count - first));
    std::iota(positions.begin(), positions.end(), first);
    refs.assign(positions.size(), {});
    UPWELL_CHECK(segment.chunks->lookup(positions, refs.data()));
    UPWELL_CHECK(visit(first, refs));
  }
  return {};
}

Result<> visit_references(
    const std::string& path, const Array& array,
    const std::function<Result<>(uint64_t, const std::vector<ChunkRef>&)>& visit) {
  if (array.segments.size() != 1 || array.segments[0].shape != array.shape)
    return fail(Code::kUnsupported, path + ": not one segment");
  const Segment& segment = array.segments[0];
  const uint64_t count = element_count(segment.grid);
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs;
  for (uint64_t first = 0; first < count; first += kChunksAtOnce) {
    positions.resize(std::min(kChunksAtOnce, count - first));
    std::iota(positions.begin(), positions.end(), first);
    refs.assign(positions.size(), ChunkRef{});
    if (segment.chunks->next_stored(first) < first + positions.size())
      UPWELL_CHECK(segment.chunks->lookup(positions, refs.data()));
    for (size_t i = 0; i < refs.size(); ++i)
      if (refs[i].filter_mask != 0)
        return fail(Code::kUnsupported, path + ": chunk " +
                                            chunk_key({}, chunk_at(segment.grid, first + i)) +
                                            " has a filter mask");
    UPWELL_CHECK(visit(first, refs));
  }
  return {};
}

}  // namespace upwell::refs
