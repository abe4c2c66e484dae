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

std::vector<Fetch> coalesce(std::span<const ReadRequest> requests, std::vector<size_t> which,
                            const StoreTraits& traits) {
  std::sort(which.begin(), which.end(), [&](size_t a, size_t b) {
    const ReadRequest& x = requests[a];
    const ReadRequest& y = requests[b];
    if (int order = x.url.compare(y.url); order != 0) return order < 0;
    if (x.range.offset != y.range.offset) return x.range.offset < y.range.offset;
    return x.range.length > y.range.length;  // the longest first: it holds the others
  });
  auto end_of = [](Range r) { return r.length == kToEnd ? kToEnd : r.offset + r.length; };

  std::vector<Fetch> fetches;
  for (size_t i : which) {
    const ReadRequest& next = requests[i];
    Fetch* last = fetches.empty() ? nullptr : &fetches.back();
    if (last != nullptr && last->request.url == next.url) {
      Range& have = last->request.range;
      uint64_t have_end = end_of(have);
      uint64_t next_end = end_of(next.range);
      bool inside = next_end <= have_end;
      bool near =
          next.range.offset <= have_end || next.range.offset - have_end <= traits.coalesce_gap;
      bool small = next_end != kToEnd && next_end - have.offset <= traits.max_request;
      if (inside || (near && small)) {
        if (!inside) have.length = next_end - have.offset;
        last->members.push_back(i);
        continue;
      }
    }
    fetches.push_back(Fetch{next, {i}});
  }
  return fetches;
}

}  // namespace upwell::io
