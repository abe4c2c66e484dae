#include "produce/granules/llc.hpp"

#include <fmt/core.h>

#include <array>

#include "base/parallel.hpp"

namespace upwell::produce {
namespace {

template <typename T>
void compact_level_to_tiles(const uint8_t* in, uint32_t n, T* out) {
  for (uint32_t tile = 0; tile < kLlcTiles; ++tile) {
    for (uint32_t j = 0; j < n; ++j) {
      const uint8_t* row = in + compact_row(n, tile, j) * sizeof(T);
      for (uint32_t i = 0; i < n; ++i) *out++ = load_be<T>(row + i * sizeof(T));
    }
  }
}

template <typename T>
Result<FieldValues<T>> tiles_of(ByteSpan compact, uint32_t n, uint32_t levels) {
  FieldValues<T> values(levels * level_values(n));
  UPWELL_CHECK(parallel_for(levels, [&](size_t level) -> Result<> {
    const uint64_t first = level * level_values(n);
    compact_level_to_tiles(compact.data() + first * sizeof(T), n, values.data() + first);
    return {};
  }));
  return values;
}

/// The tile beyond the last column (of `right`) or row (of `above`), and whether it meets the edge
/// with its first column ('X') or its first row ('Y'). No tile: -1.
struct Neighbour {
  int tile = -1;
  char axis = 'X';
};

constexpr std::array<Neighbour, kLlcTiles> kRight{{{3, 'X'},
                                                   {4, 'X'},
                                                   {5, 'X'},
                                                   {9, 'Y'},
                                                   {8, 'Y'},
                                                   {7, 'Y'},
                                                   {7, 'X'},
                                                   {8, 'X'},
                                                   {9, 'X'},
                                                   {-1, 'X'},
                                                   {11, 'X'},
                                                   {12, 'X'},
                                                   {-1, 'X'}}};
constexpr std::array<Neighbour, kLlcTiles> kAbove{{{1, 'Y'},
                                                   {2, 'Y'},
                                                   {6, 'X'},
                                                   {4, 'Y'},
                                                   {5, 'Y'},
                                                   {6, 'Y'},
                                                   {10, 'X'},
                                                   {10, 'Y'},
                                                   {11, 'Y'},
                                                   {12, 'Y'},
                                                   {2, 'X'},
                                                   {1, 'X'},
                                                   {0, 'X'}}};

/// The n values of x beyond the last column of a tile: of the neighbour's first column; or, where
/// the axes are exchanged, of y in its first row, backwards.
template <typename T>
void beyond_right(const T* x, const T* y, uint32_t n, uint32_t tile, T* edge) {
  const Neighbour next = kRight[tile];
  for (uint32_t j = 0; j < n; ++j) {
    if (next.tile < 0) {
      edge[j] = 0;
    } else if (next.axis == 'X') {
      edge[j] = x[next.tile * tile_values(n) + uint64_t{j} * n];
    } else {
      edge[j] = y[next.tile * tile_values(n) + (n - 1 - j)];
    }
  }
}

/// The n values of y beyond the last row of a tile: of the neighbour's first row; or of x in its
/// first column, backwards.
template <typename T>
void beyond_above(const T* x, const T* y, uint32_t n, uint32_t tile, T* edge) {
  const Neighbour next = kAbove[tile];
  for (uint32_t i = 0; i < n; ++i) {
    if (next.tile < 0) {
      edge[i] = 0;
    } else if (next.axis == 'Y') {
      edge[i] = y[next.tile * tile_values(n) + i];
    } else {
      edge[i] = x[next.tile * tile_values(n) + uint64_t{n - 1 - i} * n];
    }
  }
}

/// One level; every product and sum is rounded to T by itself (-ffp-contract=off), so that the
/// result is theirs to the bit.
template <typename T>
void turn_level(const T* x, const T* y, uint32_t n, VectorPoints points, const float* cs,
                const float* sn, T* east, T* north) {
  std::vector<T> right(n), above(n);
  for (uint32_t tile = 0; tile < kLlcTiles; ++tile) {
    if (points == VectorPoints::kFaces) {
      beyond_right(x, y, n, tile, right.data());
      beyond_above(x, y, n, tile, above.data());
    }
    for (uint32_t j = 0; j < n; ++j) {
      const uint64_t row = tile * tile_values(n) + uint64_t{j} * n;
      for (uint32_t i = 0; i < n; ++i) {
        T u = x[row + i];
        T v = y[row + i];
        if (points == VectorPoints::kFaces) {
          u = T(0.5) * (u + (i + 1 < n ? x[row + i + 1] : right[j]));
          v = T(0.5) * (v + (j + 1 < n ? y[row + n + i] : above[i]));
        }
        const T c = cs[row + i];
        const T s = sn[row + i];
        const T uc = u * c, vs = v * s, us = u * s, vc = v * c;
        east[row + i] = uc - vs;
        north[row + i] = us + vc;
      }
    }
  }
}

template <typename T>
Result<EastNorth> turn(const Field& x, const Field& y, VectorPoints points,
                       const std::vector<float>& cs, const std::vector<float>& sn) {
  const auto& u = std::get<FieldValues<T>>(x.values);
  const auto& v = std::get<FieldValues<T>>(y.values);
  FieldValues<T> east(u.size()), north(u.size());
  UPWELL_CHECK(parallel_for(x.levels, [&](size_t level) -> Result<> {
    const uint64_t first = level * level_values(x.n);
    turn_level(u.data() + first, v.data() + first, x.n, points, cs.data(), sn.data(),
               east.data() + first, north.data() + first);
    return {};
  }));
  return EastNorth{{x.n, x.levels, std::move(east)}, {x.n, x.levels, std::move(north)}};
}

}  // namespace

uint64_t compact_row(uint32_t n, uint32_t tile, uint32_t j) {
  if (tile < 7) return tile * tile_values(n) + uint64_t{j} * n;
  const uint32_t first = tile < 10 ? 7 : 10;
  return first * tile_values(n) + uint64_t{3} * n * j + uint64_t{n} * (tile - first);
}

Result<Field> field_from_compact(ByteSpan compact, uint32_t n, uint32_t levels,
                                 uint32_t value_size) {
  const uint64_t wanted = levels * level_values(n) * value_size;
  if (compact.size() != wanted) {
    return fail(
        Code::kInvalidData,
        fmt::format("{} bytes, where {} level{} of 13 x {} x {} values of {} bytes are {}",
                    compact.size(), levels, levels == 1 ? "" : "s", n, n, value_size, wanted));
  }
  Field field{n, levels, {}};
  if (value_size == 8) {
    UPWELL_TRY(field.values, tiles_of<double>(compact, n, levels));
  } else {
    UPWELL_TRY(field.values, tiles_of<float>(compact, n, levels));
  }
  return field;
}

Result<EastNorth> to_east_north(const Field& x, const Field& y, VectorPoints points,
                                const std::vector<float>& cs, const std::vector<float>& sn) {
  if (x.n != y.n || x.levels != y.levels || x.values.index() != y.values.index())
    return fail(Code::kInvalidArgument, "the components of a vector differ in shape or precision");
  if (cs.size() != level_values(x.n) || sn.size() != level_values(x.n))
    return fail(Code::kInvalidArgument, "the grid's angles are of another size than the vector");
  return std::holds_alternative<FieldValues<float>>(x.values) ? turn<float>(x, y, points, cs, sn)
                                                              : turn<double>(x, y, points, cs, sn);
}

}  // namespace upwell::produce
