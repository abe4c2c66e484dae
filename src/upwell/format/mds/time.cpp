#include "format/mds/time.hpp"

#include <fmt/format.h>

#include <cmath>

#include "cube/cf.hpp"
#include "format/mds/layout.hpp"

namespace upwell::format::mds {
namespace {

constexpr const char* kStep = "timeStepNumber";
constexpr const char* kInterval = "timeInterval";

Values numbers_of(const std::vector<double>& numbers, Shape shape) {
  Values out;
  out.type = DataType::floating(8);
  out.shape = std::move(shape);
  out.data.resize(numbers.size() * sizeof(double));
  std::memcpy(out.data.data(), numbers.data(), out.data.size());
  return out;
}

void add_text(Array& array, std::string name, std::string_view text) {
  array.attributes.push_back({std::move(name), make_text(text), false});
}

/// .meta gives thirteen digits.
bool same_seconds(double a, double b) { return std::abs(a - b) <= 1e-3 + 1e-9 * std::abs(b); }

/// The instant so many seconds after the date in `units`.
Result<std::string> date_after(const cf::TimeUnits& units, double seconds) {
  UPWELL_TRY(const cf::DateTime time, cf::decode_time(units, seconds));
  return cf::format_time(time);
}

Result<cf::TimeUnits> seconds_since(const std::string& date) {
  return cf::parse_time_units("seconds since " + date, "proleptic_gregorian");
}

/// Seconds of model time of the step, by the options or else the file.
Result<std::optional<double>> seconds_of(const Meta& meta, int64_t step,
                                         const MdsOptions& options) {
  std::optional<double> of_file, of_step;
  if (!meta.interval.empty()) of_file = meta.interval.back();
  if (options.delta_t) of_step = static_cast<double>(step) * *options.delta_t;
  if (of_file && of_step && !same_seconds(*of_file, *of_step))
    return fail(Code::kInvalidData,
                fmt::format("{}timeInterval ends at {} s, but step {} of {} s each (--mds-delta-t) "
                            "is {} s",
                            meta.at(kInterval), *of_file, step, *options.delta_t, *of_step));
  return of_step ? of_step : of_file;
}

/// The date of second 0 as the units of a CF time; nullopt where nothing says it.
Result<std::optional<cf::TimeUnits>> epoch_of(const Meta& meta, std::optional<double>& seconds,
                                              const MdsOptions& options) {
  std::optional<cf::TimeUnits> asked;
  if (!options.reference.empty()) {
    auto units = seconds_since(options.reference);
    if (!units)
      return fail(Code::kInvalidArgument,
                  "--mds-reference '" + options.reference + "': " + units.error().message);
    if (!seconds)
      return fail(Code::kInvalidArgument,
                  "--mds-reference: the .meta has no timeInterval, so the length of a time step "
                  "must be said with --mds-delta-t");
    asked = std::move(*units);
  }
  if (meta.date.empty()) return asked;
  auto written = seconds_since(meta.date);
  if (!written)
    return fail(Code::kInvalidData,
                meta.at("timeStepDate") + "timeStepDate: " + written.error().message);
  if (asked) {
    UPWELL_TRY(const std::string theirs, date_after(*written, 0));
    UPWELL_TRY(const std::string ours, date_after(*asked, *seconds));
    if (ours != theirs)
      return fail(Code::kInvalidData,
                  fmt::format("{}timeStepDate is {}, but {} s after --mds-reference {} is {}",
                              meta.at("timeStepDate"), theirs, *seconds, options.reference, ours));
    return asked;
  }
  if (!seconds) seconds = 0;
  UPWELL_TRY(const std::string begin, date_after(*written, -*seconds));
  UPWELL_TRY(cf::TimeUnits units, seconds_since(begin));
  return units;
}

Array step_array(const std::string& dimension, int64_t step) {
  Values value = make_integer(step);
  value.shape = {1};
  Array out = make_values(kStep, {dimension}, value);
  add_text(out, "long_name", "number of the time step");
  return out;
}

Array time_array(const cf::TimeUnits& units, double seconds, bool bounds) {
  Array out = make_values("time", {"time"}, numbers_of({seconds}, {1}));
  add_text(out, "standard_name", "time");
  add_text(out, "axis", "T");
  add_text(out, "units", units.text);
  add_text(out, "calendar", "proleptic_gregorian");
  if (bounds) add_text(out, "bounds", "time_bnds");
  return out;
}

}  // namespace

Result<TimeAxis> time_axis(const Meta& meta, std::optional<int64_t> step,
                           const MdsOptions& options) {
  TimeAxis out;
  if (!step) return out;
  if (meta.step && *meta.step != *step)
    return fail(Code::kInvalidData,
                fmt::format("{}timeStepNumber is {}, but the file's name says {}", meta.at(kStep),
                            *meta.step, *step));
  UPWELL_TRY(std::optional<double> seconds, seconds_of(meta, *step, options));
  UPWELL_TRY(const std::optional<cf::TimeUnits> units, epoch_of(meta, seconds, options));
  const bool bounds = meta.interval.size() == 2;
  if (units) {
    out.dimension = "time";
    out.coordinates = kStep;
    out.arrays.push_back(time_array(*units, *seconds, bounds));
    if (bounds)
      out.arrays.push_back(
          make_values("time_bnds", {"time", "nv"}, numbers_of(meta.interval, {1, 2})));
    out.arrays.push_back(step_array("time", *step));
    return out;
  }
  out.dimension = kStep;
  out.arrays.push_back(step_array(kStep, *step));
  if (meta.interval.empty()) return out;
  const Shape shape = bounds ? Shape{1, 2} : Shape{1};
  Array interval = make_values(
      kInterval, bounds ? std::vector<std::string>{kStep, "nv"} : std::vector<std::string>{kStep},
      numbers_of(meta.interval, shape));
  add_text(interval, "long_name",
           bounds ? "begin and end of what the values are a mean over" : "model time");
  add_text(interval, "units", "s");
  out.arrays.push_back(std::move(interval));
  out.coordinates = kInterval;
  return out;
}

}  // namespace upwell::format::mds
