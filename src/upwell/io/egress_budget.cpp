#include "io/egress_budget.hpp"

#include <array>
#include <cstdio>

namespace upwell::io {
namespace {

std::string megabytes(uint64_t bytes) {
  std::array<char, 32> text{};
  if (bytes < 10'000) {
    std::snprintf(text.data(), text.size(), "%llu B", static_cast<unsigned long long>(bytes));
  } else {
    std::snprintf(text.data(), text.size(), "%.2f MB", static_cast<double>(bytes) / 1e6);
  }
  return text.data();
}

}  // namespace

Result<> EgressBudget::check(uint64_t planned, const std::string& what) const {
  if (planned <= left()) return {};
  return fail(Code::kOverBudget, what + " takes " + megabytes(planned) + ": " + state() +
                                     "; select less, or raise --budget");
}

uint64_t EgressBudget::left() const {
  std::lock_guard lock(mutex_);
  const uint64_t taken = spent_ + reserved_;
  return taken < limit_ ? limit_ - taken : 0;
}

bool EgressBudget::reserve(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const uint64_t taken = spent_ + reserved_;
  if (taken > limit_ || bytes > limit_ - taken) return false;
  reserved_ += bytes;
  return true;
}

void EgressBudget::settle(uint64_t reserved, uint64_t arrived) {
  std::lock_guard lock(mutex_);
  reserved_ -= reserved;
  spent_ += arrived;
}

std::string EgressBudget::state() const {
  std::lock_guard lock(mutex_);
  return "the budget is " + megabytes(limit_) + ", of which " + megabytes(spent_) + " are spent";
}

}  // namespace upwell::io
