#include "produce/grid/grid_files.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "cube/read.hpp"
#include "format/mds/meta.hpp"
#include "refs/open.hpp"

namespace upwell::produce {
namespace {

std::string below(const std::string& directory, const std::string& name) {
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

/// The precision that a .meta says, if there is one.
Result<std::optional<size_t>> said_width(const Result<SharedBytes>& text, const std::string& url,
                                         const std::string& data_url, uint64_t bytes) {
  if (!text && text.error().code == Code::kNotFound) return std::optional<size_t>{};
  if (!text) return fail(text.error());
  auto meta = format::mds::parse_meta(as_text(text->span()));
  if (!meta) return fail(std::move(meta).error().with(url));
  if (meta->data_bytes() != bytes)
    return fail(Code::kInvalidData, fmt::format("{} has {} bytes, its .meta says {}", data_url,
                                                bytes, meta->data_bytes()));
  return std::optional<size_t>{meta->item_size};
}

/// XG and YG of a .mitgrid file.
Result<> check_face(const GridField& values, uint64_t nx, uint64_t ny) {
  const uint64_t corners = (nx + 1) * (ny + 1);
  for (uint64_t c = 0; c < corners; ++c) {
    const double x = values[5 * corners + c], y = values[6 * corners + c];
    if (!(std::abs(x) <= 360) || !(std::abs(y) <= 90))
      return fail(
          Code::kInvalidData,
          fmt::format("{}: corner j {}, i {} lies at longitude {}, latitude {}, which is no "
                      "place on Earth",
                      values.url, c / (nx + 1), c % (nx + 1), x, y));
  }
  return {};
}

}  // namespace

Result<std::vector<GridField>> read_grid_fields(io::Session& session, const std::string& directory,
                                                const std::vector<std::string>& names) {
  std::vector<io::ReadRequest> requests;
  for (const std::string& name : names) {
    requests.push_back({below(directory, name + ".data"), {}});
    requests.push_back({below(directory, name + ".meta"), {}});
  }
  auto results = session.read(requests);
  std::vector<GridField> fields;
  for (size_t i = 0; i < results.size(); i += 2) {
    auto& data = results[i];
    if (!data) return fail(std::move(data).error());
    GridField field{std::move(*data), fields.empty() ? 4 : fields[0].width, requests[i].url};
    UPWELL_TRY(const std::optional<size_t> width,
               said_width(results[i + 1], requests[i + 1].url, requests[i].url, field.data.size()));
    if (width) {
      field.width = *width;
    } else if (fields.empty()) {
      auto shape = llc_shape(field.data.size());
      if (!shape) return fail(std::move(shape).error().with(requests[i].url));
      field.width = shape->first;
    }
    fields.push_back(std::move(field));
  }
  return fields;
}

Result<std::pair<size_t, uint64_t>> llc_shape(uint64_t bytes) {
  // 13 n² values of 4 and of 8 bytes never have the same size, for 2 is no square.
  for (const size_t width : {size_t{4}, size_t{8}}) {
    const double values = static_cast<double>(bytes) / static_cast<double>(width);
    const auto n = static_cast<uint64_t>(std::llround(std::sqrt(values / 13)));
    if (n > 0 && 13 * n * n * width == bytes) return std::pair{width, n};
  }
  return fail(Code::kInvalidData, fmt::format("{} bytes are no field of an llc grid", bytes));
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
    const GridField values{file, 8, url};
    UPWELL_CHECK(check_face(values, nx, ny));
    auto corner = [&](uint64_t i, uint64_t j) {
      return std::array{values[5 * field + j * (nx + 1) + i], values[6 * field + j * (nx + 1) + i]};
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

Values to_floats(const Values& values) {
  Values out{DataType::floating(4), values.shape, Bytes(values.count() * sizeof(float)), {}};
  auto* floats = reinterpret_cast<float*>(out.data.data());
  for (size_t i = 0; i < values.count(); ++i) floats[i] = static_cast<float>(values.number(i));
  return out;
}

Result<GridFile> GridFile::open(io::Session& session, const std::string& url) {
  auto dataset = refs::open_source(session, url);
  if (!dataset) return fail(std::move(dataset).error().with("grid"));
  return GridFile(session, url, std::move(*dataset));
}

Result<Values> GridFile::read(const std::string& name) const {
  const Array* array = dataset_.root.find_array(name);
  if (array == nullptr) return fail(Code::kInvalidData, url_ + ": has no variable " + name);
  auto values = read_raw(*session_, dataset_, *array);
  if (!values) return fail(std::move(values).error().with(url_));
  return values;
}

Result<Values> GridFile::read_floats(const std::string& name, const Shape& shape) const {
  UPWELL_TRY(Values values, read(name));
  if (values.shape != shape)
    return fail(Code::kInvalidData, url_ + ": " + name + " is of another size than the grid");
  if (values.type == DataType::floating(4)) return values;
  return to_floats(values);
}

}  // namespace upwell::produce
