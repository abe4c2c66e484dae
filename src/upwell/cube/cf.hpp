#pragma once
// CF conventions: packing, missing values, time coordinates (CF 1.11 sections 2.5.1, 4.4, 8.1).

#include <cstdint>
#include <optional>
#include <string>

#include "cube/dataset.hpp"

namespace upwell::cf {

enum class Calendar { kStandard, kProlepticGregorian, kJulian, kNoLeap, kAllLeap, k360Day, kNone };

struct DateTime {
  int64_t year = 1970;
  int month = 1, day = 1, hour = 0, minute = 0, second = 0;
  int64_t nanosecond = 0;
};

/// "days since 2000-01-01 12:00:00 +01:00" with a calendar. Units: those of UDUNITS that CF allows
/// for time (days, hours, minutes, seconds, milliseconds, microseconds, nanoseconds, weeks;
/// "months" and "years" only as cftime takes them).
struct TimeUnits {
  int64_t unit_ns = 0;  ///< nanoseconds of one unit
  DateTime epoch;       ///< in UTC
  Calendar calendar = Calendar::kStandard;
  std::string text;  ///< as written
};

Result<Calendar> parse_calendar(const std::string& name);
std::string to_string(Calendar calendar);
Result<TimeUnits> parse_time_units(const std::string& units,
                                   const std::string& calendar = "standard");
/// Exact for integers. Of the instants that a double stands for, the one with the fewest digits of
/// a second: 7/24 of a day is 07:00.
Result<DateTime> decode_time(const TimeUnits& units, double value);
Result<DateTime> decode_time(const TimeUnits& units, int64_t value);
Result<double> encode_time(const TimeUnits& units, const DateTime& time);
/// Exact integer count of units, when the time falls on one.
std::optional<int64_t> encode_time_exact(const TimeUnits& units, const DateTime& time);
/// "2020-01", "2020-01-31T12", "2020-01-31 12:30:00Z": the first and the last instant that it
/// covers.
Result<std::pair<DateTime, DateTime>> parse_time_span(const std::string& text, Calendar calendar);
std::string format_time(const DateTime& time);  ///< ISO 8601, seconds, fraction only when not zero
int compare(const DateTime& a, const DateTime& b);

/// How an array's stored values become physical ones.
struct Decoding {
  std::optional<double> scale_factor, add_offset;
  std::vector<double> missing;                 ///< _FillValue, missing_value
  std::optional<double> valid_min, valid_max;  ///< reported, not applied (xarray does not either)
  std::vector<uint64_t> missing_bits;  ///< the same as stored: exact for 64-bit integers too
  bool signed_integers = false;        ///< _Unsigned = "false" on unsigned data
  bool unsigned_integers = false;      ///< _Unsigned = "true"
  bool to_float = false;               ///< result is floating (packing or missing values)
  uint32_t float_size = 8;             ///< 4 or 8, by the rule xarray uses
};
Decoding decoding_of(const Array& array);
/// Applies it: masked values become NaN, packed ones are scaled. Integers without either stay as
/// they are.
Result<Values> decode(const Decoding& decoding, Values raw);

/// The attributes that `decoding_of` goes by, in the order of their names and in one form: scalars,
/// and text of variable length.
Attributes packing_of(const Attributes& attributes);
/// Those that still hold for decoded values.
Attributes decoded_attributes(const Attributes& attributes, const Decoding& decoding);

/// Gives attributes that CF wants in the type of their variable (2.5.1, 3.5: valid ranges, flags,
/// missing_value) the type `written`, where JSON left them as 64-bit numbers and no value changes.
/// Masks of bits stay integers: of type `stored` beside decoded floats. Both are memory types.
void restore_attribute_types(Attributes& attributes, const DataType& stored,
                             const DataType& written);

/// The type of stored values of this memory type: integers with the sign that _Unsigned gives them.
DataType integers_as_read(const Decoding& decoding, const DataType& raw);
/// The type that `decode` gives for values of this memory type.
DataType decoded_type(const Decoding& decoding, const DataType& raw);
struct Totals {
  uint64_t count = 0;  ///< of values that are not missing
  double min = 0, max = 0, sum = 0;
};
/// Totals of the decoded values of small integers (elements of memory type `type`) without decoding
/// each: packing is linear, so that it can be applied to the totals, which are exact. nullopt for
/// other types, and where more than one value means missing.
std::optional<Totals> decoded_totals(const Decoding& decoding, const DataType& type, ByteSpan raw);
/// decode for part of an array: `raw` holds elements of memory type `type`, `out` as many of
/// decoded_type. No allocation where the type is not half precision.
Result<> decode_into(const Decoding& decoding, const DataType& type, ByteSpan raw,
                     MutableByteSpan out);

/// Whether a coordinate is of longitudes or latitudes in degrees (CF 4.1, 4.2): by its standard
/// name or its units ("degrees_east", "degreeE", ...).
bool is_longitude(const Array& array);
bool is_latitude(const Array& array);

/// Time units and calendar, when the array is a CF time coordinate (units contain "since").
std::optional<Result<TimeUnits>> time_units_of(const Array& array);

}  // namespace upwell::cf
