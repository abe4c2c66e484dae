#include "generate/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <string_view>

#include "access/cmr_parameters.hpp"
#include "base/machine.hpp"

namespace upwell::generate {
namespace {

bool is_given(const std::string& date) { return !date.empty() && date != "None"; }

bool is_name(const std::string& text) {
  for (const char c : text)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 &&
        std::string_view("._-:").find(c) == std::string_view::npos)
      return false;
  return !text.empty() && text != "." && text != "..";
}

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr std::array kUnits{Unit{"", 1},
                            Unit{"b", 1},
                            Unit{"k", 1e3},
                            Unit{"kb", 1e3},
                            Unit{"m", 1e6},
                            Unit{"mb", 1e6},
                            Unit{"g", 1e9},
                            Unit{"gb", 1e9},
                            Unit{"t", 1e12},
                            Unit{"tb", 1e12},
                            Unit{"ki", 1024},
                            Unit{"kib", 1024},
                            Unit{"mi", 1048576.0},
                            Unit{"mib", 1048576.0},
                            Unit{"gi", 1073741824.0},
                            Unit{"gib", 1073741824.0},
                            Unit{"ti", 1099511627776.0},
                            Unit{"tib", 1099511627776.0}};

constexpr uint64_t kLeastMemory = 32'000'000;

}  // namespace

Result<std::string> iso_date(const std::string& text) {
  if (!is_given(text)) return std::string();
  int month = 0, day = 0, year = 0, used = 0;
  std::string iso = text;
  if (std::sscanf(text.c_str(), "%2d-%2d-%4d%n", &month, &day, &year, &used) == 3 &&
      static_cast<size_t>(used) == text.size() && year >= 1000)
    iso = fmt::format("{:04}-{:02}-{:02}", year, month, day);
  const bool has_year = iso.size() >= 4 && iso.find_first_not_of("0123456789") >= 4;
  if (!has_year || !is_name(text) || !access::cmr_temporal(iso + ","))
    return fail(Code::kInvalidArgument,
                "date '" + text +
                    "': write it as 2022-01-31, 2022-01, 2022, 2022-01-31T12:00:00Z, or as "
                    "month-day-year, 1-31-2022");
  return iso;
}

Result<std::string> temporal_of(const std::string& start, const std::string& end) {
  UPWELL_TRY(const std::string from, iso_date(start));
  UPWELL_TRY(const std::string to, iso_date(end));
  if (from.empty() && to.empty()) return std::string();
  return from + "," + to;
}

Result<std::string> output_stem(const std::string& collection, const std::string& start,
                                const std::string& end) {
  if (!is_name(collection))
    return fail(Code::kInvalidArgument,
                "collection '" + collection + "': a short name such as MUR-JPL-L4-GLOB-v4.1");
  std::string times;
  if (is_given(start) || is_given(end))
    times =
        (is_given(start) ? start : "beginning") + "_to_" + (is_given(end) ? end : "present") + "_";
  return collection + "_" + times + "virtual_";
}

Result<std::string> bucket_directory(const std::string& bucket, const std::string& collection) {
  if (bucket.find('/') != std::string::npos || !is_name(bucket))
    return fail(Code::kInvalidArgument,
                "'" + bucket + "' is no name of a bucket (a directory is given by --output)");
  return "s3://" + bucket + "/virtual_collections/" + collection + "/";
}

Result<uint64_t> memory_size(const std::string& text) {
  if (text == "auto") return uint64_t{0};
  double number = 0;
  const size_t first = std::min(text.find_first_not_of(' '), text.size());
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + first, end, number);
  std::string unit;
  for (const char* c = stop; c != end; ++c)
    if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  // As Dask, which that program hands it to: a part of the machine's.
  if (error == std::errc() && unit.empty() && number > 0 && number <= 1)
    return static_cast<uint64_t>(number * static_cast<double>(physical_memory()));
  constexpr double kMost = 1e18;
  for (const Unit& known : kUnits)
    if (error == std::errc() && unit == known.name && number >= 0 &&
        number * known.bytes <= kMost) {
      const auto bytes = static_cast<uint64_t>(std::llround(number * known.bytes));
      if (bytes > 0 && bytes < kLeastMemory) break;
      return bytes;
    }
  return fail(Code::kInvalidArgument,
              "memory limit '" + text + "': write 12GB, 512MiB or auto, and no less than 32 MB");
}

}  // namespace upwell::generate
