#include "compute/piece.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "cube/place.hpp"

namespace upwell::compute {
namespace {

/// Of so many elements, decoded and stored form stay in the first-level cache together.
constexpr size_t kBlock = 2048;

/// An axis of a piece: how many elements, and how far their cells lie apart.
struct Axis {
  uint64_t count, stride;
  bool reduced;
  const uint32_t* group = nullptr;  ///< of each element, where the axis is one of groups
};

/// The axes of a piece without those of one element, joined where they can be walked as one.
std::vector<Axis> axes_of(const Box& piece, const Box& unit, const Reduction& reduction) {
  std::vector<Axis> axes;  // the last axis first
  uint64_t stride = 1;
  for (size_t d = piece.shape.size(); d-- > 0;) {
    if (reduction.groups && reduction.groups->axis == d) {
      const uint32_t* group = reduction.groups->group.data() + unit.origin[d] + piece.origin[d];
      axes.push_back({piece.shape[d], stride, true, group});
      stride *= reduction.groups->count;
      continue;
    }
    const bool reduced = reduction.reduced[d];
    const Axis axis{piece.shape[d], reduced ? 0 : stride, reduced};
    if (!reduced) stride *= unit.shape[d];
    if (axis.count == 1) continue;
    const bool joins = !axes.empty() && axes.back().group == nullptr &&
                       axes.back().reduced == axis.reduced &&
                       axis.stride == axes.back().stride * (axis.reduced ? 1 : axes.back().count);
    if (joins)
      axes.back().count *= axis.count;
    else
      axes.push_back(axis);
  }
  if (axes.empty()) axes.push_back({1, 0, true});
  std::reverse(axes.begin(), axes.end());
  return axes;
}

/// The cell of a piece's first element, in the first group.
uint64_t first_cell(const Box& piece, const Box& unit, const Reduction& reduction) {
  uint64_t cell = 0;
  for (size_t d = 0; d < piece.origin.size(); ++d) {
    if (reduction.groups && reduction.groups->axis == d)
      cell *= reduction.groups->count;
    else if (!reduction.reduced[d])
      cell = cell * unit.shape[d] + piece.origin[d];
  }
  return cell;
}

/// Walks the runs along the last axis of a piece, a block of its elements at a time.
class RunWalker {
 public:
  RunWalker(const Box& piece, const Box& unit, const Reduction& reduction)
      : axes_(axes_of(piece, unit, reduction)),
        at_(axes_.size(), 0),
        cell_(first_cell(piece, unit, reduction)) {
    for (size_t d = 0; d + 1 < axes_.size(); ++d)
      if (axes_[d].group != nullptr) enter_group(d);
  }

  /// The next n elements.
  void give(const uint8_t* values, size_t n, size_t size, Accumulator& accumulator) {
    const Axis& last = axes_.back();
    while (n > 0) {
      size_t taken = std::min<uint64_t>(n, last.count - at_.back());
      if (last.group != nullptr) taken = same_group(last, taken);
      if (!outside_) give_run(values, taken, size, accumulator);
      values += taken * size;
      n -= taken;
      at_.back() += taken;
      if (at_.back() == last.count) next_run();
    }
  }

 private:
  size_t same_group(const Axis& last, size_t most) const {
    const uint32_t* group = last.group + at_.back();
    size_t run = 1;
    while (run < most && group[run] == group[0]) ++run;
    return run;
  }

  void give_run(const uint8_t* values, size_t n, size_t size, Accumulator& accumulator) const {
    const Axis& last = axes_.back();
    const uint64_t cell = cell_ + of_group_;
    if (last.group != nullptr) {
      const uint32_t group = last.group[at_.back()];
      if (group != kNoGroup) accumulator.fold(cell + group * last.stride, values, n);
    } else if (last.reduced) {
      accumulator.fold(cell, values, n);
    } else if (last.stride == 1) {
      accumulator.add(cell + at_.back(), values, n);
    } else {
      for (size_t i = 0; i < n; ++i)
        accumulator.add(cell + (at_.back() + i) * last.stride, values + i * size, 1);
    }
  }

  void enter_group(size_t d) {
    const uint32_t group = axes_[d].group[at_[d]];
    outside_ = group == kNoGroup;
    of_group_ = outside_ ? 0 : group * axes_[d].stride;
  }

  void next_run() {
    at_.back() = 0;
    for (size_t d = axes_.size() - 1; d-- > 0;) {
      const bool groups = axes_[d].group != nullptr;
      if (!groups) cell_ += axes_[d].stride;
      const bool ends = ++at_[d] == axes_[d].count;
      if (ends && !groups) cell_ -= axes_[d].stride * axes_[d].count;
      if (ends) at_[d] = 0;
      if (groups) enter_group(d);
      if (!ends) return;
    }
  }

  std::vector<Axis> axes_;
  Shape at_;
  uint64_t cell_;          // of the run's first element, in the first group
  uint64_t of_group_ = 0;  // to the cell of its group, unless the run itself has groups
  bool outside_ = false;   // of all groups
};

/// What of a unit's elements belongs to a piece, in C order.
template <typename T>
std::vector<T> part_of(const std::vector<T>& unit_values, const Box& piece, const Box& unit) {
  if (unit_values.empty()) return {};
  std::vector<T> part(element_count(piece.shape));
  const Shape strides = c_strides(unit.shape);
  uint64_t start = 0;
  for (size_t d = 0; d < strides.size(); ++d) start += piece.origin[d] * strides[d];
  copy_box({reinterpret_cast<const uint8_t*>(unit_values.data()), start, strides},
           {reinterpret_cast<uint8_t*>(part.data()), 0, c_strides(piece.shape)}, piece.shape,
           sizeof(T));
  return part;
}

template <typename T>
void take_out_of(uint8_t* values, const uint8_t* mask, size_t n) {
  T* v = reinterpret_cast<T*>(values);
  for (size_t i = 0; i < n; ++i) v[i] = mask[i] != 0 ? v[i] : std::numeric_limits<T>::quiet_NaN();
}

template <typename T>
void weigh(const uint8_t* values, const double* weights, size_t n, Weighted* out) {
  const T* v = reinterpret_cast<const T*>(values);
  for (size_t i = 0; i < n; ++i) {
    const auto value = static_cast<double>(v[i]);
    out[i] = std::isnan(value) ? Weighted{} : Weighted{value * weights[i], weights[i]};
  }
}

}  // namespace

void take_out(const DataType& type, uint8_t* values, const uint8_t* mask, size_t n) {
  type.size == 4 ? take_out_of<float>(values, mask, n) : take_out_of<double>(values, mask, n);
}

namespace {

/// Hands decoded blocks of one piece to an accumulator.
class PieceGiver {
 public:
  PieceGiver(const Box& piece, const Box& unit, const Reduction& reduction, const DataType& type,
             const UnitCompany& company, Accumulator& accumulator)
      : walker_(piece, unit, reduction),
        type_(type),
        mask_(part_of(company.mask, piece, unit)),
        weights_(part_of(company.weights, piece, unit)),
        weighted_(weights_.empty() ? 0 : kBlock),
        accumulator_(accumulator) {}

  bool changes() const { return !mask_.empty(); }
  /// The next n <= kBlock elements, which may be changed.
  void give(uint8_t* values, size_t n) {
    if (!mask_.empty()) take_out(type_, values, mask_.data() + at_, n);
    if (weights_.empty()) {
      walker_.give(values, n, type_.size, accumulator_);
    } else {
      type_.size == 4 ? weigh<float>(values, weights_.data() + at_, n, weighted_.data())
                      : weigh<double>(values, weights_.data() + at_, n, weighted_.data());
      walker_.give(reinterpret_cast<const uint8_t*>(weighted_.data()), n, sizeof(Weighted),
                   accumulator_);
    }
    at_ += n;
  }

 private:
  RunWalker walker_;
  DataType type_;
  std::vector<uint8_t> mask_;
  std::vector<double> weights_;
  std::vector<Weighted> weighted_;
  Accumulator& accumulator_;
  size_t at_ = 0;
};

}  // namespace

Result<PieceAdder> PieceAdder::make(cf::Decoding decoding, const DataType& raw,
                                    const Reduction& reduction) {
  const bool plain = std::has_single_bit(raw.size) && raw.size <= 8;
  if (!raw.is_number() || !plain || (raw.kind == Kind::kFloat && raw.size == 1))
    return fail(Code::kInvalidArgument, describe(raw) + " is not a number that can be reduced");
  PieceAdder adder;
  adder.decoding_ = std::move(decoding);
  adder.raw_ = raw;
  adder.type_ = cf::decoded_type(adder.decoding_, raw);
  const bool integers = adder.type_.kind != Kind::kFloat;
  if ((!integers && adder.type_.size == 2) ||
      (integers && (reduction.where || reduction.weights || reduction.rolling))) {
    // Widened by the decoder, which has nothing else to do.
    adder.decoding_.to_float = true;
    adder.decoding_.float_size = adder.type_.size <= 2 ? 4 : 8;
    adder.type_ = DataType::floating(adder.decoding_.float_size);
  }
  adder.reduction_ = &reduction;
  return adder;
}

Result<> PieceAdder::decode(ByteSpan raw, size_t count, MutableByteSpan out) const {
  return cf::decode_into(decoding_, raw_, raw.first(count * raw_.size),
                         out.first(count * type_.size));
}

Result<> PieceAdder::add(const Box& piece, const Box& unit, ByteSpan elements,
                         const UnitCompany& company, Accumulator& accumulator) const {
  alignas(64) std::array<uint8_t, kBlock * 8> values;
  PieceGiver giver(piece, unit, *reduction_, type_, company, accumulator);
  const size_t n = element_count(piece.shape);
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t count = std::min(kBlock, n - first);
    UPWELL_CHECK(decode(elements.subspan(first * raw_.size), count, values));
    giver.give(values.data(), count);
  }
  return {};
}

Result<> PieceAdder::add_constant(const Box& piece, const Box& unit, ByteSpan element,
                                  const UnitCompany& company, Accumulator& accumulator) const {
  alignas(64) std::array<uint8_t, kBlock * 8> values;
  alignas(64) std::array<uint8_t, 8> value;
  const size_t n = element_count(piece.shape);
  UPWELL_CHECK(decode(element, 1, value));
  PieceGiver giver(piece, unit, *reduction_, type_, company, accumulator);
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t count = std::min(kBlock, n - first);
    if (first == 0 || giver.changes())
      fill_all({value.data(), type_.size}, {values.data(), count * type_.size});
    giver.give(values.data(), count);
  }
  return {};
}

Result<bool> PieceAdder::is_missing(ByteSpan element) const {
  Values value{type_, {}, Bytes(type_.size), {}};
  UPWELL_CHECK(decode(element, 1, value.data));
  return type_.kind == Kind::kFloat && std::isnan(value.number(0));
}

}  // namespace upwell::compute
