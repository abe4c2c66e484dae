#include "refs/doctor.hpp"

#include <algorithm>
#include <mutex>
#include <numeric>
#include <set>

#include "base/url_secrets.hpp"
#include "cube/cf.hpp"
#include "cube/chunk_decoder.hpp"
#include "cube/plan.hpp"
#include "cube/select.hpp"
#include "format/format.hpp"
#include "io/line_cost.hpp"
#include "io/ranges.hpp"
#include "refs/open.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kReadVariables = 4;       // largest ones, of which reads are planned
constexpr uint64_t kOnePlace = 256 << 10;  // runs nearer than this cost about one request
constexpr uint64_t kCountedChunks = 20'000'000;
constexpr uint64_t kTrialBytes = 4 << 20;
constexpr uint64_t kWorthTrying = 1 << 20;

/// Looks at what a session asks of a store, in the order in which it does. The answers come through
/// another session, which has most of them already.
class TracingStore : public io::ByteStore {
 public:
  TracingStore(io::Session& source, std::shared_ptr<io::ByteStore> below, io::StoreTraits traits)
      : source_(source), below_(std::move(below)), traits_(traits) {}

  io::StoreTraits traits() const override { return traits_; }
  Result<io::ObjectInfo> stat(const std::string& url, const io::ReachPtr& reach) override {
    note({{url, {0, 0}}});
    return state_of(url, reach);
  }
  Result<io::Front> front(const std::string& url, uint64_t length,
                          const io::ReachPtr& reach) override {
    UPWELL_TRY(const io::ObjectInfo info, state_of(url, reach));
    const io::Range range{0, std::min(length, info.size)};
    note({{url, range}});
    if (range.length == 0) return io::Front{info, {}};
    UPWELL_TRY(SharedBytes bytes, source_.read_one(url, range, reach));
    return io::Front{info, std::move(bytes)};
  }
  std::vector<Result<SharedBytes>> read(std::span<const io::ReadRequest> requests) override {
    note({requests.begin(), requests.end()});
    return source_.read(requests);
  }
  Result<std::vector<std::string>> list(const std::string& prefix) override {
    note({{prefix, {0, 0}}});
    return source_.list(prefix);
  }
  Result<std::vector<std::string>> list_directory(const std::string& directory) override {
    note({{directory, {0, 0}}});
    return source_.list_directory(directory);
  }
  /// Only what was asked for here: a reader that begins anew knows nothing.
  std::optional<io::ObjectInfo> known(const std::string& url) const override {
    std::lock_guard lock(mutex_);
    return asked_.contains(url) ? below_->known(url) : std::nullopt;
  }

  /// Batches; a length of kToEnd is resolved by what the store knows.
  std::vector<std::vector<io::ReadRequest>> batches() const {
    std::lock_guard lock(mutex_);
    return batches_;
  }

 private:
  Result<io::ObjectInfo> state_of(const std::string& url, const io::ReachPtr& reach) {
    if (auto info = below_->known(url)) return std::move(*info);
    return source_.stat(url, reach);
  }

  void note(std::vector<io::ReadRequest> batch) {
    for (io::ReadRequest& request : batch) {
      if (request.range.length != io::kToEnd) continue;
      auto info = state_of(request.url, request.reach);
      request.range.length =
          info && info->size > request.range.offset ? info->size - request.range.offset : 0;
    }
    std::lock_guard lock(mutex_);
    for (const io::ReadRequest& request : batch) asked_.insert(request.url);
    batches_.push_back(std::move(batch));
  }

  io::Session& source_;
  std::shared_ptr<io::ByteStore> below_;
  io::StoreTraits traits_;
  mutable std::mutex mutex_;
  std::vector<std::vector<io::ReadRequest>> batches_;
  std::set<std::string> asked_;
};

LineCost cost_of(const std::vector<std::vector<io::ReadRequest>>& batches,
                 const io::StoreTraits& line) {
  LineCost out;
  for (const auto& batch : batches) {
    uint64_t bytes = 0, largest = 0;
    for (const io::ReadRequest& request : batch) {
      bytes += request.range.length;
      largest = std::max(largest, request.range.length);
    }
    ++out.rounds;
    out.requests += batch.size();
    out.bytes += bytes;
    out.seconds += io::batch_seconds(batch.size(), bytes, largest, line);
  }
  return out;
}

MetadataSpread spread_of(const std::vector<std::vector<io::ReadRequest>>& batches, uint64_t gap) {
  MetadataSpread out;
  std::vector<io::Range> ranges;
  for (const auto& batch : batches) {
    uint64_t bytes = 0;
    for (const io::ReadRequest& request : batch) {
      if (request.range.length == 0) continue;
      bytes += request.range.length;
      ranges.push_back(request.range);
    }
    if (bytes > 0) ++out.rounds;
  }
  std::sort(ranges.begin(), ranges.end(),
            [](const io::Range& a, const io::Range& b) { return a.offset < b.offset; });
  if (ranges.empty()) return out;
  out.first = ranges.front().offset;
  for (const io::Range& range : ranges) {
    const uint64_t end = range.offset + range.length;
    const bool fresh = out.extents == 0;
    if (fresh || range.offset > out.end) ++out.extents;
    if (fresh || range.offset > out.end + gap) ++out.places;
    if (fresh || end > out.end)
      out.bytes += end - (fresh ? range.offset : std::max(range.offset, out.end));
    out.end = std::max(out.end, end);
  }
  return out;
}

/// What `body` asks of the store of `url` in a session of its own.
Result<std::vector<std::vector<io::ReadRequest>>> traced(
    io::Session& session, const std::string& url, const io::StoreTraits& traits,
    const std::function<Result<>(io::Session&)>& body) {
  UPWELL_TRY(auto below, session.store(url));
  auto trace = std::make_shared<TracingStore>(session, std::move(below), traits);
  io::Session own;
  own.mount(io::scheme_of(url), trace);
  UPWELL_CHECK(body(own));
  return trace->batches();
}

bool is_scanned(const std::string& format_name) {
  const auto all = format::formats();
  return std::any_of(all.begin(), all.end(),
                     [&](const format::Format& one) { return format_name == one.name; });
}

Result<> count_chunks(const Array& array, VariableHealth& out) {
  constexpr uint64_t kBlock = 4096;
  for (const Segment& segment : array.segments) {
    if (segment.chunks->asks_for_each() && segment.chunks->size() > kBlock) return {};
    out.chunks += segment.chunks->size();
  }
  if (out.chunks > kCountedChunks) return {};
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs(kBlock);
  for (const Segment& segment : array.segments) {
    const ChunkIndex& chunks = *segment.chunks;
    for (uint64_t first = chunks.next_stored(0); first < chunks.size();
         first = chunks.next_stored(first + kBlock)) {
      positions.resize(std::min(kBlock, chunks.size() - first));
      std::iota(positions.begin(), positions.end(), first);
      UPWELL_CHECK(chunks.lookup(positions, refs.data()));
      for (size_t i = 0; i < positions.size(); ++i) {
        if (refs[i].state == ChunkRef::State::kMissing) continue;
        const bool inlined = refs[i].state == ChunkRef::State::kInline;
        ++out.stored;
        out.inlined += inlined ? 1 : 0;
        if (inlined || refs[i].length != io::kToEnd)
          out.stored_bytes += inlined ? refs[i].bytes.size() : refs[i].length;
      }
    }
  }
  out.counted = true;
  return {};
}

/// The axis of time, or of steps; none where there is no such thing.
std::optional<size_t> series_axis(const Dataset& dataset, const std::string& path,
                                  const Array& array) {
  for (size_t d = 0; d < array.dimensions.size(); ++d) {
    const Array* coordinate = find_coordinate(dataset, path, array.dimensions[d]).array;
    if (coordinate != nullptr && cf::time_units_of(*coordinate)) return d;
  }
  for (size_t d = 0; d < array.max_shape.size(); ++d)
    if (array.max_shape[d] == io::kToEnd && array.shape.size() > 1) return d;
  return array.shape.size() > 2 ? std::optional<size_t>(0) : std::nullopt;
}

Result<VariableHealth> health_of(const Dataset& dataset, const std::string& path,
                                 const Array& array) {
  VariableHealth out;
  out.path = path;
  out.type = describe(array.type);
  out.shape = array.shape;
  out.dimensions = array.dimensions;
  out.raw_bytes = element_count(array.shape) * array.type.size;
  out.series_axis = series_axis(dataset, path, array);
  if (array.segments.empty()) return out;
  const SegmentLayout& layout = *array.segments[0].layout;
  out.chunk_shape = layout.chunk_shape;
  out.codecs = layout.codecs;
  out.chunk_bytes = element_count(layout.chunk_shape) * array.type.size;
  UPWELL_CHECK(count_chunks(array, out));
  out.one_run =
      out.counted && out.chunks == 1 && layout.codecs.empty() && layout.chunk_shape == array.shape;
  return out;
}

/// What reading `selection` takes on the line: the ranges that the read path would ask for.
Result<ReadPattern> plan_read(const Dataset& dataset, const Array& array, std::string name,
                              const Selection& selection, const io::StoreTraits& line) {
  ReadPattern out;
  out.name = std::move(name);
  UPWELL_TRY(const CheckedSelection checked, check_selection(array, selection));
  UPWELL_TRY(const ChunkPlan plan, plan_chunks(array, checked));
  out.wanted = element_count(selection.shape) * array.type.size;
  out.chunks = plan.tasks.size();
  std::vector<io::ReadRequest> requests;
  for (const ChunkTask& task : plan.tasks) {
    if (task.ref.state != ChunkRef::State::kStored) continue;
    UPWELL_TRY(const auto decoder, ChunkDecoder::make(*task.segment->layout, array.type));
    io::Range range = decoder->needed_bytes(task);
    range.length = std::min(range.length, task.ref.length);
    range.offset += task.ref.offset;
    requests.push_back({dataset.granules->at(task.ref.granule).url, range});
  }
  std::vector<size_t> which(requests.size());
  std::iota(which.begin(), which.end(), size_t{0});
  std::vector<io::ReadRequest> merged;
  for (const io::Fetch& fetch : io::coalesce(requests, which, line))
    merged.push_back(fetch.request);
  if (!merged.empty()) out.cost = cost_of({merged}, line);
  return out;
}

Result<> plan_reads(const Dataset& dataset, const Array& array, const io::StoreTraits& line,
                    VariableHealth& out) {
  Selection map, series;
  map.origin.assign(array.shape.size(), 0);
  map.shape = array.shape;
  series = map;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    if (array.shape[d] == 0) return {};
    Selection& single = d == out.series_axis ? map : series;
    single.origin[d] = array.shape[d] / 2;
    single.shape[d] = 1;
  }
  UPWELL_TRY(ReadPattern one, plan_read(dataset, array, "map", map, line));
  out.reads.push_back(std::move(one));
  if (!out.series_axis || array.shape.size() < 2) return {};
  UPWELL_TRY(ReadPattern other, plan_read(dataset, array, "series", series, line));
  out.reads.push_back(std::move(other));
  return {};
}

/// Encodes a piece of the variable with shuffle and deflate, to see what that would give.
Result<> try_compression(io::Session& session, const Dataset& dataset, const Array& array,
                         VariableHealth& out) {
  const bool plain = out.codecs.empty();
  const bool deflated = out.codecs.size() == 1 && out.codecs[0].id == "zlib";
  if ((!plain && !deflated) || !array.type.is_number() || array.type.size < 2 ||
      out.raw_bytes < kWorthTrying || out.chunk_bytes > 16 * kTrialBytes)
    return {};
  const Segment& segment = array.segments[0];
  uint64_t middle = segment.chunks->next_stored(segment.chunks->size() / 2);
  if (middle >= segment.chunks->size()) return {};
  UPWELL_TRY(const ChunkRef ref, segment.chunks->at(middle));
  if (ref.state != ChunkRef::State::kStored || ref.length == io::kToEnd || ref.filter_mask != 0)
    return {};
  const uint64_t length =
      plain ? std::min(ref.length, kTrialBytes) / array.type.size * array.type.size : ref.length;
  UPWELL_TRY(const SharedBytes stored,
             session.read_one(dataset.granules->at(ref.granule).url, {ref.offset, length},
                              dataset.granules->at(ref.granule).reach));
  Bytes raw = plain ? to_bytes(stored.span()) : Bytes(out.chunk_bytes);
  if (deflated) {
    UPWELL_TRY(const auto pipeline, codec::Pipeline::make(out.codecs, array.type.size));
    UPWELL_CHECK(pipeline.decode(stored.span(), 0, raw));
  }
  const std::vector<codec::CodecSpec> better{
      {"shuffle", "{\"elementsize\":" + std::to_string(array.type.size) + "}"},
      {"zlib", "{\"level\":4}"}};
  UPWELL_TRY(const auto pipeline, codec::Pipeline::make(better, array.type.size));
  UPWELL_TRY(const Bytes encoded, pipeline.encode(raw));
  out.trial = VariableHealth::Trial{stored.size(), encoded.size()};
  return {};
}

}  // namespace

Result<DoctorReport> examine(io::Session& session, const std::string& source) {
  const std::string url = io::normal_url(source);
  DoctorReport out;
  out.source = without_url_secrets(source);
  UPWELL_TRY(const io::StoreTraits line, session.traits("https://host/"));
  out.latency_s = line.latency_s;
  out.bytes_per_s = line.bytes_per_s;
  UPWELL_TRY(const Dataset dataset, open_source(session, source));
  out.format = dataset.format;
  out.problems = dataset.problems;
  UPWELL_TRY(const auto opening, traced(session, url, line, [&](io::Session& own) -> Result<> {
               UPWELL_CHECK(open_source(own, source));
               return {};
             }));
  out.opening = cost_of(opening, line);
  format::ScanOptions whole;
  whole.subchunk_bytes = 0;
  // Its state is known from opening it.
  const bool scanned = is_scanned(dataset.format) && dataset.granules->size() > 0 &&
                       dataset.granules->at(0).url == url;
  if (is_scanned(dataset.format)) {
    if (scanned) {
      out.size = dataset.granules->at(0).info.size;
    } else {
      UPWELL_TRY(const io::ObjectInfo info, session.stat(url));
      out.size = info.size;
    }
    io::StoreTraits exact = line;
    exact.coalesce_gap = 0;
    exact.latency_s = 0;
    exact.worth_caching = false;
    UPWELL_TRY(const auto scan, traced(session, url, exact, [&](io::Session& own) -> Result<> {
                 UPWELL_CHECK(format::scan(own, url, whole));
                 return {};
               }));
    out.metadata = spread_of(scan, kOnePlace);
  }
  // Arrays as they are stored, and as they are read.
  UPWELL_TRY(const Dataset stored, scanned
                                       ? format::scan_known(session, dataset.granules->at(0), whole)
                                       : open_source(session, source, whole));
  Result<> result;
  for_each_array(stored.root, [&](const std::string& path, const Array& array) {
    if (!result) return;
    auto health = health_of(stored, path, array);
    if (health) {
      out.variables.push_back(std::move(*health));
    } else {
      result = fail(std::move(health).error().with(path));
    }
  });
  UPWELL_CHECK(result);
  std::stable_sort(
      out.variables.begin(), out.variables.end(),
      [](const VariableHealth& a, const VariableHealth& b) { return a.raw_bytes > b.raw_bytes; });
  size_t planned = 0;
  for (VariableHealth& variable : out.variables) {
    const Array* array = dataset.root.find_array(variable.path);
    const Array* as_stored = stored.root.find_array(variable.path);
    if (array == nullptr || array->segments.empty() || array->shape.size() < 2 ||
        array->type.has_vlen() || planned == kReadVariables)
      continue;
    ++planned;
    // A codec that is not read is in the table; nothing is planned with it.
    auto read = plan_reads(dataset, *array, line, variable);
    if (!read && read.error().code != Code::kUnsupported)
      return fail(std::move(read).error().with(variable.path));
    auto tried = try_compression(session, stored, *as_stored, variable);
    if (!tried && tried.error().code != Code::kUnsupported)
      return fail(std::move(tried).error().with(variable.path));
  }
  advise(out);
  return out;
}

}  // namespace upwell::refs
