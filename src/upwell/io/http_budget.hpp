#pragma once
// What one request of an HttpStore takes from the budget: set aside before it is sent, given back
// when its answer has ended.

#include <cstdint>
#include <optional>

#include "io/http_job.hpp"

namespace upwell::io {

/// Before an attempt. `size`: of the object; 0: not known. False, and job.error (kOverBudget), when
/// what it asks for is more than what is left.
bool set_aside(HttpJob& job, EgressBudget* budget, uint64_t size);
/// Of an attempt that is not made.
void give_back(HttpJob& job, EgressBudget* budget);
/// As body_limit: what the budget does not hold is not read, and the job is over_budget.
std::optional<uint64_t> limit_of_body(HttpJob& job, const ResponseHead& head,
                                      const HttpOptions& options);
/// After an attempt. May find that the job is over_budget.
void settle(HttpJob& job, const Response& response, EgressBudget* budget);

}  // namespace upwell::io
