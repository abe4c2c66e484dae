#pragma once
// Which results of a search have come already.

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

/// A set of 64-bit hashes, 12 to 24 bytes for each: a million granules take about 20 MB. Two of a
/// million share a hash once in 37 million searches; one is then taken for missing, which is said.
class SeenIds {
 public:
  /// Whether it is new.
  bool insert(std::string_view id) {
    uint64_t hash = std::hash<std::string_view>{}(id);
    if (hash == 0) hash = 1;  // 0 is a free slot
    if ((count_ + 1) * 4 > slots_.size() * 3) grow();
    if (!place(hash)) return false;
    ++count_;
    return true;
  }
  uint64_t size() const { return count_; }

 private:
  bool place(uint64_t hash) {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at] != 0) {
      if (slots_[at] == hash) return false;
      at = (at + 1) & mask;
    }
    slots_[at] = hash;
    return true;
  }
  void grow() {
    constexpr size_t kFirst = 1024;
    std::vector<uint64_t> old(slots_.empty() ? kFirst : slots_.size() * 2, 0);
    old.swap(slots_);
    for (const uint64_t hash : old)
      if (hash != 0) place(hash);
  }

  std::vector<uint64_t> slots_;  // a power of two
  uint64_t count_ = 0;
};

/// Whether the pages of a search still bring anything. One that only repeats is no fault:
/// catalogues change meanwhile.
class PageProgress {
 public:
  /// After a page that leads to another, with the number of results that have come so far.
  /// kInvalidData: two in a row brought nothing new, so that there would be no end of them.
  Result<> check(uint64_t seen) {
    repeats_ = seen == seen_ ? repeats_ + 1 : 0;
    seen_ = seen;
    if (repeats_ < 2) return {};
    return fail(Code::kInvalidData,
                "the pages of the search do not move on: two in a row brought nothing new");
  }

 private:
  uint64_t seen_ = 0;
  int repeats_ = 0;
};

}  // namespace upwell::access
