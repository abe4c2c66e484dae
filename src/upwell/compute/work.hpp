#pragma once
// What reducing takes: memory, threads, and how often something is read.

#include <vector>

#include "compute/reduce.hpp"
#include "compute/tile_plan.hpp"

namespace upwell::compute {

/// Values that go into one cell at most.
uint64_t most_values(const CheckedSelection& selection, const Reduction& reduction);

/// Of condition and weights of a box of the selection, and of what they are made from.
uint64_t company_bytes(const Reduction& reduction, const Shape& box);

/// `type`: of the values that go into cells.
TileLimits tile_limits(const CheckedSelection& selection, const Reduction& reduction,
                       const ReduceOptions& options, const DataType& type);

/// In how many tiles at most a chunk is, where memory makes tiles smaller than chunks.
uint64_t tiles_of_chunk(const Array& array, const CheckedSelection& selection,
                        const Reduction& reduction, const TilePlan& plan);

/// A chunk that is encoded is decoded as a whole, whatever memory was limited to: kInvalidArgument
/// for one that needs more.
Result<> check_chunks(const Array& array, const CheckedSelection& selection,
                      const ReduceOptions& options);

/// The same of the arrays of condition and weights.
Result<> check_company_chunks(const Reduction& reduction, const CheckedSelection& selection,
                              const ReduceOptions& options);
/// What decoding one chunk of them takes at most.
uint64_t company_decoding(const Reduction& reduction);

/// Threads that fit into memory where each takes `bytes` besides decoding; more than cores where
/// they wait for a store far away.
size_t threads_within_budget(io::Session& session, const Dataset& dataset, const Array& array,
                             const ReduceOptions& options, uint64_t bytes);

/// "12 MB", at least 1
std::string megabytes(uint64_t bytes);

}  // namespace upwell::compute
