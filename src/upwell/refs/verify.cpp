#include "refs/verify.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "base/parallel.hpp"
#include "cube/cf.hpp"
#include "cube/plan.hpp"
#include "io/url.hpp"
#include "refs/granule_record.hpp"
#include "refs/open.hpp"
#include "refs/pieces.hpp"
#include "refs/verify_compare.hpp"
#include "refs/verify_granules.hpp"
#include "refs/virtualize.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kPieceBytes = 16 << 20;   // of --all
constexpr uint64_t kVerifyMemory = 1 << 30;  // values in flight, both sides
constexpr size_t kVerifyThreads = 16;

/// splitmix64 of seed and text: the same on every machine.
uint64_t hash_of(uint64_t seed, std::string_view text) {
  uint64_t h = seed + 0x9e3779b97f4a7c15ULL;
  const auto mix = [&](uint64_t word) {
    h = (h ^ word) * 0xbf58476d1ce4e5b9ULL;
    h = (h ^ (h >> 27)) * 0x94d049bb133111ebULL;
    h ^= h >> 31;
  };
  for (const char c : text) mix(static_cast<uint8_t>(c));
  return h;
}

std::string time_text(int64_t ns) {
  cf::TimeUnits units;
  units.unit_ns = 1;
  auto time = cf::decode_time(units, ns);
  return time ? cf::format_time(*time) + "Z" : std::to_string(ns);
}

std::string difference_of(const io::ObjectInfo& before, const io::ObjectInfo& now) {
  if (before.size != now.size)
    return fmt::format("{} bytes, {} when it was indexed", now.size, before.size);
  if (!before.etag.empty() && !now.etag.empty())
    return fmt::format("ETag {}, {} when it was indexed", now.etag, before.etag);
  return fmt::format("changed {}, {} when it was indexed", time_text(now.mtime_ns.value_or(0)),
                     time_text(before.mtime_ns.value_or(0)));
}

std::string box_text(const Selection& box) {
  std::string text;
  for (size_t d = 0; d < box.shape.size(); ++d)
    text += fmt::format("{}{}:{}", d > 0 ? ", " : "", box.origin[d], box.origin[d] + box.shape[d]);
  return "[" + text + "]";
}

std::string element_position(const Selection& box, uint64_t number) {
  Shape at(box.shape.size());
  for (size_t d = at.size(); d-- > 0;) {
    at[d] = box.origin[d] + number % box.shape[d];
    number /= box.shape[d];
  }
  return fmt::format("[{}]", fmt::join(at, ", "));
}

/// How one array of the set holds that of a granule.
struct Mapping {
  const Array* store = nullptr;
  const Array* array = nullptr;  // of the granule
  bool prepended = false;        // the set has the concat dimension in front, the granule has not
  std::optional<size_t> axis;    // of the set's array
  uint64_t start = 0;

  Selection in_store(Selection box) const {
    if (prepended) {
      box.origin.insert(box.origin.begin(), 0);
      box.shape.insert(box.shape.begin(), 1);
    }
    if (axis) box.origin[*axis] += start;
    return box;
  }
};

class Verify {
 public:
  Verify(io::Session& session, const VerifyOptions& options, VerifyReport& report)
      : session_(session), options_(options), report_(report) {
    scan_.drop = options.drop;
    scan_.mds = options.mds;
  }

  Result<> run(const std::string& source) {
    report_.source = source;
    report_.seed = options_.seed;
    UPWELL_TRY(set_, open_source(session_, source, scan_));
    granule_options_.scan = scan_;
    granule_options_.reach = session_.reach_from(io::normal_url(source));
    report_.format = set_.format;
    for (const Problem& problem : set_.problems)
      note({"", problem.path, "unreadable", problem.error.to_string(), 1});
    UPWELL_TRY(placement_, place_granules(session_, source, set_, options_.mds));
    granule_options_.scan.mds = placement_.mds;
    report_.concat = placement_.concat;
    report_.recorded = placement_.recorded;
    UPWELL_CHECK(compare_granule_states());
    UPWELL_CHECK(list_variables());
    spread_sample();
    return compare_granules();
  }

 private:
  using State = GranuleVerdict::State;

  Result<> compare_granule_states() {
    std::vector<std::string> urls;
    for (const PlacedGranule& granule : placement_.granules) {
      report_.granules.push_back({granule.url, State::kUnrecorded, {}, 0, 0});
      urls.push_back(granule.url);
    }
    const auto now = session_.stat_many(urls, granule_options_.reach);
    for (size_t i = 0; i < urls.size(); ++i) {
      GranuleVerdict& verdict = report_.granules[i];
      const io::ObjectInfo& before = placement_.granules[i].info;
      if (!now[i]) {
        // A source that is no object, like a Zarr store, has no state of its own.
        if (placement_.recorded && before.size == 0) continue;
        UPWELL_CHECK(note_unreadable(verdict, now[i].error()));
        continue;
      }
      const io::ObjectInfo info = lasting_state(urls[i], *now[i]);
      const Sameness same = compare_states(before, info);
      verdict.state = same == Sameness::kSame      ? State::kUnchanged
                      : same == Sameness::kChanged ? State::kChanged
                                                   : State::kUnrecorded;
      if (same == Sameness::kChanged) verdict.detail = difference_of(before, info);
    }
    return {};
  }

  /// What is wrong with a granule as a whole. Failures that may pass are errors.
  static Result<> note_unreadable(GranuleVerdict& verdict, const Error& error) {
    switch (error.code) {
      case Code::kNotFound:
        verdict.state = State::kVanished;
        return {};
      case Code::kPermissionDenied:
      case Code::kUnauthenticated:
      case Code::kInvalidArgument:
      case Code::kUnsupported:
      case Code::kInvalidData:
        verdict.state = State::kUnreachable;
        verdict.detail = error.to_string();
        return {};
      case Code::kChanged:
        verdict.state = State::kChanged;
        verdict.detail = "changed while it was read";
        return {};
      default:
        return fail(error);
    }
  }

  struct Variable {
    std::string path;
    const Array* array = nullptr;
    bool along = false;  // has the concat dimension
    size_t owner = 0;    // granule that the others are not asked for
  };

  Result<> list_variables() {
    std::unordered_map<std::string, size_t> number;
    for (size_t i = 0; i < report_.granules.size(); ++i) number.emplace(report_.granules[i].url, i);
    Result<> result;
    for_each_array(set_.root, [&](const std::string& path, const Array& array) {
      if (!result) return;
      Variable one{path, &array, placement_.axis(array).has_value(), 0};
      if (!one.along && report_.granules.size() > 1) {
        auto owner = first_granule(set_, array);
        if (!owner) {
          result = fail(std::move(owner).error().with(path));
          return;
        }
        // Values in the set itself are those of any granule that is left.
        while (!*owner && one.owner + 1 < report_.granules.size() && !is_there(one.owner))
          ++one.owner;
        if (*owner && number.contains(**owner)) one.owner = number[**owner];
      }
      variables_.push_back(std::move(one));
      report_.variables.push_back({path, 0, 0, 0});
    });
    return result;
  }

  bool is_there(size_t granule) const {
    const State state = report_.granules[granule].state;
    return state != State::kVanished && state != State::kUnreachable;
  }

  /// How many chunks of which variable of which granule.
  void spread_sample() {
    struct Pair {
      size_t granule, variable;
    };
    std::vector<Pair> pairs;
    for (size_t i = 0; i < report_.granules.size(); ++i)
      for (size_t v = 0; v < variables_.size() && is_there(i); ++v)
        if (variables_[v].along || variables_[v].owner == i) pairs.push_back({i, v});
    wanted_.resize(report_.granules.size());
    if (pairs.empty()) return;
    const uint64_t sample =
        options_.sample > 0 ? options_.sample : std::min<uint64_t>(pairs.size(), kVerifyChunks);
    if (options_.all || sample >= pairs.size()) {
      // Those that get one more are spread like a smaller sample.
      const uint64_t each = sample / pairs.size(), more = sample % pairs.size();
      for (size_t k = 0; k < pairs.size(); ++k) {
        const bool extra = (k + 1) * more / pairs.size() > k * more / pairs.size();
        wanted_[pairs[k].granule].emplace_back(pairs[k].variable, each + (extra ? 1 : 0));
      }
      return;
    }
    // One of each run of pairs, which lie granule by granule.
    for (uint64_t k = 0; k < sample; ++k) {
      const uint64_t low = k * pairs.size() / sample, high = (k + 1) * pairs.size() / sample;
      const Pair& pair = pairs[low + hash_of(options_.seed, std::to_string(k)) % (high - low)];
      wanted_[pair.granule].emplace_back(pair.variable, 1);
    }
  }

  Result<> compare_granules() {
    std::vector<size_t> which;
    for (size_t i = 0; i < wanted_.size(); ++i)
      if (!wanted_[i].empty()) which.push_back(i);
    uint64_t largest = kPieceBytes;
    for (const Variable& variable : variables_)
      largest = std::max(largest, element_count(variable.array->chunk_shape) *
                                      std::max<uint64_t>(variable.array->type.size, 1));
    const uint64_t by_memory = std::max<uint64_t>(1, kVerifyMemory / (3 * largest));
    const size_t threads =
        options_.threads > 0 ? options_.threads : std::min<uint64_t>(kVerifyThreads, by_memory);
    Progress progress("verifying", "granules", which.size(), options_.progress);
    return blocking_for(which.size(), threads, [&](size_t k) -> Result<> {
      UPWELL_CHECK(compare_granule(which[k]));
      progress.advance();
      return {};
    });
  }

  Result<> compare_granule(size_t i) {
    const std::string& url = report_.granules[i].url;
    auto granule = open_source_with(session_, url, granule_options_);
    if (!granule) {
      const bool gone = granule.error().code == Code::kNotFound;
      std::lock_guard lock(mutex_);
      if (!gone && !is_about_access(granule.error().code)) {
        report_.findings.push_back({url, "", "unreadable", granule.error().to_string(), 1});
        return {};
      }
      return note_unreadable(report_.granules[i], granule.error());
    }
    for (const auto& [variable, pieces] : wanted_[i])
      UPWELL_CHECK(compare_variable(i, variable, pieces, *granule));
    return {};
  }

  void note(Finding finding) {
    std::lock_guard lock(mutex_);
    report_.findings.push_back(std::move(finding));
  }

  /// Where the granule's array lies in the set; nothing when it cannot lie there (noted).
  std::optional<Mapping> map(size_t i, const Variable& variable, const Dataset& granule) {
    const PlacedGranule& place = placement_.granules[i];
    Mapping out;
    out.store = variable.array;
    out.array = granule.root.find_array(variable.path);
    if (out.array == nullptr) {
      for (const Problem& problem : granule.problems)
        if (problem.path == variable.path) {
          note({place.url, variable.path, "unreadable", problem.error.to_string(), 1});
          return {};
        }
      note({place.url, variable.path, "variable", "the granule has no such variable", 1});
      return {};
    }
    Shape shape = out.array->shape;
    if (variable.along) {
      out.axis = placement_.axis(*variable.array);
      out.start = place.start;
      out.prepended = *out.axis == 0 && shape.size() + 1 == variable.array->shape.size();
      if (out.prepended) shape.insert(shape.begin(), 1);
    }
    std::string wrong;
    if (shape.size() != variable.array->shape.size()) {
      wrong = fmt::format("{} dimensions in the granule, {} in the set", shape.size(),
                          variable.array->shape.size());
    } else {
      for (size_t d = 0; d < shape.size() && wrong.empty(); ++d) {
        const bool concat = out.axis == d;
        const uint64_t expected = concat ? place.length : variable.array->shape[d];
        // Without a record only whole chunks are known.
        const bool may_be_short = concat && !placement_.recorded;
        const bool fits = shape[d] == expected || (may_be_short && shape[d] < expected);
        if (!fits)
          wrong = fmt::format("{} elements along {} in the granule, {} in the set", shape[d],
                              variable.array->dimensions[d], expected);
      }
    }
    if (wrong.empty()) return out;
    note({place.url, variable.path, "shape", wrong, 1});
    return {};
  }

  Result<> compare_variable(size_t i, size_t v, uint64_t wanted, const Dataset& granule) {
    const Variable& variable = variables_[v];
    const auto mapping = map(i, variable, granule);
    if (!mapping) return {};
    const Pieces pieces = Pieces::of(*mapping->array, options_.all ? kPieceBytes : 0);
    const uint64_t count = options_.all ? pieces.count : std::min(wanted, pieces.count);
    // Evenly spaced from a place that the seed gives: all of them are different.
    const uint64_t first =
        pieces.count == 0
            ? 0
            : hash_of(options_.seed, report_.granules[i].url + variable.path) % pieces.count;
    std::optional<Finding> found;
    uint64_t compared = 0, bytes = 0;
    for (uint64_t k = 0; k < count; ++k) {
      const uint64_t number =
          options_.all ? k : (first + k * (pieces.count / count)) % pieces.count;
      UPWELL_TRY(const std::optional<Finding> wrong,
                 compare_piece(granule, *mapping, variable.path,
                               pieces.box(mapping->array->shape, number), bytes));
      ++compared;
      if (!wrong) continue;
      if (found) {
        ++found->places;
      } else {
        found = wrong;
        found->granule = report_.granules[i].url;
        found->path = variable.path;
      }
    }
    std::lock_guard lock(mutex_);
    GranuleVerdict& verdict = report_.granules[i];
    verdict.compared += compared;
    verdict.bytes += bytes;
    VerifyReport::Variable& sum = report_.variables[v];
    sum.compared += compared;
    sum.bytes += bytes;
    if (found) {
      sum.differing += found->places;
      report_.findings.push_back(std::move(*found));
    }
    return {};
  }

  Result<std::optional<Finding>> compare_piece(const Dataset& granule, const Mapping& mapping,
                                               const std::string& path, const Selection& box,
                                               uint64_t& bytes) {
    const Selection place = mapping.in_store(box);
    const auto finding = [&](const char* kind, const std::string& message) {
      return std::optional(Finding{"", "", kind, box_text(place) + ": " + message, 1});
    };
    // What is broken is a finding; what may pass is an error.
    const auto unreadable = [&](const char* side,
                                const Error& error) -> Result<std::optional<Finding>> {
      if (is_about_access(error.code) && error.code != Code::kNotFound) return fail(error);
      return finding("unreadable", std::string(side) + ": " + error.to_string());
    };
    auto unwritten = compare_unwritten(mapping, place, box);
    if (!unwritten) return unreadable("looking up its chunks", unwritten.error());
    if (!unwritten->first.empty()) return finding(unwritten->first.data(), unwritten->second);
    auto theirs = read_raw(session_, granule, *mapping.array, box);
    if (!theirs) return unreadable("in the granule", theirs.error());
    auto ours = read_raw(session_, set_, *mapping.store, place);
    if (!ours) return unreadable("through the references", ours.error());
    bytes += theirs->data.size() + theirs->heap.size();
    auto mismatch = compare_values(set_, *mapping.store, granule, *mapping.array, path,
                                   std::move(*ours), std::move(*theirs));
    if (!mismatch) {
      if (mismatch.error().code != Code::kUnsupported) return fail(std::move(mismatch).error());
      return finding("type", mismatch.error().message);
    }
    if (!*mismatch) return std::optional<Finding>();
    const Mismatch& m = **mismatch;
    return finding("values", fmt::format("{} of {} elements differ, first at {}: {} through the "
                                         "references, {} in the granule",
                                         m.elements, element_count(box.shape),
                                         element_position(place, m.first), m.ours, m.theirs));
  }

  /// Chunks that one side has and the other has never written. Inline chunks may stand for what
  /// Zarr cannot say of chunks never written: their values are compared.
  static Result<std::pair<std::string, std::string>> compare_unwritten(const Mapping& mapping,
                                                                       const Selection& place,
                                                                       const Selection& box) {
    UPWELL_TRY(const CheckedSelection here, check_selection(*mapping.store, place));
    UPWELL_TRY(const CheckedSelection there, check_selection(*mapping.array, box));
    UPWELL_TRY(const ChunkPlan ours, plan_chunks(*mapping.store, here));
    UPWELL_TRY(const ChunkPlan theirs, plan_chunks(*mapping.array, there));
    const auto corner = [](const ChunkTask& task, bool prepended) {
      return Shape(task.destination.begin() + (prepended ? 1 : 0), task.destination.end());
    };
    std::map<Shape, const ChunkTask*> stored;
    for (const ChunkTask& task : theirs.tasks) stored.emplace(corner(task, false), &task);
    // The same chunks on both sides, or at least all or nothing.
    bool same_grid = true;
    for (const ChunkTask& task : ours.tasks) {
      const auto it = stored.find(corner(task, mapping.prepended));
      if (it == stored.end()) continue;
      same_grid = same_grid && element_count(it->second->count) == element_count(task.count);
    }
    const auto text = [&](size_t mine, size_t its) {
      return fmt::format("{} chunks in the set, {} in the granule", mine, its);
    };
    std::pair<std::string, std::string> out;
    for (const ChunkTask& task : ours.tasks)
      if (task.ref.state == ChunkRef::State::kStored && !task.ref.maybe_missing &&
          (theirs.tasks.empty() ||
           (same_grid && !stored.contains(corner(task, mapping.prepended)))))
        return std::pair{std::string("unwritten"),
                         "the granule has never written a chunk that the set refers to: " +
                             text(ours.tasks.size(), theirs.tasks.size())};
    const bool fewer =
        same_grid && ours.tasks.size() < theirs.tasks.size() &&
        std::none_of(
            ours.tasks.begin(), ours.tasks.end(),
            [](const ChunkTask& t) { return t.ref.state == ChunkRef::State::kInline; });
    if ((ours.tasks.empty() && !theirs.tasks.empty()) || fewer)
      return std::pair{std::string("missing"),
                       "the set has no reference to a chunk that the "
                       "granule has: " +
                           text(ours.tasks.size(), theirs.tasks.size())};
    return out;
  }

  io::Session& session_;
  const VerifyOptions& options_;
  VerifyReport& report_;
  format::ScanOptions scan_;
  OpenOptions granule_options_;  // as the set may name them
  Dataset set_;
  Placement placement_;
  std::vector<Variable> variables_;
  std::vector<std::vector<std::pair<size_t, uint64_t>>> wanted_;  // by granule: variable, pieces
  std::mutex mutex_;                                              // report_
};

/// The worst of what was found, as the error that sets the exit status.
Result<> outcome(const VerifyReport& report) {
  using State = GranuleVerdict::State;
  const size_t changed = report.count(State::kChanged), gone = report.count(State::kVanished),
               unreachable = report.count(State::kUnreachable);
  if (report.good()) return {};
  std::string text;
  const auto add = [&](size_t n, const char* what) {
    if (n > 0) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", n, what);
  };
  add(report.findings.size(), "differences");
  add(changed, "granules changed");
  add(gone, "granules vanished");
  add(unreachable, "granules cannot be read");
  const bool only_gone = report.findings.empty() && changed + unreachable == 0;
  return fail(only_gone ? Code::kNotFound : Code::kInvalidData,
              io::shown_url(report.source) + ": " + text);
}

}  // namespace

Result<> verify(io::Session& session, const std::string& source, const VerifyOptions& options,
                VerifyReport& report) {
  auto done = Verify(session, options, report).run(source);
  std::sort(report.findings.begin(), report.findings.end(), [](const Finding& a, const Finding& b) {
    return std::tie(a.path, a.granule, a.kind) < std::tie(b.path, b.granule, b.kind);
  });
  if (!done) return fail(std::move(done).error().with(io::shown_url(source)));
  return outcome(report);
}

}  // namespace upwell::refs
