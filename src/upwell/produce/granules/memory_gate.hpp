#pragma once
// A budget of memory that tasks wait for.

#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace upwell::produce {

/// Lets in as many holders as fit; one that is larger than all of it goes alone, if the caller lets
/// it. Thread-safe.
class MemoryGate {
 public:
  explicit MemoryGate(uint64_t bytes) : free_(bytes), all_(bytes) {}

  class Hold {
   public:
    Hold(MemoryGate& gate, uint64_t bytes) : gate_(gate), bytes_(bytes) {}
    ~Hold() { gate_.give_back(bytes_); }
    Hold(const Hold&) = delete;
    Hold& operator=(const Hold&) = delete;

   private:
    MemoryGate& gate_;
    uint64_t bytes_;
  };
  [[nodiscard]] Hold take(uint64_t bytes) {
    bytes = std::min(bytes, all_);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return free_ >= bytes; });
    free_ -= bytes;
    return {*this, bytes};
  }

 private:
  void give_back(uint64_t bytes) {
    {
      std::lock_guard lock(mutex_);
      free_ += bytes;
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t free_;
  uint64_t all_;
};

}  // namespace upwell::produce
