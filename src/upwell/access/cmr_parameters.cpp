#include "access/cmr_parameters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "access/cmr_values.hpp"

namespace upwell::access {
namespace {

using Kind = ParameterKind;
using Scope = ParameterScope;

constexpr bool kMany = true, kOne = false;

constexpr std::array kParameters{
    CmrParameter{"--short-name", "short_name", Kind::kPattern, Scope::kSelect, kOne, "NAME",
                 "Collection by its short name, MUR-JPL-L4-GLOB-v4.1; * and ? are wildcards"},
    CmrParameter{"--collection-version", "version", Kind::kText, Scope::kSelect, kOne, "VERSION",
                 "Its version, as text: 006 is not 6"},
    CmrParameter{"--provider", "provider", Kind::kText, Scope::kSelect, kMany, "PROVIDER",
                 "POCLOUD, NSIDC_CPRD, LPCLOUD, GES_DISC and others"},
    CmrParameter{"--concept-id", "concept_id", Kind::kConcept, Scope::kSelect, kMany, "ID",
                 "C1234-PROVIDER names a collection, G1234-PROVIDER a granule"},
    CmrParameter{"--doi", "doi", Kind::kText, Scope::kSelect, kOne, "DOI",
                 "Collection by its DOI, 10.5067/GHGMR-4FJ04"},
    CmrParameter{"--entry-title", "entry_title", Kind::kPattern, Scope::kSelect, kOne, "TITLE",
                 "Collection by its title"},
    CmrParameter{"--entry-id", "entry_id", Kind::kText, Scope::kSelect, kOne, "ID",
                 "Collection by SHORTNAME_VERSION"},
    CmrParameter{"--keyword", "keyword", Kind::kText, Scope::kSelect, kOne, "WORDS",
                 "Words that describe the collection; all must be there"},
    CmrParameter{"--data-center", "data_center", Kind::kText, Scope::kSelect, kMany, "NAME",
                 "Collections of this data centre, NASA/JPL/PODAAC"},
    CmrParameter{"--processing-level", "processing_level_id", Kind::kText, Scope::kSelect, kMany,
                 "LEVEL", "Collections of this level: 1B, 2, 3, 4"},
    CmrParameter{"--cloud-hosted", "cloud_hosted", Kind::kFlag, Scope::kSelect, kOne, "true|false",
                 "Collections that lie in the cloud"},
    CmrParameter{"--has-granules", "has_granules", Kind::kFlag, Scope::kSelect, kOne, "true|false",
                 "Collections that have granules"},
    CmrParameter{"--tag-key", "tag_key", Kind::kPattern, Scope::kSelect, kMany, "KEY",
                 "Collections with this tag"},
    CmrParameter{"--temporal", "temporal[]", Kind::kTemporal, Scope::kBoth, kMany, "FROM,TO",
                 "What overlaps these times: 2013-12-24,2013-12-25; 2013-12 is the month; ,2014 "
                 "and 2014, are open; 2014/P1M is a month from then. FROM,TO,60,90 is days 60 to "
                 "90 of each year. Ten Decembers: --temporal={2003..2012}-12 in bash"},
    CmrParameter{"--bounding-box,--bbox", "bounding_box[]", Kind::kBox, Scope::kBoth, kMany,
                 "W,S,E,N",
                 "What touches this box, in degrees; 170,-10,-170,10 crosses the "
                 "antimeridian"},
    CmrParameter{"--polygon", "polygon[]", Kind::kPolygon, Scope::kBoth, kMany, "LON,LAT,...",
                 "What touches this polygon: counter-clockwise, closed"},
    CmrParameter{"--point", "point[]", Kind::kPoint, Scope::kBoth, kMany, "LON,LAT",
                 "What contains this point"},
    CmrParameter{"--line", "line[]", Kind::kLine, Scope::kBoth, kMany, "LON,LAT,...",
                 "What touches this line"},
    CmrParameter{"--circle", "circle[]", Kind::kCircle, Scope::kBoth, kMany, "LON,LAT,METRES",
                 "What touches this circle, of 10 to 6000000 m"},
    CmrParameter{"--granule-name", "readable_granule_name[]", Kind::kPattern, Scope::kGranules,
                 kMany, "NAME",
                 "Granules by name (GranuleUR or producer's); * and ? are "
                 "wildcards"},
    CmrParameter{"--granule-ur", "granule_ur[]", Kind::kPattern, Scope::kGranules, kMany, "UR",
                 "Granules by GranuleUR"},
    CmrParameter{"--producer-granule-id", "producer_granule_id[]", Kind::kPattern, Scope::kGranules,
                 kMany, "ID", "Granules by the producer's identifier"},
    CmrParameter{"--native-id", "native_id[]", Kind::kPattern, Scope::kBoth, kMany, "ID",
                 "By the provider's identifier"},
    CmrParameter{"--cloud-cover", "cloud_cover", Kind::kPercent, Scope::kGranules, kOne, "MIN,MAX",
                 "Percent: 0,20; ,20 is at most 20"},
    CmrParameter{"--day-night", "day_night_flag", Kind::kDayNight, Scope::kGranules, kOne, "FLAG",
                 "day, night, both or unspecified"},
    CmrParameter{"--orbit-number", "orbit_number", Kind::kNumbers, Scope::kGranules, kOne, "N[,N]",
                 "One orbit, or from one to another"},
    CmrParameter{"--equator-crossing-longitude", "equator_crossing_longitude", Kind::kLongitudes,
                 Scope::kGranules, kOne, "LON,LON",
                 "Orbits that cross there; 170,-170 crosses "
                 "the antimeridian"},
    CmrParameter{"--equator-crossing-date", "equator_crossing_date", Kind::kDates, Scope::kGranules,
                 kOne, "FROM,TO", "Orbits that cross the equator then"},
    CmrParameter{"--cycle", "cycle[]", Kind::kInteger, Scope::kGranules, kMany, "N",
                 "Swath products: this cycle"},
    CmrParameter{"--pass", "passes", Kind::kPass, Scope::kGranules, kMany, "N[:TILE,...]",
                 "Swath products: this pass of one --cycle, of it these tiles: 40:1L,2R"},
    CmrParameter{"--platform", "platform[]", Kind::kText, Scope::kBoth, kMany, "NAME",
                 "Of this platform"},
    CmrParameter{"--instrument", "instrument[]", Kind::kText, Scope::kBoth, kMany, "NAME",
                 "Of this instrument"},
    CmrParameter{"--sensor", "sensor[]", Kind::kText, Scope::kBoth, kMany, "NAME",
                 "Of this sensor"},
    CmrParameter{"--project", "project[]", Kind::kText, Scope::kBoth, kMany, "NAME",
                 "Of this project"},
    CmrParameter{"--grid", "two_d_coordinate_system[]", Kind::kText, Scope::kGranules, kMany,
                 "NAME:I,J", "Tiles of a grid: MODIS Tile SIN:10,8"},
    CmrParameter{"--attribute", "attribute[]", Kind::kText, Scope::kGranules, kMany,
                 "TYPE,NAME,VALUE", "By an additional attribute: float,PERCENTAGE,25.5,30"},
    CmrParameter{"--downloadable", "downloadable", Kind::kFlag, Scope::kBoth, kOne, "true|false",
                 "What can be downloaded"},
    CmrParameter{"--online-only", "online_only", Kind::kFlag, Scope::kBoth, kOne, "true|false",
                 "The same, by its older name"},
    CmrParameter{"--browsable", "browsable", Kind::kFlag, Scope::kBoth, kOne, "true|false",
                 "What has a picture"},
    CmrParameter{"--exclude", "exclude[concept_id][]", Kind::kConcept, Scope::kBoth, kMany, "ID",
                 "Leave this concept out"},
    CmrParameter{"--revision-date", "revision_date[]", Kind::kDates, Scope::kBoth, kMany, "FROM,TO",
                 "What was added or changed in the catalogue then"},
    CmrParameter{"--updated-since", "updated_since", Kind::kInstant, Scope::kBoth, kOne, "DATE",
                 "What was added or changed since"},
    CmrParameter{"--created-at", "created_at[]", Kind::kDates, Scope::kBoth, kMany, "FROM,TO",
                 "What was first added then"},
    CmrParameter{"--production-date", "production_date[]", Kind::kDates, Scope::kGranules, kMany,
                 "FROM,TO", "What was produced then"},
    CmrParameter{"--sort-key", "sort_key[]", Kind::kText, Scope::kBoth, kMany, "KEY",
                 "Order: start_date, -start_date for the newest first, revision_date, data_size, "
                 "..."},
};

bool has_wildcard(const std::string& text) { return text.find_first_of("*?") != std::string::npos; }

/// "short_name" of "short_name[]".
std::string without_brackets(std::string name) {
  if (name.ends_with("[]")) name.resize(name.size() - 2);
  return name;
}

tl::unexpected<Error> wrong(const CmrParameter& p, const std::string& text,
                            const std::string& why) {
  std::string option = p.option;
  option.resize(std::min(option.find(','), option.size()));
  return fail(Code::kInvalidArgument, fmt::format("{} '{}': {}", option, text, why));
}

Result<std::string> checked_value(ParameterKind kind, const std::string& text,
                                  std::vector<std::string>& warnings) {
  switch (kind) {
    case Kind::kFlag:
      if (text == "true" || text == "false") return text;
      return fail(Code::kInvalidArgument, "write true or false");
    case Kind::kTemporal:
      return cmr_temporal(text);
    case Kind::kDates:
      return cmr_dates(text);
    case Kind::kInstant:
      return cmr_instant(text);
    case Kind::kPercent:
      return cmr_range(text, 0, 100, RangeForm::kInterval);
    case Kind::kLongitudes:
      return cmr_range(text, -180, 180, RangeForm::kAround);
    case Kind::kNumbers:
      return cmr_range(text, 0, 1e9, RangeForm::kOneOrInterval);
    case Kind::kInteger:
      return cmr_integer(text);
    case Kind::kDayNight:
      return cmr_day_night(text);
    case Kind::kBox:
      return cmr_box(text, warnings);
    case Kind::kPolygon:
      return cmr_polygon(text);
    case Kind::kPoint:
      return cmr_positions(text, 1, 1);
    case Kind::kLine:
      return cmr_positions(text, 2, 0);
    case Kind::kCircle:
      return cmr_circle(text);
    default:
      return text;
  }
}

}  // namespace

std::span<const CmrParameter> cmr_parameters() { return kParameters; }

Result<> CmrQuery::add(const CmrParameter& p, const std::string& text) {
  if (text.empty()) return wrong(p, text, "is empty");
  if (p.scope == Scope::kGranules && collections)
    return wrong(p, text, "is of granules; leave --collections out, or this");
  if (p.kind == Kind::kConcept) {
    if (!is_concept_id(text))
      return wrong(p, text,
                   "is no concept id; they look like C1996881146-POCLOUD (collections) "
                   "and G1234-POCLOUD (granules)");
    if (p.scope == Scope::kSelect && !collections) {
      (text[0] == 'C' ? collection_ids : granule_ids).push_back(text);
      return {};
    }
    if (p.scope == Scope::kSelect && text[0] != 'C')
      return wrong(p, text, "is no collection; leave --collections out");
  }
  Pairs& target = p.scope == Scope::kSelect && !collections ? select : pairs;
  if (p.kind == Kind::kPass) {
    const auto is_pass = [](const auto& pair) { return pair.first.ends_with("[pass]"); };
    const auto n = std::count_if(pairs.begin(), pairs.end(), is_pass);
    auto pass = cmr_pass(text);
    if (!pass) return wrong(p, text, pass.error().message);
    pairs.emplace_back(fmt::format("passes[{}][pass]", n), pass->first);
    if (!pass->second.empty())
      pairs.emplace_back(fmt::format("passes[{}][tiles]", n), pass->second);
    return {};
  }
  auto value = checked_value(p.kind, text, warnings);
  if (!value) return wrong(p, text, value.error().message);
  std::string name = p.name;
  if (p.many && !name.ends_with("[]")) name += "[]";
  target.emplace_back(name, *value);
  if (p.kind == Kind::kPattern && has_wildcard(text)) {
    const std::pair<std::string, std::string> option{
        "options[" + without_brackets(name) + "][pattern]", "true"};
    if (std::find(target.begin(), target.end(), option) == target.end()) target.push_back(option);
  }
  return {};
}

Result<> CmrQuery::add_raw(const std::string& text) {
  const size_t equal = text.find('=');
  if (equal == std::string::npos || equal == 0)
    return fail(Code::kInvalidArgument, "--parameter wants NAME=VALUE, not '" + text + "'");
  const std::string name = text.substr(0, equal);
  for (const std::string_view ours : {"page_size", "page_num", "offset", "scroll", "token"})
    if (name == ours)
      return fail(Code::kInvalidArgument, "--parameter " + name +
                                              ": pages and tokens are upwell's to set" +
                                              (name == "page_size" ? "; use --page-size" : ""));
  pairs.emplace_back(name, text.substr(equal + 1));
  return {};
}

Result<> CmrQuery::finish() {
  const auto count = [this](std::string_view name) {
    return std::count_if(pairs.begin(), pairs.end(),
                         [&](const auto& pair) { return pair.first == name; });
  };
  const bool passes = std::any_of(pairs.begin(), pairs.end(),
                                  [](const auto& pair) { return pair.first.ends_with("[pass]"); });
  if (passes && count("cycle[]") != 1)
    return fail(Code::kInvalidArgument,
                fmt::format("--pass needs exactly one --cycle, not {}", count("cycle[]")));
  constexpr int kMostLeading = 5;
  const auto leading = std::count_if(pairs.begin(), pairs.end(), [this](const auto& pair) {
    const std::pair<std::string, std::string> option{
        "options[" + without_brackets(pair.first) + "][pattern]", "true"};
    return has_wildcard(pair.second.substr(0, 1)) &&
           std::find(pairs.begin(), pairs.end(), option) != pairs.end();
  });
  if (leading > kMostLeading)
    return fail(Code::kInvalidArgument,
                fmt::format("{} patterns begin with a wildcard; CMR takes {} in one search",
                            leading, kMostLeading));
  return {};
}

std::string encode_query(const Pairs& pairs) {
  std::string out;
  const auto add = [&out](std::string_view text) {
    for (const char c : text) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.' || c == '~' ||
                         c == ',' || c == ':';
      if (plain) {
        out += c;
      } else {
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
  };
  for (const auto& [name, value] : pairs) {
    if (!out.empty()) out += '&';
    add(name);
    out += '=';
    add(value);
  }
  return out;
}

}  // namespace upwell::access
