#include "cube/read.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <new>

#include "base/machine.hpp"
#include "cube/fetch.hpp"
#include "cube/place.hpp"

namespace upwell {
namespace {

using DecoderMap = std::map<const SegmentLayout*, std::shared_ptr<const ChunkDecoder>>;

Result<DecoderMap> make_decoders(const Array& array, const ChunkPlan& plan) {
  DecoderMap decoders;
  for (const ChunkTask& task : plan.tasks) {
    const SegmentLayout* layout = task.segment->layout.get();
    if (decoders.contains(layout)) continue;
    auto decoder = ChunkDecoder::make(*layout, array.type);
    if (!decoder) return fail(std::move(decoder).error().with(array.name));
    decoders.emplace(layout, std::move(*decoder));
  }
  return decoders;
}

/// Room for the values; a selection that memory cannot hold is an error, not a crash.
Result<Values> allocate(const Array& array, const Shape& shape) {
  Values values;
  values.type = memory_type(array.type);
  values.shape = shape;
  unsigned __int128 bytes = values.type.size;
  for (uint64_t n : shape) bytes *= n;
  try {
    if (bytes > physical_memory()) throw std::bad_alloc();
    values.data.resize(static_cast<size_t>(bytes));
  } catch (const std::exception&) {
    return fail(Code::kResourceExhausted,
                fmt::format("{}: the selection needs {} bytes; select less or read piece by piece",
                            array.name, static_cast<double>(bytes)));
  }
  return values;
}

/// True when a task's elements are a whole chunk that lies in one piece in the output.
bool is_whole_and_contiguous(const ChunkTask& task, const Shape& out_shape,
                             const ChunkDecoder& decoder) {
  const Shape& chunk_shape = task.segment->layout->chunk_shape;
  if (task.segment->layout->fortran_order && chunk_shape.size() > 1) return false;
  bool leading = true;  // axes before the first one of which the chunk takes more than one element
  for (size_t d = 0; d < chunk_shape.size(); ++d) {
    if (task.count[d] != chunk_shape[d]) return false;
    if (!leading && chunk_shape[d] != out_shape[d]) return false;
    if (chunk_shape[d] != 1) leading = false;
  }
  return decoder.chunk_elements() > 0;
}

uint64_t position_in(const Shape& at, const Shape& strides) {
  uint64_t position = 0;
  for (size_t d = 0; d < at.size(); ++d) position += at[d] * strides[d];
  return position;
}

Shape scaled(const Shape& strides, const Shape& step) {
  Shape result = strides;
  for (size_t d = 0; d < step.size(); ++d) result[d] *= step[d];
  return result;
}

/// Decodes one task's chunk and puts what is wanted of it at task.destination of `out`.
Result<> place_chunk(const Array& array, const ChunkTask& task, const ChunkDecoder& decoder,
                     const Shape& step, ByteSpan stored, Values& out) {
  Shape strides = c_strides(out.shape);
  uint64_t start = position_in(task.destination, strides);
  size_t size = out.type.size;
  if (task.ref.state == ChunkRef::State::kMissing) {
    UPWELL_TRY(Bytes element, fill_of(array, *task.segment, out.heap));
    fill_box(element, {out.data.data(), start, strides}, task.count);
    return {};
  }
  bool whole_steps = std::all_of(step.begin(), step.end(), [](uint64_t s) { return s == 1; });
  if (whole_steps && is_whole_and_contiguous(task, out.shape, decoder)) {
    return decoder.decode_into(
        task, stored,
        MutableByteSpan(out.data).subspan(start * size, decoder.chunk_elements() * size));
  }
  UPWELL_TRY(DecodedChunk chunk, decoder.decode(task, stored));
  uint64_t first = position_in(task.source, chunk.strides) - chunk.start;
  copy_box({chunk.elements.data(), first, scaled(chunk.strides, step)},
           {out.data.data(), start, strides}, task.count, size);
  return {};
}

/// Variable-length elements: handles are made against one growing heap, so chunks go one after the
/// other.
Result<> place_vlen_chunk(io::Session& session, const Dataset& dataset, const Array& array,
                          const ChunkTask& task, const ChunkDecoder& decoder, const Shape& step,
                          ByteSpan stored, Values& out) {
  Shape strides = c_strides(out.shape);
  uint64_t start = position_in(task.destination, strides);
  uint32_t size = out.type.size;
  if (task.ref.state == ChunkRef::State::kMissing) {
    UPWELL_TRY(Bytes element, fill_of(array, *task.segment, out.heap));
    fill_box(element, {out.data.data(), start, strides}, task.count);
    return {};
  }
  Values piece;
  piece.type = out.type;
  piece.heap = std::move(out.heap);
  uint64_t count = element_count(task.count);
  Shape from_strides = scaled(decoder.strides(), step);
  uint64_t first = position_in(task.source, decoder.strides());
  Result<> resolved;
  if (decoder.carries_text()) {
    Bytes buffer;
    UPWELL_TRY(auto texts, decoder.decode_text(task, stored, buffer));
    Bytes handles(texts.size() * size);
    for (size_t i = 0; i < texts.size(); ++i) {
      VlenHandle handle{piece.heap.size(), texts[i].size()};
      ByteSpan bytes = as_bytes(texts[i]);
      piece.heap.insert(piece.heap.end(), bytes.begin(), bytes.end());
      std::memcpy(handles.data() + i * size, &handle, size);
    }
    piece.data.resize(count * size);
    copy_box({handles.data(), first, from_strides}, {piece.data.data(), 0, c_strides(task.count)},
             task.count, size);
  } else {
    UPWELL_TRY(ByteSpan raw, decoder.decode_stored(task, stored));
    const DataType& type = task.segment->layout->type;
    Bytes wanted(count * type.size);
    copy_box({raw.data(), first, from_strides}, {wanted.data(), 0, c_strides(task.count)},
             task.count, type.size);
    const Granule unknown;
    bool in_granule = task.ref.state == ChunkRef::State::kStored;
    const Granule& granule = in_granule ? dataset.granules->at(task.ref.granule) : unknown;
    resolved = task.segment->layout->heap->resolve(session, granule, type, wanted, count, piece);
  }
  out.heap = std::move(piece.heap);
  UPWELL_CHECK(std::move(resolved));
  copy_box({piece.data.data(), 0, c_strides(task.count)}, {out.data.data(), start, strides},
           task.count, size);
  return {};
}

Result<> fill_uncovered(const Array& array, const CheckedSelection& selection, Values& out) {
  std::vector<Box> boxes = uncovered(array, selection);
  if (boxes.empty()) return {};
  UPWELL_TRY(Bytes element, fill_of(array, out.heap));
  Shape strides = c_strides(out.shape);
  for (const Box& box : boxes)
    fill_box(element, {out.data.data(), position_in(box.origin, strides), strides}, box.shape);
  return {};
}

/// Where chunks were never written: the fill of their segment, under what its other chunks hold.
Result<> fill_missing(const Array& array, const CheckedSelection& selection, const ChunkPlan& plan,
                      Values& out) {
  Shape strides = c_strides(out.shape);
  for (const Segment* segment : plan.with_missing) {
    UPWELL_TRY(Bytes element, fill_of(array, *segment, out.heap));
    Box box = covered_by(*segment, selection);
    fill_box(element, {out.data.data(), position_in(box.origin, strides), strides}, box.shape);
  }
  return {};
}

/// What no chunk of the plan holds, by segment, and what no segment covers.
Result<> count_fill(const Array& array, const CheckedSelection& selection, const ChunkPlan& plan,
                    const FillSink& fill) {
  Values value;
  value.type = memory_type(array.type);
  std::map<const Segment*, uint64_t> left;
  for (const Segment* segment : plan.with_missing)
    left[segment] = element_count(covered_by(*segment, selection).shape);
  for (const ChunkTask& task : plan.tasks) {
    auto found = left.find(task.segment);
    if (found != left.end()) found->second -= element_count(task.count);
  }
  for (const auto& [segment, count] : left) {
    value.heap.clear();
    UPWELL_TRY(value.data, fill_of(array, *segment, value.heap));
    UPWELL_CHECK(fill(value, count));
  }
  uint64_t outside = 0;
  for (const Box& box : uncovered(array, selection)) outside += element_count(box.shape);
  if (outside == 0) return {};
  value.heap.clear();
  UPWELL_TRY(value.data, fill_of(array, value.heap));
  return fill(value, outside);
}

}  // namespace

bool is_uniform(const Array& array) {
  if (array.segments.size() != 1) return false;
  const Segment& s = array.segments.front();
  auto is_zero = [](uint64_t v) { return v == 0; };
  return std::all_of(s.origin.begin(), s.origin.end(), is_zero) &&
         std::all_of(s.source_origin.begin(), s.source_origin.end(), is_zero) &&
         s.shape == array.shape && s.layout->chunk_shape == array.chunk_shape &&
         s.layout->type == array.type && !s.layout->heap && !s.layout->packing &&
         !s.chunks->has_filter_masks();
}

uint64_t memory_to_read(const Array& array, const Shape& box, uint64_t elements,
                        const ReadOptions& options) {
  uint64_t working = 0;
  for (const Segment& segment : array.segments) {
    const SegmentLayout& layout = *segment.layout;
    uint64_t chunks = 1;
    for (size_t d = 0; d < box.size(); ++d) {
      const uint64_t extent = std::max<uint64_t>(layout.chunk_shape[d], 1);
      chunks *= std::clamp<uint64_t>((box[d] + extent - 1) / extent, 1,
                                     std::max<uint64_t>(segment.grid[d], 1));
    }
    const uint64_t at_once = std::min<uint64_t>(chunks, decoders_at_once(layout, options));
    const uint64_t stored = element_count(layout.chunk_shape) * std::max(layout.type.size, 1U);
    working = std::max(working, at_once * decoding_bytes(layout) +
                                    std::min(bytes_in_flight(layout, options), chunks * stored));
  }
  return working + elements * memory_type(array.type).size;
}

Result<Values> read_raw(io::Session& session, const Dataset& dataset, const Array& array,
                        const Selection& selection, const ReadOptions& options) {
  UPWELL_TRY(CheckedSelection checked, check_selection(array, selection));
  // First of all, so that a size that no memory can hold is refused before chunks are planned for
  // it.
  UPWELL_TRY(Values out, allocate(array, checked.shape));
  UPWELL_TRY(ChunkPlan plan, plan_chunks(array, checked));
  const std::vector<ChunkTask>& tasks = plan.tasks;
  UPWELL_TRY(DecoderMap decoders, make_decoders(array, plan));
  UPWELL_CHECK(fill_uncovered(array, checked, out));
  UPWELL_CHECK(fill_missing(array, checked, plan, out));
  auto decoder_of = [&](const ChunkTask& task) -> const ChunkDecoder& {
    return *decoders.at(task.segment->layout.get());
  };
  bool vlen = array.type.has_vlen();
  auto sink = [&](const ChunkTask& task, ByteSpan stored) -> Result<> {
    if (vlen)
      return place_vlen_chunk(session, dataset, array, task, decoder_of(task), checked.step, stored,
                              out);
    return place_chunk(array, task, decoder_of(task), checked.step, stored, out);
  };
  auto range_of = [&](const ChunkTask& task) {
    return vlen ? io::Range{task.ref.offset, task.ref.length} : decoder_of(task).needed_bytes(task);
  };
  UPWELL_CHECK(
      fetch_chunks(session, dataset, array, tasks, range_of, options, sink, /*in_order=*/vlen));
  return out;
}

Result<> read_pieces(io::Session& session, const Dataset& dataset, const Array& array,
                     const Selection& selection, const PieceSink& sink, const FillSink& fill,
                     const ReadOptions& options) {
  UPWELL_TRY(CheckedSelection checked, check_selection(array, selection));
  if (array.type.has_vlen())
    return fail(Code::kInvalidArgument, "pieces are read of elements of fixed size");
  UPWELL_TRY(ChunkPlan plan, plan_chunks(array, checked));
  const std::vector<ChunkTask>& tasks = plan.tasks;
  UPWELL_TRY(DecoderMap decoders, make_decoders(array, plan));
  auto decoder_of = [&](const ChunkTask& task) -> const ChunkDecoder& {
    return *decoders.at(task.segment->layout.get());
  };
  const bool stepped =
      std::any_of(checked.step.begin(), checked.step.end(), [](uint64_t s) { return s != 1; });
  auto deliver = [&](ChunkTask task, ByteSpan stored) -> Result<> {
    const ChunkDecoder& decoder = decoder_of(task);
    const Box box{task.destination, task.count};
    const bool there = task.ref.state != ChunkRef::State::kMissing;
    if (there && !stepped && is_whole_and_contiguous(task, task.count, decoder)) {
      UPWELL_TRY(DecodedChunk chunk, decoder.decode(task, stored));
      return sink(box, chunk.elements.first(decoder.chunk_elements() * decoder.memory_size()));
    }
    UPWELL_TRY(Values piece, allocate(array, task.count));
    std::fill(task.destination.begin(), task.destination.end(), 0);
    UPWELL_CHECK(place_chunk(array, task, decoder, checked.step, stored, piece));
    return sink(box, piece.data);
  };
  auto range_of = [&](const ChunkTask& task) { return decoder_of(task).needed_bytes(task); };
  UPWELL_CHECK(
      fetch_chunks(session, dataset, array, tasks, range_of, options, deliver, options.in_order));
  return count_fill(array, checked, plan, fill);
}

}  // namespace upwell
