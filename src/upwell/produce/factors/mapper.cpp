#include "produce/factors/mapper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/parallel.hpp"
#include "codec/byteswap.hpp"
#include "produce/factors/kernels/map_kernels.hpp"

namespace upwell::produce {
namespace {

/// Whether every cell that is ocean at some level, and has no row of its own there, has one source
/// of weight 1.
bool rows_are_single(const MappingFactors& factors) {
  const RowView& rows = factors.shared();
  std::vector<uint8_t> ocean(bytes_of_bits(factors.cells()), 0);
  for (uint64_t level = 0; level < factors.layers(); ++level) {
    const auto here = factors.ocean(level);
    for (size_t b = 0; b < ocean.size(); ++b) ocean[b] |= here[b];
  }
  for (uint64_t cell = 0; cell < factors.cells(); ++cell) {
    const uint32_t begin = rows.offsets[cell];
    if (bit_at(ocean, cell) && (rows.offsets[cell + 1] != begin + 1 || rows.weights[begin] != 1.0))
      return false;
  }
  return true;
}

template <typename T>
const T* native_values(const void* field, bool big, uint64_t n, std::vector<T>& scratch) {
  if (!big) return static_cast<const T*>(field);
  scratch.resize(n);
  std::memcpy(scratch.data(), field, n * sizeof(T));
  codec::swap_bytes({reinterpret_cast<uint8_t*>(scratch.data()), n * sizeof(T)}, sizeof(T));
  return scratch.data();
}

}  // namespace

Result<Mapper> Mapper::make(MappingFactors factors, FieldOrder order) {
  const auto& shape = factors.head().source_shape;
  if (order == FieldOrder::kCompact && (shape[0] != 13 || shape[1] != shape[2]))
    return fail(Code::kUnsupported,
                fmt::format("{} tiles of {} × {}: compact fields have 13 square ones", shape[0],
                            shape[1], shape[2]));
  Mapper mapper;
  auto placed = [&](std::span<const uint32_t> sources) {
    std::vector<uint32_t> out(sources.begin(), sources.end());
    if (order == FieldOrder::kCompact) {
      for (uint32_t& s : out) s = static_cast<uint32_t>(compact_position(s, shape[1]));
    }
    return out;
  };
  mapper.sources_ = placed(factors.shared().sources);
  mapper.own_sources_ = placed(factors.own().sources);
  mapper.nearest_ = rows_are_single(factors);
  if (mapper.nearest_) {
    const auto offsets = factors.shared().offsets;
    mapper.single_.resize(factors.cells());
    for (uint64_t cell = 0; cell < factors.cells(); ++cell)
      mapper.single_[cell] = offsets[cell] < offsets[cell + 1] ? mapper.sources_[offsets[cell]] : 0;
  }
  mapper.factors_ = std::move(factors);
  return mapper;
}

/// The sum over one row, of fields whose points lie `stride` values apart. Each product is rounded
/// before it is added, as scipy does (see -ffp-contract in CMakeLists.txt).
template <typename In>
double Mapper::row_sum(const RowView& rows, const uint32_t* sources, uint64_t row, const In* field,
                       size_t stride) {
  double total = 0;
  for (uint32_t e = rows.offsets[row]; e < rows.offsets[row + 1]; ++e)
    total += rows.weights[e] * static_cast<double>(field[sources[e] * stride]);
  return total;
}

template <typename In, typename Out>
void Mapper::map_own(uint64_t level, const In* field, size_t stride, Out* out) const {
  const MappingFactors::OwnCells own = factors_.own_cells(level);
  const std::span<const uint8_t> ocean = factors_.ocean(level);
  for (uint64_t i = 0; i < own.cells.size(); ++i) {
    if (bit_at(ocean, own.cells[i]))
      out[own.cells[i]] = static_cast<Out>(
          row_sum(factors_.own(), own_sources_.data(), own.first + i, field, stride));
  }
}

template <typename In, typename Out>
void Mapper::map_values(uint64_t level, const In* field, Out* out) const {
  const std::span<const uint8_t> ocean = factors_.ocean(level);
  bool done = false;
  if constexpr (std::is_same_v<In, float> && std::is_same_v<Out, float>) {
    done = nearest_;
    if (done) take_nearest(field, single_.data(), ocean.data(), factors_.cells(), out);
  }
  for (uint64_t cell = 0; !done && cell < factors_.cells(); ++cell) {
    out[cell] = bit_at(ocean, cell)
                    ? static_cast<Out>(row_sum(factors_.shared(), sources_.data(), cell, field, 1))
                    : std::numeric_limits<Out>::quiet_NaN();
  }
  map_own(level, field, 1, out);
}

void Mapper::map_one(const MapTask& task, FieldType type) const {
  const bool big = type == FieldType::kFloat32Big || type == FieldType::kFloat64Big;
  auto map_as = [&]<typename In>(std::vector<In>& scratch) {
    const In* field = native_values(task.field, big, factors_.sources(), scratch);
    if (task.out32 != nullptr) map_values(task.level, field, task.out32);
    if (task.out64 != nullptr) map_values(task.level, field, task.out64);
  };
  if (type == FieldType::kFloat32 || type == FieldType::kFloat32Big) {
    thread_local std::vector<float> scratch;
    map_as(scratch);
  } else {
    thread_local std::vector<double> scratch;
    map_as(scratch);
  }
}

/// Up to kLanes fields of float32 at once: every weight and index is loaded once for all of them.
void Mapper::map_group(std::span<const MapTask> tasks, bool big) const {
  thread_local std::vector<float> fields;
  fields.resize(factors_.sources() * kLanes);
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const auto* from = static_cast<const uint8_t*>(tasks[std::min(lane, tasks.size() - 1)].field);
    for (uint64_t p = 0; p < factors_.sources(); ++p)
      fields[p * kLanes + lane] = big ? load_be<float>(from + 4 * p) : load_le<float>(from + 4 * p);
  }
  constexpr uint64_t kBlock =
      128;  // cells whose sums stay in the first-level cache; a multiple of 8
  const RowView& rows = factors_.shared();
  std::array<double, kBlock * kLanes> sums;
  for (uint64_t first = 0; first < factors_.cells(); first += kBlock) {
    const uint64_t n = std::min(kBlock, factors_.cells() - first);
    sum_rows(fields.data(), rows.offsets.data() + first, sources_.data(), rows.weights.data(), n,
             sums.data());
    for (size_t lane = 0; lane < tasks.size(); ++lane)
      place_lane(sums.data() + lane, factors_.ocean(tasks[lane].level).data() + first / 8, n,
                 tasks[lane].out32 + first);
  }
  for (size_t lane = 0; lane < tasks.size(); ++lane)
    map_own(tasks[lane].level, fields.data() + lane, kLanes, tasks[lane].out32);
}

Result<> Mapper::map(std::span<const MapTask> tasks, FieldType type, size_t threads) const {
  bool only_float = type == FieldType::kFloat32 || type == FieldType::kFloat32Big;
  for (const MapTask& task : tasks) {
    if (task.level >= factors_.layers())
      return fail(Code::kInvalidArgument,
                  fmt::format("level {} of factors that have {}", task.level, factors_.layers()));
    only_float = only_float && task.out32 != nullptr && task.out64 == nullptr;
  }
  // One field alone is not worth the turning around.
  const bool grouped = only_float && !nearest_ && tasks.size() > 1;
  const size_t group = grouped ? kLanes : 1;
  return parallel_for((tasks.size() + group - 1) / group,
                      [&](size_t i) -> Result<> {
                        if (grouped) {
                          map_group(
                              tasks.subspan(i * group, std::min(group, tasks.size() - i * group)),
                              type == FieldType::kFloat32Big);
                        } else {
                          map_one(tasks[i], type);
                        }
                        return {};
                      },
                      threads);
}

}  // namespace upwell::produce
