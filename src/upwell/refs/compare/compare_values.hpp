#pragma once
// The values of two arrays of one shape, piece by piece.

#include "refs/compare/compare.hpp"

namespace upwell::refs {

/// One of two datasets, and an array of it.
struct ComparedArray {
  const Dataset* dataset = nullptr;
  const Array* array = nullptr;
};

/// Two arrays at one path, of one shape.
struct ArrayPair {
  std::string path;
  ComparedArray first, second;
};

/// What comparing the values of the pair that needs most takes at least: chunks are decoded as a
/// whole.
struct ComparisonMemory {
  uint64_t bytes = 0;
  std::string path;
};
ComparisonMemory memory_to_compare(const std::vector<ArrayPair>& pairs);

/// Compares the values of all pairs, on `threads` threads in `memory` bytes, and adds to `report`
/// what differs, in the order of `pairs`. What cannot be read is a difference, too ("unreadable");
/// failures that may pass are errors.
Result<> compare_arrays(io::Session& session, const std::vector<ArrayPair>& pairs,
                        const CompareOptions& options, size_t threads, uint64_t memory,
                        PairReport& report);

}  // namespace upwell::refs
