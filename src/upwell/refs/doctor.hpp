#pragma once
// How a granule or a Zarr store is laid out, what that costs a remote reader, and what to repack.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"

namespace upwell::refs {

/// What reading costs on the line that the session assumes of HTTP (io::StoreTraits).
struct LineCost {
  uint64_t rounds = 0;  ///< batches, each of which waits for the one before
  uint64_t requests = 0;
  uint64_t bytes = 0;
  double seconds = 0;
};

/// Where the bytes lie that the format's reader asks for, without any reading ahead.
struct MetadataSpread {
  uint64_t bytes = 0;
  uint64_t extents = 0;  ///< runs of bytes, with something else between them
  uint64_t places = 0;   ///< the same, where runs nearer than the widest coalescing gap are one
  uint64_t first = 0, end = 0;
  uint64_t rounds = 0;  ///< depth: a structure says where the next lies
};

struct ReadPattern {
  std::string name;  ///< "map": one step of all; "series": one point at all steps
  uint64_t chunks = 0;
  LineCost cost;
  uint64_t wanted = 0;  ///< bytes of the values asked for
};

struct VariableHealth {
  std::string path, type;
  Shape shape;
  std::vector<std::string> dimensions;
  Shape chunk_shape;     ///< of the first segment
  bool one_run = false;  ///< contiguous or compact: one run of unencoded bytes
  std::vector<codec::CodecSpec> codecs;
  bool counted = false;  ///< the four below are known
  uint64_t chunks = 0, stored = 0, inlined = 0;
  uint64_t stored_bytes = 0;
  uint64_t chunk_bytes = 0;  ///< of one chunk, decoded
  uint64_t raw_bytes = 0;    ///< of the variable, decoded
  std::optional<size_t> series_axis;
  std::vector<ReadPattern> reads;  ///< of the largest variables
  /// A piece of it as it is stored, and encoded with shuffle and deflate.
  struct Trial {
    uint64_t stored = 0, encoded = 0;
  };
  std::optional<Trial> trial;
};

struct Advice {
  std::string kind;  ///< "metadata", "small chunks", "large chunks", "compression", "series", ...
  std::string path;  ///< of a variable; empty: of the whole
  std::string text;
};

struct DoctorReport {
  std::string source, format;
  uint64_t size = 0;                       ///< of a granule
  double latency_s = 0, bytes_per_s = 0;   ///< of the line assumed
  LineCost opening;                        ///< all that a scan asks for
  std::optional<MetadataSpread> metadata;  ///< of formats with structures inside one object
  std::vector<VariableHealth> variables;
  std::vector<Problem> problems;
  std::vector<Advice> advice;
  std::string command;  ///< that does what the advice says; empty: there is none
  std::string to_json() const;
};

/// Opens `source` (see open_source) as a remote reader would, whatever the store, and counts what
/// is asked for. Errors as open_source.
Result<DoctorReport> examine(io::Session& session, const std::string& source);

/// Fills `advice` and `command` from the rest.
void advise(DoctorReport& report);

}  // namespace upwell::refs
