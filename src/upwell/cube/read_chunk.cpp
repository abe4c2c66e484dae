// Single chunks of an array's own grid, as a Zarr view wants them.

#include <fmt/format.h>

#include <algorithm>

#include "cube/place.hpp"
#include "cube/plan.hpp"
#include "cube/read.hpp"
#include "cube/segment_values.hpp"

namespace upwell {
namespace {

/// The box of a chunk, cut at the array's end. kInvalidArgument outside the grid.
Result<Selection> chunk_box(const Array& array, const Shape& chunk) {
  Shape grid = grid_shape(array.shape, array.chunk_shape);
  if (chunk.size() != grid.size())
    return fail(Code::kInvalidArgument,
                fmt::format("{} has {} dimensions", array.name, grid.size()));
  Selection box;
  for (size_t d = 0; d < chunk.size(); ++d) {
    if (chunk[d] >= grid[d])
      return fail(Code::kInvalidArgument, fmt::format("chunk {} is outside the grid of {}",
                                                      fmt::join(chunk, "."), array.name));
    box.origin.push_back(chunk[d] * array.chunk_shape[d]);
    box.shape.push_back(std::min(array.chunk_shape[d], array.shape[d] - box.origin[d]));
  }
  return box;
}

Bytes stored_fill(const Array& array) {
  if (array.fill && array.fill->size() == array.type.size) return *array.fill;
  Bytes zeros(array.type.size);
  std::fill(zeros.begin(), zeros.end(), uint8_t{0});
  return zeros;
}

Bytes join_texts(const Values& values, const Shape& chunk_shape) {
  // Padding elements are empty strings.
  std::vector<std::string_view> texts(element_count(chunk_shape));
  Shape strides = c_strides(chunk_shape);
  for (size_t i = 0; i < values.count(); ++i) {
    VlenHandle handle;
    std::memcpy(&handle, values.data.data() + i * sizeof(handle), sizeof(handle));
    // Position of element i in the padded chunk.
    uint64_t rest = i, at = 0;
    for (size_t d = chunk_shape.size(); d-- > 0;) {
      at += rest % values.shape[d] * strides[d];
      rest /= values.shape[d];
    }
    texts[at] = as_text(ByteSpan(values.heap).subspan(handle.offset, handle.count));
  }
  return codec::join_vlen(texts);
}

/// Whether a reader who is told nothing of the chunk would see other values: some chunk of the plan
/// was written, or was not in a segment of which the fill is another than the array's.
Result<bool> has_own_values(const Array& array, const ChunkPlan& plan) {
  for (const ChunkTask& task : plan.tasks) {
    if (!task.ref.maybe_missing) return true;
    const Shape strides = c_strides(task.segment->grid);
    uint64_t position = 0;
    for (size_t d = 0; d < strides.size(); ++d) position += task.chunk[d] * strides[d];
    UPWELL_TRY(const ChunkRef ref, task.segment->chunks->at(position));
    if (ref.state != ChunkRef::State::kMissing) return true;
  }
  if (array.type.has_vlen()) return false;
  Bytes heap;
  UPWELL_TRY(const Bytes fill, fill_of(array, heap));
  for (const Segment* segment : plan.with_missing) {
    UPWELL_TRY(const Bytes own, fill_of(array, *segment, heap));
    if (own != fill) return true;
  }
  return false;
}

}  // namespace

Result<std::optional<Bytes>> read_chunk(io::Session& session, const Dataset& dataset,
                                        const Array& array, const Shape& chunk, ChunkForm form) {
  UPWELL_TRY(Selection box, chunk_box(array, chunk));
  UPWELL_TRY(CheckedSelection checked, check_selection(array, box));
  UPWELL_TRY(ChunkPlan plan, plan_chunks(array, checked));
  UPWELL_TRY(const bool own_values, has_own_values(array, plan));
  if (!own_values) return std::optional<Bytes>();
  UPWELL_TRY(Values values, read_raw(session, dataset, array, box));
  if (array.type.kind == Kind::kVlenString)
    return std::optional<Bytes>(join_texts(values, array.chunk_shape));
  Bytes clipped;
  Bytes fill = stored_fill(array);
  if (form == ChunkForm::kMemory) {
    Bytes element(memory_type(array.type).size);
    UPWELL_CHECK(to_memory(array.type, fill, 1, element));
    fill = std::move(element);
    clipped = std::move(values.data);
  } else {
    clipped.resize(values.count() * array.type.size);
    UPWELL_CHECK(from_memory(array.type, values.data, values.count(), clipped));
  }
  if (values.shape == array.chunk_shape) return std::optional<Bytes>(std::move(clipped));
  Bytes padded(element_count(array.chunk_shape) * fill.size());
  fill_all(fill, padded);
  copy_box({clipped.data(), 0, c_strides(values.shape)},
           {padded.data(), 0, c_strides(array.chunk_shape)}, values.shape,
           static_cast<uint32_t>(fill.size()));
  return std::optional<Bytes>(std::move(padded));
}

Result<std::optional<SharedBytes>> read_stored_chunk(io::Session& session, const Dataset& dataset,
                                                     const Array& array, const Shape& chunk) {
  if (!is_uniform(array))
    return fail(Code::kUnsupported, array.name + " is not stored in one uniform way");
  UPWELL_CHECK(chunk_box(array, chunk));
  const Segment& segment = array.segments.front();
  Shape strides = c_strides(segment.grid);
  uint64_t position = 0;
  for (size_t d = 0; d < chunk.size(); ++d) position += chunk[d] * strides[d];
  ChunkRef ref;
  UPWELL_CHECK(segment.chunks->locate({&position, 1}, &ref));
  if (ref.state == ChunkRef::State::kMissing) return std::optional<SharedBytes>();
  if (ref.state == ChunkRef::State::kInline) return std::optional<SharedBytes>(ref.bytes);
  const Granule& granule = dataset.granules->at(ref.granule);
  auto bytes = session.read_one(granule.url, {ref.offset, ref.length}, granule.reach);
  const bool absent = !bytes && bytes.error().code == Code::kNotFound && ref.maybe_missing;
  if (absent) return std::optional<SharedBytes>();
  if (!bytes)
    return fail(std::move(bytes).error().with(
        fmt::format("chunk {} of {}", fmt::join(chunk, "."), array.name)));
  return std::optional<SharedBytes>(std::move(*bytes));
}

}  // namespace upwell
