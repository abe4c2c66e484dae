#include "io/http_budget.hpp"

#include <algorithm>
#include <utility>

namespace upwell::io {

bool set_aside(HttpJob& job, EgressBudget* budget, uint64_t size) {
  if (budget == nullptr) return true;
  uint64_t wanted = 1;
  if (job.ask == Ask::kFront || job.ask == Ask::kRange) {
    if (job.range.length != kToEnd) wanted = job.range.length;
    if (size > job.range.offset) wanted = std::min(job.range.length, size - job.range.offset);
  }
  if (budget->reserve(wanted)) {
    job.reserved = wanted;
    return true;
  }
  const char* what = job.ask == Ask::kFront ? "reading its first bytes" : "reading this";
  job.error = job.failed(Code::kOverBudget, budget->refusal_of(wanted, what));
  return false;
}

void give_back(HttpJob& job, EgressBudget* budget) {
  if (budget != nullptr) budget->settle(std::exchange(job.reserved, 0), 0);
}

std::optional<uint64_t> limit_of_body(HttpJob& job, const ResponseHead& head,
                                      const HttpOptions& options) {
  const auto limit = body_limit(job, head, options);
  if (!limit || !options.budget) return limit;
  const uint64_t expected = std::min(*limit, head.content_length.value_or(*limit));
  // Of an answer that does not tell its length as much is read as there is room for.
  const uint64_t wanted =
      head.content_length ? expected : std::min(expected, options.budget->left() + job.reserved);
  job.over_budget = wanted > job.reserved && !options.budget->reserve(wanted - job.reserved);
  if (job.over_budget) return {};
  if (wanted < job.reserved) options.budget->settle(job.reserved - wanted, 0);
  job.reserved = wanted;
  return head.content_length ? *limit : wanted;
}

void settle(HttpJob& job, const Response& response, EgressBudget* budget) {
  if (budget == nullptr) return;
  budget->settle(std::exchange(job.reserved, 0), response.body_bytes);
  if (response.end == Response::End::kTooLong && budget->left() == 0) job.over_budget = true;
}

}  // namespace upwell::io
