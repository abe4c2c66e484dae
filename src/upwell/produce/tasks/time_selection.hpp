#pragma once
// Which time steps of its variables a job is about: the fourth field of a job line.
//
//   'all'                       every step that is there
//   [732,1428,2172]             these steps
//   732..2172  732..  ..2172    in a string: every step from one to the other
//   1992-03  1992-03-15         in a string: every step whose time lies in that month (year, day,
//   hour) 1992-01/1992-12  1992-06/.. in a string: from the first of one to the last of the other;
//   .. is open
//
// Strings hold items separated by commas, lists hold steps and strings: [12, '36..60',
// '1992-03/1992-05']. A step's time is the centre of its averaging period, of a snapshot its
// instant. A number alone is a step; a year is written 1992/1992.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "produce/dates.hpp"
#include "produce/tasks/python_literal.hpp"

namespace upwell::produce {

struct TimeItem {
  enum class Kind { kStep, kSteps, kDates };
  Kind kind = Kind::kStep;
  std::string text;                   ///< as written
  size_t column = 1;                  ///< of its string or number in the line
  int64_t first = 0, last = 0;        ///< steps, both included; -1: open
  std::optional<int64_t> begin, end;  ///< seconds since 1970, begin <= t < end; nothing: open
};

struct TimeSelection {
  bool all = false;
  std::vector<TimeItem> items;

  /// Whether a step with this time (seconds since 1970) is meant by one of the items.
  bool selects(int64_t step, int64_t time) const;
};
bool selects(const TimeItem& item, int64_t step, int64_t time);

struct TimeSelectionResult {
  TimeSelection selection;
  std::optional<LiteralError> error;
};
TimeSelectionResult parse_time_selection(const PythonValue& value);

}  // namespace upwell::produce
