#include "produce/tasks/split.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <map>
#include <set>

namespace upwell::produce {
namespace {

TaskPart& numbered_part(std::vector<TaskPart>& parts) {
  parts.push_back({fmt::format("{:03}", parts.size() + 1), {}});
  return parts.back();
}

/// The generator behind Python's random: MT19937, seeded by an array
/// (http://www.math.sci.hiroshima-u.ac.jp/m-mat/MT/MT2002/emt19937ar.html).
class PythonRandom {
 public:
  explicit PythonRandom(int64_t seed) {
    const auto magnitude = seed < 0 ? 0 - static_cast<uint64_t>(seed) : static_cast<uint64_t>(seed);
    std::vector<uint32_t> key{static_cast<uint32_t>(magnitude)};
    if (magnitude >> 32 != 0) key.push_back(static_cast<uint32_t>(magnitude >> 32));
    seed_by_array(key);
  }

  /// Uniform in [0, n), by rejection of as many bits as n has.
  uint64_t below(uint64_t n) {
    const int bits = std::bit_width(n);
    uint64_t value = 0;
    do value = bits_of(bits);
    while (value >= n);
    return value;
  }

 private:
  static constexpr size_t kSize = 624, kShift = 397;

  void seed_by_array(const std::vector<uint32_t>& key) {
    state_[0] = 19650218;
    for (uint32_t i = 1; i < kSize; ++i)
      state_[i] = 1812433253U * (state_[i - 1] ^ state_[i - 1] >> 30) + i;
    size_t i = 1, j = 0;
    for (size_t k = std::max(kSize, key.size()); k > 0; --k) {
      state_[i] = (state_[i] ^ (state_[i - 1] ^ state_[i - 1] >> 30) * 1664525U) + key[j] +
                  static_cast<uint32_t>(j);
      next_index(i);
      j = (j + 1) % key.size();
    }
    for (size_t k = kSize - 1; k > 0; --k) {
      state_[i] = (state_[i] ^ (state_[i - 1] ^ state_[i - 1] >> 30) * 1566083941U) -
                  static_cast<uint32_t>(i);
      next_index(i);
    }
    state_[0] = 0x80000000U;
  }
  void next_index(size_t& i) {
    if (++i < kSize) return;
    state_[0] = state_[kSize - 1];
    i = 1;
  }

  uint32_t next() {
    if (at_ == kSize) {
      for (size_t k = 0; k < kSize; ++k) {
        const uint32_t y = (state_[k] & 0x80000000U) | (state_[(k + 1) % kSize] & 0x7FFFFFFFU);
        state_[k] = state_[(k + kShift) % kSize] ^ y >> 1 ^ ((y & 1) != 0 ? 0x9908B0DFU : 0);
      }
      at_ = 0;
    }
    uint32_t y = state_[at_++];
    y ^= y >> 11;
    y ^= y << 7 & 0x9D2C5680U;
    y ^= y << 15 & 0xEFC60000U;
    return y ^ y >> 18;
  }

  uint64_t bits_of(int bits) {
    if (bits <= 32) return next() >> (32 - bits);
    const uint64_t low = next();
    return low | static_cast<uint64_t>(next() >> (64 - bits)) << 32;
  }

  std::array<uint32_t, kSize> state_{};
  size_t at_ = kSize;
};

std::vector<size_t> every(size_t n, size_t step) {
  std::vector<size_t> chosen;
  for (size_t k = 0; k < n; k += step) chosen.push_back(k);
  return chosen;
}

std::vector<size_t> range(size_t begin, size_t end) {
  std::vector<size_t> chosen;
  for (size_t k = begin; k < end; ++k) chosen.push_back(k);
  return chosen;
}

Result<std::vector<size_t>> spread(size_t n, size_t count) {
  if (count >= n) return range(0, n);
  if (count < 2)
    return fail(Code::kInvalidArgument, "spread wants two tasks at least: the first and the last");
  std::vector<size_t> chosen;
  for (size_t k = 0; k < count; ++k)
    chosen.push_back(
        static_cast<size_t>(static_cast<double>(k * (n - 1)) / static_cast<double>(count - 1)));
  return chosen;
}

}  // namespace

Result<std::vector<TaskPart>> split_by_count(size_t tasks, size_t count) {
  if (count == 0) return fail(Code::kInvalidArgument, "a list cannot be cut into 0 parts");
  const size_t each = (tasks + count - 1) / count;
  std::vector<TaskPart> parts;
  for (size_t k = 0; k < count; ++k)
    numbered_part(parts).tasks = range(std::min(tasks, k * each), std::min(tasks, (k + 1) * each));
  return parts;
}

Result<std::vector<TaskPart>> split_by_weight(const std::vector<uint64_t>& weights, size_t count) {
  if (count == 0) return fail(Code::kInvalidArgument, "a list cannot be cut into 0 parts");
  long double total = 0;
  for (uint64_t weight : weights) total += static_cast<long double>(weight);
  std::vector<TaskPart> parts;
  long double before = 0;
  for (size_t k = 0; k < weights.size(); ++k) {
    // A task belongs where its middle lies.
    const auto weight = static_cast<long double>(weights[k]);
    const long double middle = before + weight / 2;
    const bool full = total > 0 && middle * static_cast<long double>(count) >=
                                       total * static_cast<long double>(parts.size());
    if (parts.empty() || (full && parts.size() < count)) numbered_part(parts);
    parts.back().tasks.push_back(k);
    before += weight;
  }
  if (parts.empty()) numbered_part(parts);
  return parts;
}

std::vector<TaskPart> split_by_time(const std::vector<std::string>& times, size_t characters) {
  std::map<std::string, std::vector<size_t>> by_time;
  std::vector<size_t> invariant;
  for (size_t k = 0; k < times.size(); ++k) {
    if (times[k].empty()) {
      invariant.push_back(k);
    } else {
      by_time[times[k].substr(0, characters)].push_back(k);
    }
  }
  std::vector<TaskPart> parts;
  for (auto& [name, tasks] : by_time) parts.push_back({name, std::move(tasks)});
  if (!invariant.empty()) parts.push_back({"time_invariant", std::move(invariant)});
  return parts;
}

std::vector<size_t> python_sample(size_t n, size_t k, int64_t seed) {
  PythonRandom random(seed);
  // Few of many are remembered, many of few are taken out of a pool, as Python decides it.
  double set_size = 21;
  if (k > 5)
    set_size += std::pow(4.0, std::ceil(std::log(static_cast<double>(k) * 3) / std::log(4.0)));
  std::vector<size_t> chosen;
  if (static_cast<double>(n) <= set_size) {
    std::vector<size_t> pool = range(0, n);
    for (size_t i = 0; i < k; ++i) {
      const uint64_t j = random.below(n - i);
      chosen.push_back(pool[j]);
      pool[j] = pool[n - i - 1];
    }
    return chosen;
  }
  std::set<uint64_t> taken;
  while (chosen.size() < k) {
    const uint64_t j = random.below(n);
    if (taken.insert(j).second) chosen.push_back(j);
  }
  return chosen;
}

Result<std::vector<size_t>> choose_subset(size_t n, const SubsetOptions& options) {
  const std::string& mode = options.mode;
  const size_t count = std::min(options.count, n);
  if (n == 0) return std::vector<size_t>{};
  if (mode == "first") return range(0, count);
  if (mode == "last") return range(n - count, n);
  if (mode == "first-middle-last")
    return n < 3 ? range(0, n) : std::vector<size_t>{0, n / 2, n - 1};
  if (mode == "random") return python_sample(n, count, options.seed.value_or(0));
  if (mode == "every-nth" || mode == "alternating") {
    const size_t step = mode == "alternating" ? 2 : options.step;
    if (step == 0) return fail(Code::kInvalidArgument, "a step of 0");
    return every(n, step);
  }
  if (mode == "spread") return spread(n, options.count);
  if (mode == "bookends") {
    if (count * 2 >= n) return range(0, n);
    std::vector<size_t> chosen = range(0, count);
    for (size_t k = n - count; k < n; ++k) chosen.push_back(k);
    return chosen;
  }
  if (mode == "indices") {
    for (size_t index : options.indices)
      if (index >= n)
        return fail(Code::kInvalidArgument,
                    fmt::format("there is no task {}: there are 0 to {}", index, n - 1));
    return options.indices;
  }
  if (mode == "percentage") {
    if (!(options.percent >= 0 && options.percent <= 100))
      return fail(Code::kInvalidArgument, "a percentage lies between 0 and 100");
    const auto share = static_cast<size_t>(static_cast<double>(n) * options.percent / 100);
    return range(0, std::max<size_t>(1, share));
  }
  return fail(Code::kInvalidArgument, "no such mode: " + mode);
}

}  // namespace upwell::produce
