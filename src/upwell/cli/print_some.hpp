#pragma once
// Lists that may be long, on a terminal.

#include <fmt/core.h>

#include <cstddef>

namespace upwell::cli {

/// Calls print(item) for the first `most` of them, and says where the others are.
template <typename Items, typename Print>
void print_some(const Items& items, size_t most, const Print& print) {
  size_t shown = 0;
  for (const auto& item : items) {
    if (shown++ == most) {
      fmt::print("  ... ({} in all; --json has them)\n", items.size());
      return;
    }
    print(item);
  }
}

}  // namespace upwell::cli
