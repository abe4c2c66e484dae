#pragma once
// All granules of a task list in one process.

#include <optional>
#include <string>
#include <vector>

#include "base/progress.hpp"
#include "produce/granules/granule.hpp"
#include "produce/granules/references.hpp"

namespace upwell::produce {

struct RunOptions {
  std::string tasklist;  ///< path or URL
  std::string cfgfile;   ///< empty: the one that each task names
  /// Empty: 2026 for tasks that name their configuration, else V4r4.
  std::optional<Profile> profile;
  bool fix_keywords = false;   ///< a granule has the keywords of its own variables only
  bool fix_snapshots = false;  ///< see GranuleOptions
  NotFinite not_finite = NotFinite::kFail;
  Compression compression = Compression::kSmall;
  size_t jobs = 0;  ///< granules at once; 0: as many as there are cores
  /// For what is under way; a granule that alone needs more fails. 0: a GiB, or half of the
  /// machine, and a granule that needs more goes alone if it takes no more than half of the
  /// machine.
  uint64_t memory = 0;
  int attempts = 2;      ///< of a task that fails for a reason that may pass
  bool resume = true;    ///< keep granules whose receipts hold
  bool dry_run = false;  ///< say what would be made
  /// Dates and UUIDs follow from what the granule is made of: the same bytes at every run.
  bool reproducible = false;
  std::string created;  ///< date_created of all granules; empty: now, or with reproducible 1970
  std::vector<std::string> checksums;  ///< sidecars: "sha256", "md5"
  ReferenceOptions references;         ///< sets of what is made and kept
  Progress::Style progress = Progress::Style::kQuiet;
};

enum class Outcome { kMade, kKept, kFailed, kPlanned };

struct TaskResult {
  std::string granule;
  Outcome outcome = Outcome::kFailed;
  std::optional<Error> error;
  std::vector<std::string> notes;
  uint64_t input_bytes = 0, output_bytes = 0;
  std::string sha256;  ///< of the granule
  double seconds = 0;
  double expected_seconds = 0;  ///< of a dry run: what one alone on all cores takes
  int attempts = 0;
};

struct RunReport {
  std::vector<TaskResult> tasks;  ///< in the order of the list
  std::vector<ReferenceSetResult> references;
  double seconds = 0;

  size_t count(Outcome outcome) const;
  double expected_seconds() const;  ///< all together
  std::string to_json() const;
};

/// Makes what the list says; a task that fails does not stop the others. Outputs appear whole or
/// not at all. The list itself not being readable is an error; what went wrong with tasks, and with
/// reference sets, is in the report.
Result<RunReport> run_tasks(io::Session& session, const RunOptions& options);

}  // namespace upwell::produce
