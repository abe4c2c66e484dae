#include "cube/summary.hpp"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>

namespace upwell {
namespace {

struct Partial {
  uint64_t count = 0, missing = 0;
  double min = INFINITY, max = -INFINITY, sum = 0;
};

template <typename T>
Partial add_up(const T* values, size_t n) {
  // Several sums side by side: exact enough (each is short), and the compiler can keep them in
  // registers.
  constexpr size_t kLanes = 8;
  double sums[kLanes] = {};
  uint64_t counts[kLanes] = {};
  double low = INFINITY, high = -INFINITY;
  for (size_t i = 0; i < n; ++i) {
    auto v = static_cast<double>(values[i]);
    bool valid = v == v;
    sums[i % kLanes] += valid ? v : 0;
    counts[i % kLanes] += valid ? 1 : 0;
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  Partial p;
  for (size_t k = 0; k < kLanes; ++k) {
    p.sum += sums[k];
    p.count += counts[k];
  }
  p.missing = n - p.count;
  p.min = low;
  p.max = high;
  return p;
}

Partial partial_of(const Values& values) {
  size_t n = values.count();
  const uint8_t* data = values.data.data();
  if (values.type.kind == Kind::kFloat && values.type.size == 4)
    return add_up(reinterpret_cast<const float*>(data), n);
  if (values.type.kind == Kind::kFloat && values.type.size == 8)
    return add_up(reinterpret_cast<const double*>(data), n);
  std::vector<double> wide(n);
  for (size_t i = 0; i < n; ++i) wide[i] = values.number(i);
  return add_up(wide.data(), n);
}

}  // namespace

Result<Summary> summarize(io::Session& session, const Dataset& dataset, const Array& array,
                          const Selection& selection, bool raw) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument, array.name + " does not hold numbers");
  cf::Decoding decoding = raw ? cf::Decoding{} : cf::decoding_of(array);
  std::mutex mutex;
  std::map<Shape, Partial> partials;  // sorted by place
  auto sink = [&](const Shape& origin, Values&& piece) -> Result<> {
    UPWELL_TRY(Values decoded, cf::decode(decoding, std::move(piece)));
    Partial p = partial_of(decoded);
    std::lock_guard lock(mutex);
    partials.emplace(origin, p);
    return {};
  };
  UPWELL_CHECK(read_pieces(session, dataset, array, selection, sink));
  Partial all;
  for (const auto& [origin, p] : partials) {
    all.count += p.count;
    all.missing += p.missing;
    all.sum += p.sum;
    all.min = std::min(all.min, p.min);
    all.max = std::max(all.max, p.max);
  }
  double mean = all.count == 0 ? NAN : all.sum / static_cast<double>(all.count);
  return Summary{all.count, all.missing, all.min, all.max, mean};
}

}  // namespace upwell
