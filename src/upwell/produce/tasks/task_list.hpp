#pragma once
// From jobs to tasks: what EDP's create_job_task_list does.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"
#include "produce/tasks/job_file.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::produce {

/// Which date of its day names a daily granule: EDP takes the end, by which the mean of January 1
/// is named 1992-01-02, and the model's last two days alike; PO.DAAC's granules are named by the
/// day itself.
enum class DailyDate { kEnd, kStart, kCenter };

/// Places are paths or URLs; they go into the tasks as they are written here.
struct TaskListOptions {
  std::string jobfile, source_root, destination_root, metadata_loc, cfg_loc;
  std::optional<std::string> grid_loc, mapping_factors_loc;
  Dialect dialect = Dialect::k2024;
  DailyDate daily_date = DailyDate::kEnd;
  std::string snap_tag;      ///< of snapshots' file names; empty: the one that is there
  bool any_version = false;  ///< take directories whose path does not have ecco_version in it, too
  bool check_meta = false;   ///< read every .meta and ask for the size of every .data
  bool allow_missing = false;  ///< leave out of a task what is not there
};

/// Something that a job wants and the source does not have.
struct MissingInput {
  std::optional<int64_t> step;
  std::string time;      ///< "1992-02", or as the job wrote it
  std::string variable;  ///< of the granule; empty: all
  std::string reason;
};

struct JobReport {
  Job job;
  std::string filename;  ///< of the grouping
  std::string tag;       ///< "mon_mean"
  uint64_t tasks = 0;
  std::string first, last;  ///< granules
  std::vector<MissingInput> missing;
  std::vector<std::string> faults;  ///< files that are not what their names and the clock say
  /// Days or months between the first and the last that have no step.
  std::vector<std::string> gaps;
  std::vector<std::string> notes;  ///< what is odd, but no fault
};

struct TaskListReport {
  std::string jobfile, source;
  uint64_t files_listed = 0;
  uint64_t tasks = 0;
  std::vector<JobReport> jobs;
  std::string error;

  uint64_t missing() const;
  uint64_t faults() const;
  std::string to_json() const;
};

/// Reads the job file, the configuration and the groupings, lists the source once, and gives the
/// tasks to `write` one by one: job by job, in the order of time. Nothing is given before
/// everything is known to be good. Errors:
///   kInvalidData       lines that are no jobs, ids that no grouping has (all, with line and
///   column); a field and
///                      step in two directories; two tasks for one granule
///   kBadConfiguration  a key of the configuration is missing or of another type
///   kNotFound          a file is missing; or, unless allow_missing, a variable at a step: a .data
///   without its
///                      .meta (or the other way) counts as missing. `report` names each.
Result<> make_task_list(io::Session& session, const TaskListOptions& options,
                        const std::function<Result<>(const Task&)>& write, TaskListReport& report);

}  // namespace upwell::produce
