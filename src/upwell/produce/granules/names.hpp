#pragma once
// What the name of a granule says.

#include <string>

#include "base/result.hpp"

namespace upwell::produce {

enum class GridType { kNative, kLatLon };

/// PREFIX_TAG_DATE_ECCO_VERSION_TYPE_LABEL.nc, as SEA_SURFACE_HEIGHT_mon_mean_1992-01_ECCO_V4r4_
/// native_llc0090.nc.
struct GranuleName {
  std::string file;    ///< without directories
  std::string prefix;  ///< SEA_SURFACE_HEIGHT
  std::string tag;     ///< mon_mean, day_mean, day_snap, mon_snap or snap
  std::string date;
  std::string version;
  GridType grid = GridType::kNative;
  std::string label;  ///< llc0090, 0p50deg
};

/// Of a path or URL. kInvalidData for names of any other form.
Result<GranuleName> parse_granule_name(const std::string& path);

/// The variable that a raw file holds and its step: "SSH" and 732 of SSH_mon_mean.0000000732.data.
struct RawName {
  std::string variable;
  int64_t step = 0;
};
Result<RawName> parse_raw_name(const std::string& path);

}  // namespace upwell::produce
