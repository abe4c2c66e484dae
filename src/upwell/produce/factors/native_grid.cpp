#include "produce/factors/native_grid.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "format/mds/meta.hpp"
#include "produce/factors/factors.hpp"
#include "produce/factors/mapper.hpp"

namespace upwell::produce {
namespace {

enum GridFile { kXC, kYC, kRAC, kDXG, kDYG, kDRF, kHFacC };
constexpr std::array kGridFiles{"XC", "YC", "RAC", "DXG", "DYG", "DRF", "hFacC"};

std::string below(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

double value_at(const SharedBytes& file, size_t width, uint64_t i) {
  const uint8_t* p = file.data() + i * width;
  return width == 4 ? static_cast<double>(load_be<float>(p)) : load_be<double>(p);
}

/// One raw field: big endian floats of `width` bytes.
struct RawField {
  SharedBytes data;
  size_t width = 4;
  uint64_t size() const { return data.size() / width; }
  double operator[](uint64_t i) const { return value_at(data, width, i); }
};

/// Bytes of a value and points along a tile, from the size of one horizontal field. 13 n² values of
/// 4 and of 8 bytes never have the same size, for 2 is no square.
Result<std::pair<size_t, uint64_t>> shape_of(uint64_t bytes) {
  for (const size_t width : {size_t{4}, size_t{8}}) {
    const double values = static_cast<double>(bytes) / static_cast<double>(width);
    const auto n = static_cast<uint64_t>(std::llround(std::sqrt(values / 13)));
    if (n > 0 && 13 * n * n * width == bytes) return std::pair{width, n};
  }
  return fail(Code::kInvalidData,
              fmt::format("XC.data: {} bytes are no field of an llc grid", bytes));
}

/// The fields with their .meta where there is one, which says the precision and is checked; without
/// any, all have that of XC.
Result<std::vector<RawField>> read_fields(io::Session& session, const std::string& directory) {
  std::vector<io::ReadRequest> requests;
  for (const char* name : kGridFiles) {
    requests.push_back({below(directory, std::string(name) + ".data"), {}});
    requests.push_back({below(directory, std::string(name) + ".meta"), {}});
  }
  auto results = session.read(requests);
  std::vector<RawField> fields;
  for (size_t i = 0; i < results.size(); i += 2) {
    auto& data = results[i];
    auto& meta_text = results[i + 1];
    if (!data) return fail(std::move(data).error());
    if (!meta_text && meta_text.error().code != Code::kNotFound)
      return fail(std::move(meta_text).error());
    RawField field{std::move(*data), fields.empty() ? 4 : fields[kXC].width};
    if (meta_text) {
      auto meta = format::mds::parse_meta(as_text(meta_text->span()));
      if (!meta) return fail(std::move(meta).error().with(requests[i + 1].url));
      if (meta->data_bytes() != field.data.size())
        return fail(Code::kInvalidData,
                    fmt::format("{} has {} bytes, its .meta says {}", requests[i].url,
                                field.data.size(), meta->data_bytes()));
      field.width = meta->item_size;
    } else if (fields.empty()) {
      UPWELL_TRY(const auto shape, shape_of(field.data.size()));
      field.width = shape.first;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

/// Depths add up in single precision, as they do where the file is one of floats.
std::vector<double> depths_of(const RawField& thickness) {
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

Result<> check_sizes(const std::vector<RawField>& fields, uint64_t points) {
  for (const GridFile file : {kXC, kYC, kRAC, kDXG, kDYG}) {
    if (fields[file].size() != points)
      return fail(Code::kInvalidData, fmt::format("{}.data has {} values, XC.data {}",
                                                  kGridFiles[file], fields[file].size(), points));
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
  UPWELL_TRY(const std::vector<RawField> fields, read_fields(session, directory));
  NativeGrid grid;
  UPWELL_TRY(const auto shape, shape_of(fields[kXC].data.size()));
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

Result<CellCorners> read_cell_corners(io::Session& session, const std::string& directory,
                                      uint64_t n) {
  CellCorners corners(13 * n * n);
  uint64_t tile = 0;
  for (int face = 1; face <= 5; ++face) {
    const std::string url = below(directory, fmt::format("tile{:03}.mitgrid", face));
    UPWELL_TRY(const SharedBytes file, session.read_one(url));
    const uint64_t nx = face > 3 ? 3 * n : n, ny = face < 3 ? 3 * n : n;
    const uint64_t field = (nx + 1) * (ny + 1);
    if (file.size() != 16 * field * 8)
      return fail(Code::kInvalidData, fmt::format("{}: {} bytes, {} × {} cells make {}", url,
                                                  file.size(), nx, ny, 16 * field * 8));
    // Fields XC YC DXF DYF RAC XG YG ...
    auto corner = [&](uint64_t i, uint64_t j) {
      return std::array{value_at(file, 8, 5 * field + j * (nx + 1) + i),
                        value_at(file, 8, 6 * field + j * (nx + 1) + i)};
    };
    for (uint64_t part = 0; part < std::max(nx, ny) / n; ++part, ++tile) {
      const uint64_t i0 = nx > n ? part * n : 0, j0 = ny > n ? part * n : 0;
      for (uint64_t j = 0; j < n; ++j) {
        for (uint64_t i = 0; i < n; ++i)
          corners[(tile * n + j) * n + i] = {corner(i0 + i, j0 + j), corner(i0 + i + 1, j0 + j),
                                             corner(i0 + i + 1, j0 + j + 1),
                                             corner(i0 + i, j0 + j + 1)};
      }
    }
  }
  return corners;
}

}  // namespace upwell::produce
