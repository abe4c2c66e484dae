// Raw data in other files (External Data Files message, IV.A.2.h): a stream of bytes cut into
// slots.

#include <algorithm>

#include "format/hdf5/dataset_reader.hpp"
#include "format/hdf5/linking.hpp"

namespace upwell::format::hdf5 {
namespace {

// A slot with its place in the stream and what its file really holds.
struct PlacedSlot {
  uint64_t start = 0;  // in the stream
  uint64_t end = 0;
  uint64_t offset = 0;  // in the file
  uint64_t held = 0;    // bytes of the slot that the file has; libhdf5 reads zeros behind them
  std::string url;
  io::ReachPtr reach;
  uint32_t granule = 0;
};

Result<std::vector<PlacedSlot>> place_slots(LinkedFiles& files,
                                            const std::vector<ExternalSlot>& slots,
                                            uint64_t wanted) {
  std::vector<PlacedSlot> placed;
  uint64_t at = 0;
  for (const ExternalSlot& slot : slots) {
    if (at >= wanted) break;
    UPWELL_TRY(std::optional<Granule> granule, files.locate(slot.file));
    if (!granule) {
      return fail(Code::kNotFound,
                  fmt::format("external data in {}, which is not there", slot.file));
    }
    PlacedSlot p;
    p.start = at;
    p.end = at + std::min(slot.size, wanted - at);
    p.offset = slot.offset;
    p.url = granule->url;
    p.reach = granule->reach;
    uint64_t left = granule->info.size - std::min(granule->info.size, slot.offset);
    p.held = std::min(left, p.end - p.start);
    p.granule = files.dataset().granules->intern(*granule);
    at = p.end;
    placed.push_back(std::move(p));
  }
  if (at < wanted) {
    return fail(Code::kInvalidData, fmt::format("external files hold {} of {} bytes", at, wanted));
  }
  return placed;
}

// A chunk that no single range holds: over the border of two slots, or behind the end of a file.
Result<Bytes> gather(LinkedFiles& files, const std::vector<PlacedSlot>& slots, uint64_t start,
                     uint64_t length) {
  Bytes out(length, uint8_t{0});
  std::vector<io::ReadRequest> requests;
  std::vector<uint64_t> places;
  for (const PlacedSlot& slot : slots) {
    uint64_t from = std::max(start, slot.start);
    uint64_t to = std::min(start + length, slot.start + slot.held);
    if (from >= to) continue;
    requests.push_back({slot.url, {slot.offset + (from - slot.start), to - from}, slot.reach});
    places.push_back(from - start);
  }
  auto answers = files.session().read(requests);
  for (size_t i = 0; i < answers.size(); ++i) {
    UPWELL_TRY(SharedBytes bytes, std::move(answers[i]));
    std::copy(bytes.span().begin(), bytes.span().end(),
              out.begin() + static_cast<ptrdiff_t>(places[i]));
  }
  return out;
}

Result<> link_one(LinkedFiles& files, const PendingExternal& pending, Array& array,
                  const ScanOptions& options) {
  array.chunk_shape = subchunk_shape(array.shape, array.type.size, options.subchunk_bytes);
  uint64_t chunk_bytes = element_count(array.chunk_shape) * array.type.size;
  Shape grid = grid_shape(array.shape, array.chunk_shape);
  uint64_t places = element_count(grid);
  uint64_t wanted = element_count(array.shape) * array.type.size;
  UPWELL_TRY(auto slots, place_slots(files, pending.slots, wanted));
  uint64_t held = 0;
  for (const PlacedSlot& slot : slots) held += slot.held;
  // At most one chunk in each slot's tail has to be made; a claimed extent allocates nothing.
  if (chunk_bytes == 0 || places > 2 * (held / chunk_bytes + slots.size()) + 2) {
    return fail(Code::kInvalidData,
                fmt::format("external files hold {} bytes of {}", held, wanted));
  }
  auto chunks = std::make_shared<DenseChunkIndex>(places);
  size_t slot = 0;
  for (uint64_t i = 0; i < places; ++i) {
    uint64_t start = i * chunk_bytes;
    while (slot + 1 < slots.size() && slots[slot].end <= start) ++slot;
    const PlacedSlot& s = slots[slot];
    if (start + chunk_bytes <= s.start + s.held) {
      chunks->set(i, s.granule, s.offset + (start - s.start), chunk_bytes);
    } else {
      UPWELL_TRY(Bytes bytes, gather(files, slots, start, chunk_bytes));
      chunks->set_inline(i, std::move(bytes));
    }
  }
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = array.type;
  layout->chunk_shape = array.chunk_shape;
  layout->fill = array.fill;
  layout->heap = pending.heap;
  Segment segment;
  segment.origin = Shape(array.shape.size(), 0);
  segment.shape = array.shape;
  segment.layout = std::move(layout);
  segment.chunks = std::move(chunks);
  segment.grid = std::move(grid);
  array.segments.clear();
  array.segments.push_back(std::move(segment));
  return {};
}

}  // namespace

Result<> link_external_data(LinkedFiles& files, const std::vector<PendingExternal>& pending,
                            const ScanOptions& options) {
  for (const PendingExternal& one : pending) {
    Array* array = find_array(files.dataset().root, one.path);
    if (!array || element_count(array->shape) == 0) continue;
    Result<> linked = link_one(files, one, *array, options);
    if (linked) continue;
    if (linked.error().code == Code::kCancelled) return linked;
    refuse_array(files.dataset(), one.path, std::move(linked).error());
  }
  return {};
}

}  // namespace upwell::format::hdf5
