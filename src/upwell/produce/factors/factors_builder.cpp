#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "produce/factors/factors.hpp"
#include "produce/factors/factors_form.hpp"

namespace upwell::produce {
namespace {

constexpr uint32_t kUnset = std::numeric_limits<uint32_t>::max();

/// Entries of rows one after the other.
struct RowPool {
  std::vector<uint32_t> offsets{0}, sources;
  std::vector<double> weights, area;

  void append(const LevelFactors& level, uint64_t cell) {
    const auto begin = static_cast<ptrdiff_t>(level.rows.offsets[cell]);
    const auto end = static_cast<ptrdiff_t>(level.rows.offsets[cell + 1]);
    sources.insert(sources.end(), level.rows.indices.begin() + begin,
                   level.rows.indices.begin() + end);
    weights.insert(weights.end(), level.rows.values.begin() + begin,
                   level.rows.values.begin() + end);
    if (!level.area.empty()) area.push_back(level.area[cell]);
    offsets.push_back(static_cast<uint32_t>(sources.size()));
  }
  bool has_row(uint32_t row, const LevelFactors& level, uint64_t cell) const {
    const uint32_t begin = level.rows.offsets[cell], n = level.rows.offsets[cell + 1] - begin;
    const uint32_t at = offsets[row];
    return offsets[row + 1] - at == n &&
           std::equal(sources.begin() + at, sources.begin() + at + n,
                      level.rows.indices.begin() + begin) &&
           std::equal(weights.begin() + at, weights.begin() + at + n,
                      level.rows.values.begin() + begin) &&
           (level.area.empty() || area[row] == level.area[cell]);
  }
  /// Row i of the result is row order[i], or none.
  RowPool in_order(const std::vector<uint32_t>& order) const {
    RowPool out;
    out.sources.reserve(sources.size());
    out.weights.reserve(weights.size());
    for (const uint32_t row : order) {
      if (row != kUnset) {
        out.sources.insert(out.sources.end(), sources.begin() + offsets[row],
                           sources.begin() + offsets[row + 1]);
        out.weights.insert(out.weights.end(), weights.begin() + offsets[row],
                           weights.begin() + offsets[row + 1]);
      }
      if (!area.empty()) out.area.push_back(row == kUnset ? 0 : area[row]);
      out.offsets.push_back(static_cast<uint32_t>(out.sources.size()));
    }
    return out;
  }
};

void add_rows(NpzWriter& npz, const std::string& prefix, const RowPool& pool) {
  const std::array rows{uint64_t{pool.offsets.size()}}, entries{uint64_t{pool.sources.size()}};
  npz.add_array<uint32_t>(prefix + "offsets", pool.offsets, rows);
  npz.add_array<uint32_t>(prefix + "sources", pool.sources, entries);
  npz.add_array<double>(prefix + "weights", pool.weights, entries);
  const std::array areas{uint64_t{pool.area.size()}};
  if (!pool.area.empty()) npz.add_array<double>(prefix + "area", pool.area, areas);
}

std::string head_json(const FactorsHead& head) {
  nlohmann::ordered_json json{{"format", kFactorsFormat},
                              {"version", kFactorsVersion},
                              {"method", head.method},
                              {"source_shape", head.source_shape},
                              {"levels", head.levels()}};
  if (head.any_wet_in_column) json["any_wet_in_column"] = true;
  if (!head.radius.empty()) json["radius"] = head.radius;
  json["notes"] = head.notes;
  return json.dump(2) + "\n";
}

}  // namespace

struct FactorsBuilder::Impl {
  FactorsHead head;
  uint64_t levels = 0;
  std::vector<uint8_t> wet, ocean;
  std::vector<uint32_t> shared_row;  ///< of each cell, in `shared`
  RowPool shared, own;
  std::vector<uint32_t> own_levels{0}, own_cells;
};

FactorsBuilder::FactorsBuilder(FactorsHead head) : impl_(std::make_unique<Impl>()) {
  impl_->shared_row.assign(head.grid.cells(), kUnset);
  impl_->head = std::move(head);
}
FactorsBuilder::~FactorsBuilder() = default;
FactorsBuilder::FactorsBuilder(FactorsBuilder&&) noexcept = default;

Result<> FactorsBuilder::add(const LevelFactors& level) {
  Impl& to = *impl_;
  const uint64_t cells = to.head.grid.cells(), sources = to.head.sources();
  if (level.wet.size() != bytes_of_bits(sources) || level.ocean.size() != bytes_of_bits(cells) ||
      level.rows.offsets.size() != cells + 1 || (!level.area.empty() && level.area.size() != cells))
    return fail(Code::kInvalidData,
                fmt::format("level {} has other sizes than its grids", to.levels));
  if (to.own.sources.size() + to.shared.sources.size() + level.rows.indices.size() >= kUnset)
    return fail(Code::kUnsupported, "factors of 2^32 entries and more");
  for (uint64_t cell = 0; cell < cells; ++cell) {
    if (!bit_at(level.ocean, cell)) continue;
    uint32_t& row = to.shared_row[cell];
    if (row == kUnset) {
      row = static_cast<uint32_t>(to.shared.offsets.size() - 1);
      to.shared.append(level, cell);
    } else if (!to.shared.has_row(row, level, cell)) {
      to.own_cells.push_back(static_cast<uint32_t>(cell));
      to.own.append(level, cell);
    }
  }
  to.own_levels.push_back(static_cast<uint32_t>(to.own_cells.size()));
  to.wet.insert(to.wet.end(), level.wet.begin(), level.wet.end());
  to.ocean.insert(to.ocean.end(), level.ocean.begin(), level.ocean.end());
  ++to.levels;
  return {};
}

Result<Bytes> FactorsBuilder::finish() && {
  const Impl& from = *impl_;
  const FactorsHead& head = from.head;
  const uint64_t levels = head.levels(), rows = head.grid.rows(), columns = head.grid.columns();
  const uint64_t layers = head.layers();
  if (from.levels != layers)
    return fail(Code::kInvalidArgument,
                fmt::format("{} of {} levels are there", from.levels, layers));
  NpzWriter npz;
  npz.add(std::string(kFactorsHead), as_bytes(head_json(head)));
  auto doubles = [&](const char* name, const std::vector<double>& values,
                     std::vector<uint64_t> shape) { npz.add_array<double>(name, values, shape); };
  doubles("latitude", head.grid.latitude, {rows});
  doubles("longitude", head.grid.longitude, {columns});
  doubles("latitude_bounds", head.grid.latitude_bounds, {rows, 2});
  doubles("longitude_bounds", head.grid.longitude_bounds, {columns, 2});
  doubles("depth_bounds", head.depth_bounds, {levels, 2});
  const std::array wet{layers, bytes_of_bits(head.sources())},
      ocean{layers, bytes_of_bits(head.grid.cells())};
  npz.add_array<uint8_t>("wet", from.wet, wet);
  npz.add_array<uint8_t>("ocean", from.ocean, ocean);
  add_rows(npz, "", from.shared.in_order(from.shared_row));
  const std::array level_offsets{layers + 1}, own{uint64_t{from.own_cells.size()}};
  npz.add_array<uint32_t>("own_levels", from.own_levels, level_offsets);
  npz.add_array<uint32_t>("own_cells", from.own_cells, own);
  add_rows(npz, "own_", from.own);
  return std::move(npz).finish();
}

}  // namespace upwell::produce
