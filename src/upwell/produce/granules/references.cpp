#include "produce/granules/references.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "produce/granules/names.hpp"
#include "refs/append_or_create.hpp"

namespace upwell::produce {
namespace {

/// An update may take this part of the time: rewriting a large set for every few granules does not.
constexpr double kShareOfTime = 0.1;

/// The granule's name without its date: what all granules of a dataset share.
std::string dataset_of(const GranuleName& name) {
  std::string text = name.file.substr(0, name.file.rfind('.'));
  if (name.date.empty()) return text;
  const std::string date = "_" + name.date;
  const size_t at = text.find(date, name.prefix.size() + name.tag.size());
  return at == std::string::npos ? text : text.erase(at, date.size());
}

bool names_set(std::string output) {
  if (output.ends_with('/')) output.pop_back();
  return output.ends_with(".json") || output.ends_with(".parq") || output.ends_with(".parquet") ||
         output.ends_with(".upwell");
}

/// A directory stands for one set a dataset in it.
std::string template_of(const std::string& output) {
  if (names_set(output)) return output;
  return output + (output.ends_with('/') ? "" : "/") + "{dataset}.json";
}

Result<> check_template(const std::string& output) {
  if (io::scheme_of(output) == "file" ||
      !(output.ends_with(".parq") || output.ends_with(".parquet")))
    return {};
  return fail(Code::kInvalidArgument,
              "--references " + output +
                  ": a set in Parquet in an object store cannot be changed in one step; name it "
                  "NAME.json or NAME.upwell");
}

}  // namespace

Result<std::optional<std::string>> reference_set_of(const std::string& output,
                                                    const std::string& granule) {
  const std::string pattern = template_of(output);
  UPWELL_CHECK(check_template(pattern));
  const auto parsed = parse_granule_name(granule);
  const GranuleName name = parsed ? *parsed : GranuleName{};
  const std::array<std::pair<std::string_view, std::string>, 6> words{{
      {"dataset", dataset_of(name)},
      {"name", name.prefix},
      {"frequency", name.tag},
      {"version", name.version},
      {"type", name.grid == GridType::kNative ? "native" : "latlon"},
      {"grid", name.label},
  }};
  std::string out;
  for (size_t at = 0; at < pattern.size();) {
    const size_t open = pattern.find_first_of("{}", at);
    out += pattern.substr(at, open - at);
    if (open == std::string::npos) break;
    const size_t close = pattern.find('}', open);
    const std::string word =
        close == std::string::npos ? "" : pattern.substr(open + 1, close - open - 1);
    const auto it = std::find_if(words.begin(), words.end(),
                                 [&](const auto& known) { return known.first == word; });
    if (it == words.end())
      return fail(Code::kInvalidArgument,
                  "--references " + output +
                      ": between { and } stands one of dataset, name, frequency, version, type, "
                      "grid");
    out += it->second;
    at = close + 1;
  }
  if (!parsed || name.date.empty()) return std::optional<std::string>();
  return std::optional(std::move(out));
}

Result<std::unique_ptr<ReferenceKeeper>> ReferenceKeeper::make(
    io::Session& session, const ReferenceOptions& options,
    const std::vector<std::string>& granules) {
  std::unique_ptr<ReferenceKeeper> keeper(new ReferenceKeeper(session, options));
  keeper->where_.resize(granules.size());
  std::vector<std::tuple<std::string, std::string, size_t>> in_order;  // date, URL, task
  for (size_t i = 0; i < granules.size(); ++i) {
    UPWELL_TRY(const std::optional<std::string> output,
               reference_set_of(options.output, granules[i]));
    if (!output) continue;
    UPWELL_TRY(const GranuleName name, parse_granule_name(granules[i]));
    const std::string dataset = dataset_of(name);
    Set& set = keeper->sets_[*output];
    if (set.output.empty()) {
      set.output = set.result.output = *output;
      set.dataset = dataset;
    }
    if (set.dataset != dataset)
      return fail(Code::kInvalidArgument,
                  fmt::format("--references {}: {} and {} do not go into one set; put {{dataset}} "
                              "into the name, or name a directory",
                              options.output, set.dataset, dataset));
    keeper->where_[i].set = &set;
    in_order.emplace_back(name.date, io::normal_url(granules[i]), i);
  }
  std::sort(in_order.begin(), in_order.end());
  for (const auto& [date, url, i] : in_order) {
    Where& where = keeper->where_[i];
    where.member = where.set->members.size();
    where.set->members.push_back({url, State::kAwaited});
  }
  return keeper;
}

bool ReferenceKeeper::is_time(const Set& set) const {
  const double passed = std::chrono::duration<double>(Clock::now() - set.updated).count();
  return passed >= std::max(options_.seconds, set.last_seconds / kShareOfTime);
}

void ReferenceKeeper::ended(size_t i, bool there) {
  if (where_[i].set == nullptr) return;
  Set& set = *where_[i].set;
  std::vector<std::string> batch;
  {
    const std::lock_guard lock(mutex_);
    set.members[where_[i].member].state = there ? State::kThere : State::kAbsent;
    // In the order of time, so that a set grows at its end and has no holes meanwhile.
    for (; set.next < set.members.size() && set.members[set.next].state != State::kAwaited;
         ++set.next)
      if (set.members[set.next].state == State::kThere)
        set.due.push_back(set.members[set.next].url);
    if (set.busy || set.due.empty() || !is_time(set)) return;
    set.busy = true;
    batch.swap(set.due);
  }
  // An error is that of finish, which tries again; until then nothing more is tried.
  const auto done = update(set, batch);
  const std::lock_guard lock(mutex_);
  set.busy = !done;
}

std::vector<ReferenceSetResult> ReferenceKeeper::finish() {
  std::vector<ReferenceSetResult> out;
  for (auto& [output, set] : sets_) {
    std::vector<std::string> urls;
    for (const Member& member : set.members)
      if (member.state == State::kThere) urls.push_back(member.url);
    if (urls.empty()) continue;
    auto done = update(set, urls);
    if (!done) set.result.error = std::move(done).error().with(set.output);
    out.push_back(std::move(set.result));
  }
  return out;
}

Result<> ReferenceKeeper::update(Set& set, const std::vector<std::string>& urls) {
  const Clock::time_point start = Clock::now();
  refs::AppendOptions options;
  options.virtualize.combine.concat = "time";
  // A granule that was made anew takes the place of what it was.
  options.virtualize.combine.on_overlap = refs::Overlap::kReplace;
  refs::AppendReport report;
  auto done = refs::append_or_create(session_, set.output, urls, options, report);
  set.updated = Clock::now();
  set.last_seconds = std::chrono::duration<double>(set.updated - start).count();
  set.result.seconds += set.last_seconds;
  set.result.warnings = report.virtualize.combine.warnings;
  if (!done && done.error().code == Code::kInvalidData)
    done.error().message += "; where the grid or the form of the granules changed, remove " +
                            set.output + " and run again: it is made anew of the list's granules";
  if (!done) return done;
  set.result.added += report.added - std::min(report.added, report.replaced);
  set.result.replaced += report.replaced;
  set.result.updates += report.written ? 1 : 0;
  set.result.granules = report.granules;
  return {};
}

}  // namespace upwell::produce
