#include "produce/tasks/time_selection.hpp"

#include <charconv>

namespace upwell::produce {
namespace {

// File names have ten digits.
constexpr int64_t kMaxStep = 9'999'999'999;

std::string_view trimmed(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t") - first + 1);
}

/// A step; leading zeros are fine, as in file names.
std::optional<int64_t> step_of(std::string_view text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text[0] == '-' || error != std::errc() || end != text.data() + text.size() ||
      value > kMaxStep)
    return {};
  return value;
}

Result<TimeItem> steps_item(std::string_view text, size_t dots) {
  TimeItem item;
  item.kind = TimeItem::Kind::kSteps;
  const std::string_view first = trimmed(text.substr(0, dots)),
                         last = trimmed(text.substr(dots + 2));
  auto begin = step_of(first), end = step_of(last);
  if ((!first.empty() && !begin) || (!last.empty() && !end) || (first.empty() && last.empty()))
    return fail(Code::kInvalidArgument, "'" + std::string(text) + "' is not a range of steps");
  item.first = begin.value_or(-1);
  item.last = end.value_or(-1);
  if (begin && end && *begin > *end)
    return fail(Code::kInvalidArgument, "'" + std::string(text) + "' ends before it begins");
  return item;
}

Result<TimeItem> dates_item(std::string_view text, size_t slash) {
  TimeItem item;
  item.kind = TimeItem::Kind::kDates;
  const std::string first(trimmed(text.substr(0, slash)));
  const std::string last(slash == std::string_view::npos ? first : trimmed(text.substr(slash + 1)));
  if (first != "..") {
    UPWELL_TRY(TimeSpan span, parse_time_span(first));
    item.begin = span.begin;
  }
  if (last != "..") {
    UPWELL_TRY(TimeSpan span, parse_time_span(last));
    item.end = span.end;
  }
  if (!item.begin && !item.end)
    return fail(Code::kInvalidArgument, "'" + std::string(text) + "': write 'all'");
  if (item.begin && item.end && *item.begin >= *item.end)
    return fail(Code::kInvalidArgument, "'" + std::string(text) + "' ends before it begins");
  return item;
}

Result<TimeItem> item_of(std::string_view text) {
  if (auto step = step_of(text)) {
    TimeItem item;
    item.first = item.last = *step;
    return item;
  }
  if (const size_t slash = text.find('/'); slash != std::string_view::npos)
    return dates_item(text, slash);
  if (const size_t dots = text.find(".."); dots != std::string_view::npos)
    return steps_item(text, dots);
  if (text.find('-') == std::string_view::npos)
    return fail(Code::kInvalidArgument,
                "'" + std::string(text) +
                    "' is neither 'all' nor a step, a range of steps (732..2172) or dates "
                    "(1992-01/1992-12)");
  return dates_item(text, std::string_view::npos);
}

std::optional<LiteralError> add_text(const PythonValue& value, std::vector<TimeItem>& items) {
  std::string_view rest = value.text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view part = trimmed(rest.substr(0, comma));
    if (part.empty()) return LiteralError{value.column, "an empty time step"};
    auto item = item_of(part);
    if (!item) return LiteralError{value.column, item.error().message};
    item->text = std::string(part);
    item->column = value.column;
    items.push_back(std::move(*item));
    if (comma == std::string_view::npos) return {};
    rest.remove_prefix(comma + 1);
  }
}

std::optional<LiteralError> add_value(const PythonValue& value, std::vector<TimeItem>& items) {
  if (value.kind == PythonValue::Kind::kText) return add_text(value, items);
  if (value.kind != PythonValue::Kind::kInteger)
    return LiteralError{value.column, "a time step is an integer, a range or a date"};
  if (value.integer < 0 || value.integer > kMaxStep)
    return LiteralError{value.column, "a time step has at most ten digits and no sign"};
  TimeItem item;
  item.first = item.last = value.integer;
  item.text = std::to_string(value.integer);
  item.column = value.column;
  items.push_back(std::move(item));
  return {};
}

bool is_all(std::string text) {
  for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text == "all";
}

}  // namespace

bool selects(const TimeItem& item, int64_t step, int64_t time) {
  if (item.kind == TimeItem::Kind::kDates)
    return (!item.begin || time >= *item.begin) && (!item.end || time < *item.end);
  return (item.first < 0 || step >= item.first) && (item.last < 0 || step <= item.last);
}

bool TimeSelection::selects(int64_t step, int64_t time) const {
  if (all) return true;
  for (const TimeItem& item : items)
    if (produce::selects(item, step, time)) return true;
  return false;
}

TimeSelectionResult parse_time_selection(const PythonValue& value) {
  TimeSelectionResult result;
  if (value.kind == PythonValue::Kind::kText && is_all(value.text)) {
    result.selection.all = true;
  } else if (value.kind == PythonValue::Kind::kSequence) {
    for (const PythonValue& item : value.items)
      if (!result.error) result.error = add_value(item, result.selection.items);
    if (value.items.empty()) result.error = LiteralError{value.column, "no time steps"};
  } else if (value.kind == PythonValue::Kind::kText) {
    result.error = add_value(value, result.selection.items);
  } else {
    result.error =
        LiteralError{value.column, "time steps are 'all', a list of integers, ranges or dates"};
  }
  return result;
}

}  // namespace upwell::produce
