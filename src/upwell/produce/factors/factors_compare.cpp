#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "produce/factors/factors.hpp"

namespace upwell::produce {
namespace {

// Degrees or metres: less than what differs between ways to count up to the same place.
constexpr double kAxisTolerance = 1e-9;

class Differences {
 public:
  explicit Differences(size_t most) : most_(most) {}
  void add(std::string what) {
    if (lines.size() < most_) lines.push_back(std::move(what));
  }
  void compare(const char* name, const std::vector<double>& a, const std::vector<double>& b) {
    if (a.size() != b.size())
      return add(fmt::format("{}: {} values, {} there", name, a.size(), b.size()));
    for (size_t i = 0; i < a.size(); ++i) {
      if (std::abs(a[i] - b[i]) > kAxisTolerance)
        return add(fmt::format("{}: value {} is {}, {} there", name, i, a[i], b[i]));
    }
  }
  std::vector<std::string> lines;

 private:
  size_t most_;
};

std::string row_text(const SparseRows& rows, uint64_t cell) {
  std::string text;
  for (uint32_t e = rows.offsets[cell]; e < rows.offsets[cell + 1] && text.size() < 60; ++e)
    text += fmt::format("{}{}×{}", text.empty() ? "" : " + ", rows.indices[e], rows.values[e]);
  return text.empty() ? "nothing" : text;
}

bool same_row(const SparseRows& a, const SparseRows& b, uint64_t cell) {
  const auto same = [&](const auto& x, const auto& y) {
    return std::equal(x.begin() + a.offsets[cell], x.begin() + a.offsets[cell + 1],
                      y.begin() + b.offsets[cell], y.begin() + b.offsets[cell + 1]);
  };
  return same(a.indices, b.indices) && same(a.values, b.values);
}

void compare_level(const LevelFactors& a, const LevelFactors& b, uint64_t level, uint64_t cells,
                   Differences& to) {
  uint64_t masks = 0, rows = 0, first = 0;
  for (uint64_t cell = 0; cell < cells; ++cell) {
    if (bit_at(a.ocean, cell) != bit_at(b.ocean, cell)) {
      ++masks;
    } else if (!same_row(a.rows, b.rows, cell) && rows++ == 0) {
      first = cell;
    }
  }
  if (a.wet != b.wet) to.add(fmt::format("level {}: other wet points", level));
  if (masks > 0)
    to.add(fmt::format("level {}: {} cells are ocean in one and not in the other", level, masks));
  if (rows > 0)
    to.add(fmt::format("level {}: {} cells draw on other sources; the first, cell {}: {}, {} there",
                       level, rows, first, row_text(a.rows, first), row_text(b.rows, first)));
}

}  // namespace

std::vector<std::string> factor_differences(const MappingFactors& a, const MappingFactors& b,
                                            size_t most) {
  Differences to(most);
  if (a.head().source_shape != b.head().source_shape) to.add("the source grids have other shapes");
  if (a.levels() != b.levels()) to.add(fmt::format("{} levels, {} there", a.levels(), b.levels()));
  if (a.layers() - a.levels() != b.layers() - b.levels())
    to.add("one has a layer for any wet point in the column, and the other has not");
  if (a.head().grid.rows() != b.head().grid.rows() ||
      a.head().grid.columns() != b.head().grid.columns())
    to.add("the latitude-longitude grids have other shapes");
  if (!to.lines.empty()) return std::move(to.lines);
  to.compare("latitude", a.head().grid.latitude, b.head().grid.latitude);
  to.compare("longitude", a.head().grid.longitude, b.head().grid.longitude);
  to.compare("latitude_bounds", a.head().grid.latitude_bounds, b.head().grid.latitude_bounds);
  to.compare("longitude_bounds", a.head().grid.longitude_bounds, b.head().grid.longitude_bounds);
  to.compare("depth_bounds", a.head().depth_bounds, b.head().depth_bounds);
  for (uint64_t level = 0; level < a.layers(); ++level)
    compare_level(a.level(level), b.level(level), level, a.cells(), to);
  return std::move(to.lines);
}

}  // namespace upwell::produce
