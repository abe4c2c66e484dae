#include "io/line_cost.hpp"

#include <algorithm>
#include <cmath>

#include "io/byte_store.hpp"

namespace upwell::io {
namespace {

/// Of this side: making a request, reading the head of its answer, waking up.
constexpr double kRequestSeconds = 50e-6;
constexpr size_t kRemembered = 16;
constexpr size_t kHosts = 4096;
/// Larger answers begin with a wait of their own at many servers.
constexpr uint64_t kSmallAnswer = 64 << 10;
constexpr uint64_t kLargeAnswer = 256 << 10;
/// How much of a new rate is believed at once.
constexpr double kTrust = 0.25;
constexpr double kLeastLatency = 50e-6, kMostLatency = 2;
constexpr double kLeastRate = 1e6, kMostRate = 2e9;
/// Merging over wider gaps than this is never planned, over narrower ones than this always may be.
constexpr double kNarrowest = 4 << 10, kWidest = 1 << 20;

}  // namespace

double slow_start_turns(uint64_t bytes) {
  if (bytes <= kFirstFlight) return 0;
  return std::log2(static_cast<double>(bytes) / static_cast<double>(kFirstFlight) + 1) - 1;
}

double batch_seconds(uint64_t requests, uint64_t bytes, uint64_t largest, const StoreTraits& line) {
  const uint64_t parallelism = std::max<uint64_t>(line.parallelism, 1);
  const size_t whole_turns = (requests + parallelism - 1) / parallelism;
  const auto turns = static_cast<double>(whole_turns);
  double seconds = turns * line.latency_s + slow_start_turns(largest) * line.round_trip_s +
                   static_cast<double>(requests) * kRequestSeconds;
  if (line.bytes_per_s > 0) seconds += static_cast<double>(bytes) / line.bytes_per_s;
  return seconds;
}

double LineEstimate::Recent::add(double s) {
  if (seconds.size() < kRemembered) {
    seconds.push_back(s);
  } else {
    seconds[next++ % kRemembered] = s;
  }
  std::vector<double> sorted = seconds;
  const auto low = sorted.begin() + static_cast<std::ptrdiff_t>(sorted.size() / 4);
  std::nth_element(sorted.begin(), low, sorted.end());
  return std::clamp(*low, kLeastLatency, kMostLatency);
}

void LineEstimate::add(const LineSample& sample) {
  if (sample.handshake_s > 0) round_trip_s_ = handshakes_.add(sample.handshake_s);
  if (sample.bytes <= kSmallAnswer && sample.first_byte_s > 0)
    latency_s_ = first_bytes_.add(sample.first_byte_s);
  if (sample.bytes < kLargeAnswer || sample.body_s <= 0) return;
  const auto arrived = static_cast<double>(std::max(sample.arrived, sample.bytes));
  // At least this rate was there. How much more there would have been without slow start is known
  // as far as the body took longer than that.
  const double least = arrived / sample.body_s;
  const double left = sample.body_s - slow_start_turns(sample.bytes) * round_trip_s_;
  double rate = bytes_per_s_;
  if (left > sample.body_s / 4) rate += kTrust * (arrived / left - rate);
  bytes_per_s_ = std::clamp(std::max(rate, least), kLeastRate, kMostRate);
}

void LineBook::add(const std::string& host, const StoreTraits& usual, const LineSample& sample) {
  std::lock_guard lock(mutex_);
  if (lines_.size() >= kHosts) lines_.clear();
  lines_.try_emplace(host, usual.latency_s, usual.round_trip_s, usual.bytes_per_s)
      .first->second.add(sample);
}

StoreTraits LineBook::traits(const std::string& host, StoreTraits usual) const {
  std::lock_guard lock(mutex_);
  if (auto line = lines_.find(host); line != lines_.end()) {
    usual.latency_s = line->second.latency_s();
    usual.round_trip_s = line->second.round_trip_s();
    usual.bytes_per_s = line->second.bytes_per_s();
  }
  // What passes in one latency.
  const double worth = usual.latency_s * usual.bytes_per_s;
  usual.coalesce_gap = static_cast<uint64_t>(std::clamp(worth, kNarrowest, kWidest));
  return usual;
}

}  // namespace upwell::io
