#pragma once
// Kerchunk reference sets as JSON, version 1.

#include <functional>

#include "refs/reference_output.hpp"

namespace upwell::refs {

/// Writes {"version":1,"refs":{...}}: metadata documents first, then the chunks of each array, the
/// key with '.' between indexes. `sink` gets the text in blocks of about a megabyte. Arrays must be
/// whole segments without filter masks (as Combiner gives them); kUnsupported otherwise.
Result<ReferenceCounts> write_kerchunk_json(const Dataset& dataset,
                                            const ReferenceOutputOptions& options,
                                            const std::function<Result<>(ByteSpan)>& sink);

}  // namespace upwell::refs
