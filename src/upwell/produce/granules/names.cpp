#include "produce/granules/names.hpp"

#include <array>
#include <charconv>
#include <functional>
#include <string_view>
#include <vector>

namespace upwell::produce {
namespace {

constexpr std::array<std::string_view, 5> kTags{"day_mean", "mon_mean", "day_snap", "mon_snap",
                                                "snap"};

std::string_view file_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

/// The first "_TAG" that `next` follows: variables have underscores in their names, too.
struct TagPlace {
  size_t begin = std::string_view::npos;
  std::string_view tag;
};
TagPlace find_tag(std::string_view name, char next) {
  TagPlace found;
  for (std::string_view tag : kTags) {
    const std::string wanted = "_" + std::string(tag) + next;
    const size_t begin = name.find(wanted);
    if (begin < found.begin) found = {begin, tag};
  }
  return found;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// "0000000732" of "0000000732.data"; nullopt when it is no such thing.
std::optional<int64_t> step_of(std::string_view rest) {
  const std::vector<std::string_view> parts = split(rest, '.');
  if (parts.size() != 2 || parts[0].empty()) return {};
  const std::string_view digits = parts[0];
  int64_t step = 0;
  const auto [at, error] = std::from_chars(digits.begin(), digits.end(), step);
  if (error != std::errc{} || at != digits.end()) return {};
  return step;
}

/// Only series may be without a date, and only with a tag; without a label, only series.
Result<GranuleName> check_parts(
    GranuleName name, const std::function<tl::unexpected<Error>(const std::string&)>& wrong) {
  const bool series = name.grid == GridType::k1D;
  if (name.prefix.empty() || name.version.empty()) return wrong("not of that form");
  if (!series && name.label.empty()) return wrong("no label of a grid in it");
  if (series && name.tag.empty()) return wrong("no day_mean, mon_mean or snap in it");
  if (!series && !name.tag.empty() && name.date.empty()) return wrong("no date in it");
  if (name.date.find('_') != std::string::npos) return wrong("not of that form");
  return name;
}

}  // namespace

Result<GranuleName> parse_granule_name(const std::string& path) {
  GranuleName name;
  name.file = file_of(path);
  const auto wrong = [&](const std::string& what) {
    return fail(Code::kInvalidData,
                "granule " + path + ": " + what +
                    "; its name must be PREFIX_TAG_DATE_ECCO_VERSION_TYPE_LABEL.nc");
  };
  const std::string_view file = name.file;
  constexpr std::string_view kEcco = "_ECCO_";
  const size_t ecco = file.rfind(kEcco);
  if (ecco == std::string_view::npos || !file.ends_with(".nc")) return wrong("not of that form");
  const std::vector<std::string_view> rest =
      split(file.substr(ecco + kEcco.size(), file.size() - ecco - kEcco.size() - 3), '_');
  if (rest.size() < 2 || rest.size() > 3) return wrong("not of that form");
  name.version = rest[0];
  name.label = rest.size() == 3 ? rest[2] : "";
  if (rest[1] == "1D") {
    name.grid = GridType::k1D;
  } else if (rest[1] == "native" || rest[1] == "latlon") {
    name.grid = rest[1] == "native" ? GridType::kNative : GridType::kLatLon;
  } else {
    return wrong("the type '" + std::string(rest[1]) + "' is none of native, latlon and 1D");
  }
  const std::string front(file.substr(0, ecco));
  const TagPlace place = find_tag(front + "_", '_');
  name.prefix = front.substr(0, place.begin);
  if (place.begin == std::string_view::npos) return check_parts(std::move(name), wrong);
  name.tag = place.tag;
  if (const size_t end = place.begin + place.tag.size() + 1; end < front.size())
    name.date = front.substr(end + 1);
  return check_parts(std::move(name), wrong);
}

Result<RawName> parse_raw_name(const std::string& path) {
  const std::string_view file = file_of(path);
  const TagPlace place = find_tag(file, '.');
  if (place.begin != std::string_view::npos) {
    RawName name{std::string(file.substr(0, place.begin)),
                 step_of(file.substr(place.begin + place.tag.size() + 2))};
    if (name.step) return name;
  }
  return fail(Code::kInvalidData,
              path +
                  ": the name of raw output must be VARIABLE_TAG.STEP.data or .meta, with "
                  "day_mean, mon_mean or snap as TAG");
}

Result<RawName> parse_invariant_name(const std::string& path) {
  const std::string_view file = file_of(path);
  const std::vector<std::string_view> parts = split(file, '.');
  if (!parts[0].empty() && parts.size() == 2) return RawName{std::string(parts[0]), {}};
  if (!parts[0].empty() && parts.size() == 3) {
    RawName name{std::string(parts[0]), step_of(file.substr(parts[0].size() + 1))};
    if (name.step) return name;
  }
  return fail(Code::kInvalidData,
              path +
                  ": the name of a time-invariant field must be VARIABLE.data or .meta, or have "
                  "a step before that");
}

}  // namespace upwell::produce
