#include "produce/granules/diagnostics.hpp"

#include <optional>
#include <vector>

namespace upwell::produce {
namespace {

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (size_t begin = 0; begin <= line.size();) {
    const size_t end = std::min(line.find('|', begin), line.size());
    fields.push_back(line.substr(begin, end - begin));
    begin = end + 1;
  }
  return fields;
}

std::optional<Point> point_of(char code) {
  switch (code) {
    case 'M':
      return Point::kCentre;
    case 'U':
      return Point::kWest;
    case 'V':
      return Point::kSouth;
    case 'Z':
      return Point::kCorner;
    default:
      return {};
  }
}

/// Of the last two characters of a code: "MR" all levels at centres, "L1" one level.
std::optional<Vertical> vertical_of(char point, char levels, std::string_view count) {
  if (levels == '1' && count == "1") return Vertical::kNone;
  if (levels != 'R' && levels != 'L') return {};
  switch (point) {
    case 'M':
      return Vertical::kCentres;
    case 'L':
      return Vertical::kUpperFaces;
    case 'U':
      return Vertical::kLowerFaces;
    default:
      return {};
  }
}

}  // namespace

const char* dimension_of(Vertical vertical) {
  switch (vertical) {
    case Vertical::kCentres:
      return "k";
    case Vertical::kUpperFaces:
      return "k_l";
    case Vertical::kLowerFaces:
      return "k_u";
    default:
      return "";
  }
}

std::map<std::string, Staggering> parse_diagnostics(std::string_view text) {
  std::map<std::string, Staggering> found;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    // Num |<-Name->|Levs|  mate |<- code ->|<--  Units   -->|<- Title
    const std::vector<std::string_view> fields = fields_of(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (fields.size() != 7 || fields[4].size() != 10) continue;
    const std::optional<Point> point = point_of(fields[4][1]);
    const std::optional<Vertical> vertical =
        vertical_of(fields[4][8], fields[4][9], trim(fields[2]));
    if (point && vertical) found[std::string(trim(fields[1]))] = {*point, *vertical};
  }
  return found;
}

Result<std::map<std::string, Staggering>> load_diagnostics(io::Session& session,
                                                           const GridPlace& place) {
  auto text = session.read_one(place.directory + "available_diagnostics.log");
  if (!text) return fail(std::move(text).error().with("grid"));
  return parse_diagnostics(as_text(text->span()));
}

}  // namespace upwell::produce
