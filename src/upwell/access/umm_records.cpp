#include "access/umm_records.hpp"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <limits>
#include <unordered_map>

#include "base/text.hpp"

namespace upwell::access {
namespace {

namespace dom = simdjson::dom;
using Looked = simdjson::simdjson_result<dom::element>;

std::string text_of(const Looked& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::string text_of(const dom::element& value) {
  std::string_view text;
  return value.get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

std::optional<double> number_of(const Looked& value) {
  double number = 0;
  if (value.get(number) != simdjson::SUCCESS || !std::isfinite(number)) return {};
  return number;
}

std::optional<int64_t> integer_of(const Looked& value) {
  int64_t number = 0;
  if (value.get(number) == simdjson::SUCCESS) return number;
  return {};
}

/// The elements of an array; of anything else none.
template <typename Visit>
void each_element(const Looked& value, const Visit& visit) {
  dom::array array;
  if (value.get(array) != simdjson::SUCCESS) return;
  for (const dom::element element : array) visit(element);
}

/// Bytes of a Size with its unit, as archives write them: powers of 1024.
std::optional<uint64_t> sized(std::optional<double> size, const std::string& unit) {
  constexpr std::string_view kUnits[] = {"B", "KB", "MB", "GB", "TB", "PB"};
  if (!size || *size < 0) return {};
  double bytes = *size;
  for (const std::string_view known : kUnits) {
    if (unit == known)
      return bytes < 9e18 ? std::optional(static_cast<uint64_t>(std::llround(bytes)))
                          : std::nullopt;
    bytes *= 1024;
  }
  return {};  // "NA": megabytes for some, bytes for others
}

/// An entry of ArchiveAndDistributionInformation.
struct ArchiveEntry {
  std::string name;
  std::optional<uint64_t> size;
  bool exact = false;
  std::string media_type, algorithm, checksum;
};

void add_archive_entries(const Looked& list, int depth, std::vector<ArchiveEntry>& out) {
  constexpr int kMaxDepth = 8;
  if (depth > kMaxDepth) return;
  each_element(list, [&](const dom::element& e) {
    ArchiveEntry entry{.name = text_of(e["Name"]),
                       .size = {},
                       .media_type = text_of(e["MimeType"]),
                       .algorithm = text_of(e["Checksum"]["Algorithm"]),
                       .checksum = text_of(e["Checksum"]["Value"])};
    if (const auto bytes = integer_of(e["SizeInBytes"]); bytes && *bytes >= 0) {
      entry.size = static_cast<uint64_t>(*bytes);
      entry.exact = true;
    } else {
      entry.size = sized(number_of(e["Size"]), text_of(e["SizeUnit"]));
    }
    out.push_back(std::move(entry));
    add_archive_entries(e["Files"], depth + 1, out);
  });
}

void take_entry(const ArchiveEntry& entry, GranuleFile& file) {
  if (entry.size) {
    file.size = entry.size;
    file.size_is_exact = entry.exact;
  }
  if (file.media_type.empty()) file.media_type = entry.media_type;
  if (entry.checksum.empty()) return;
  file.checksum_algorithm = entry.algorithm;
  file.checksum = lower_case(entry.checksum);
}

/// The files of a granule, from its links and its archive entries.
class FileCollector {
 public:
  explicit FileCollector(Granule& granule) : granule_(granule) {}

  void add_link(const dom::element& link);
  void finish(const std::vector<ArchiveEntry>& entries);

 private:
  void add_file(std::string url, FileRole role, const dom::element& link);

  Granule& granule_;
  std::unordered_map<std::string, size_t> last_;  // role and name ▸ the last file of that name
  std::unordered_map<std::string, std::string> dmrpp_;  // name of the file ▸ URL
};

void FileCollector::add_link(const dom::element& link) {
  std::string url = text_of(link["URL"]);
  const std::string type = text_of(link["Type"]);
  if (url.ends_with("/s3credentials")) {
    if (granule_.s3_credentials.empty()) granule_.s3_credentials = std::move(url);
    return;
  }
  const bool readable =
      url.starts_with("https://") || url.starts_with("http://") || url.starts_with("s3://");
  if (!readable) return;
  if (url.ends_with(".dmrpp") ||
      text_of(link["MimeType"]) == "application/vnd.opendap.dap4.dmrpp+xml") {
    std::string name = url_basename(url);
    if (name.ends_with(".dmrpp")) name.resize(name.size() - std::string_view(".dmrpp").size());
    std::string& known = dmrpp_[name];
    if (known.empty() || known.starts_with("s3://")) known = std::move(url);
  } else if (type == "GET DATA" || type == "GET DATA VIA DIRECT ACCESS") {
    add_file(std::move(url), FileRole::kData, link);
  } else if (type == "EXTENDED METADATA") {
    add_file(std::move(url), FileRole::kMetadata, link);
  } else if (type == "GET RELATED VISUALIZATION") {
    add_file(std::move(url), FileRole::kPicture, link);
  } else if (text_of(link["Subtype"]) == "OPENDAP DATA" && granule_.opendap.empty()) {
    granule_.opendap = std::move(url);
  }
}

void FileCollector::add_file(std::string url, FileRole role, const dom::element& link) {
  std::string name = url_basename(url);
  if (name.empty()) return;  // a directory
  const auto place_in = [&url](GranuleFile& file) -> std::string& {
    return url.starts_with("s3://") ? file.s3 : file.https;
  };
  const std::string key = std::to_string(static_cast<int>(role)) + name;
  auto known = last_.find(key);
  if (known != last_.end()) {
    std::string& place = place_in(granule_.files[known->second]);
    if (place == url) return;
    if (!place.empty()) known = last_.end();
  }
  if (known == last_.end()) {
    last_[key] = granule_.files.size();
    GranuleFile file;
    file.name = std::move(name);
    file.role = role;
    granule_.files.push_back(std::move(file));
  }
  GranuleFile& file = granule_.files[last_[key]];
  place_in(file) = std::move(url);
  if (file.media_type.empty()) file.media_type = text_of(link["MimeType"]);
  if (!file.size) file.size = sized(number_of(link["Size"]), text_of(link["SizeUnit"]));
}

void FileCollector::finish(const std::vector<ArchiveEntry>& entries) {
  std::unordered_map<std::string_view, const ArchiveEntry*> by_name;
  for (const ArchiveEntry& entry : entries) by_name.try_emplace(entry.name, &entry);
  GranuleFile* only = nullptr;
  size_t data_files = 0;
  bool matched = false;
  for (GranuleFile& file : granule_.files) {
    if (const auto found = by_name.find(file.name); found != by_name.end()) {
      take_entry(*found->second, file);
      matched = true;
    }
    if (const auto found = dmrpp_.find(file.name); found != dmrpp_.end())
      file.dmrpp = found->second;
    if (file.role != FileRole::kData) continue;
    ++data_files;
    only = &file;
  }
  // Entries are often called "Not provided".
  if (!matched && data_files == 1 && entries.size() == 1) take_entry(entries[0], *only);
}

/// Degrees that a place on Earth can have; some archives count longitudes to 360.
bool is_place(double longitude, double latitude) {
  return std::abs(longitude) <= 360 && std::abs(latitude) <= 90;
}

/// Empty when a point is no place.
std::vector<Position> ring_of(const Looked& points) {
  std::vector<Position> ring;
  bool right = true;
  each_element(points, [&](const dom::element& p) {
    const auto longitude = number_of(p["Longitude"]), latitude = number_of(p["Latitude"]);
    right = right && longitude && latitude && is_place(*longitude, *latitude);
    if (right) ring.push_back({*longitude, *latitude});
  });
  if (!right) ring.clear();
  return ring;
}

void read_footprint(const Looked& geometry, Footprint& out) {
  each_element(geometry["BoundingRectangles"], [&](const dom::element& r) {
    const auto west = number_of(r["WestBoundingCoordinate"]);
    const auto south = number_of(r["SouthBoundingCoordinate"]);
    const auto east = number_of(r["EastBoundingCoordinate"]);
    const auto north = number_of(r["NorthBoundingCoordinate"]);
    if (west && south && east && north && is_place(*west, *south) && is_place(*east, *north))
      out.rectangles.push_back({*west, *south, *east, *north});
  });
  each_element(geometry["GPolygons"], [&](const dom::element& p) {
    Polygon polygon{ring_of(p["Boundary"]["Points"])};
    if (polygon[0].size() < 4) return;
    each_element(p["ExclusiveZone"]["Boundaries"], [&](const dom::element& hole) {
      auto ring = ring_of(hole["Points"]);
      if (ring.size() >= 4) polygon.push_back(std::move(ring));
    });
    out.polygons.push_back(std::move(polygon));
  });
  each_element(geometry["Lines"], [&](const dom::element& l) {
    auto line = ring_of(l["Points"]);
    if (line.size() >= 2) out.lines.push_back(std::move(line));
  });
  out.points = ring_of(geometry["Points"]);
}

void read_times(const Looked& extent, std::string& begin, std::string& end) {
  begin = text_of(extent["RangeDateTime"]["BeginningDateTime"]);
  end = text_of(extent["RangeDateTime"]["EndingDateTime"]);
  if (begin.empty()) begin = end = text_of(extent["SingleDateTime"]);
}

std::string joined_errors(const Looked& errors) {
  std::string all;
  each_element(errors, [&](const dom::element& e) {
    if (const std::string text = text_of(e); !text.empty()) all += (all.empty() ? "" : "; ") + text;
  });
  return all;
}

/// Many items are parsed one by one: its buffers are made once.
dom::parser& parser_of_thread() {
  thread_local dom::parser parser;
  return parser;
}

/// Valid until the next one is parsed.
Result<dom::element> parsed(std::string_view item) {
  dom::parser& parser = parser_of_thread();
  dom::element root;
  if (const auto error = parser.parse(item.data(), item.size(), false).get(root))
    return fail(Code::kInvalidData, std::string("not JSON: ") + simdjson::error_message(error));
  if (text_of(root["meta"]["concept-id"]).empty())
    return fail(Code::kInvalidData, "an item without meta.concept-id");
  return root;
}

}  // namespace

std::string url_basename(std::string_view url) {
  for (const char end : {'#', '?'}) url = url.substr(0, url.find(end));
  return std::string(url.substr(url.rfind('/') + 1));  // npos + 1 is 0
}

Result<Granule> parse_umm_granule(std::string_view item) {
  UPWELL_TRY(const dom::element root, parsed(item));
  const Looked meta = root["meta"], umm = root["umm"];
  Granule g;
  g.concept_id = text_of(meta["concept-id"]);
  g.revision = integer_of(meta["revision-id"]).value_or(0);
  g.collection_id = text_of(meta["collection-concept-id"]);
  g.provider = text_of(meta["provider-id"]);
  g.revised = text_of(meta["revision-date"]);
  g.name = text_of(umm["GranuleUR"]);
  if (g.name.empty()) g.name = text_of(meta["native-id"]);
  g.broken = joined_errors(umm["_errors"]);
  g.short_name = text_of(umm["CollectionReference"]["ShortName"]);
  g.version = text_of(umm["CollectionReference"]["Version"]);
  read_times(umm["TemporalExtent"], g.begin, g.end);
  g.cloud_cover = number_of(umm["CloudCover"]);
  const Looked data = umm["DataGranule"];
  g.day_night = text_of(data["DayNightFlag"]);
  g.produced = text_of(data["ProductionDateTime"]);
  each_element(data["Identifiers"], [&](const dom::element& e) {
    if (text_of(e["IdentifierType"]) == "ProducerGranuleId")
      g.producer_id = text_of(e["Identifier"]);
  });
  const Looked horizontal = umm["SpatialExtent"]["HorizontalSpatialDomain"];
  read_footprint(horizontal["Geometry"], g.footprint);
  g.track.cycle = integer_of(horizontal["Track"]["Cycle"]);
  each_element(horizontal["Track"]["Passes"], [&](const dom::element& e) {
    if (const auto pass = integer_of(e["Pass"])) g.track.passes.push_back(*pass);
  });
  FileCollector files(g);
  each_element(umm["RelatedUrls"], [&](const dom::element& link) { files.add_link(link); });
  std::vector<ArchiveEntry> entries;
  add_archive_entries(data["ArchiveAndDistributionInformation"], 0, entries);
  files.finish(entries);
  return g;
}

Result<Collection> parse_umm_collection(std::string_view item) {
  UPWELL_TRY(const dom::element root, parsed(item));
  const Looked meta = root["meta"], umm = root["umm"];
  Collection c;
  c.concept_id = text_of(meta["concept-id"]);
  c.provider = text_of(meta["provider-id"]);
  if (const auto count = integer_of(meta["granule-count"]); count && *count >= 0)
    c.granules = static_cast<uint64_t>(*count);
  c.short_name = text_of(umm["ShortName"]);
  c.version = text_of(umm["Version"]);
  c.title = text_of(umm["EntryTitle"]);
  c.doi = text_of(umm["DOI"]["DOI"]);
  bool open_end = false;
  each_element(umm["TemporalExtents"], [&](const dom::element& extent) {
    bool flag = false;
    if (extent["EndsAtPresentFlag"].get(flag) == simdjson::SUCCESS && flag) open_end = true;
    each_element(extent["RangeDateTimes"], [&](const dom::element& range) {
      const std::string begin = text_of(range["BeginningDateTime"]);
      const std::string end = text_of(range["EndingDateTime"]);
      // ISO 8601 in UTC sorts as text.
      if (c.begin.empty() || begin < c.begin) c.begin = begin;
      if (end.empty()) open_end = true;
      c.end = std::max(c.end, end);
    });
  });
  if (open_end) c.end.clear();
  const Looked direct = umm["DirectDistributionInformation"];
  c.region = text_of(direct["Region"]);
  c.s3_credentials = text_of(direct["S3CredentialsAPIEndpoint"]);
  each_element(direct["S3BucketAndObjectPrefixNames"],
               [&](const dom::element& prefix) { c.s3_prefixes.push_back(text_of(prefix)); });
  each_element(umm["RelatedUrls"], [&](const dom::element& link) {
    if (text_of(link["Type"]) != "GET DATA" || text_of(link["Subtype"]) != "VIRTUAL COLLECTION")
      return;
    c.published.push_back(
        {text_of(link["URL"]), text_of(link["Description"]), text_of(link["GetData"]["Format"])});
  });
  return c;
}

}  // namespace upwell::access
