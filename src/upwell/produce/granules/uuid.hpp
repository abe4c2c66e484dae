#pragma once
// UUIDs (RFC 9562).

#include <string>
#include <string_view>

namespace upwell::produce {

/// Version 4.
std::string random_uuid();
/// Version 5 of a name, in the namespace of URLs: the same name has the same.
std::string name_uuid(std::string_view name);

}  // namespace upwell::produce
