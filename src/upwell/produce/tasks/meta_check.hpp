#pragma once
// Whether .meta and .data files are what their names and the model's clock say.

#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"
#include "produce/tasks/job_plan.hpp"

namespace upwell::produce {

/// Reads the .meta of every file that the planned tasks use, and asks for the size of every .data,
/// each once, in batches. Into the reports (one for each plan) go
///   faults  a .meta that cannot be read, timeStepNumber that is not the name's, an averaging
///   interval that ends
///           at another time than the step, a .data that has more or less bytes than its .meta says
///   notes   intervals that begin elsewhere than the period that the task states: V4r4's own files
///   do
/// An error is returned where a file could not be read at all.
Result<> check_meta(io::Session& session, const SourceIndex& index, const ModelClock& clock,
                    const std::vector<PlannedJob>& plans, std::vector<JobReport>& reports);

}  // namespace upwell::produce
