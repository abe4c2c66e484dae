#pragma once
// The global attributes of a granule.

#include <set>

#include "produce/granules/granule.hpp"

namespace upwell::produce {

/// In the order in which EDP writes them (by name, without regard to case), but for `coordinates`.
/// `base`: of the granule's input, of which those stay that nothing else sets.
/// `notes` learns what could not be found. kBadConfiguration names a key that is missing.
Result<Attributes> global_attributes(Attributes base, const Task& task, const GranuleName& name,
                                     const Config& config, const std::set<std::string>& keywords,
                                     const std::string& uuid, Resources& resources,
                                     const GranuleOptions& options,
                                     std::vector<std::string>& notes);

}  // namespace upwell::produce
