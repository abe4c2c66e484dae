#pragma once
// Keeps what was told a server in confidence out of what is shown of its answer.

#include <string>
#include <vector>

namespace upwell::access {

/// `text`, in which a server may repeat them, with "***" in place of each of `secrets`. Before it
/// is cut: a part of one would be left.
std::string without_secrets(std::string text, const std::vector<std::string>& secrets);

}  // namespace upwell::access
