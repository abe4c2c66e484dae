#pragma once
// What the name of a granule says.

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.hpp"

namespace upwell::produce {

enum class GridType { kNative, kLatLon, k1D };

/// PREFIX_TAG_DATE_ECCO_VERSION_TYPE_LABEL.nc, as SEA_SURFACE_HEIGHT_mon_mean_1992-01_ECCO_V4r4_
/// native_llc0090.nc; of time-invariant granules without TAG and DATE, as OCEAN_3D_MIXING_COEFFS_
/// ECCO_V4r4_native_llc0090.nc; of series without DATE and LABEL, as
/// GLOBAL_MEAN_SEA_LEVEL_mon_mean_ ECCO_V4r4_1D.nc.
struct GranuleName {
  std::string file;    ///< without directories
  std::string prefix;  ///< SEA_SURFACE_HEIGHT
  std::string tag;     ///< mon_mean, day_mean, day_snap, mon_snap or snap; empty: time-invariant
  std::string date;    ///< empty: time-invariant, or a series
  std::string version;
  GridType grid = GridType::kNative;
  std::string label;  ///< llc0090, 0p50deg; may be empty of series

  bool is_snapshot() const { return tag.ends_with("snap"); }
};

/// Of a path or URL. kInvalidData for names of any other form.
Result<GranuleName> parse_granule_name(const std::string& path);

/// The variable that a raw file holds and its step: "SSH" and 732 of SSH_mon_mean.0000000732.data.
struct RawName {
  std::string variable;
  std::optional<int64_t> step;
};
Result<RawName> parse_raw_name(const std::string& path);
/// The same of a time-invariant field, DIFFKR.data or DIFFKR.0000000000.data.
Result<RawName> parse_invariant_name(const std::string& path);

}  // namespace upwell::produce
