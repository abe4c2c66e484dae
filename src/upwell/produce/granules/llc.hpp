#pragma once
// Fields on the lat-lon-cap grid: MITgcm's compact layout, the 13 tiles, and vectors turned from
// the model's x and y to east and north.

#include <cstdint>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::produce {

inline constexpr uint32_t kLlcTiles = 13;

/// Values of one tile of edge n: n * n; of one level: 13 of these.
inline uint64_t tile_values(uint32_t n) { return uint64_t{n} * n; }
inline uint64_t level_values(uint32_t n) { return kLlcTiles * tile_values(n); }

/// Where row j of a tile begins in a compact level, in values; its n values lie in a row. Faces 1
/// to 3 are tiles 0-2, 3-5 and 6, n wide; faces 4 and 5 are tiles 7-9 and 10-12, 3 n wide.
uint64_t compact_row(uint32_t n, uint32_t tile, uint32_t j);

template <typename T>
using FieldValues = std::vector<T, DefaultInitAllocator<T>>;

/// One variable at one time, [level][tile][j][i] in native byte order, as precise as it was stored.
struct Field {
  uint32_t n = 0;
  uint32_t levels = 0;
  std::variant<FieldValues<float>, FieldValues<double>> values;
};

/// Puts compact big-endian values, [level][13 n][n], into tiles. kInvalidData when there are not
/// `levels` * 13 * n * n of them; `value_size` is 4 or 8.
Result<Field> field_from_compact(ByteSpan compact, uint32_t n, uint32_t levels,
                                 uint32_t value_size);

/// Where the components of a vector lie.
enum class VectorPoints {
  kFaces,    ///< x on the western, y on the southern edges of cells: averaged to the centres first
  kCentres,  ///< both at the centres
};

struct EastNorth {
  Field east, north;
};

/// Turns a vector to geographic directions: east = x CS - y SN, north = x SN + y CS, every step
/// rounded to the fields' precision. `cs` and `sn` are [tile][j][i]. Averages to centres take the
/// neighbour across a tile's edge, with the components' parts exchanged where its axes are, and 0
/// where there is none; they know no land, as ecco_v4_py.vector_calc does it. kInvalidArgument when
/// x and y differ in shape or precision.
Result<EastNorth> to_east_north(const Field& x, const Field& y, VectorPoints points,
                                const std::vector<float>& cs, const std::vector<float>& sn);

}  // namespace upwell::produce
