#pragma once
// Bodies that come in gzip.

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::io {

/// Replaces a gzip stream (RFC 1952) by what it holds; nothing stays nothing. kInvalidData when it
/// is broken; kResourceExhausted when it holds more than `limit` bytes, or more than memory.
Result<> gunzip(Bytes& body, uint64_t limit);

}  // namespace upwell::io
