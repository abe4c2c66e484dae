#include "io/ranges.hpp"

#include <algorithm>

#include "io/line_cost.hpp"
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
      // How large each of them becomes is looked at later: it can be asked for in parts.
      const Merged merged = merge_within(requests, which, traits.max_request, tried, nullptr);
      const double cost = batch_seconds(merged.requests, merged.bytes, 0, traits);
      if (tried == kLeastGap || cost < best) gap = tried, best = cost;
      if (tried >= traits.coalesce_gap) break;
    }
  }
  std::vector<Fetch> fetches;
  merge_within(requests, which, traits.max_request, gap, &fetches);
  return fetches;
}

namespace {

/// How many parts of `part` bytes a range makes. What claims to be larger than anything that is
/// read in one piece is left to the store to refuse.
uint64_t parts_of(const Range& range, uint64_t part) {
  constexpr uint64_t kMostCut = 1ULL << 30;
  if (range.length <= part || range.length > kMostCut) return 1;
  return (range.length + part - 1) / part;
}

}  // namespace

uint64_t part_size(std::span<const ReadRequest> requests, const StoreTraits& traits) {
  uint64_t largest = 0, bytes = 0;
  for (const ReadRequest& r : requests) {
    if (parts_of(r.range, kFirstFlight) == 1) continue;
    largest = std::max(largest, r.range.length);
    bytes += r.range.length;
  }
  if (traits.round_trip_s <= 0 || largest <= kFirstFlight) return kToEnd;
  uint64_t best_part = kToEnd;
  double best = batch_seconds(requests.size(), bytes, largest, traits);
  for (uint64_t part = kFirstFlight; part < largest; part += (part + 3) / 4) {
    uint64_t parts = 0;
    for (const ReadRequest& r : requests) parts += parts_of(r.range, part);
    // More would wait for connections, which costs what smaller parts save.
    if (parts > std::max(requests.size(), traits.ready)) continue;
    const double cost = batch_seconds(parts, bytes, part, traits);
    if (cost < best) best_part = part, best = cost;
  }
  return best_part;
}

std::vector<ReadRequest> in_parts(std::span<const ReadRequest> requests, uint64_t part) {
  std::vector<ReadRequest> parts;
  for (const ReadRequest& r : requests) {
    // Of equal length: the largest is what is waited for.
    const uint64_t length = r.range.length, n = parts_of(r.range, part);
    for (uint64_t i = 0; i < n; ++i) {
      const uint64_t begin = length / n * i + std::min(i, length % n);
      const uint64_t end = length / n * (i + 1) + std::min(i + 1, length % n);
      parts.push_back({r.url, {r.range.offset + begin, end - begin}, r.reach});
    }
  }
  return parts;
}

namespace {

/// Answers that follow each other as one; the first error, if there is one.
Result<SharedBytes> in_one_piece(std::span<Result<SharedBytes>> answers) {
  uint64_t size = 0;
  for (const auto& answer : answers) {
    if (!answer) return fail(answer.error());
    size += answer->size();
  }
  Bytes bytes;
  bytes.reserve(size);
  for (auto& answer : answers) {
    const SharedBytes part = std::move(*answer);  // and away, so that not all is there twice
    bytes.insert(bytes.end(), part.span().begin(), part.span().end());
  }
  return SharedBytes(std::move(bytes));
}

}  // namespace

std::vector<Result<SharedBytes>> joined(std::span<const ReadRequest> wanted, uint64_t part,
                                        std::vector<Result<SharedBytes>> answers) {
  std::vector<Result<SharedBytes>> out;
  out.reserve(wanted.size());
  size_t next = 0;
  for (const ReadRequest& whole : wanted) {
    const size_t n = parts_of(whole.range, part);
    if (n == 1) {
      out.push_back(std::move(answers[next]));
    } else {
      out.push_back(in_one_piece(std::span(answers).subspan(next, n)));
    }
    next += n;
  }
  return out;
}

std::map<std::string, std::vector<size_t>> by_origin(std::span<const ReadRequest> asked,
                                                     const std::vector<size_t>& which) {
  std::map<std::string, std::vector<size_t>> hosts;
  std::vector<size_t>* last = nullptr;
  const std::string* last_url = nullptr;
  for (size_t i : which) {
    if (last_url == nullptr || *last_url != asked[i].url) last = &hosts[origin_of(asked[i].url)];
    last_url = &asked[i].url;
    last->push_back(i);
  }
  return hosts;
}

}  // namespace upwell::io
