#include "access/umm_files.hpp"

#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <string_view>

#include "base/text.hpp"

namespace upwell::access {
namespace {

constexpr std::array<std::string_view, 18> kDataFormats{
    "nc",  "nc4",  "h5",   "hdf5", "he5",  "hdf", "hdf4", "zarr", "grib2",
    "grb", "grb2", "grib", "bufr", "data", "bin", "tif",  "tiff", "zip"};
/// May be data where nothing else is.
constexpr std::array<std::string_view, 14> kSideFormats{"txt", "csv", "xml", "json", "html",
                                                        "htm", "png", "jpg", "jpeg", "gif",
                                                        "pdf", "kml", "met", "log"};
constexpr std::array<std::string_view, 6> kChecksums{"md5",    "sha1",  "sha256",
                                                     "sha512", "dmrpp", "cksum"};

std::string extension_of(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  return lower_case(name.substr(dot + 1));
}

template <typename List>
size_t place_in(const List& list, const std::string& extension) {
  return static_cast<size_t>(std::find(list.begin(), list.end(), extension) - list.begin());
}

/// The least is the best.
size_t rank_of(const GranuleFile& file, const std::vector<std::string>& preference) {
  const std::string extension = extension_of(file.name);
  size_t rank = place_in(preference, extension);
  if (rank < preference.size()) return rank;
  const size_t known = place_in(kDataFormats, extension);
  rank += known;
  if (known < kDataFormats.size()) return rank;
  const size_t side = place_in(kSideFormats, extension);
  // What has an extension that nobody knows is rather data than a picture.
  return side < kSideFormats.size() ? rank + 1 + side : rank;
}

}  // namespace

std::vector<const GranuleFile*> data_files(const Granule& granule, const FileChoice& choice) {
  std::vector<const GranuleFile*> chosen;
  size_t best = 0;
  for (const GranuleFile& file : granule.files) {
    if (!choice.pattern.empty()) {
      if (::fnmatch(choice.pattern.c_str(), file.name.c_str(), 0) == 0) chosen.push_back(&file);
      continue;
    }
    if (file.role != FileRole::kData) continue;
    if (place_in(kChecksums, extension_of(file.name)) < kChecksums.size()) continue;
    const size_t rank = rank_of(file, choice.preference);
    if (chosen.empty() || rank < best) {
      chosen.clear();
      best = rank;
    }
    if (rank == best) chosen.push_back(&file);
  }
  return chosen;
}

}  // namespace upwell::access
