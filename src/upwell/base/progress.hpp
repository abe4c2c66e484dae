#pragma once
// Progress of long work: a bar on a terminal, a plain line now and then elsewhere, nothing when
// quiet. Always on stderr.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace upwell {

/// Thread-safe. The last state is drawn by the destructor.
class Progress {
 public:
  enum class Style { kAuto, kBar, kLines, kQuiet };

  /// "scanning 365 granules": `what` is a verb, `unit` the plural of the things counted.
  Progress(std::string what, std::string unit, uint64_t total, Style style = Style::kAuto);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance(uint64_t n = 1);

 private:
  void draw(bool last);

  std::string what_, unit_;
  uint64_t total_;
  Style style_;
  std::atomic<uint64_t> done_{0};
  std::mutex mutex_;
  std::chrono::steady_clock::time_point start_, drawn_;
  bool drew_ = false;
};

}  // namespace upwell
