#pragma once
// What writer and reader of the factors file agree on. Internal; see docs/mapping-factors.md.

#include <string_view>

namespace upwell::produce {

inline constexpr std::string_view kFactorsFormat = "upwell mapping factors";
inline constexpr int kFactorsVersion = 1;
inline constexpr std::string_view kFactorsHead = "factors.json";

}  // namespace upwell::produce
