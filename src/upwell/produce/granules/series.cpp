#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>

#include "cube/cf.hpp"
#include "format/mds/meta.hpp"
#include "io/digest.hpp"
#include "produce/dates.hpp"
#include "produce/granules/content.hpp"
#include "produce/granules/netcdf_input.hpp"
#include "produce/granules/raw.hpp"
#include "produce/tasks/model_time.hpp"

namespace upwell::produce {
namespace {

using format::mds::Meta;

// Raw files are read in batches of so many pairs and bytes; a pair that is larger goes alone.
constexpr size_t kPairsAtOnce = 512;
constexpr uint64_t kBytesAtOnce = 1 << 20;
constexpr double kNothing = std::numeric_limits<double>::quiet_NaN();

Frequency frequency_of(const GranuleName& name) {
  if (name.is_snapshot()) return Frequency::kSnapshot;
  return name.tag == "day_mean" ? Frequency::kDaily : Frequency::kMonthly;
}

/// Steps that any variable has, in their order. kInvalidData: none, or one twice.
Result<std::map<int64_t, uint64_t>> steps_of(const Task& task) {
  std::map<int64_t, uint64_t> steps;
  for (const TaskVariable& variable : task.variables) {
    std::map<int64_t, uint64_t> own;
    for (const MdsPair& pair : variable.components) {
      UPWELL_TRY(const RawName raw, parse_raw_name(pair.data));
      if (!own.emplace(*raw.step, 0).second)
        return fail(Code::kInvalidData,
                    fmt::format("variable {}: step {} twice", variable.name, *raw.step));
    }
    steps.merge(own);
  }
  if (steps.empty()) return fail(Code::kInvalidData, "the task has no variables");
  return steps;
}

/// Of a .meta and its .data each.
Result<std::vector<io::ObjectInfo>> states_of(io::Session& session,
                                              std::span<const MdsPair> pairs) {
  std::vector<std::string> urls;
  for (const MdsPair& pair : pairs) {
    urls.push_back(io::normal_url(pair.meta));
    urls.push_back(io::normal_url(pair.data));
  }
  std::vector<io::ObjectInfo> states;
  for (auto& state : session.stat_many(urls)) {
    if (!state) return fail(std::move(state).error());
    states.push_back(std::move(*state));
  }
  return states;
}

/// Calls `visit` with so many pairs at a time as are asked about at once, and their states.
template <typename Visit>
Result<> each_pairs(io::Session& session, const TaskVariable& variable, const Visit& visit) {
  const std::span<const MdsPair> all(variable.components);
  for (size_t first = 0; first < all.size(); first += kPairsAtOnce) {
    const auto pairs = all.subspan(first, std::min(kPairsAtOnce, all.size() - first));
    UPWELL_TRY(const std::vector<io::ObjectInfo> states, states_of(session, pairs));
    UPWELL_CHECK(visit(pairs, std::span<const io::ObjectInfo>(states)));
  }
  return {};
}

/// The values of one variable: of scalars one a step, of profiles `levels`.
struct SeriesVariable {
  std::string name;
  uint64_t levels = 0;  ///< 0: scalars
  std::vector<double> numbers;
  Attributes attributes;

  uint64_t each() const { return levels == 0 ? 1 : levels; }
};

class SeriesReader {
 public:
  SeriesReader(const Task& task, const Config& config, const VariableForm& form,
               Resources& resources, ChunkEncoder& encoder)
      : task_(task), config_(config), form_(form), resources_(resources), encoder_(encoder) {}

  Result<Content> read() {
    UPWELL_TRY(name_, parse_granule_name(task_.granule));
    if (task_.input_netcdf) {
      UPWELL_CHECK(read_netcdf());
    } else {
      UPWELL_CHECK(read_raw_files());
    }
    UPWELL_CHECK(put_together());
    return std::move(content_);
  }

 private:
  // --- Raw files ---------------------------------------------------------------------------------

  Result<> read_raw_files() {
    UPWELL_TRY(const ModelClock clock, model_clock(config_));
    UPWELL_TRY(places_, steps_of(task_));
    for (auto& [step, place] : places_) {
      place = times_.centers.size();
      UPWELL_TRY(const Coverage coverage, coverage_of(clock, step, frequency_of(name_)));
      times_.centers.push_back(coverage.center);
      if (!name_.is_snapshot())
        times_.bounds.insert(times_.bounds.end(), {coverage.start, coverage.end});
      ends_.push_back(static_cast<double>(coverage.end - clock.start));
    }
    for (const TaskVariable& variable : task_.variables) {
      auto done = read_variable(variable);
      if (!done) return fail(std::move(done).error().with("variable " + variable.name));
    }
    return {};
  }

  Result<> read_variable(const TaskVariable& variable) {
    SeriesVariable series{variable.name, 0, {}, {}};
    UPWELL_CHECK(each_pairs(
        resources_.session(), variable,
        [&](std::span<const MdsPair> pairs, std::span<const io::ObjectInfo> states) -> Result<> {
          return read_pairs(pairs, states, series);
        }));
    const size_t missing = places_.size() - variable.components.size();
    if (missing > 0)
      content_.notes.push_back(
          fmt::format("{}: nothing at {} of {} steps", variable.name, missing, places_.size()));
    variables_.push_back(std::move(series));
    return {};
  }

  /// Reads them in batches of a few bytes.
  Result<> read_pairs(std::span<const MdsPair> pairs, std::span<const io::ObjectInfo> states,
                      SeriesVariable& series) {
    for (size_t begin = 0, end = 0; begin < pairs.size(); begin = end) {
      uint64_t bytes = 0;
      do {
        bytes += states[2 * end].size + states[2 * end + 1].size;
        ++end;
      } while (end < pairs.size() &&
               bytes + states[2 * end].size + states[2 * end + 1].size <= kBytesAtOnce);
      UPWELL_CHECK(read_batch(pairs.subspan(begin, end - begin),
                              states.subspan(2 * begin, 2 * (end - begin)), series));
    }
    return {};
  }

  Result<> read_batch(std::span<const MdsPair> pairs, std::span<const io::ObjectInfo> states,
                      SeriesVariable& series) {
    std::vector<io::ReadRequest> requests;
    for (const MdsPair& pair : pairs) {
      requests.push_back({io::normal_url(pair.meta), {}});
      requests.push_back({io::normal_url(pair.data), {}});
    }
    const auto answers = resources_.session().read(requests);
    for (size_t i = 0; i < answers.size(); ++i) {
      if (!answers[i]) return fail(answers[i].error());
      content_.files.push_back({requests[i].url, states[i].size, states[i].mtime_ns, states[i].etag,
                                io::hex_digest(io::DigestKind::kSha256, answers[i]->span())});
    }
    for (size_t p = 0; p < pairs.size(); ++p)
      UPWELL_CHECK(
          read_step(pairs[p], as_text(answers[2 * p]->span()), answers[2 * p + 1]->span(), series));
    return {};
  }

  Result<> read_step(const MdsPair& pair, std::string_view text, ByteSpan data,
                     SeriesVariable& series) {
    UPWELL_TRY(const RawName raw, parse_raw_name(pair.data));
    auto meta = format::mds::parse_meta(text);
    if (!meta) return fail(std::move(meta).error().with(pair.meta));
    UPWELL_TRY(const ByteSpan record, raw_record(*meta, data, pair, raw));
    auto levels = levels_of(*meta);
    if (!levels) return fail(std::move(levels).error().with(pair.meta));
    const bool first = series.numbers.empty();
    if (!first && series.levels != *levels)
      return fail(Code::kInvalidData, fmt::format("{}: {} levels, where the steps before have {}",
                                                  pair.meta, *levels, series.levels));
    if (first) {
      series.levels = *levels;
      series.numbers.assign(places_.size() * series.each(), kNothing);
    }
    const uint64_t place = places_.at(*raw.step);
    if (!meta->interval.empty() && std::abs(meta->interval.back() - ends_[place]) > 1)
      return fail(
          Code::kInvalidData,
          fmt::format("{}: {}timeInterval ends {} s after the model's start, the step {} s",
                      pair.meta, meta->at("timeInterval"), meta->interval.back(), ends_[place]));
    for (uint64_t k = 0; k < series.each(); ++k) {
      const uint8_t* p = record.data() + k * meta->item_size;
      const double number =
          meta->item_size == 4 ? static_cast<double>(load_be<float>(p)) : load_be<double>(p);
      if (std::isnan(number) && form_.not_finite == NotFinite::kFail)
        return fail(
            Code::kInvalidData,
            fmt::format("{}: has a NaN{}; --not-finite keep takes it for a value that is "
                        "missing",
                        pair.data, series.levels > 0 ? fmt::format(" at level {}", k) : ""));
      series.numbers[place * series.each() + k] = meta->missing == number ? kNothing : number;
    }
    return {};
  }

  /// 0 of one value, or those of the grid.
  Result<uint64_t> levels_of(const Meta& meta) {
    std::vector<uint64_t> sizes;
    for (const auto& dimension : meta.dimensions) {
      if (dimension.size != 1 || !dimension.whole()) sizes.push_back(dimension.size);
    }
    if (sizes.empty()) return 0;
    if (sizes.size() == 1 && meta.dimensions.back().whole() && task_.grid_loc) {
      UPWELL_TRY(const std::shared_ptr<const ModelGrid> grid,
                 resources_.native_grid(*task_.grid_loc));
      if (sizes[0] == grid->levels) return sizes[0];
    }
    return fail(Code::kInvalidData,
                fmt::format("{}dimList has {}, where a series has one value a step, or one a level "
                            "of the grid",
                            meta.at("dimList"), fmt::join(sizes, " x ")));
  }

  // --- A netCDF file -----------------------------------------------------------------------------

  Result<> read_netcdf() {
    UPWELL_TRY(const NetcdfInput input,
               NetcdfInput::open(resources_.session(), *task_.input_netcdf));
    UPWELL_CHECK(read_times(input));
    for (const Array* array : input.variables()) {
      if (array->dimensions.empty() || array->dimensions[0] != "time") {
        content_.notes.push_back(array->name + " is not on time: left out");
        continue;
      }
      const auto named = [&](Error error) {
        return fail(std::move(error).with(input.url() + ": variable " + array->name));
      };
      SeriesVariable series{array->name, 0, {}, {}};
      auto levels = levels_of(*array);
      if (!levels) return named(std::move(levels).error());
      series.levels = *levels;
      auto numbers = input.numbers(*array, form_.element_size);
      if (!numbers) return named(std::move(numbers).error());
      series.numbers = std::move(*numbers);
      if (!task_.strip_attributes) series.attributes = NetcdfInput::described(*array);
      variables_.push_back(std::move(series));
    }
    if (variables_.empty()) return fail(Code::kInvalidData, input.url() + ": no variables on time");
    if (!task_.strip_attributes) {
      content_.attributes = input.attributes();
      std::erase_if(content_.attributes,
                    [](const Attribute& a) { return a.name == "coordinates"; });
    }
    UPWELL_TRY(FileRecord record, input.record());
    content_.files.push_back(std::move(record));
    return {};
  }

  Result<uint64_t> levels_of(const Array& array) {
    if (array.shape.size() == 1) return 0;
    if (array.shape.size() == 2 && task_.grid_loc) {
      UPWELL_TRY(const std::shared_ptr<const ModelGrid> grid,
                 resources_.native_grid(*task_.grid_loc));
      if (array.shape[1] == grid->levels) return array.shape[1];
    }
    return fail(Code::kInvalidData,
                "it has dimensions besides time that are not the levels of the grid");
  }

  Result<> read_times(const NetcdfInput& input) {
    const Array* time = input.find("time");
    if (time == nullptr || time->shape.size() != 1 || time->shape[0] == 0)
      return fail(Code::kInvalidData, input.url() + ": has no variable time(time)");
    UPWELL_TRY(times_.centers, seconds_in(input, *time, *time));
    for (size_t i = 1; i < times_.centers.size(); ++i) {
      if (times_.centers[i] <= times_.centers[i - 1])
        return fail(Code::kInvalidData,
                    fmt::format("{}: time does not ascend at {}", input.url(), i));
    }
    if (name_.is_snapshot()) return {};
    const auto said = text_attribute(time->attributes, "bounds");
    const Array* bounds = said ? input.find(*said) : nullptr;
    if (bounds == nullptr) {
      content_.notes.push_back("no bounds of time in " + input.url() + ": the granule has none");
      return {};
    }
    if (bounds->shape != Shape{time->shape[0], 2})
      return fail(Code::kInvalidData, input.url() + ": " + *said + " is not two a step");
    UPWELL_TRY(times_.bounds, seconds_in(input, *bounds, *time));
    return {};
  }

  /// CF: bounds have the units of what they bound, unless they say so themselves.
  Result<std::vector<int64_t>> seconds_in(const NetcdfInput& input, const Array& array,
                                          const Array& time) {
    const auto named = [&](Error error) {
      return fail(std::move(error).with(input.url() + ": " + array.name));
    };
    auto units = cf::time_units_of(array);
    if (!units) units = cf::time_units_of(time);
    if (!units) return named({Code::kInvalidData, "has no units '... since ...'", {}, {}});
    if (!*units) return named(units->error());
    if ((*units)->calendar != cf::Calendar::kStandard &&
        (*units)->calendar != cf::Calendar::kProlepticGregorian)
      return named({Code::kUnsupported,
                    "is in the calendar " + cf::to_string((*units)->calendar) +
                        ", and the model's is proleptic_gregorian",
                    {},
                    {}});
    UPWELL_TRY(const std::vector<double> numbers, input.numbers(array));
    std::vector<int64_t> seconds;
    for (const double number : numbers) {
      if (!std::isfinite(number)) return named({Code::kInvalidData, "has a missing value", {}, {}});
      auto at = cf::decode_time(**units, number);
      if (!at) return named(std::move(at).error());
      UPWELL_TRY(const int64_t second, seconds_of(*at));
      seconds.push_back(second);
    }
    return seconds;
  }

  // --- Both --------------------------------------------------------------------------------------

  Result<> put_together() {
    UPWELL_TRY(const std::shared_ptr<const Metadata> metadata,
               resources_.metadata(task_.metadata_loc.value_or("")));
    const auto deep = std::find_if(variables_.begin(), variables_.end(),
                                   [](const SeriesVariable& v) { return v.levels > 0; });
    SharedValues z;
    if (deep != variables_.end()) {
      UPWELL_TRY(const std::shared_ptr<const ModelGrid> grid,
                 resources_.native_grid(task_.grid_loc.value_or("")));
      z = grid->z;
    }
    content_.frame = series_frame(z, *metadata);
    UPWELL_CHECK(set_times(times_, task_.metadata.time_long_name, content_.frame));
    const bool bounded = !times_.bounds.empty();
    UPWELL_TRY(content_.first,
               format_time(bounded ? times_.bounds.front() : times_.centers.front()));
    UPWELL_TRY(content_.last, format_time(bounded ? times_.bounds.back() : times_.centers.back()));
    for (SeriesVariable& series : variables_) {
      MadeVariable made;
      made.variable.name = series.name;
      made.variable.attributes = std::move(series.attributes);
      made.variable.dimensions = {"time"};
      Shape shape{times_.centers.size()};
      if (series.levels > 0) {
        made.variable.dimensions.emplace_back("Z");
        shape.push_back(series.levels);
      }
      const auto place = [&](uint64_t index) {
        std::string text =
            "time " + format_time(times_.centers[index / series.each()]).value_or("?");
        return series.levels > 0 ? fmt::format("{}, level {}", text, index % series.each()) : text;
      };
      auto done = encode_numbers(series.numbers, shape, form_, resources_, encoder_, place, made);
      if (!done) return fail(std::move(done).error().with("variable " + series.name));
      content_.variables.push_back(std::move(made));
    }
    return {};
  }

  const Task& task_;
  const Config& config_;
  const VariableForm& form_;
  Resources& resources_;
  ChunkEncoder& encoder_;
  GranuleName name_;
  std::map<int64_t, uint64_t> places_;  ///< of steps
  std::vector<double> ends_;            ///< of steps, seconds since the model's start
  Times times_;
  std::vector<SeriesVariable> variables_;
  Content content_;
};

}  // namespace

Result<Content> read_series(const Task& task, const Config& config, const VariableForm& form,
                            Resources& resources, ChunkEncoder& encoder) {
  return SeriesReader(task, config, form, resources, encoder).read();
}

Result<uint64_t> memory_of_series(const Task& task, Resources& resources) {
  constexpr uint64_t kPerValue = 8 + 8 + 8;  // a number, as it is written, and encoded
  constexpr uint64_t kPerFile = 512;         // in the receipt
  if (task.input_netcdf)
    return memory_of_netcdf(*task.input_netcdf, resources.session(), kPerValue);
  UPWELL_TRY(const auto steps, steps_of(task));
  uint64_t levels = 1;
  if (task.grid_loc) {
    const auto grid = resources.native_grid(*task.grid_loc);
    if (grid) levels = (*grid)->levels;
  }
  uint64_t largest = 0, files = 0, each = 0;
  for (const TaskVariable& variable : task.variables) {
    std::optional<uint64_t> first;
    uint64_t all = 0;
    auto done = each_pairs(
        resources.session(), variable,
        [&](std::span<const MdsPair> pairs, std::span<const io::ObjectInfo> states) -> Result<> {
          if (!first) first = std::clamp<uint64_t>(states[1].size / sizeof(float), 1, levels);
          for (size_t p = 0; p < pairs.size(); ++p) {
            const uint64_t bytes = states[2 * p].size + states[2 * p + 1].size;
            largest = std::max(largest, bytes);
            all += bytes;
          }
          files += states.size();
          return {};
        });
    if (!done) return fail(std::move(done).error().with("variable " + variable.name));
    largest = std::max(largest, std::min(all, kBytesAtOnce));
    each += first.value_or(1);
  }
  return largest + files * kPerFile + steps.size() * each * kPerValue;
}

}  // namespace upwell::produce
