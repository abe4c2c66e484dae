#pragma once
// What PO.DAAC's container takes and what it calls its outputs, so that one can stand in for the
// other.

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace upwell::generate {

/// A date as the container takes it: whatever the catalogue takes ("2022", "2022-01-31",
/// "2022-01-31T12:00:00Z"), or month-day-year ("1-31-2022"); "" and "None" are none. Empty: none.
/// kInvalidArgument for other texts, and for what cannot be part of a file's name.
Result<std::string> iso_date(const std::string& text);

/// "FROM,TO" of a search, either side empty; empty: all times.
Result<std::string> temporal_of(const std::string& start, const std::string& end);

/// "COLLECTION_virtual_", "COLLECTION_START_to_END_virtual_" with the dates as they were given,
/// "beginning" and "present" for one that was not.
Result<std::string> output_stem(const std::string& collection, const std::string& start,
                                const std::string& end);

/// "s3://BUCKET/virtual_collections/COLLECTION/". kInvalidArgument when it is no bucket's name.
Result<std::string> bucket_directory(const std::string& bucket, const std::string& collection);

/// Bytes of "12GB" (10^9), "12GiB" (2^30), "512M", "200000000"; 0 for "auto" and "0".
/// kInvalidArgument.
Result<uint64_t> memory_size(const std::string& text);

}  // namespace upwell::generate
