#pragma once
// Job files of ECCO dataset production: one job a line, in Python's syntax:
// [metadata_groupings_id, product_type, frequency, time_steps]

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "produce/tasks/time_selection.hpp"

namespace upwell::produce {

enum class ProductType { k1D, kLatLon, kNative };
enum class Frequency { kSnapshot, kDaily, kMonthly, kTimeInvariant };

/// "1D", "latlon", "native".
const std::string& to_string(ProductType type);
/// As groupings write it: "SNAP", "AVG_DAY", "AVG_MON", "TI".
const std::string& to_string(Frequency frequency);

struct Job {
  size_t line = 0;       ///< in its file, from 1
  size_t id_column = 1;  ///< where the number of the grouping stands
  int64_t grouping = 0;  ///< index into the groupings of the product type
  ProductType type = ProductType::kNative;
  Frequency frequency = Frequency::kMonthly;
  TimeSelection times;
  std::string input_netcdf;  ///< of a time-invariant or 1D job whose fields are in this file
};

/// Blank lines and comments are skipped; every other line must be a job. kInvalidData names each
/// that is not, as "FILE:LINE:COLUMN: why", all in one message. `name`: of the file. Case does not
/// matter in product type and frequency. The frequency is one of SNAP, AVG_DAY, AVG_MON, and TI (or
/// TIME-INVARIANT), whose fourth field is 'all' or the netCDF file that has the fields; that of a
/// 1D job may be such a file, too.
Result<std::vector<Job>> parse_job_file(std::string_view text, const std::string& name);

}  // namespace upwell::produce
