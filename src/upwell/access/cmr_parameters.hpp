#pragma once
// The parameters of a search, as the Common Metadata Repository takes them, checked before anything
// is sent. https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

/// How the text of a parameter is checked and sent.
enum class ParameterKind {
  kText,
  kPattern,  ///< * and ? stand for any characters, any character
  kFlag,     ///< true or false
  kTemporal,
  kDates,  ///< FROM,TO
  kInstant,
  kPercent,  ///< MIN,MAX of 0 to 100
  kLongitudes,
  kNumbers,  ///< N or MIN,MAX
  kInteger,
  kPass,  ///< PASS or PASS:TILE,TILE
  kDayNight,
  kBox,
  kPolygon,
  kPoint,
  kLine,
  kCircle,
  kConcept,  ///< C1234-PROVIDER, G1234-PROVIDER
};

/// What a parameter chooses.
enum class ParameterScope {
  kSelect,       ///< the collection, in a search of granules too
  kBoth,         ///< what is searched: granules or collections
  kCollections,  ///< collections only
  kGranules,     ///< granules only
};

struct CmrParameter {
  const char* option;  ///< of the program: "--short-name"
  const char* name;    ///< as sent: "short_name"
  ParameterKind kind;
  ParameterScope scope;
  bool many;  ///< may be given more than once
  const char* form;
  const char* help;
};
std::span<const CmrParameter> cmr_parameters();

using Pairs = std::vector<std::pair<std::string, std::string>>;

/// A search as the user put it. Values are not percent-encoded.
struct CmrQuery {
  bool collections = false;
  Pairs select;  ///< what chooses the collection of granules
  Pairs pairs;   ///< everything else
  std::vector<std::string> collection_ids, granule_ids;
  std::vector<std::string> warnings;  ///< what may not be meant

  /// Checks `text` and adds it as CMR wants it: dates whole, patterns with their option.
  /// kInvalidArgument says what is wrong and what to write.
  Result<> add(const CmrParameter& parameter, const std::string& text);
  /// "NAME=VALUE", sent as it is.
  Result<> add_raw(const std::string& text);
  /// What only all of them together tell, e.g. that --pass needs one --cycle. Once, at the end.
  Result<> finish();
};

/// "2013", "2013-12", "2013-12-24,2014", ",2014-01", "2013-12-24/P1M", ISO intervals, each with
/// "STARTDAY,ENDDAY" behind it: as CMR takes it, "2013-01-01T00:00:00Z,2013-12-31T23:59:59.999Z".
Result<std::string> cmr_temporal(const std::string& text);

/// "a%5B%5D=1&b=x%20y"
std::string encode_query(const Pairs& pairs);

}  // namespace upwell::access
