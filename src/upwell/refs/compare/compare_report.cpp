#include <cmath>
#include <nlohmann/json.hpp>

#include "base/url_secrets.hpp"
#include "refs/compare/compare.hpp"

namespace upwell::refs {
namespace {

using CompareJson = nlohmann::ordered_json;

CompareJson place_json(const ValueDifference::Place& place) {
  CompareJson out{{"index", place.index}, {"first", place.first}, {"second", place.second}};
  if (!place.coordinates.empty()) out["coordinates"] = place.coordinates;
  return out;
}

/// JSON has no infinity: null.
CompareJson largest_json(const std::optional<ValueDifference::Place>& place) {
  if (!place) return nullptr;
  CompareJson out = place_json(*place);
  out["difference"] =
      std::isfinite(place->difference) ? CompareJson(place->difference) : CompareJson();
  return out;
}

CompareJson difference_json(const Difference& difference) {
  CompareJson out{
      {"path", difference.path}, {"kind", difference.kind}, {"message", difference.message}};
  if (!difference.values) return out;
  const ValueDifference& values = *difference.values;
  CompareJson places = CompareJson::array();
  for (const ValueDifference::Place& place : values.places) places.push_back(place_json(place));
  out["values"] = {{"elements", values.elements},
                   {"differing", values.differing},
                   {"missing_in_one", values.missing},
                   {"largest_absolute", largest_json(values.largest_absolute)},
                   {"largest_relative", largest_json(values.largest_relative)},
                   {"places", std::move(places)}};
  return out;
}

}  // namespace

std::string CompareReport::to_json() const {
  CompareJson out{{"first", without_url_secrets(first)},
                  {"second", without_url_secrets(second)},
                  {"same", same()},
                  {"trees", trees}};
  if (trees) {
    out["only_in_first"] = only_in_first;
    out["only_in_second"] = only_in_second;
  }
  out["pairs"] = CompareJson::array();
  for (const PairReport& pair : pairs) {
    CompareJson one{{"name", pair.name},
                    {"first", without_url_secrets(pair.first)},
                    {"second", without_url_secrets(pair.second)},
                    {"variables", pair.variables},
                    {"bytes", pair.bytes},
                    {"as_bytes", pair.as_bytes},
                    {"differences", CompareJson::array()}};
    for (const Difference& difference : pair.differences)
      one["differences"].push_back(difference_json(difference));
    out["pairs"].push_back(std::move(one));
  }
  return out.dump(1, ' ', false, CompareJson::error_handler_t::replace) + "\n";
}

}  // namespace upwell::refs
