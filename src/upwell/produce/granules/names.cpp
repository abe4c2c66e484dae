#include "produce/granules/names.hpp"

#include <array>
#include <charconv>
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
  const TagPlace place = find_tag(file, '_');
  if (place.begin == std::string_view::npos) return wrong("no day_mean, mon_mean or snap in it");
  name.prefix = file.substr(0, place.begin);
  name.tag = place.tag;
  const std::vector<std::string_view> rest =
      split(file.substr(place.begin + place.tag.size() + 2), '_');
  if (rest.size() != 5 || rest[1] != "ECCO" || !rest[4].ends_with(".nc"))
    return wrong("not of that form");
  name.date = rest[0];
  name.version = rest[2];
  if (rest[3] != "native" && rest[3] != "latlon")
    return wrong("the type '" + std::string(rest[3]) + "' is neither native nor latlon");
  name.grid = rest[3] == "native" ? GridType::kNative : GridType::kLatLon;
  name.label = rest[4].substr(0, rest[4].size() - 3);
  return name;
}

Result<RawName> parse_raw_name(const std::string& path) {
  const std::string_view file = file_of(path);
  const TagPlace place = find_tag(file, '.');
  const std::vector<std::string_view> rest =
      place.begin == std::string_view::npos
          ? std::vector<std::string_view>{}
          : split(file.substr(place.begin + place.tag.size() + 2), '.');
  RawName name;
  if (rest.size() == 2) {
    const char* begin = rest[0].data();
    const char* end = begin + rest[0].size();
    if (std::from_chars(begin, end, name.step).ptr == end && !rest[0].empty()) {
      name.variable = file.substr(0, place.begin);
      return name;
    }
  }
  return fail(Code::kInvalidData,
              path +
                  ": the name of raw output must be VARIABLE_TAG.STEP.data or .meta, with "
                  "day_mean, mon_mean or snap as TAG");
}

}  // namespace upwell::produce
