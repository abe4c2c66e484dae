#include "produce/tasks/meta_check.hpp"

#include <fmt/core.h>

#include <cmath>
#include <map>
#include <set>

#include "format/mds/meta.hpp"

namespace upwell::produce {
namespace {

constexpr size_t kBatch = 512;  // pairs

/// One pair of files and what its task says of it.
struct PairToCheck {
  std::string data, meta;
  int64_t step = SourceFiles::kNoStep;
  Coverage coverage;
  Frequency frequency = Frequency::kMonthly;
  JobReport* report = nullptr;
};

class MetaChecker {
 public:
  MetaChecker(io::Session& session, const ModelClock& clock) : session_(session), clock_(clock) {}

  Result<> add(PairToCheck pair) {
    if (!seen_.insert(pair.data).second) return {};
    pairs_.push_back(std::move(pair));
    return pairs_.size() < kBatch ? Result<>{} : flush();
  }

  Result<> finish() {
    UPWELL_CHECK(flush());
    for (auto& [report, elsewhere] : elsewhere_)
      report->notes.push_back(
          fmt::format("{} .meta files have averages that begin elsewhere than the task's time; {}",
                      elsewhere.count, elsewhere.first));
    return {};
  }

 private:
  Result<> flush() {
    std::vector<io::ReadRequest> metas;
    std::vector<std::string> datas;
    for (const PairToCheck& pair : pairs_) {
      metas.push_back({io::normal_url(pair.meta), {}, {}});
      datas.push_back(io::normal_url(pair.data));
    }
    const auto texts = session_.read(metas);
    const auto infos = session_.stat_many(datas);
    for (size_t k = 0; k < pairs_.size(); ++k) {
      if (!texts[k]) return fail(texts[k].error());
      if (!infos[k]) return fail(infos[k].error());
      check(pairs_[k], as_text(texts[k]->span()), infos[k]->size);
    }
    pairs_.clear();
    return {};
  }

  void check(const PairToCheck& pair, std::string_view text, uint64_t size) {
    auto& faults = pair.report->faults;
    const auto meta = format::mds::parse_meta(text);
    if (!meta) {
      faults.push_back(pair.meta + ": " + meta.error().to_string());
      return;
    }
    if (meta->step && pair.step != SourceFiles::kNoStep && *meta->step != pair.step)
      faults.push_back(fmt::format("{}: {}timeStepNumber is {}, the name says {}", pair.meta,
                                   meta->at("timeStepNumber"), *meta->step, pair.step));
    if (size != meta->data_bytes())
      faults.push_back(fmt::format("{}: {} bytes, where {} says {}", pair.data, size, pair.meta,
                                   meta->data_bytes()));
    if (!meta->interval.empty() && pair.frequency != Frequency::kTimeInvariant)
      check_interval(pair, meta->interval, meta->at("timeInterval"));
  }

  /// Seconds since the model began.
  void check_interval(const PairToCheck& pair, const std::vector<double>& interval,
                      const std::string& where) {
    const auto end = static_cast<double>(pair.coverage.end - clock_.start);
    const auto start = static_cast<double>(pair.coverage.start - clock_.start);
    const auto step_s = static_cast<double>(clock_.step_s);
    if (std::abs(interval.back() - end) > 0.5) {
      pair.report->faults.push_back(
          fmt::format("{}: {}timeInterval ends {} s after the model began, the step {} s",
                      pair.meta, where, interval.back(), end));
      return;
    }
    // The first average does not have the first state, and begins a step later.
    if (interval.size() < 2 || std::abs(interval.front() - start) <= step_s + 0.5) return;
    Elsewhere& elsewhere = elsewhere_[pair.report];
    if (elsewhere.count++ == 0)
      elsewhere.first =
          fmt::format("{}: {}timeInterval begins {} s after the model began, the task's time {} s",
                      pair.meta, where, interval.front(), start);
  }

  struct Elsewhere {
    size_t count = 0;
    std::string first;
  };
  io::Session& session_;
  const ModelClock& clock_;
  std::set<std::string> seen_;
  std::vector<PairToCheck> pairs_;
  std::map<JobReport*, Elsewhere>
      elsewhere_;  ///< intervals that begin elsewhere than the task's time
};

}  // namespace

Result<> check_meta(io::Session& session, const SourceIndex& index, const ModelClock& clock,
                    const std::vector<PlannedJob>& plans, std::vector<JobReport>& reports) {
  MetaChecker checker(session, clock);
  for (size_t k = 0; k < plans.size(); ++k) {
    const PlannedJob& plan = plans[k];
    if (!plan.job->input_netcdf.empty()) continue;
    for (const PlannedStep& step : plan.steps) {
      for (const GroupingField& field : plan.grouping->fields) {
        for (const std::string& source : field.sources) {
          const std::string stem = stem_of(source, plan.tag);
          const SourceFiles* files = files_of(index.files(stem), step.step);
          if (files == nullptr || !files->data || !files->meta) continue;
          UPWELL_CHECK(checker.add({index.path(stem, *files, false), index.path(stem, *files, true),
                                    step.step, step.coverage, plan.job->frequency, &reports[k]}));
        }
      }
    }
  }
  return checker.finish();
}

}  // namespace upwell::produce
