// Task lists and groupings of ECCO dataset production, in JSON.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "produce/tasks/task.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell::produce;
  const std::string_view document(reinterpret_cast<const char*>(data), size);
  (void)parse_groupings(std::string(document), "groupings.json");
  const auto texts = task_texts(document, "tasks.json");
  if (!texts) return 0;
  for (std::string_view text : *texts) {
    const auto task = parse_task(text);
    if (!task) continue;
    // What was read is written so that it reads the same.
    const auto again = parse_task(task_text(*task, Dialect::k2026));
    if (!again || (!task->input_netcdf && !(*again == *task))) std::abort();
  }
  return 0;
}
