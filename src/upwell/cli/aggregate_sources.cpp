#include "cli/aggregate_sources.hpp"

#include <fmt/format.h>

#include <set>
#include <utility>

#include "cli/combine_options.hpp"
#include "cli/variables.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

void print_report(const refs::CombineReport& report) {
  for (const std::string& warning : report.warnings) fmt::print(stderr, "warning: {}\n", warning);
  for (const refs::SourceReport& source : report.sources)
    for (const refs::Reason& reason : source.reasons)
      fmt::print(stderr, "{} {}: {}{}{}\n",
                 source.used ? "note:" : "does not fit:", io::shown_url(source.url), reason.path,
                 reason.path.empty() ? "" : ": ", reason.message);
  print_kept(report);
}

bool holds_flags(const Array& array) {
  for (const char* name : {"flag_values", "flag_masks", "flag_meanings"})
    if (find_attribute(array.attributes, name) != nullptr) return true;
  return false;
}

/// What is wanted of a dataset where no variables are named.
std::vector<std::string> wanted_of(Choice choice) {
  if (!choice.paths.empty()) return std::move(choice.paths);
  // A scalar time becomes a dimension only when granules are joined.
  std::vector<std::string> wanted = std::move(choice.flat);
  wanted.insert(wanted.end(), choice.flags.begin(), choice.flags.end());
  return wanted;
}

/// Leaves everything out of `args.combine` that the variables do not need, as the first granule has
/// it: what is not read need not fit. kNotFound: it does not have what is named.
Result<> drop_unneeded(AggregateArguments& args, const Dataset& first, const ReduceRequest& request,
                       const Refinement& refinement) {
  refs::CombineOptions& combine = args.combine.combine;
  std::vector<std::string> wanted;
  if (args.variables.empty()) {
    Choice choice = choose_all(first, request);
    if (!choice.paths.empty()) print_choice(choice, request);
    wanted = wanted_of(std::move(choice));
  }
  for (const std::string& name : args.variables) {
    UPWELL_TRY(const std::string path, find_variable(first, name));
    UPWELL_CHECK(check_numbers(path, *first.root.find_array(path)));
    wanted.push_back(path);
  }
  UPWELL_TRY(const auto beside, refinement.paths(first));
  for (const std::string& path : wanted) UPWELL_CHECK(refinement.check(first, path));
  wanted.insert(wanted.end(), beside.begin(), beside.end());
  const std::set<std::string> needed = with_company(first, wanted);
  std::vector<std::string> asked = combine.load;
  asked.push_back(combine.order_by);
  auto leave_out = [&](const std::string& path) {
    if (!needed.contains(path) && !refs::names_array(asked, path)) combine.drop.push_back(path);
  };
  for_each_array(first.root, [&](const std::string& path, const Array&) { leave_out(path); });
  for (const Problem& problem : first.problems) leave_out(problem.path);
  return {};
}

/// The granule that the others are held against: the first, or, where others may be left out, the
/// first that has what is named. Those before it go from `urls`.
Result<> begin_with_complete(AggregateArguments& args, Context& context,
                             std::vector<std::string>& urls, const ReduceRequest& request,
                             const Refinement& refinement) {
  const bool skip = args.on_drift == "skip";
  refs::OpenOptions open = context.open_options();
  open.scan.drop = args.combine.combine.drop;
  for (size_t first = 0;; ++first) {
    UPWELL_TRY(const Dataset dataset, refs::open_source_with(context.session(), urls[first], open));
    Result<> done = drop_unneeded(args, dataset, request, refinement);
    const bool lacks = !done && done.error().code == Code::kNotFound;
    if (lacks && skip && first + 1 < urls.size()) {
      fmt::print(stderr, "does not fit: {}: {}\n", io::shown_url(urls[first]),
                 done.error().to_string());
      continue;
    }
    if (lacks && !skip) {
      // A name that no granule has is a mistake, which leaving granules out does not mend.
      auto last = refs::open_source_with(context.session(), urls.back(), open);
      if (last && drop_unneeded(args, *last, request, refinement))
        done.error().message += "\n  --on-drift skip goes on without granules that lack it";
    }
    if (!done) return fail(std::move(done).error().with(io::shown_url(urls[first])));
    urls.erase(urls.begin(), urls.begin() + static_cast<ptrdiff_t>(first));
    return {};
  }
}

/// Whether the error of a combine says all that its report does: it names five granules, each with
/// two reasons, and none of those that were to be skipped.
bool is_told_by_error(const refs::CombineReport& report, const AggregateArguments& args) {
  size_t offenders = 0, most = 0;
  for (const refs::SourceReport& source : report.sources) {
    offenders += source.reasons.empty() ? 0 : 1;
    most = std::max(most, source.reasons.size());
  }
  return args.on_drift != "skip" && report.warnings.empty() && report.kept.empty() &&
         offenders <= 5 && most <= 2;
}

bool holds_extra(const refs::CombineReport& report) {
  for (const refs::SourceReport& source : report.sources)
    for (const refs::Reason& reason : source.reasons)
      if (reason.kind == "extra variable") return true;
  return false;
}

}  // namespace

std::vector<bool> axes_of(const Array& array, const std::vector<std::string>& dimensions,
                          std::string& unknown) {
  std::vector<bool> axes(array.shape.size(), false);
  for (const std::string& dimension : dimensions) {
    bool found = false;
    for (size_t d = 0; d < array.dimensions.size(); ++d) {
      if (array.dimensions[d] != dimension) continue;
      axes[d] = found = true;
    }
    if (!found) unknown = dimension;
  }
  return axes;
}

Result<> check_numbers(const std::string& path, const Array& array) {
  if (array.type.is_number()) return {};
  return fail(Code::kInvalidArgument,
              fmt::format("{} holds {}, not numbers", path, describe(array.type)));
}

Choice choose_all(const Dataset& dataset, const ReduceRequest& request) {
  Choice choice;
  const std::set<std::string> describing = describing_arrays(dataset);
  for_each_array(dataset.root, [&](const std::string& path, const Array& array) {
    if (!array.type.is_number() || describing.contains(path)) return;
    std::string unknown;
    axes_of(array, request.dimensions, unknown);
    (!unknown.empty()     ? choice.flat
     : holds_flags(array) ? choice.flags
                          : choice.paths)
        .push_back(path);
  });
  return choice;
}

void print_choice(const Choice& choice, const ReduceRequest& request) {
  if (!choice.flags.empty())
    fmt::print(stderr, "warning: left out, as they hold flags: {} (name them with --variables)\n",
               fmt::join(choice.flags, ", "));
  if (!choice.flat.empty())
    fmt::print(stderr, "note: left out, without the dimension{} {}: {}\n",
               request.dimensions.size() == 1 ? "" : "s", fmt::join(request.dimensions, ", "),
               fmt::join(choice.flat, ", "));
}

/// What is named, as one dataset: opened, or joined in memory.
Result<Dataset> open_sources(AggregateArguments& args, Context& context,
                             std::vector<std::string> urls, const ReduceRequest& request,
                             const Refinement& refinement) {
  if (urls.size() == 1) {
    UPWELL_TRY(Dataset dataset,
               refs::open_source_with(context.session(), urls[0], context.open_options()));
    context.print_notes(urls[0], dataset);
    return dataset;
  }
  refs::VirtualizeOptions& options = args.combine;
  options.combine.skip_offenders = args.on_drift == "skip";
  options.combine.keep_drift = args.on_drift != "refuse";
  options.combine.keep_segments = true;
  options.combine.check_values = args.check == "values";
  options.combine.load_given = args.load_given;
  UPWELL_CHECK(begin_with_complete(args, context, urls, request, refinement));
  // What is named is in the granule that others are held against.
  const bool named = !args.variables.empty();
  options.combine.ignores = [named, &request](const Dataset& dataset, const std::string& path) {
    if (named) return true;
    const std::vector<std::string> wanted = wanted_of(choose_all(dataset, request));
    return std::find(wanted.begin(), wanted.end(), path) == wanted.end();
  };
  options.progress = context.progress_style();
  options.sidecar = context.open_options().sidecar;
  refs::CombineReport report;
  auto cube = refs::combine_sources(context.session(), urls, options, report);
  if (cube ? !context.options().quiet : !is_told_by_error(report, args)) print_report(report);
  if (!cube && !named && holds_extra(report))
    cube.error().message += "\n  --variables NAME takes what is named, whatever else granules have";
  return cube;
}

}  // namespace upwell::cli
