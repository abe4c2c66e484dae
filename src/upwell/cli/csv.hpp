#pragma once
// Tables as comma-separated values (RFC 4180, lines end with \n): one line per cell of a grid.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/files.hpp"
#include "cube/cf.hpp"

namespace upwell::cli {

/// Takes the text in pieces, in order.
using TextSink = std::function<Result<>(const std::string& text)>;

struct CsvColumn {
  std::string header;
  std::vector<uint64_t> stride;  ///< by axis of the grid, in elements of the column
  /// Appends the field of an element, quoted where it has to be.
  std::function<Result<>(uint64_t element, std::string& text)> append;
};

/// The header, then one line for each cell of `grid` in C order. Memory does not grow with it.
Result<> write_csv(const Shape& grid, const std::vector<CsvColumn>& columns, const TextSink& sink);

/// Writes to `target`, whole or not there; "-" is standard output.
Result<> write_text(const std::string& target, const std::function<Result<>(const TextSink&)>& make,
                    Sync sync = Sync::kYes);

/// "a,b" in quotes; what needs none as it is.
std::string csv_field(const std::string& text);

/// Element i as a field: numbers in the fewest digits that give them back, times (`time`) as ISO
/// 8601, "" for NaN. kInvalidData for a time that the calendar cannot hold.
Result<std::string> csv_value(const Values& values, size_t i,
                              const std::optional<cf::TimeUnits>& time);

/// Element i as people read it: shortest text that gives the number back, text as it is, "" for
/// NaN.
std::string element_text(const Values& values, size_t i);

}  // namespace upwell::cli
