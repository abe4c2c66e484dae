#include "io/arrivals.hpp"

#include <algorithm>
#include <optional>
#include <utility>

namespace upwell::io {
namespace {

using Parts = std::map<uint64_t, SharedBytes>;

uint64_t end_of(const Parts::value_type& part) { return part.first + part.second.size(); }

/// The range out of parts that follow each other; nothing while one is missing.
std::optional<SharedBytes> cut(const Parts& parts, const Range& range) {
  auto part = parts.upper_bound(range.offset);
  if (part == parts.begin()) return {};
  --part;
  const uint64_t end = range.offset + range.length;
  if (end <= end_of(*part)) return part->second.slice(range.offset - part->first, range.length);
  const auto first = part;
  uint64_t have = end_of(*part);
  while (have < end) {
    if (++part == parts.end() || part->first != have) return {};
    have = end_of(*part);
  }
  Bytes bytes;
  bytes.reserve(range.length);
  for (part = first; bytes.size() < range.length; ++part) {
    const uint64_t skip = range.offset + bytes.size() - part->first;
    const ByteSpan rest = part->second.span().subspan(skip);
    const ByteSpan wanted = rest.first(std::min(rest.size(), range.length - bytes.size()));
    bytes.insert(bytes.end(), wanted.begin(), wanted.end());
  }
  return SharedBytes(std::move(bytes));
}

}  // namespace

Arrivals::Arrivals(std::span<const ReadRequest> asked, std::span<const Fetch> fetches,
                   const Arrived& arrived)
    : asked_(asked), arrived_(arrived), coming_(fetches.size()) {
  for (size_t f = 0; f < fetches.size(); ++f)
    for (const size_t i : fetches[f].members) {
      const Range& range = asked[i].range;
      if (range.length != kToEnd && range.length > 0) coming_[f].waiting.push_back(i);
    }
}

void Arrivals::take(size_t f, uint64_t offset, const SharedBytes& bytes) {
  std::vector<std::pair<size_t, SharedBytes>> here;
  {
    std::lock_guard lock(mutex_);
    Coming& coming = coming_[f];
    coming.parts.insert_or_assign(offset, bytes);
    std::erase_if(coming.waiting, [&](size_t i) {
      auto found = cut(coming.parts, asked_[i].range);
      if (found) here.emplace_back(i, std::move(*found));
      return found.has_value();
    });
    std::erase_if(coming.parts, [&](const auto& part) {
      return std::none_of(coming.waiting.begin(), coming.waiting.end(), [&](size_t i) {
        const Range& range = asked_[i].range;
        return range.offset < end_of(part) && part.first < range.offset + range.length;
      });
    });
  }
  for (const auto& [i, found] : here) arrived_(i, found);
}

}  // namespace upwell::io
