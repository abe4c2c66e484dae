#pragma once
// What may stand in a reference set, which others than who made it read.

#include <string>

#include "base/result.hpp"
#include "refs/granule_record.hpp"
#include "refs/reference_output.hpp"

namespace upwell::refs {

/// kInvalidArgument, with what to do, for a URL with a user and password, or with a secret
/// in its query.
Result<> check_published(const std::string& url);
/// Likewise of all granules, as `form` writes them.
Result<> check_published(const GranuleTable& granules, const ReferenceOutputOptions& form);
/// Likewise of what the set says of its granules, also of those of which all is copied.
Result<> check_published(const StoreRecord& record);

}  // namespace upwell::refs
