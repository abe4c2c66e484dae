// The longest run of a cube that is stored in one way.

#include <algorithm>

#include "refs/combine.hpp"
#include "refs/store/store.hpp"

namespace upwell::refs {
namespace {

bool starts_on_chunk(const Segment& segment) {
  return std::all_of(segment.source_origin.begin(), segment.source_origin.end(),
                     [](uint64_t n) { return n == 0; });
}

/// Whether the second goes on where the first ends, stored in the same way.
bool goes_on(const Segment& a, const Segment& b, size_t axis) {
  return *a.layout == *b.layout && starts_on_chunk(b) &&
         a.origin[axis] + a.shape[axis] == b.origin[axis] &&
         a.shape[axis] % a.layout->chunk_shape[axis] == 0;
}

/// Runs along the concat dimension of one array that references can say.
struct UniformRun {
  uint64_t begin = 0, end = 0, chunk = 1;
};

std::vector<UniformRun> uniform_runs(const Array& array, size_t axis) {
  std::vector<UniformRun> runs;
  for (size_t i = 0; i < array.segments.size(); ++i) {
    const Segment& segment = array.segments[i];
    for (size_t d = 0; d < array.shape.size(); ++d)
      if (d != axis && segment.shape[d] != array.shape[d]) return {};
    if (!starts_on_chunk(segment)) continue;
    const uint64_t end = segment.origin[axis] + segment.shape[axis];
    if (i > 0 && !runs.empty() && goes_on(array.segments[i - 1], segment, axis))
      runs.back().end = end;
    else
      runs.push_back({segment.origin[axis], end, segment.layout->chunk_shape[axis]});
  }
  return runs;
}

std::optional<size_t> axis_along(const Array& array, const std::string& concat) {
  const auto it = std::find(array.dimensions.begin(), array.dimensions.end(), concat);
  if (it == array.dimensions.end()) return {};
  return static_cast<size_t>(it - array.dimensions.begin());
}

/// [begin, end) of the longest run that all arrays share.
UniformRun longest_run(const std::vector<std::vector<UniformRun>>& arrays) {
  std::vector<uint64_t> begins;
  for (const auto& runs : arrays)
    for (const UniformRun& run : runs) begins.push_back(run.begin);
  std::sort(begins.begin(), begins.end());
  begins.erase(std::unique(begins.begin(), begins.end()), begins.end());
  UniformRun best;
  for (const uint64_t begin : begins) {
    uint64_t end = UINT64_MAX;
    for (const auto& runs : arrays) {
      const auto run = std::find_if(runs.begin(), runs.end(), [&](const UniformRun& r) {
        return r.begin <= begin && begin < r.end && (begin - r.begin) % r.chunk == 0;
      });
      end = run == runs.end() ? 0 : std::min(end, run->end);
    }
    if (end > begin && end - begin > best.end - best.begin) best = {begin, end, 1};
  }
  return best;
}

/// The array as its segments, which are alike, store it.
void undo_decoding(Array& array) {
  if (array.segments.empty()) return;
  auto plain = std::make_shared<SegmentLayout>(*array.segments[0].layout);
  if (plain->packing) {
    std::erase_if(array.attributes, [](const Attribute& a) { return a.name == "_FillValue"; });
    for (const Attribute& attribute : *plain->packing) array.attributes.push_back(attribute);
    plain->packing.reset();
  }
  array.type = plain->type;
  array.fill = plain->fill;
  array.chunk_shape = plain->chunk_shape;
  for (Segment& segment : array.segments) segment.layout = plain;
}

void cut_group(Group& group, const std::string& path, const StoreManifest& manifest,
               const UniformRun& run) {
  for (Array& array : group.arrays)
    if (const auto axis = axis_along(array, manifest.concat)) {
      array = cut_along(array, *axis, run.begin, run.end);
      if (!names_array(manifest.loaded, path + array.name)) undo_decoding(array);
    }
  for (Dimension& d : group.dimensions)
    if (d.name == manifest.concat) d.size = run.end - run.begin;
  for (Group& child : group.groups) cut_group(child, path + child.name + "/", manifest, run);
}

}  // namespace

Result<std::pair<uint64_t, uint64_t>> cut_to_longest_uniform(Dataset& cube,
                                                             const StoreManifest& manifest) {
  std::vector<std::vector<UniformRun>> arrays;
  for_each_array(cube.root, [&](const std::string& path, const Array& array) {
    const auto axis = axis_along(array, manifest.concat);
    if (axis && !names_array(manifest.loaded, path)) arrays.push_back(uniform_runs(array, *axis));
  });
  if (manifest.concat.empty() || arrays.empty())
    return fail(Code::kInvalidArgument, "no array of references along a concat dimension");
  const UniformRun run = longest_run(arrays);
  if (run.end == run.begin)
    return fail(Code::kUnsupported, "no part of the cube is stored in one way");
  cut_group(cube.root, "/", manifest, run);
  return std::pair(run.begin, run.end);
}

}  // namespace upwell::refs
