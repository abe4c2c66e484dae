#pragma once
// Tasks of ECCO dataset production: what one granule is made of, and lists of them in JSON, in the
// form of edp_create_job_task_list.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "produce/tasks/groupings.hpp"

namespace upwell::produce {

/// Two forms of the same: EDP of 2024, and of 2026, which adds ecco_cfg_loc, the components and
/// orientations of vectors, and has the comment elsewhere.
enum class Dialect { k2024, k2026 };

struct MdsPair {
  std::string data, meta;  ///< paths or URLs
  bool operator==(const MdsPair&) const = default;
};

struct TaskVariable {
  std::string name;  ///< in the granule
  /// One, or the x and the y component of a vector; of a 1D task one a step.
  std::vector<MdsPair> components;
  bool operator==(const TaskVariable&) const = default;
};

/// Times are "YYYY-MM-DDThh:mm:ss"; of a time-invariant task there are none, and of a 1D task start
/// and end are those of the whole series.
struct DynamicMetadata {
  std::string name, dimension;
  std::optional<std::string> start, end, center;  ///< time_coverage_start, …
  std::optional<std::string> comment;
  std::optional<std::string> time_long_name;
  std::optional<std::string> duration, resolution;  ///< time_coverage_duration: "P1M"
  std::vector<VectorField> field_components;
  std::vector<std::pair<std::string, std::string>> field_orientations;
  std::string summary;
  bool operator==(const DynamicMetadata&) const = default;
};

struct Task {
  std::string granule;  ///< path or URL to write
  std::vector<TaskVariable> variables;
  std::optional<std::string> input_netcdf;  ///< in place of variables: a file that has them (2026)
  bool strip_attributes = false;            ///< of that file
  std::optional<std::string> cfg_loc, grid_loc, mapping_factors_loc, metadata_loc;
  DynamicMetadata metadata;
  bool operator==(const Task&) const = default;
};

/// The JSON object as Python's json.dump(indent=4) writes it as an element of a list.
std::string task_text(const Task& task, Dialect dialect);
/// Either dialect. kInvalidData names what is missing or of another type; keys that are not known
/// are left out.
Result<Task> parse_task(std::string_view text);

/// The text of each task of a list, in order; views into `document`. kInvalidData: not a JSON array
/// of objects.
Result<std::vector<std::string_view>> task_texts(std::string_view document,
                                                 const std::string& name);

/// Puts tasks into one list, byte for byte as json.dump(list, indent=4) does; nothing is kept.
class TaskListWriter {
 public:
  using Sink = std::function<Result<>(std::string_view)>;
  explicit TaskListWriter(Sink sink) : sink_(std::move(sink)) {}
  /// The text of an object, as `task_text` and `task_texts` give it.
  Result<> add(std::string_view text);
  Result<> finish();

 private:
  Sink sink_;
  bool any_ = false;
};

}  // namespace upwell::produce
