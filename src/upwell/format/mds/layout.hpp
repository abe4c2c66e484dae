#pragma once
// Where the values of one field lie in a .data file, as chunks. Internal. See
// docs/decisions/mds.md.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/format.hpp"

namespace upwell::format::mds {

/// Tiles of an llc grid; the compact form holds them below each other: nx wide, 13 nx high.
inline constexpr uint64_t kTiles = 13;
/// Whether a plane of this many columns and rows is the compact form of an llc grid.
bool is_compact_llc(uint64_t nx, uint64_t ny);

/// Where part of a field lies: a box of its plane, with all leading axes.
struct FieldPart {
  Shape origin, shape;  ///< in the plane
  uint32_t granule = 0;
  uint64_t first_byte = 0;  ///< in that granule
};

/// One field: leading axes (time, records, levels) one after another, and for each of their places
/// the same number of values in the plane (or none, for a column).
struct FieldLayout {
  std::string name;
  Shape leading;
  std::vector<std::string> leading_names;
  Shape plane;  ///< {}, {x} or {y, x} as in the file
  std::vector<std::string> plane_names;
  bool tiles = false;            ///< shown as (tile, y, x), see is_compact_llc; of one part alone
  uint32_t item_size = 4;        ///< of big endian floats
  std::vector<FieldPart> parts;  ///< boxes that cover the plane
};

/// The array with its segments; the files must hold all its bytes.
///  - Without tiles: a run of bytes a part, cut along leading axes (ScanOptions::subchunk_bytes).
///  - Tiles as ScanOptions::one_layout wants them: a chunk is a row of a tile, the largest piece
///    that lies in one run in every tile.
///  - Tiles else, in two segments: tiles 0 to 6 are runs of bytes, a chunk each; of the faces 4 and
///    5 a chunk is the whole face, whose rows go through three tiles (axes j, tile, i: transposed).
///    Chunks of large grids are cut along the rows.
Array make_field(const FieldLayout& field, const ScanOptions& options);

/// Values that lie in no file as an array of one inline chunk.
Array make_values(std::string name, std::vector<std::string> dimensions, const Values& values);

}  // namespace upwell::format::mds
