#pragma once
// Mapping factors: how values of a native (llc) grid become values of a latitude-longitude grid,
// level by level. The file that holds them is described in docs/mapping-factors.md.

#include <array>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/session.hpp"
#include "produce/factors/scipy_sparse.hpp"

namespace upwell::produce {

/// Cells of the target grid: rows south to north, columns west to east; degrees.
struct LatLonGrid {
  std::vector<double> latitude, longitude;                ///< centres
  std::vector<double> latitude_bounds, longitude_bounds;  ///< two a cell
  uint64_t rows() const { return latitude.size(); }
  uint64_t columns() const { return longitude.size(); }
  uint64_t cells() const { return rows() * columns(); }
};

/// What factors are about, and how they were made.
struct FactorsHead {
  std::array<uint64_t, 3> source_shape{};  ///< tiles, j, i
  LatLonGrid grid;
  std::vector<double> depth_bounds;  ///< two a level, metres, downwards negative
  std::string method;                ///< "nearest", "bin-average", "conservative", or "converted"
  std::string radius;                ///< of bin-average: how far a cell reaches; else empty
  std::vector<std::string> notes;    ///< what is out of the ordinary
  /// There is one layer more below the levels, for fields of one level: water where any level has
  /// some, as in the cavities under ice shelves.
  bool any_wet_in_column = false;

  uint64_t sources() const { return source_shape[0] * source_shape[1] * source_shape[2]; }
  uint64_t levels() const { return depth_bounds.size() / 2; }
  uint64_t layers() const { return levels() + (any_wet_in_column ? 1 : 0); }
};

/// Bit i of a row of bits, least significant first (numpy.packbits, bitorder "little").
inline bool bit_at(std::span<const uint8_t> bits, uint64_t i) {
  return (bits[i >> 3] >> (i & 7) & 1) != 0;
}
inline void set_bit(std::vector<uint8_t>& bits, uint64_t i) {
  bits[i >> 3] |= static_cast<uint8_t>(1 << (i & 7));
}
inline uint64_t bytes_of_bits(uint64_t n) { return (n + 7) / 8; }

/// One level, as it is read or made. Cells that are not ocean have no value; their rows mean
/// nothing.
struct LevelFactors {
  std::vector<uint8_t> wet;    ///< bits: sources that are water here
  std::vector<uint8_t> ocean;  ///< bits: cells that have a value here
  SparseRows rows;  ///< a row a cell: (source in the order of tiles, weight), sources ascending
  std::vector<double> area;  ///< of conservative factors: square metres of water under each cell
};

/// Collects levels into a file. Most cells draw on the same sources at every level: such a row is
/// kept once, and a level has rows of its own only where it differs.
class FactorsBuilder {
 public:
  explicit FactorsBuilder(FactorsHead head);
  ~FactorsBuilder();
  FactorsBuilder(FactorsBuilder&&) noexcept;
  /// The next level. kInvalidData when its sizes are not those of the head.
  Result<> add(const LevelFactors& level);
  /// The file. kInvalidArgument when levels are missing.
  Result<Bytes> finish() &&;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Rows as views of the file.
struct RowView {
  std::span<const uint32_t> offsets, sources;
  std::span<const double> weights, area;
};

/// Factors in memory, or in a mapped file. Immutable, thread-safe, cheap to copy.
class MappingFactors {
 public:
  /// Takes a file apart and checks all of it: checksums, shapes, and every index. kInvalidData
  /// names the member.
  static Result<MappingFactors> parse(SharedBytes file);
  /// Maps a local file; reads a remote one whole.
  static Result<MappingFactors> open(io::Session& session, const std::string& url);

  const FactorsHead& head() const { return data_->head; }
  /// All that they are.
  ByteSpan file() const { return data_->file.span(); }
  uint64_t levels() const { return head().levels(); }
  uint64_t layers() const { return head().layers(); }
  uint64_t sources() const { return head().sources(); }
  uint64_t cells() const { return head().grid.cells(); }

  /// Here and below, levels up to layers().
  std::span<const uint8_t> wet(uint64_t level) const;
  std::span<const uint8_t> ocean(uint64_t level) const;
  /// The row of every cell, wherever the level has none of its own.
  const RowView& shared() const { return data_->shared; }
  /// Rows of its own of a level: which cells, and entries of row `first` + i of own() for cell i of
  /// them.
  struct OwnCells {
    std::span<const uint32_t> cells;
    uint64_t first = 0;
  };
  OwnCells own_cells(uint64_t level) const;
  const RowView& own() const { return data_->own; }
  /// A level put together again.
  LevelFactors level(uint64_t level) const;

 private:
  struct Data {
    SharedBytes file;
    FactorsHead head;
    std::span<const uint8_t> wet, ocean;
    RowView shared, own;
    std::span<const uint32_t> own_levels, own_cells;
  };
  std::shared_ptr<const Data> data_;
  friend struct FactorsParser;
};

/// Whether two sets of factors give the same values: differences in words, at most `most`; empty
/// when there are none. Compares masks and every row of every level bit for bit, axes to 1e-9.
std::vector<std::string> factor_differences(const MappingFactors& a, const MappingFactors& b,
                                            size_t most = 20);

}  // namespace upwell::produce
