#include "produce/factors/native_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "produce/factors/factors.hpp"
#include "produce/grid/grid_checks.hpp"

namespace upwell::produce {
namespace {

enum GridPart { kXC, kYC, kRAC, kDXG, kDYG, kDRF, kHFacC };
const std::vector<std::string> kGridParts{"XC", "YC", "RAC", "DXG", "DYG", "DRF", "hFacC"};

/// Depths add up in single precision, as they do where the file is one of floats.
std::vector<double> depths_of(const std::vector<double>& thickness, size_t width) {
  std::vector<double> bounds;
  double depth = 0;
  for (const double metres : thickness) {
    bounds.push_back(bounds.empty() ? 0 : -depth);
    depth += metres;
    if (width == 4) depth = static_cast<float>(depth);
    bounds.push_back(-depth);
  }
  return bounds;
}

Result<> check_places(const NativeGrid& grid, const std::string& where) {
  for (uint64_t p = 0; p < grid.points(); ++p) {
    if (!(std::abs(grid.latitude[p]) <= 90) || !std::isfinite(grid.longitude[p]))
      return fail(Code::kInvalidData, fmt::format("{}: value {} is no place on Earth", where, p));
  }
  return {};
}

/// Numbers of a variable of this shape.
Result<std::vector<double>> numbers_of(const GridFile& file, const std::string& name,
                                       const Shape& shape) {
  UPWELL_TRY(const Values values, file.read(name));
  if (values.shape != shape)
    return fail(Code::kInvalidData, file.url() + ": " + name + " is of another size than the grid");
  std::vector<double> numbers(values.count());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = values.number(i);
  return numbers;
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

  const auto take = [&](GridPart part, const GridRange& allowed, const auto& use) {
    return take_tiles(fields[part], grid.n, 1, allowed, [&](uint64_t, double v) { use(v); });
  };
  const auto widen = [&](double metres) {
    grid.largest_spacing = std::max(grid.largest_spacing, metres);
  };
  UPWELL_CHECK(take(kXC, kLongitudes, [&](double v) { grid.longitude.push_back(v); }));
  UPWELL_CHECK(take(kYC, kLatitudes, [&](double v) { grid.latitude.push_back(v); }));
  UPWELL_CHECK(take(kRAC, kAreas, [&](double v) { grid.area.push_back(v); }));
  UPWELL_CHECK(take(kDXG, kLengths, widen));
  UPWELL_CHECK(take(kDYG, kLengths, widen));
  const uint64_t levels = fields[kDRF].size();
  grid.wet.assign(levels, std::vector<uint8_t>(bytes_of_bits(points), 0));
  UPWELL_CHECK(take_tiles(fields[kHFacC], grid.n, levels, kOpenParts, [&](uint64_t p, double part) {
    if (part > 0) set_bit(grid.wet[p / points], p % points);
  }));
  std::vector<double> thickness;
  for (uint64_t k = 0; k < levels; ++k) {
    thickness.push_back(fields[kDRF][k]);
    if (!(thickness[k] > 0) || !std::isfinite(thickness[k]))
      return fail(Code::kInvalidData, fmt::format("grid: {}: value {} is {}, which is no thickness",
                                                  fields[kDRF].url, k, thickness[k]));
  }
  grid.depth_bounds = depths_of(thickness, fields[kDRF].width);
  return grid;
}

Result<NativeGrid> read_native_grid(const GridFile& file) {
  const std::string mask = file.has("hFacC") ? "hFacC" : "maskC";
  UPWELL_TRY(const Values open, file.read(mask));
  const Shape& shape = open.shape;
  if (shape.size() != 4 || shape[0] == 0 || shape[1] != 13 || shape[2] != shape[3])
    return fail(Code::kInvalidData, file.url() + ": " + mask +
                                        " is not [levels][13 tiles][n][n] of a lat-lon-cap grid");
  NativeGrid grid;
  grid.n = shape[3];
  const Shape level(shape.begin() + 1, shape.end());
  UPWELL_TRY(grid.longitude, numbers_of(file, "XC", level));
  UPWELL_TRY(grid.latitude, numbers_of(file, "YC", level));
  UPWELL_TRY(grid.area, numbers_of(file, "rA", level));
  for (const char* spacing : {"dxG", "dyG"}) {
    UPWELL_TRY(const std::vector<double> metres, numbers_of(file, spacing, level));
    grid.largest_spacing =
        std::max(grid.largest_spacing, *std::max_element(metres.begin(), metres.end()));
  }
  const uint64_t points = grid.points();
  for (uint64_t k = 0; k < shape[0]; ++k) {
    std::vector<uint8_t> wet(bytes_of_bits(points), 0);
    for (uint64_t p = 0; p < points; ++p) {
      if (open.number(k * points + p) > 0) set_bit(wet, p);
    }
    grid.wet.push_back(std::move(wet));
  }
  UPWELL_TRY(const std::vector<double> thickness, numbers_of(file, "drF", {shape[0]}));
  UPWELL_TRY(const Values as_stored, file.read("drF"));
  grid.depth_bounds = depths_of(thickness, as_stored.type.size);
  UPWELL_CHECK(check_places(grid, file.url() + ": XC, YC"));
  return grid;
}

Result<CellCorners> read_cell_corners(const GridFile& file, uint64_t n) {
  UPWELL_TRY(const std::vector<double> x, numbers_of(file, "XC_bnds", {13, n, n, 4}));
  UPWELL_TRY(const std::vector<double> y, numbers_of(file, "YC_bnds", {13, n, n, 4}));
  CellCorners corners(13 * n * n);
  for (uint64_t p = 0; p < corners.size(); ++p) {
    for (uint64_t c = 0; c < 4; ++c) corners[p][c] = {x[4 * p + c], y[4 * p + c]};
  }
  return corners;
}

std::vector<uint8_t> NativeGrid::ever_wet() const {
  std::vector<uint8_t> wet_once(bytes_of_bits(points()), 0);
  for (const std::vector<uint8_t>& level : wet) {
    for (size_t b = 0; b < wet_once.size(); ++b) wet_once[b] |= level[b];
  }
  return wet_once;
}

}  // namespace upwell::produce
