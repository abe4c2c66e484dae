#pragma once
// Mapping fields: out = B v for every level, where B are the weights of a level and v its field.

#include <memory>
#include <span>
#include <vector>

#include "produce/factors/factors.hpp"

namespace upwell::produce {

/// How the points of a field follow each other: tile by tile, or as MITgcm writes an llc field
/// (faces one after the other; those of the last two turned, so that their tiles lie in strips).
enum class FieldOrder { kTiles, kCompact };

/// Type of a field's values in memory.
enum class FieldType { kFloat32, kFloat32Big, kFloat64, kFloat64Big };

/// One level of one field.
struct MapTask {
  uint64_t level = 0;           ///< whose factors apply; up to layers()
  const void* field = nullptr;  ///< all points of the source grid
  float* out32 = nullptr;       ///< cells() values, or null
  double* out64 = nullptr;      ///< the same without rounding, or null
};

/// Factors prepared for fields of one order. Immutable, thread-safe; keeps the file mapped.
class Mapper {
 public:
  /// kUnsupported for kCompact where the grid is no llc grid of 13 square tiles.
  static Result<Mapper> make(MappingFactors factors, FieldOrder order);

  /// All tasks on all cores (or `threads` of them). A value is the sum over its row, in the order
  /// of ascending sources and in double precision, each product rounded by itself: bit for bit what
  /// scipy's sparse product gives. Cells that are not ocean become NaN. Any number of fields may be
  /// mixed.
  Result<> map(std::span<const MapTask> tasks, FieldType type, size_t threads = 0) const;

  const MappingFactors& factors() const { return factors_; }

 private:
  void map_one(const MapTask& task, FieldType type) const;
  void map_group(std::span<const MapTask> tasks, bool big) const;
  template <typename In, typename Out>
  void map_values(uint64_t level, const In* field, Out* out) const;
  template <typename In, typename Out>
  void map_own(uint64_t level, const In* field, size_t stride, Out* out) const;
  template <typename In>
  static double row_sum(const RowView& rows, const uint32_t* sources, uint64_t row, const In* field,
                        size_t stride);

  MappingFactors factors_;
  bool nearest_ = false;           ///< every shared row is one source of weight 1
  std::vector<uint32_t> single_;   ///< of nearest_: the source of each cell
  std::vector<uint32_t> sources_;  ///< of shared rows, in the order of the field
  std::vector<uint32_t> own_sources_;
};

/// Where point p (in the order of tiles) of an llc grid of n × n points a tile is in a compact
/// field (ecco: faces of n × 3n, n × 3n, n × n, 3n × n, 3n × n).
inline uint64_t compact_position(uint64_t p, uint64_t n) {
  const uint64_t tile = p / (n * n), j = p / n % n, i = p % n;
  if (tile < 7) return p;
  const uint64_t face = tile < 10 ? 7 : 10;
  return face * n * n + 3 * n * j + n * (tile - face) + i;
}

}  // namespace upwell::produce
