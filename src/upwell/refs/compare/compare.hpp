#pragma once
// Whether two datasets, or two trees of them, are the same.

#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/progress.hpp"
#include "io/session.hpp"
#include "refs/open.hpp"

namespace upwell::refs {

struct CompareOptions {
  /// Attributes that may differ: "NAME" anywhere, "VARIABLE:NAME" or ":NAME" (of the root) there;
  /// patterns (fnmatch).
  std::vector<std::string> ignore;
  bool ignore_encoding = false;   ///< chunks, codecs, fill of unwritten chunks, byte order
  bool ignore_order = false;      ///< of variables, dimensions and attributes
  bool bitwise = false;           ///< NaNs with their payload, -0 is not 0, fill is a value
  double tolerance = 0;           ///< numbers are equal within it
  double relative = 0;            ///< or within it times the larger of both
  size_t places = 3;              ///< elements that are named of each variable
  std::vector<std::string> only;  ///< of trees: relative paths that count, patterns; empty: all
  OpenOptions open;               ///< with the arrays to leave out
  uint64_t memory = 1ULL << 30;
  size_t threads = 0;  ///< 0: one a core
  Progress::Style progress = Progress::Style::kQuiet;

  /// Whether numbers are equal within the tolerances; `larger`: the larger of their magnitudes.
  bool near(double difference, double larger) const {
    // Of an infinity nothing else is near.
    return std::isfinite(difference) && difference <= std::max(tolerance, relative * larger);
  }
};

/// Attributes that say when and in which run a granule was made.
inline constexpr std::string_view kVolatileAttributes[] = {
    "date_created", "date_modified", "date_metadata_modified", "date_issued", "uuid"};

/// What differs between two arrays of one shape.
struct ValueDifference {
  struct Place {
    Shape index;
    std::string first, second;
    std::string coordinates;  ///< "time=1992-01-16T18:00:00, lat=4.5"; empty where there are none
    double difference = 0;    ///< of the largest ones; 0 elsewhere
  };
  uint64_t elements = 0;   ///< compared
  uint64_t differing = 0;  ///< of these
  uint64_t missing = 0;    ///< of those that differ: fill or NaN in one of the two
  std::vector<Place> places;
  /// |a - b|, and that divided by the larger of |a| and |b|; of numbers.
  std::optional<Place> largest_absolute, largest_relative;
};

struct Difference {
  std::string path;  ///< "SSH", "group/SSH:units", ":title"; empty: all of it
  /// "group", "variable", "dimension", "dimensions" (of a variable), "type", "attribute", "order",
  /// "encoding", "values", "bytes", "unreadable"
  std::string kind;
  std::string message;
  std::optional<ValueDifference> values;
};

/// Two datasets.
struct PairReport {
  std::string name;  ///< relative path, in trees
  std::string first, second;
  uint64_t variables = 0;  ///< compared
  uint64_t bytes = 0;      ///< of their values in the first
  bool as_bytes = false;   ///< no datasets: other files
  std::vector<Difference> differences;
};

struct CompareReport {
  std::string first, second;
  bool trees = false;
  std::vector<PairReport> pairs;  ///< sorted by name
  std::vector<std::string> only_in_first, only_in_second;

  size_t differing() const;  ///< pairs
  bool same() const;
  std::string to_json() const;
};

/// Compares two sources (see open_source), or two directories or prefixes whose files are paired by
/// their relative paths. kDifferent when something differs, and kInvalidData when a part could not
/// be read, so that nobody can tell: `report` says what. Attribute types, unlimited dimensions and
/// orders count where both formats have them: not in Zarr and reference sets.
Result<> compare(io::Session& session, const std::string& first, const std::string& second,
                 const CompareOptions& options, CompareReport& report);

}  // namespace upwell::refs
