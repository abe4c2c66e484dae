#pragma once
// Granules and collections as NASA's catalogue describes them: UMM-G 1.6, UMM-C 1.18
// (https://git.earthdata.nasa.gov/projects/EMFD/repos/unified-metadata-model).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

/// Degrees.
struct Position {
  double longitude = 0, latitude = 0;
  bool operator==(const Position&) const = default;
};

/// West may be greater than east: it then crosses the antimeridian.
struct Rectangle {
  double west = 0, south = 0, east = 0, north = 0;
};

/// Rings are closed; the first is the outer one. Edges take the short way around the Earth.
using Polygon = std::vector<std::vector<Position>>;

/// Where a granule lies, as it was told: a global grid is often two rectangles that meet at 180.
struct Footprint {
  std::vector<Rectangle> rectangles;
  std::vector<Polygon> polygons;
  std::vector<std::vector<Position>> lines;
  std::vector<Position> points;
};

/// What a file of a granule is for.
enum class FileRole {
  kData,      ///< GET DATA, GET DATA VIA DIRECT ACCESS
  kMetadata,  ///< EXTENDED METADATA: checksums, ISO records
  kPicture,   ///< GET RELATED VISUALIZATION
};

/// One file at one or two places. Of two links with one basename, one is https and one s3.
struct GranuleFile {
  std::string name;       ///< basename of its links
  std::string https, s3;  ///< either may be empty
  std::string dmrpp;      ///< its DMR++, where a link to that is given
  std::string media_type;
  FileRole role = FileRole::kData;
  /// Bytes; nothing where the record does not say (a Size without a unit says nothing).
  std::optional<uint64_t> size;
  bool size_is_exact = false;      ///< SizeInBytes, not a rounded number of megabytes
  std::string checksum_algorithm;  ///< "MD5", "SHA-256", ... as recorded; empty: none
  std::string checksum;
};

/// Swath products: Track of UMM-G.
struct Track {
  std::optional<int64_t> cycle;
  std::vector<int64_t> passes;
};

struct Granule {
  std::string concept_id;  ///< "G1234-PROVIDER"
  int64_t revision = 0;
  std::string name;         ///< GranuleUR
  std::string producer_id;  ///< ProducerGranuleId; often the file's name
  std::string collection_id, short_name, version, provider;
  std::string begin, end;  ///< ISO 8601 as recorded; end may be empty
  std::string revised, produced;
  std::optional<double> cloud_cover;  ///< percent
  std::string day_night;
  Track track;
  Footprint footprint;
  std::vector<GranuleFile> files;
  std::string opendap, s3_credentials;
  /// Why the catalogue could not show it (`_errors`); empty: it could.
  std::string broken;
};

/// A reference set or store of a whole collection that its archive has published.
struct PublishedStore {
  std::string url, description, format;
};

struct Collection {
  std::string concept_id, short_name, version, provider, title, doi;
  std::string begin, end;  ///< of its granules, ISO 8601; end may be empty
  std::optional<uint64_t> granules;
  std::string region, s3_credentials;
  std::vector<std::string> s3_prefixes;
  std::vector<PublishedStore> published;
};

struct PageSummary {
  std::optional<uint64_t> hits;  ///< of the whole search
  size_t items = 0;
};

}  // namespace upwell::access
