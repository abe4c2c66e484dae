#include "generate/collection_form.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "access/cmr_parameters.hpp"
#include "cube/cf.hpp"
#include "refs/append.hpp"

namespace upwell::generate {
namespace {

constexpr uint32_t kNameBytes = 128;
constexpr const char* kEpoch = "seconds since 1970-01-01T00:00:00";

struct FactName {
  std::string_view name;
  Fact fact;
};
constexpr std::array kFacts{FactName{"begin", Fact::kBegin}, FactName{"end", Fact::kEnd},
                            FactName{"cycle", Fact::kCycle}, FactName{"pass", Fact::kPass},
                            FactName{"granule", Fact::kGranule}};

/// Where in a document something is wrong.
struct Place {
  const std::string& name;

  tl::unexpected<Error> wrong(const YAML::Node& node, const std::string& what) const {
    return fail(Code::kBadConfiguration,
                fmt::format("{}:{}: {}", name, node.Mark().line + 1, what));
  }
  Result<std::string> text(const YAML::Node& node) const {
    if (!node.IsScalar()) return wrong(node, "a text is wanted here");
    return node.Scalar();
  }
  /// A list of texts, or one text.
  Result<std::vector<std::string>> texts(const YAML::Node& node) const {
    std::vector<std::string> out;
    if (node.IsScalar()) return std::vector<std::string>{node.Scalar()};
    if (!node.IsSequence()) return wrong(node, "a list is wanted here");
    for (const YAML::Node& item : node) {
      UPWELL_TRY(std::string one, text(item));
      out.push_back(std::move(one));
    }
    return out;
  }
};

Result<CollectionForm::Search> parse_search(const Place& place, const YAML::Node& node) {
  CollectionForm::Search out;
  if (!node.IsMap()) return place.wrong(node, "a search has granule-name and temporal");
  for (const auto& pair : node) {
    UPWELL_TRY(const std::string key, place.text(pair.first));
    UPWELL_TRY(std::string value, place.text(pair.second));
    if (key == "granule-name") {
      out.granule_name = std::move(value);
    } else if (key == "temporal") {
      if (auto checked = access::cmr_temporal(value); !checked)
        return place.wrong(pair.second, "temporal '" + value + "': " + checked.error().message);
      out.temporal = std::move(value);
    } else {
      return place.wrong(pair.first, "a search has granule-name and temporal, not " + key);
    }
  }
  return out;
}

Result<> parse_coordinates(const Place& place, const YAML::Node& node, CollectionForm& form) {
  if (!node.IsMap()) return place.wrong(node, "coordinates are NAME: FACT");
  for (const auto& pair : node) {
    UPWELL_TRY(std::string name, place.text(pair.first));
    UPWELL_TRY(const std::string fact, place.text(pair.second));
    const auto* known =
        std::find_if(kFacts.begin(), kFacts.end(), [&](const auto& f) { return f.name == fact; });
    if (known == kFacts.end())
      return place.wrong(pair.second, "the catalogue tells begin, end, cycle, pass and granule; '" +
                                          fact + "' is none of them");
    form.coordinates.emplace_back(std::move(name), known->fact);
  }
  return {};
}

Result<> parse_key(const Place& place, const std::string& key, const YAML::Node& value,
                   CollectionForm& form) {
  const std::array<std::pair<std::string_view, std::string*>, 5> texts{
      {{"version", &form.version},
       {"provider", &form.provider},
       {"new-dimension", &form.dimension},
       {"concat", &form.concat},
       {"order-by", &form.order_by}}};
  for (const auto& [name, target] : texts) {
    if (key != name) continue;
    UPWELL_TRY(*target, place.text(value));
    return {};
  }
  if (key == "constant") {
    UPWELL_TRY(form.constant, place.texts(value));
  } else if (key == "drop") {
    UPWELL_TRY(form.drop, place.texts(value));
  } else if (key == "load") {
    UPWELL_TRY(form.load, place.texts(value));
  } else if (key == "coordinates") {
    return parse_coordinates(place, value, form);
  } else if (key == "searches") {
    if (!value.IsSequence()) return place.wrong(value, "searches are a list");
    for (const YAML::Node& one : value) {
      UPWELL_TRY(CollectionForm::Search search, parse_search(place, one));
      form.searches.push_back(std::move(search));
    }
  } else {
    return place.wrong(value,
                       "'" + key +
                           "' is not known; there are version, provider, searches, new-dimension, "
                           "coordinates, constant, concat, order-by, load and drop");
  }
  return {};
}

Result<CollectionForm> parse_form(const Place& place, const YAML::Node& node) {
  CollectionForm form;
  if (!node.IsMap()) return place.wrong(node, "a collection is described by keys and values");
  for (const auto& pair : node) {
    UPWELL_TRY(const std::string key, place.text(pair.first));
    UPWELL_CHECK(parse_key(place, key, pair.second, form));
  }
  const bool counted =
      std::any_of(form.coordinates.begin(), form.coordinates.end(),
                  [&](const auto& coordinate) { return coordinate.first == form.dimension; });
  if (!form.dimension.empty() && !counted)
    return place.wrong(node, "new-dimension " + form.dimension +
                                 " needs a coordinate of its name, by which granules are ordered: "
                                 "coordinates: {" +
                                 form.dimension + ": begin}");
  if (form.dimension.empty() && !form.coordinates.empty())
    return place.wrong(node, "coordinates lie along a new-dimension");
  if (!form.dimension.empty() && !form.concat.empty())
    return place.wrong(node, "either new-dimension or concat");
  return form;
}

// --- Datasets --------------------------------------------------------------------------------

Array coordinate_of(const std::string& name, const std::string& dimension, DataType type,
                    Bytes value) {
  Array array;
  array.name = name;
  array.type = type;
  array.shape = array.chunk_shape = {1};
  array.dimensions = {dimension};
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = std::move(type);
  layout->chunk_shape = {1};
  auto chunks = std::make_shared<DenseChunkIndex>(1);
  chunks->set_inline(0, std::move(value));
  Segment segment;
  segment.origin = {0};
  segment.shape = segment.grid = {1};
  segment.layout = std::move(layout);
  segment.chunks = std::move(chunks);
  array.segments.push_back(std::move(segment));
  return array;
}

Bytes eight_bytes(int64_t value) {
  Bytes out(sizeof value);
  store_le(out.data(), value);
  return out;
}

Result<int64_t> seconds_of(const std::string& iso) {
  UPWELL_TRY(const cf::TimeUnits units, cf::parse_time_units(kEpoch, "proleptic_gregorian"));
  UPWELL_TRY(auto span, cf::parse_time_span(iso, cf::Calendar::kProlepticGregorian));
  span.first.nanosecond = 0;
  const auto seconds = cf::encode_time_exact(units, span.first);
  if (!seconds) return fail(Code::kInvalidData, "'" + iso + "' is no time");
  return *seconds;
}

Result<Array> fact_array(const std::string& name, Fact fact, const std::string& dimension,
                         const access::Granule& granule) {
  const auto lacking = [&](const char* what) {
    return fail(Code::kInvalidData, granule.name + ": the catalogue tells no " + what +
                                        " of it, which is wanted as " + name);
  };
  if (fact == Fact::kGranule) {
    if (granule.name.size() > kNameBytes)
      return fail(Code::kInvalidData, granule.name + ": a name of more than 128 bytes");
    Bytes text = to_bytes(granule.name);
    text.resize(kNameBytes, 0);
    return coordinate_of(name, dimension, DataType::fixed_string(kNameBytes), std::move(text));
  }
  int64_t value = 0;
  if (fact == Fact::kBegin || fact == Fact::kEnd) {
    const std::string& time = fact == Fact::kBegin ? granule.begin : granule.end;
    if (time.empty()) return lacking("time");
    UPWELL_TRY(value, seconds_of(time));
  } else if (fact == Fact::kCycle) {
    if (!granule.track.cycle) return lacking("cycle");
    value = *granule.track.cycle;
  } else {
    if (granule.track.passes.empty()) return lacking("pass");
    value = granule.track.passes[0];
  }
  Array array = coordinate_of(name, dimension, DataType::integer(sizeof value), eight_bytes(value));
  if (fact == Fact::kBegin || fact == Fact::kEnd) {
    array.attributes.push_back({"units", make_text(kEpoch)});
    array.attributes.push_back({"calendar", make_text("proleptic_gregorian")});
  }
  return array;
}

void add_dimension(Group& group, const std::string& prefix, const CollectionForm& form) {
  for (Array& array : group.arrays) {
    const bool counts = array.shape.size() == 1 && array.dimensions.size() == 1 &&
                        array.dimensions[0] == array.name;
    if (array.shape.empty() || array.null_space || counts ||
        refs::names_array(form.constant, prefix + array.name))
      continue;
    refs::put_in_front(array, form.dimension);
  }
  for (Group& child : group.groups) add_dimension(child, prefix + child.name + "/", form);
}

/// As the catalogue compares them: whatever the case.
bool same_short_name(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

}  // namespace

std::string to_string(Fact fact) {
  const auto* at =
      std::find_if(kFacts.begin(), kFacts.end(), [&](const auto& f) { return f.fact == fact; });
  return std::string(at->name);
}

Result<std::optional<CollectionForm>> parse_collection_form(std::string_view yaml,
                                                            const std::string& name,
                                                            const std::string& collection) {
  const Place place{name};
  try {
    const YAML::Node root = YAML::Load(std::string(yaml));
    if (!root.IsMap())
      return place.wrong(root, "names of collections are wanted, each with a form");
    std::optional<CollectionForm> found;
    for (const auto& pair : root) {
      UPWELL_TRY(const std::string key, place.text(pair.first));
      UPWELL_TRY(CollectionForm form, parse_form(place, pair.second));
      if (same_short_name(key, collection)) found = std::move(form);
    }
    return found;
  } catch (const YAML::Exception& error) {
    return fail(Code::kBadConfiguration,
                fmt::format("{}:{}: {}", name, error.mark.line + 1, error.msg));
  }
}

CollectionForm level2_form() {
  CollectionForm form;
  form.dimension = "orbit_segment_start_time";
  form.coordinates.emplace_back(form.dimension, Fact::kBegin);
  return form;
}

Result<> apply_form(const CollectionForm& form, const access::Granule& granule, Dataset& dataset) {
  if (form.dimension.empty()) return {};
  for (const auto& [name, fact] : form.coordinates)
    if (dataset.root.find_array(name) != nullptr)
      return fail(Code::kInvalidData,
                  "it has an array " + name + " already; give the new coordinate another name");
  add_dimension(dataset.root, "/", form);
  dataset.root.dimensions.push_back({form.dimension, 1, true});
  for (const auto& [name, fact] : form.coordinates) {
    UPWELL_TRY(Array array, fact_array(name, fact, form.dimension, granule));
    dataset.root.arrays.push_back(std::move(array));
  }
  return {};
}

}  // namespace upwell::generate
