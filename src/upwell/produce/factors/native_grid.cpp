#include "produce/factors/native_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "produce/factors/factors.hpp"
#include "produce/factors/mapper.hpp"

namespace upwell::produce {
namespace {

enum GridPart { kXC, kYC, kRAC, kDXG, kDYG, kDRF, kHFacC };
const std::vector<std::string> kGridParts{"XC", "YC", "RAC", "DXG", "DYG", "DRF", "hFacC"};

/// Depths add up in single precision, as they do where the file is one of floats.
std::vector<double> depths_of(const GridField& thickness) {
  std::vector<double> bounds;
  double depth = 0;
  for (uint64_t k = 0; k < thickness.size(); ++k) {
    bounds.push_back(k == 0 ? 0 : -depth);
    depth += thickness[k];
    if (thickness.width == 4) depth = static_cast<float>(depth);
    bounds.push_back(-depth);
  }
  return bounds;
}

Result<> check_sizes(const std::vector<GridField>& fields, uint64_t points) {
  for (const GridPart file : {kXC, kYC, kRAC, kDXG, kDYG}) {
    if (fields[file].size() != points)
      return fail(Code::kInvalidData, fmt::format("{}.data has {} values, XC.data {}",
                                                  kGridParts[file], fields[file].size(), points));
  }
  const uint64_t levels = fields[kDRF].size();
  if (levels == 0 || fields[kDRF].data.size() % fields[kDRF].width != 0 ||
      fields[kHFacC].data.size() != levels * points * fields[kHFacC].width)
    return fail(Code::kInvalidData,
                fmt::format("hFacC.data has {} values; {} points and {} levels of DRF.data make {}",
                            fields[kHFacC].size(), points, levels, levels * points));
  return {};
}

}  // namespace

Result<NativeGrid> read_native_grid(io::Session& session, const std::string& directory) {
  UPWELL_TRY(const std::vector<GridField> fields, read_grid_fields(session, directory, kGridParts));
  NativeGrid grid;
  UPWELL_TRY(const auto shape, llc_shape(fields[kXC].data.size()));
  grid.n = shape.second;
  const uint64_t points = 13 * grid.n * grid.n;
  UPWELL_CHECK(check_sizes(fields, points));

  for (uint64_t p = 0; p < points; ++p) {
    const uint64_t at = compact_position(p, grid.n);
    grid.longitude.push_back(fields[kXC][at]);
    grid.latitude.push_back(fields[kYC][at]);
    grid.area.push_back(fields[kRAC][at]);
    if (!(std::abs(grid.latitude.back()) <= 90) || !std::isfinite(grid.longitude.back()))
      return fail(Code::kInvalidData,
                  fmt::format("XC.data, YC.data: value {} is no place on Earth", at));
    grid.largest_spacing = std::max({grid.largest_spacing, fields[kDXG][at], fields[kDYG][at]});
  }
  for (uint64_t level = 0; level < fields[kDRF].size(); ++level) {
    std::vector<uint8_t> wet(bytes_of_bits(points), 0);
    for (uint64_t p = 0; p < points; ++p) {
      if (fields[kHFacC][level * points + compact_position(p, grid.n)] > 0) set_bit(wet, p);
    }
    grid.wet.push_back(std::move(wet));
  }
  grid.depth_bounds = depths_of(fields[kDRF]);
  return grid;
}

}  // namespace upwell::produce
