#pragma once
// Ranges: checking them against an object, and coalescing them.

#include <cstddef>
#include <map>
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

/// In parts of what size large ranges are best asked for, so that several connections carry them:
/// one alone begins slowly. kToEnd: whole.
uint64_t part_size(std::span<const ReadRequest> requests, const StoreTraits& traits);
/// The requests with longer ones cut into equal parts of at most `part` bytes, in order.
std::vector<ReadRequest> in_parts(std::span<const ReadRequest> requests, uint64_t part);
/// Answers to `wanted` from those to what in_parts made of it. A part that is too short makes the
/// whole too short.
std::vector<Result<SharedBytes>> joined(std::span<const ReadRequest> wanted, uint64_t part,
                                        std::vector<Result<SharedBytes>> answers);

/// Those of the requests named by `which` that go over the same line.
std::map<std::string, std::vector<size_t>> by_origin(std::span<const ReadRequest> asked,
                                                     const std::vector<size_t>& which);

}  // namespace upwell::io
