#include "cube/summary.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <mutex>

namespace upwell {
namespace {

struct Partial {
  uint64_t count = 0, missing = 0;
  double min = INFINITY, max = -INFINITY, sum = 0;
};

/// Eight sums side by side: each is short, so exact enough, and they map to vector registers.
constexpr size_t kLanes = 8;

struct Lanes {
  std::array<double, kLanes> sum{}, min, max;
  std::array<uint64_t, kLanes> count{};
  Lanes() {
    min.fill(INFINITY);
    max.fill(-INFINITY);
  }
};

template <typename T>
void add_lane(Lanes& lanes, size_t k, T value) {
  auto v = static_cast<double>(value);
  bool valid = v == v;
  lanes.sum[k] += valid ? v : 0;
  lanes.count[k] += valid ? 1 : 0;
  lanes.min[k] = v < lanes.min[k] ? v : lanes.min[k];
  lanes.max[k] = v > lanes.max[k] ? v : lanes.max[k];
}

template <typename T>
Partial add_up(const T* values, size_t n) {
  Lanes lanes;
  size_t whole = n - n % kLanes;
  for (size_t i = 0; i < whole; i += kLanes) {
    for (size_t k = 0; k < kLanes; ++k) add_lane(lanes, k, values[i + k]);
  }
  for (size_t i = whole; i < n; ++i) add_lane(lanes, i - whole, values[i]);
  Partial p;
  for (size_t k = 0; k < kLanes; ++k) {
    p.sum += lanes.sum[k];
    p.count += lanes.count[k];
    p.min = std::min(p.min, lanes.min[k]);
    p.max = std::max(p.max, lanes.max[k]);
  }
  p.missing = n - p.count;
  return p;
}

void merge(Partial& all, const Partial& p) {
  all.count += p.count;
  all.missing += p.missing;
  all.sum += p.sum;
  all.min = std::min(all.min, p.min);
  all.max = std::max(all.max, p.max);
}

Partial partial_of(const DataType& type, const uint8_t* data, size_t n) {
  if (type.kind == Kind::kFloat && type.size == 4)
    return add_up(reinterpret_cast<const float*>(data), n);
  if (type.kind == Kind::kFloat && type.size == 8)
    return add_up(reinterpret_cast<const double*>(data), n);
  Values values{type, {n}, Bytes(data, data + n * type.size), {}};
  std::vector<double> wide(n);
  for (size_t i = 0; i < n; ++i) wide[i] = values.number(i);
  return add_up(wide.data(), n);
}

/// Decodes and adds up in blocks that stay in the cache: decoded values are wider than stored ones,
/// and nobody keeps them.
Result<Partial> decode_and_add(const cf::Decoding& decoding, const DataType& raw_type,
                               ByteSpan elements) {
  const size_t n = elements.size() / raw_type.size;
  if (auto totals = cf::decoded_totals(decoding, raw_type, elements)) {
    Partial all;
    all.missing = n - totals->count;
    if (totals->count > 0)
      all = {totals->count, all.missing, totals->min, totals->max, totals->sum};
    return all;
  }
  constexpr size_t kBlock = 4096;
  DataType type = cf::decoded_type(decoding, raw_type);
  alignas(64) std::array<uint8_t, kBlock * 8> buffer;
  Partial all;
  for (size_t first = 0; first < n; first += kBlock) {
    size_t count = std::min(kBlock, n - first);
    ByteSpan raw = elements.subspan(first * raw_type.size, count * raw_type.size);
    UPWELL_CHECK(cf::decode_into(decoding, raw_type, raw, {buffer.data(), count * type.size}));
    merge(all, partial_of(type, buffer.data(), count));
  }
  return all;
}

}  // namespace

Result<Summary> summarize(io::Session& session, const Dataset& dataset, const Array& array,
                          const Selection& selection, bool raw, const ReadOptions& options) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument, array.name + " does not hold numbers");
  cf::Decoding decoding = raw ? cf::Decoding{} : cf::decoding_of(array);
  std::mutex mutex;
  std::map<Shape, Partial> partials;  // sorted by place
  const DataType type = memory_type(array.type);
  auto sink = [&](const Box& box, ByteSpan elements) -> Result<> {
    UPWELL_TRY(Partial p, decode_and_add(decoding, type, elements));
    std::lock_guard lock(mutex);
    partials.emplace(box.origin, p);
    return {};
  };
  Partial all;
  auto fill = [&](const Values& value, uint64_t count) -> Result<> {
    UPWELL_TRY(Partial p, decode_and_add(decoding, type, value.data));
    p.sum *= static_cast<double>(count);
    p.missing *= count;
    p.count *= count;
    merge(all, p);
    return {};
  };
  UPWELL_CHECK(read_pieces(session, dataset, array, selection, sink, fill, options));
  for (const auto& [origin, p] : partials) merge(all, p);
  double mean = all.count == 0 ? NAN : all.sum / static_cast<double>(all.count);
  return Summary{all.count, all.missing, all.min, all.max, mean};
}

}  // namespace upwell
