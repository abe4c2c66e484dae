#pragma once
// Ranges: checking them against an object, and coalescing them.

#include <cstddef>
#include <string>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

/// The range with kToEnd resolved. kInvalidData when the object of `size` bytes ends before it
/// does.
Result<Range> checked_range(const std::string& url, Range range, uint64_t size);

/// One request that answers several.
struct Fetch {
  ReadRequest request;
  std::vector<size_t> members;  ///< indices of the requests that lie inside
};

/// Merges those requests named by `which` that overlap, touch, or lie closer than the gap, into as
/// few fetches as `max_request` allows (a single larger request is left whole). Duplicates become
/// one. A range to the end answers everything behind its offset.
std::vector<Fetch> coalesce(std::span<const ReadRequest> requests, std::vector<size_t> which,
                            const StoreTraits& traits);

}  // namespace upwell::io
