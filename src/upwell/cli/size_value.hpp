#pragma once
// Sizes as people write them, as values of options.

#include <CLI/CLI.hpp>
#include <string>

namespace upwell::cli {

/// "500MB", "4 GiB", "1000". `kb_is_1000`: KiB is 1024, and KB is 1000; else both are 1024.
class SizeValue : public CLI::AsSizeValue {
 public:
  explicit SizeValue(bool kb_is_1000) : CLI::AsSizeValue(kb_is_1000) {
    func_ = [parse = func_](std::string& text) -> std::string {
      const std::string written = text;
      try {
        if (parse(text).empty()) return {};
      } catch (const CLI::ValidationError&) {
        // said below, in words that do not list every spelling
      }
      return "'" + written + "' is no size: write bytes, or a number with KB, MB, GB or TB";
    };
  }
};

}  // namespace upwell::cli
