#pragma once
// Errors of objects of which a server gives no part.

#include "base/result.hpp"

namespace upwell::io {

/// Marks the error of a read, for which there are no other grounds than that the server ignores
/// ranges and the object is large: a read of all of it may succeed.
Error whole_only(Error error);
bool is_whole_only(const Error& error);

}  // namespace upwell::io
