#include "base/progress.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace upwell {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kBarInterval = std::chrono::milliseconds(100);
constexpr auto kLineInterval = std::chrono::seconds(10);

std::string short_time(double seconds) {
  if (seconds < 100) return fmt::format("{:.0f} s", seconds);
  if (seconds < 6000) return fmt::format("{:.0f} min", seconds / 60);
  return fmt::format("{:.1f} h", seconds / 3600);
}

}  // namespace

Progress::Progress(std::string what, std::string unit, uint64_t total, Style style)
    : what_(std::move(what)),
      unit_(std::move(unit)),
      total_(total),
      style_(style),
      start_(Clock::now()),
      drawn_(start_) {
  if (style_ == Style::kAuto) style_ = ::isatty(STDERR_FILENO) ? Style::kBar : Style::kLines;
}

Progress::~Progress() {
  if (drew_) draw(true);
}

void Progress::advance(uint64_t n) {
  done_ += n;
  if (style_ == Style::kQuiet) return;
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock) return;
  auto interval =
      style_ == Style::kBar ? Clock::duration(kBarInterval) : Clock::duration(kLineInterval);
  if (Clock::now() - drawn_ >= interval) draw(false);
}

void Progress::draw(bool last) {
  drew_ = true;
  drawn_ = Clock::now();
  uint64_t done = done_;
  double elapsed = std::chrono::duration<double>(drawn_ - start_).count();
  double share =
      total_ == 0 ? 0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total_));
  std::string left =
      share > 0 && share < 1 ? ", " + short_time(elapsed * (1 - share) / share) + " left" : "";
  std::string text =
      fmt::format("{} {}/{} {} ({:.0f} s{})", what_, done, total_, unit_, elapsed, left);
  if (style_ == Style::kLines) {
    fmt::print(stderr, "{}\n", text);
    return;
  }
  constexpr int kWidth = 24;
  int full = static_cast<int>(share * kWidth);
  fmt::print(stderr, "\r\033[K[{}{}] {}{}", std::string(full, '#'), std::string(kWidth - full, '.'),
             text, last ? "\n" : "");
  std::fflush(stderr);
}

}  // namespace upwell
