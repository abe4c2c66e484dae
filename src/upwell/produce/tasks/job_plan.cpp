#include "produce/tasks/job_plan.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "produce/dates.hpp"

namespace upwell::produce {
namespace {

/// Days or months since 1970, by which means follow each other.
class Periods {
 public:
  explicit Periods(Frequency frequency) : monthly_(frequency == Frequency::kMonthly) {}
  int64_t of(int64_t seconds) const { return monthly_ ? month_of(seconds) : day_of(seconds); }
  int64_t center(int64_t period) const {
    return monthly_ ? (month_begin(period) + month_begin(period + 1)) / 2
                    : period * kDaySeconds + kDaySeconds / 2;
  }
  std::string name(int64_t period) const {
    return monthly_ ? month_name(period) : day_name(period);
  }

 private:
  bool monthly_;
};

/// "1992-04", "1992-06/1992-09" of periods in ascending order.
std::vector<std::string> runs_of(const std::vector<int64_t>& periods, const Periods& names) {
  std::vector<std::string> runs;
  for (size_t begin = 0; begin < periods.size();) {
    size_t end = begin + 1;
    while (end < periods.size() && periods[end] == periods[end - 1] + 1) ++end;
    runs.push_back(names.name(periods[begin]));
    if (end - begin > 1) runs.back() += "/" + names.name(periods[end - 1]);
    begin = end;
  }
  return runs;
}

std::string time_name(const PlannedStep& step, Frequency frequency) {
  if (frequency == Frequency::kTimeInvariant) return "";
  if (frequency != Frequency::kSnapshot)
    return Periods(frequency).name(Periods(frequency).of(step.coverage.center));
  return format_time(step.coverage.center).value_or("");
}

bool whole(const SourceFiles* files) { return files != nullptr && files->data && files->meta; }

/// Why a field's files are not there; empty when they are.
std::string reason_of(const SourceIndex& index, const std::string& stem, int64_t step) {
  const SourceFiles* files = files_of(index.files(stem), step);
  if (whole(files)) return {};
  if (files == nullptr) {
    const std::string name = step < 0 ? stem : fmt::format("{}.{:010}", stem, step);
    return "no " + name + ".data and .meta";
  }
  return index.path(stem, *files, files->meta) + " lacks its " + (files->meta ? ".data" : ".meta");
}

class JobPlanner {
 public:
  JobPlanner(const Job& job, const Grouping& grouping, const SourceIndex& index,
             const ModelClock& clock, const TaskListOptions& options, JobReport& report)
      : job_(job), index_(index), clock_(clock), options_(options), report_(report) {
    plan_.job = &job;
    plan_.grouping = &grouping;
  }

  Result<PlannedJob> plan() {
    note_frequency();
    UPWELL_CHECK(choose_tag());
    report_.tag = plan_.tag;
    if (!job_.input_netcdf.empty()) {
      plan_.steps.emplace_back();
    } else if (job_.frequency == Frequency::kTimeInvariant) {
      UPWELL_CHECK(plan_time_invariant());
    } else {
      UPWELL_CHECK(select_steps());
      note_unmatched();
      if (job_.frequency != Frequency::kSnapshot) note_gaps();
    }
    keep_complete();
    return std::move(plan_);
  }

 private:
  void note_frequency() {
    const auto& listed = plan_.grouping->frequencies;
    const std::string& own = to_string(job_.frequency);
    auto same = [&](const std::string& name) {
      return name == own || (own == "TI" && name == "TIME-INVARIANT");
    };
    if (!listed.empty() && std::none_of(listed.begin(), listed.end(), same))
      report_.notes.push_back("the grouping does not list the frequency " + own);
  }

  template <typename Visit>
  void each_stem(const std::string& tag, Visit visit) const {
    for (const GroupingField& field : plan_.grouping->fields)
      for (const std::string& source : field.sources) visit(stem_of(source, tag));
  }

  Result<> choose_tag() {
    const std::vector<std::string> tags = source_tags(job_.frequency, options_.snap_tag);
    for (const std::string& tag : tags) {
      bool any = false;
      each_stem(tag, [&](const std::string& stem) { any |= !index_.files(stem).empty(); });
      if (!any) continue;
      if (!plan_.tag.empty())
        return fail(Code::kInvalidData,
                    fmt::format("snapshots named {} and {} are there; say which with --snap-tag",
                                plan_.tag, tag));
      plan_.tag = tag;
    }
    if (plan_.tag.empty()) plan_.tag = tags.front();
    return {};
  }

  /// Fields without a step in their names, or with one and the same.
  Result<> plan_time_invariant() {
    std::set<int64_t> steps;
    each_stem("", [&](const std::string& stem) {
      for (const SourceFiles& files : index_.files(stem)) steps.insert(files.step);
    });
    if (steps.size() > 1)
      return fail(Code::kInvalidData, "time-invariant fields of several time steps are there");
    plan_.steps.push_back({steps.empty() ? SourceFiles::kNoStep : *steps.begin(), {}});
    return {};
  }

  /// Every step that any field has and the job selects.
  Result<> select_steps() {
    std::set<int64_t> steps;
    each_stem(plan_.tag, [&](const std::string& stem) {
      for (const SourceFiles& files : index_.files(stem))
        if (files.step != SourceFiles::kNoStep) steps.insert(files.step);
    });
    for (int64_t step : steps) {
      UPWELL_TRY(const Coverage coverage, coverage_of(clock_, step, job_.frequency));
      if (job_.times.selects(step, coverage.center)) plan_.steps.push_back({step, coverage});
    }
    return {};
  }

  /// Items of the selection that no step answers, and of closed dates the periods without one.
  void note_unmatched() {
    if (job_.times.all && plan_.steps.empty())
      report_.missing.push_back({{}, "all", "", "no time step of any variable is there"});
    for (const TimeItem& item : job_.times.items) {
      const bool any = std::any_of(
          plan_.steps.begin(), plan_.steps.end(),
          [&](const PlannedStep& s) { return selects(item, s.step, s.coverage.center); });
      if (!any) {
        std::optional<int64_t> step;
        if (item.kind == TimeItem::Kind::kStep) step = item.first;
        report_.missing.push_back({step, item.text, "", "no variable has such a time step"});
      } else if (item.kind == TimeItem::Kind::kDates && item.begin && item.end &&
                 job_.frequency != Frequency::kSnapshot) {
        note_periods(item);
      }
    }
  }

  void note_periods(const TimeItem& item) {
    const Periods periods(job_.frequency);
    const int64_t begin = std::max(*item.begin, clock_.start);
    const int64_t end = std::min(*item.end, clock_.end + 1);
    const std::set<int64_t> there = periods_there(periods);
    std::vector<int64_t> absent;
    for (int64_t p = periods.of(begin); p <= periods.of(end - 1); ++p)
      if (periods.center(p) >= begin && periods.center(p) < end && !there.contains(p))
        absent.push_back(p);
    for (std::string& run : runs_of(absent, periods))
      report_.missing.push_back({{}, std::move(run), "", "no variable has a time step here"});
  }

  std::set<int64_t> periods_there(const Periods& periods) const {
    std::set<int64_t> there;
    for (const PlannedStep& step : plan_.steps) there.insert(periods.of(step.coverage.center));
    return there;
  }

  /// Between the first and the last step, unless steps were named one by one.
  void note_gaps() {
    const bool ranges =
        job_.times.all ||
        std::any_of(job_.times.items.begin(), job_.times.items.end(), [](const TimeItem& item) {
          return item.kind == TimeItem::Kind::kSteps ||
                 (item.kind == TimeItem::Kind::kDates && (!item.begin || !item.end));
        });
    if (!ranges || plan_.steps.empty()) return;
    const Periods periods(job_.frequency);
    const std::set<int64_t> there = periods_there(periods);
    std::vector<int64_t> absent;
    for (int64_t p = *there.begin(); p < *there.rbegin(); ++p)
      if (!there.contains(p)) absent.push_back(p);
    report_.gaps = runs_of(absent, periods);
  }

  /// Notes what each step lacks, and drops the steps that have nothing.
  void keep_complete() {
    if (!job_.input_netcdf.empty()) return;
    std::vector<PlannedStep> kept;
    for (const PlannedStep& step : plan_.steps) {
      bool any = false;
      for (const GroupingField& field : plan_.grouping->fields) {
        std::string reason;
        for (const std::string& source : field.sources)
          if (reason.empty()) reason = reason_of(index_, stem_of(source, plan_.tag), step.step);
        any |= reason.empty();
        if (reason.empty()) continue;
        MissingInput missing{{}, time_name(step, job_.frequency), field.name, std::move(reason)};
        if (step.step != SourceFiles::kNoStep) missing.step = step.step;
        report_.missing.push_back(std::move(missing));
      }
      if (any) kept.push_back(step);
    }
    plan_.steps = std::move(kept);
  }

  const Job& job_;
  const SourceIndex& index_;
  const ModelClock& clock_;
  const TaskListOptions& options_;
  JobReport& report_;
  PlannedJob plan_;
};

}  // namespace

std::string source_directory(Frequency frequency) {
  switch (frequency) {
    case Frequency::kSnapshot:
      return "diags_inst";
    case Frequency::kDaily:
      return "diags_daily";
    case Frequency::kMonthly:
      return "diags_monthly";
    case Frequency::kTimeInvariant:
      break;
  }
  return "";
}

std::vector<std::string> source_tags(Frequency frequency, const std::string& snap_tag) {
  switch (frequency) {
    case Frequency::kSnapshot:
      if (!snap_tag.empty()) return {snap_tag};
      return {"day_snap", "mon_snap", "snap"};
    case Frequency::kDaily:
      return {"day_mean"};
    case Frequency::kMonthly:
      return {"mon_mean"};
    case Frequency::kTimeInvariant:
      break;
  }
  return {""};
}

std::string stem_of(const std::string& field, const std::string& tag) {
  return tag.empty() ? field : field + "_" + tag;
}

const SourceFiles* files_of(const std::vector<SourceFiles>& files, int64_t step) {
  auto it = std::lower_bound(files.begin(), files.end(), step,
                             [](const SourceFiles& f, int64_t s) { return f.step < s; });
  return it == files.end() || it->step != step ? nullptr : &*it;
}

Result<PlannedJob> plan_job(const Job& job, const Grouping& grouping, const SourceIndex& index,
                            const ModelClock& clock, const TaskListOptions& options,
                            JobReport& report) {
  return JobPlanner(job, grouping, index, clock, options, report).plan();
}

}  // namespace upwell::produce
