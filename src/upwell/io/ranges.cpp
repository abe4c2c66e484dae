#include "io/ranges.hpp"

#include <algorithm>

#include "io/url.hpp"

namespace upwell::io {

Result<Range> checked_range(const std::string& url, Range range, uint64_t size) {
  if (range.length == kToEnd && range.offset <= size)
    return Range{range.offset, size - range.offset};
  if (range.offset <= size && range.length <= size - range.offset) return range;
  std::string asked =
      range.length == kToEnd ? std::string("everything") : std::to_string(range.length) + " bytes";
  return fail(Code::kInvalidData, shown_url(url) + ": " + asked + " at offset " +
                                      std::to_string(range.offset) +
                                      " asked, but the object ends at " + std::to_string(size));
}

namespace {

// What the head of one more answer and the work for it are worth.
constexpr uint64_t kLeastGap = 4 << 10;

struct Merged {
  uint64_t requests = 0, bytes = 0;
};

/// Merges sorted ranges with gaps up to `gap`: what comes of it, and into `out` unless null.
Merged merge_within(std::span<const ReadRequest> requests, std::span<const size_t> sorted,
                    uint64_t max_request, uint64_t gap, std::vector<Fetch>* out) {
  auto end_of = [](Range r) { return r.length == kToEnd ? kToEnd : r.offset + r.length; };
  Merged merged;
  const ReadRequest* last = nullptr;
  Range have;
  for (size_t i : sorted) {
    const ReadRequest& next = requests[i];
    if (last && last->url == next.url && last->reach == next.reach) {
      uint64_t have_end = end_of(have);
      uint64_t next_end = end_of(next.range);
      bool inside = next_end <= have_end;
      bool near = next.range.offset <= have_end || next.range.offset - have_end <= gap;
      bool small = next_end != kToEnd && next_end - have.offset <= max_request;
      if (inside || (near && small)) {
        if (!inside) {
          merged.bytes += next_end - have_end;
          have.length = next_end - have.offset;
        }
        if (out) {
          out->back().request.range = have;
          out->back().members.push_back(i);
        }
        continue;
      }
    }
    ++merged.requests;
    if (next.range.length != kToEnd) merged.bytes += next.range.length;
    last = &next;
    have = next.range;
    if (out) out->push_back(Fetch{next, {i}});
  }
  return merged;
}

double batch_seconds(const Merged& merged, const StoreTraits& traits) {
  uint64_t turns = (merged.requests + traits.parallelism - 1) / traits.parallelism;
  return static_cast<double>(turns) * traits.latency_s +
         static_cast<double>(merged.bytes) / traits.bytes_per_s;
}

}  // namespace

std::vector<Fetch> coalesce(std::span<const ReadRequest> requests, std::vector<size_t> which,
                            const StoreTraits& traits) {
  std::sort(which.begin(), which.end(), [&](size_t a, size_t b) {
    const ReadRequest& x = requests[a];
    const ReadRequest& y = requests[b];
    if (int order = x.url.compare(y.url); order != 0) return order < 0;
    if (x.reach != y.reach) return x.reach < y.reach;
    if (x.range.offset != y.range.offset) return x.range.offset < y.range.offset;
    return x.range.length > y.range.length;  // the longest first: it holds the others
  });
  uint64_t gap = traits.coalesce_gap;
  if (traits.latency_s > 0 && traits.bytes_per_s > 0) {
    double best = 0;
    for (uint64_t tried = kLeastGap;; tried = std::min(2 * tried, traits.coalesce_gap)) {
      double cost =
          batch_seconds(merge_within(requests, which, traits.max_request, tried, nullptr), traits);
      if (tried == kLeastGap || cost < best) gap = tried, best = cost;
      if (tried >= traits.coalesce_gap) break;
    }
  }
  std::vector<Fetch> fetches;
  merge_within(requests, which, traits.max_request, gap, &fetches);
  return fetches;
}

}  // namespace upwell::io
