#pragma once
// One job, planned: which steps it makes tasks of, and what it misses. Between task_list.cpp and
// the listing.

#include <optional>
#include <string>
#include <vector>

#include "produce/tasks/groupings.hpp"
#include "produce/tasks/model_time.hpp"
#include "produce/tasks/source_index.hpp"
#include "produce/tasks/task_list.hpp"

namespace upwell::produce {

struct PlannedStep {
  int64_t step = SourceFiles::kNoStep;
  Coverage coverage;  ///< not of time-invariant fields
};

struct PlannedJob {
  const Job* job = nullptr;
  const Grouping* grouping = nullptr;
  std::string tag;                 ///< "mon_mean"; empty: time-invariant
  std::vector<PlannedStep> steps;  ///< each with one variable at least
};

/// Directory in a bucket and tags of file names that a frequency has.
std::string source_directory(Frequency frequency);
std::vector<std::string> source_tags(Frequency frequency, const std::string& snap_tag);
/// "SSH_mon_mean"; of time-invariant fields, whose tag is empty, "SSH".
std::string stem_of(const std::string& field, const std::string& tag);

/// The files of one step, in a list sorted by step; null: none.
const SourceFiles* files_of(const std::vector<SourceFiles>& files, int64_t step);

/// Chooses the tag and the steps, and notes in `report` what is missing, gaps, and oddities.
/// kInvalidData: snapshots of more than one tag; several steps of a time-invariant field.
Result<PlannedJob> plan_job(const Job& job, const Grouping& grouping, const SourceIndex& index,
                            const ModelClock& clock, const TaskListOptions& options,
                            JobReport& report);

}  // namespace upwell::produce
