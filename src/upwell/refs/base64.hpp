#pragma once
// Base64 of RFC 4648 section 4, as reference sets carry inline chunks and Zarr its fill values.

#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::refs {

std::string base64_encode(ByteSpan bytes);
/// White space is skipped; missing padding is taken. kInvalidData names the first wrong position.
Result<Bytes> base64_decode(std::string_view text);

}  // namespace upwell::refs
