#pragma once
// The read path: plan (which segments, which stored chunks) ▸ fetch in one batch ▸ decode on all
// cores ▸ place.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"

namespace upwell {

/// A box of an array with steps, in elements. Empty vectors: everything.
struct Selection {
  Shape origin;
  Shape shape;  ///< number of elements taken along each axis
  Shape step;   ///< {} is ones
};

/// Part of an array, in elements.
struct Box {
  Shape origin, shape;
};

struct ReadOptions {
  uint64_t memory_budget = 512ULL << 20;  ///< stored and decoded chunks in flight
  /// read_pieces: one piece after the other on the calling thread, in the same order on every run.
  bool in_order = false;
};

/// About how much memory it takes at most to read `elements` from a box of so many elements along
/// each axis: the values, chunks in flight, and what decoding needs. Chunks that are larger than
/// the budget go one at a time.
uint64_t memory_to_read(const Array& array, const Shape& box, uint64_t elements,
                        const ReadOptions& options = {});

/// The whole selection as plain values, as stored (no CF decoding), missing chunks filled.
/// kInvalidArgument when the selection lies outside; errors name array, chunk and granule.
Result<Values> read_raw(io::Session& session, const Dataset& dataset, const Array& array,
                        const Selection& selection = {}, const ReadOptions& options = {});

/// Called with a box of the selection (in selected elements) and its elements in memory form, in C
/// order, which are gone after the call. Calls may be concurrent.
using PieceSink = std::function<Result<>(const Box& box, ByteSpan elements)>;
/// Called with a value (one element in memory form) that `count` elements have which no chunk
/// holds.
using FillSink = std::function<Result<>(const Values& value, uint64_t count)>;
/// Streams a selection of elements of fixed size piece by piece in bounded memory, pieces in no
/// order unless options.in_order; together with what goes to `fill`, one call after the other, they
/// cover it exactly once.
Result<> read_pieces(io::Session& session, const Dataset& dataset, const Array& array,
                     const Selection& selection, const PieceSink& sink, const FillSink& fill,
                     const ReadOptions& options = {});

enum class ChunkForm {
  kStored,  ///< elements of array.type
  kMemory,  ///< elements of memory_type(array.type)
};
/// One chunk of the array's own grid (chunk_shape), edge chunks padded with fill to the full chunk
/// shape (for Zarr). nullopt when no segment holds anything of it.
Result<std::optional<Bytes>> read_chunk(io::Session& session, const Dataset& dataset,
                                        const Array& array, const Shape& chunk,
                                        ChunkForm form = ChunkForm::kStored);

/// The stored bytes of a chunk, when the array is one uniform segment aligned with its grid, so
/// that they can pass through. nullopt: never written. kUnsupported when the array is not uniform.
Result<std::optional<SharedBytes>> read_stored_chunk(io::Session& session, const Dataset& dataset,
                                                     const Array& array, const Shape& chunk);

/// True when stored chunks can pass through to a reader that is told `codecs`: one segment,
/// aligned, no masks that differ.
bool is_uniform(const Array& array);

}  // namespace upwell
