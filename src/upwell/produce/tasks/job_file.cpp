#include "produce/tasks/job_file.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace upwell::produce {
namespace {

constexpr size_t kMaxNamed = 50;  // faults that a message holds

const std::array<std::string, 3> kTypes{"1D", "latlon", "native"};
const std::array<std::string, 4> kFrequencies{"SNAP", "AVG_DAY", "AVG_MON", "TI"};

bool same_but_for_case(std::string_view a, std::string_view b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

/// The index of a text among `known`.
template <size_t N>
std::optional<size_t> index_of(const PythonValue& value, const std::array<std::string, N>& known) {
  if (value.kind != PythonValue::Kind::kText) return {};
  for (size_t k = 0; k < N; ++k)
    if (same_but_for_case(value.text, known[k])) return k;
  return {};
}

std::optional<LiteralError> read_times(const PythonValue& value, Job& job) {
  const bool netcdf = value.kind == PythonValue::Kind::kText && value.text.ends_with(".nc");
  const bool invariant = job.frequency == Frequency::kTimeInvariant;
  if (invariant && job.type == ProductType::k1D)
    return LiteralError{value.column, "a 1D job is a series in time, and never time-invariant"};
  if (netcdf && (invariant || job.type == ProductType::k1D)) {
    job.input_netcdf = value.text;
    job.times.all = true;
    return {};
  }
  TimeSelectionResult times = parse_time_selection(value);
  if (times.error) return times.error;
  if (invariant && !times.selection.all)
    return LiteralError{value.column,
                        "the last field of a time-invariant job is 'all' or a file NAME.nc"};
  job.times = std::move(times.selection);
  return {};
}

std::optional<LiteralError> read_job(const PythonValue& value, Job& job) {
  if (value.kind != PythonValue::Kind::kSequence || value.items.size() != 4)
    return LiteralError{
        value.column,
        value.kind == PythonValue::Kind::kSequence
            ? fmt::format(
                  "{} fields, where a job has four: [groupings id, product type, frequency, "
                  "time steps]",
                  value.items.size())
            : "not a list [groupings id, product type, frequency, time steps]"};
  const PythonValue& id = value.items[0];
  if (id.kind != PythonValue::Kind::kInteger || id.integer < 0)
    return LiteralError{id.column, "the groupings id is an integer from 0"};
  job.grouping = id.integer;
  job.id_column = id.column;
  const auto type = index_of(value.items[1], kTypes);
  if (!type)
    return LiteralError{
        value.items[1].column,
        "the product type is '1D', 'latlon' or 'native', not " +
            (value.items[1].text.empty() ? "this" : "'" + value.items[1].text + "'")};
  job.type = static_cast<ProductType>(*type);
  auto frequency = index_of(value.items[2], kFrequencies);
  if (!frequency && same_but_for_case(value.items[2].text, "TIME-INVARIANT"))
    frequency = static_cast<size_t>(Frequency::kTimeInvariant);
  if (!frequency)
    return LiteralError{
        value.items[2].column,
        "the frequency is 'SNAP', 'AVG_DAY', 'AVG_MON' or 'TI', not " +
            (value.items[2].text.empty() ? "this" : "'" + value.items[2].text + "'")};
  job.frequency = static_cast<Frequency>(*frequency);
  return read_times(value.items[3], job);
}

}  // namespace

const std::string& to_string(ProductType type) { return kTypes[static_cast<size_t>(type)]; }
const std::string& to_string(Frequency frequency) {
  return kFrequencies[static_cast<size_t>(frequency)];
}

Result<std::vector<Job>> parse_job_file(std::string_view text, const std::string& name) {
  std::vector<Job> jobs;
  std::string faults;
  size_t fault_count = 0, number = 0;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    LiteralResult literal = parse_python_literal(line);
    if (!literal.error && !literal.value) continue;
    Job job;
    job.line = number;
    if (literal.value) literal.error = read_job(*literal.value, job);
    if (!literal.error) {
      jobs.push_back(std::move(job));
    } else if (++fault_count <= kMaxNamed) {
      faults += fmt::format("\n  {}:{}:{}: {}", name, number, literal.error->column,
                            literal.error->message);
    }
  }
  if (fault_count == 0) return jobs;
  if (fault_count > kMaxNamed) faults += fmt::format("\n  and {} more", fault_count - kMaxNamed);
  return fail(Code::kInvalidData, fmt::format("{}: {} line{} cannot be read as a job{}", name,
                                              fault_count, fault_count == 1 ? "" : "s", faults));
}

}  // namespace upwell::produce
