// Job files of ECCO dataset production: Python's literals, time steps, dates.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "produce/tasks/job_file.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto jobs = upwell::produce::parse_job_file(text, "jobs.txt");
  if (!jobs) return 0;
  for (const auto& job : *jobs) {
    if (job.line == 0 || job.grouping < 0) std::abort();
    for (const auto& item : job.times.items)
      if (item.kind != upwell::produce::TimeItem::Kind::kDates && item.last >= 0 &&
          item.first > item.last)
        std::abort();
    (void)job.times.selects(732, 0);
  }
  return 0;
}
