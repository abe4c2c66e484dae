#include "io/egress_budget.hpp"

#include <array>
#include <cstdio>

namespace upwell::io {
namespace {

std::string shown_bytes(uint64_t bytes) {
  std::array<char, 32> text{};
  if (bytes < 10'000) {
    std::snprintf(text.data(), text.size(), "%llu B", static_cast<unsigned long long>(bytes));
  } else if (bytes < 1'000'000) {
    std::snprintf(text.data(), text.size(), "%.1f kB", static_cast<double>(bytes) / 1e3);
  } else {
    std::snprintf(text.data(), text.size(), "%.2f MB", static_cast<double>(bytes) / 1e6);
  }
  return text.data();
}

}  // namespace

Result<> EgressBudget::check(uint64_t planned, const std::string& what) const {
  if (planned <= left()) return {};
  return fail(Code::kOverBudget, refusal_of(planned, what));
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
  return "the budget is " + shown_bytes(limit_) + ", of which " + shown_bytes(spent_) +
         " are spent" +
         (reserved_ > 0 ? " and " + shown_bytes(reserved_) + " on their way" : std::string());
}

std::string EgressBudget::refusal_of(uint64_t planned, const std::string& what) const {
  return what + " takes " + shown_bytes(planned) + ": " + refusal();
}

std::string EgressBudget::refusal() const { return state() + "; select less, or raise --budget"; }

}  // namespace upwell::io
