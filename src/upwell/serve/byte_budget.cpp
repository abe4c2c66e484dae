#include "serve/byte_budget.hpp"

#include <fmt/core.h>

#include <chrono>

namespace upwell::serve {

ByteBudget::Lease::~Lease() {
  if (budget_ == nullptr) return;
  {
    std::lock_guard lock(budget_->mutex_);
    budget_->used_ -= bytes_;
  }
  budget_->changed_.notify_all();
}

Result<ByteBudget::Lease> ByteBudget::take(uint64_t bytes) {
  if (bytes > limit_) {
    return fail(Code::kResourceExhausted,
                fmt::format("reading this takes {} bytes of memory, and the server may use {} "
                            "(--memory)",
                            bytes, limit_));
  }
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::duration<double>(patience_s_);
  std::unique_lock lock(mutex_);
  // A large request is not overtaken by small ones for ever: only the oldest may take.
  const uint64_t ticket = next_ticket_++;
  waiting_.insert(ticket);
  const bool got = changed_.wait_until(
      lock, deadline, [&] { return *waiting_.begin() == ticket && used_ + bytes <= limit_; });
  waiting_.erase(ticket);
  if (got) used_ += bytes;
  lock.unlock();
  changed_.notify_all();
  if (!got) return fail(Code::kUnavailable, "the memory for requests is in use; try again");
  return Lease(*this, bytes);
}

}  // namespace upwell::serve
