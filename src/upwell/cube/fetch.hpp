#pragma once
// Chunk tasks in batches, which are fetched while what has come is decoded.

#include "cube/chunk_decoder.hpp"

namespace upwell {

/// Called with a task and its stored bytes (empty for missing chunks; one that turns out to be
/// missing comes as such). Calls are concurrent.
using StoredChunkSink = std::function<Result<>(const ChunkTask& task, ByteSpan stored)>;

/// Fetches what the tasks need in batches within the memory budget and hands every chunk to `sink`
/// on all cores (or one after the other, in order, if `in_order`). Errors name the chunk and the
/// granule.
Result<> fetch_chunks(io::Session& session, const Dataset& dataset, const Array& array,
                      const std::vector<ChunkTask>& tasks,
                      const std::function<io::Range(const ChunkTask&)>& range_of,
                      const ReadOptions& options, const StoredChunkSink& sink,
                      bool in_order = false);

/// What one thread needs to decode a chunk: the chunk, and the stages of its codecs.
uint64_t decoding_bytes(const SegmentLayout& layout);
/// Chunks of this layout that may be decoded at once.
size_t decoders_at_once(const SegmentLayout& layout, const ReadOptions& options);
/// Stored bytes in flight: the batch that is fetched and the one that is decoded.
uint64_t bytes_in_flight(const SegmentLayout& layout, const ReadOptions& options);

/// "chunk 0.3 of sst"
std::string chunk_name(const Array& array, const ChunkTask& task);

}  // namespace upwell
