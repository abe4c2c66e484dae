#include "access/stac_records.hpp"

#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>

#include "access/stac_geometry.hpp"
#include "access/umm_records.hpp"
#include "base/text.hpp"

namespace upwell::access {
namespace {

using Json = nlohmann::ordered_json;
using StacLooked = simdjson::simdjson_result<simdjson::dom::element>;

std::string stac_text(const StacLooked& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::string stac_text(const simdjson::dom::element& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

/// Multihash of the file extension (https://github.com/multiformats/multicodec): the algorithm and
/// the length in front of the digest, in hex.
struct HashPrefix {
  std::string_view algorithm, prefix;
  size_t digits;
};
constexpr std::array<HashPrefix, 5> kHashes{{{"MD5", "d50110", 32},
                                             {"SHA-1", "1114", 40},
                                             {"SHA-256", "1220", 64},
                                             {"SHA-384", "2030", 96},
                                             {"SHA-512", "1340", 128}}};
/// Of one that is none of these, with its prefix.
constexpr std::string_view kOtherHash = "multihash";

std::string multihash_of(const GranuleFile& file) {
  for (const HashPrefix& hash : kHashes) {
    if (file.checksum_algorithm == hash.algorithm && file.checksum.size() == hash.digits)
      return std::string(hash.prefix) + file.checksum;
  }
  return file.checksum_algorithm == kOtherHash ? file.checksum : "";
}

void take_multihash(std::string text, GranuleFile& file) {
  if (text.empty()) return;
  text = lower_case(text);
  file.checksum_algorithm = kOtherHash;
  file.checksum = text;
  for (const HashPrefix& hash : kHashes) {
    if (text.starts_with(hash.prefix) && text.size() == hash.prefix.size() + hash.digits) {
      file.checksum_algorithm = hash.algorithm;
      file.checksum = text.substr(hash.prefix.size());
    }
  }
}

FileRole role_of(const simdjson::dom::element& asset) {
  simdjson::dom::array roles;
  if (asset["roles"].get(roles) != simdjson::SUCCESS) return FileRole::kData;
  bool picture = false, other = false;
  for (const auto element : roles) {
    const std::string role = stac_text(element);
    if (role == "data") return FileRole::kData;
    picture |= role == "thumbnail" || role == "overview" || role == "visual";
    other = true;
  }
  if (picture) return FileRole::kPicture;
  return other ? FileRole::kMetadata : FileRole::kData;
}

void take_href(std::string href, GranuleFile& file) {
  if (href.starts_with("s3://")) {
    if (file.s3.empty()) file.s3 = std::move(href);
  } else if (href.starts_with("https://") || href.starts_with("http://")) {
    if (file.https.empty()) file.https = std::move(href);
  }
}

void add_asset(const simdjson::dom::element& asset, Granule& granule) {
  GranuleFile file;
  const std::string href = stac_text(asset["href"]);
  file.name = url_basename(href);
  file.role = role_of(asset);
  file.media_type = stac_text(asset["type"]);
  take_href(href, file);
  simdjson::dom::object alternates;
  if (asset["alternate"].get(alternates) == simdjson::SUCCESS)
    for (const auto [key, value] : alternates) take_href(stac_text(value["href"]), file);
  if (file.name.empty() || (file.https.empty() && file.s3.empty())) return;
  uint64_t size = 0;
  if (asset["file:size"].get(size) == simdjson::SUCCESS) {
    file.size = size;
    file.size_is_exact = true;
  }
  take_multihash(stac_text(asset["file:checksum"]), file);
  // One asset of a file is https, another s3; such pairs lie close together.
  constexpr size_t kClose = 256;
  const size_t first = granule.files.size() - std::min(granule.files.size(), kClose);
  for (GranuleFile& known : std::span(granule.files).subspan(first)) {
    if (known.name != file.name || known.role != file.role) continue;
    if (known.https.empty() == file.https.empty() || known.s3.empty() == file.s3.empty()) continue;
    (known.https.empty() ? known.https : known.s3) = known.https.empty() ? file.https : file.s3;
    return;
  }
  granule.files.push_back(std::move(file));
}

void read_bbox(const StacLooked& value, Footprint& out) {
  simdjson::dom::array numbers;
  if (value.get(numbers) != simdjson::SUCCESS) return;
  std::vector<double> box;
  for (const auto element : numbers) {
    double number = 0;
    if (element.get(number) != simdjson::SUCCESS) return;
    box.push_back(number);
  }
  Rectangle r;
  if (box.size() == 4) r = {box[0], box[1], box[2], box[3]};
  if (box.size() == 6) r = {box[0], box[1], box[3], box[4]};  // with heights between
  const auto is_degrees = [](double number, double most) { return std::abs(number) <= most; };
  if ((box.size() == 4 || box.size() == 6) && is_degrees(r.west, 360) && is_degrees(r.east, 360) &&
      is_degrees(r.south, 90) && is_degrees(r.north, 90))
    out.rectangles.push_back(r);
}

/// RFC 3339 in UTC, as STAC wants it.
std::string rfc3339(const std::string& time) {
  if (time.empty()) return {};
  const size_t clock = time.find('T');
  if (clock == std::string::npos) return time + "T00:00:00Z";
  const bool zone = time.find_first_of("Z+", clock) != std::string::npos ||
                    time.find('-', clock) != std::string::npos;
  return zone ? time : time + "Z";
}

Json position_of(const Position& p) { return Json::array({p.longitude, p.latitude}); }

Json positions_of(const std::vector<Position>& positions) {
  Json out = Json::array();
  for (const Position& p : positions) out.push_back(position_of(p));
  return out;
}

Json rings_of(const Polygon& polygon) {
  Json out = Json::array();
  for (const auto& ring : polygon) out.push_back(positions_of(ring));
  return out;
}

template <typename Items, typename Convert>
Json geometry_of(const std::string& kind, const Items& items, const Convert& convert) {
  if (items.size() == 1) return {{"type", kind}, {"coordinates", convert(items[0])}};
  Json all = Json::array();
  for (const auto& item : items) all.push_back(convert(item));
  return {{"type", "Multi" + kind}, {"coordinates", std::move(all)}};
}

Json geometry_of(const GeoShape& shape) {
  if (!shape.polygons.empty()) return geometry_of("Polygon", shape.polygons, rings_of);
  if (!shape.lines.empty()) return geometry_of("LineString", shape.lines, positions_of);
  if (!shape.points.empty()) return geometry_of("Point", shape.points, position_of);
  return nullptr;
}

constexpr const char* kFileExtension = "https://stac-extensions.github.io/file/v2.1.0/schema.json";
constexpr const char* kEoExtension = "https://stac-extensions.github.io/eo/v1.1.0/schema.json";
constexpr const char* kAlternateExtension =
    "https://stac-extensions.github.io/alternate-assets/v1.2.0/schema.json";

struct AssetNotes {
  bool file = false, alternate = false;  // extensions that were used
};

Json asset_of(const GranuleFile& file, AssetNotes& notes) {
  Json asset{{"href", file.https.empty() ? file.s3 : file.https}};
  if (!file.media_type.empty()) asset["type"] = file.media_type;
  const char* role = file.role == FileRole::kData      ? "data"
                     : file.role == FileRole::kPicture ? "overview"
                                                       : "metadata";
  asset["roles"] = Json::array({role});
  if (file.size && file.size_is_exact) asset["file:size"] = *file.size;
  if (const std::string hash = multihash_of(file); !hash.empty()) asset["file:checksum"] = hash;
  notes.file |= asset.contains("file:size") || asset.contains("file:checksum");
  if (!file.https.empty() && !file.s3.empty()) {
    asset["alternate"] = {{"s3", {{"href", file.s3}}}};
    notes.alternate = true;
  }
  return asset;
}

Json assets_of(const Granule& granule, AssetNotes& notes) {
  Json assets = Json::object();
  for (const GranuleFile& file : granule.files) {
    std::string key = file.name;
    for (int n = 2; assets.contains(key); ++n) key = file.name + " " + std::to_string(n);
    assets[key] = asset_of(file, notes);
    if (file.dmrpp.empty()) continue;
    assets[key + ".dmrpp"] = {{"href", file.dmrpp},
                              {"type", "application/vnd.opendap.dap4.dmrpp+xml"},
                              {"roles", Json::array({"metadata"})}};
  }
  return assets;
}

}  // namespace

Result<Granule> parse_stac_item(std::string_view item) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (const auto error = parser.parse(item.data(), item.size(), false).get(root))
    return fail(Code::kInvalidData, std::string("not JSON: ") + simdjson::error_message(error));
  Granule g;
  g.name = stac_text(root["id"]);
  if (g.name.empty()) return fail(Code::kInvalidData, "a STAC item without an id");
  g.short_name = stac_text(root["collection"]);
  g.collection_id = g.short_name;
  g.concept_id = g.short_name + "/" + g.name;
  const StacLooked properties = root["properties"];
  g.begin = stac_text(properties["start_datetime"]);
  g.end = stac_text(properties["end_datetime"]);
  if (g.begin.empty()) g.begin = g.end = stac_text(properties["datetime"]);
  g.revised = stac_text(properties["updated"]);
  double cover = 0;
  if (properties["eo:cloud_cover"].get(cover) == simdjson::SUCCESS) g.cloud_cover = cover;
  read_bbox(root["bbox"], g.footprint);
  simdjson::dom::object assets;
  if (root["assets"].get(assets) == simdjson::SUCCESS)
    for (const auto [key, asset] : assets) add_asset(asset, g);
  return g;
}

Result<> read_stac_links(std::string_view links, StacPage& page) {
  simdjson::dom::parser parser;
  simdjson::dom::array list;
  // The parser bounds the depth, too.
  if (parser.parse(simdjson::padded_string(links)).get(list) != simdjson::SUCCESS)
    return fail(Code::kInvalidData, "\"links\" are no list");
  for (const simdjson::dom::element link : list) {
    if (stac_text(link["rel"]) != "next") continue;
    page.next_url = stac_text(link["href"]);
    if (page.next_url.empty())
      return fail(Code::kInvalidData, "the link to the next page has no href");
    page.next_method = stac_text(link["method"]);
    simdjson::dom::element body;
    if (link["body"].get(body) == simdjson::SUCCESS) page.next_body = simdjson::minify(body);
    bool merge = false;
    page.merge = link["merge"].get(merge) == simdjson::SUCCESS && merge;
    return {};
  }
  return {};
}

void read_stac_matched(std::string_view value, PageSummary& summary) {
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  uint64_t matched = 0;
  if (parser.parse(simdjson::padded_string(value)).get(root) != simdjson::SUCCESS) return;
  const bool told =
      root.get(matched) == simdjson::SUCCESS || root["matched"].get(matched) == simdjson::SUCCESS;
  if (told) summary.hits = matched;
}

std::string geojson_geometry(const Footprint& footprint) {
  return geometry_of(shape_of(footprint)).dump();
}

Result<std::string> stac_item(const Granule& g, const std::string& catalogue) {
  if (g.begin.empty())
    return fail(Code::kInvalidData, g.name + ": has no time, which a STAC item must have");
  const GeoShape shape = shape_of(g.footprint);
  AssetNotes notes;
  Json assets = assets_of(g, notes);
  Json extensions = Json::array();
  if (notes.file) extensions.push_back(kFileExtension);
  if (notes.alternate) extensions.push_back(kAlternateExtension);
  if (g.cloud_cover) extensions.push_back(kEoExtension);
  Json properties{{"datetime", rfc3339(g.begin)}};
  if (!g.end.empty()) {
    properties["start_datetime"] = rfc3339(g.begin);
    properties["end_datetime"] = rfc3339(g.end);
  }
  if (!g.revised.empty()) properties["updated"] = rfc3339(g.revised);
  if (g.cloud_cover) properties["eo:cloud_cover"] = *g.cloud_cover;
  Json links = Json::array();
  const auto link = [&](const char* rel, const std::string& id) {
    links.push_back({{"rel", rel},
                     {"href", catalogue + "/concepts/" + id + ".umm_json"},
                     {"type", "application/vnd.nasa.cmr.umm+json"}});
  };
  link("via", g.concept_id);
  if (!g.collection_id.empty()) link("collection", g.collection_id);
  Json item{{"type", "Feature"},
            {"stac_version", "1.1.0"},
            {"stac_extensions", extensions},
            {"id", g.name},
            {"geometry", geometry_of(shape)}};
  if (shape.bounds) {
    const Rectangle& b = *shape.bounds;
    item["bbox"] = {b.west, b.south, b.east, b.north};
  }
  item["properties"] = std::move(properties);
  item["links"] = std::move(links);
  item["assets"] = std::move(assets);
  if (!g.collection_id.empty()) item["collection"] = g.collection_id;
  return item.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace upwell::access
