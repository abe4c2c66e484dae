#include "compute/piece.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace upwell::compute {
namespace {

/// Of so many elements, decoded and stored form stay in the first-level cache together.
constexpr size_t kBlock = 2048;

/// An axis of a piece: how many elements, and how far their cells lie apart.
struct Axis {
  uint64_t count, stride;
  bool reduced;
};

/// The axes of a piece without those of one element, joined where they can be walked as one.
std::vector<Axis> axes_of(const Shape& count, const Shape& unit, const std::vector<bool>& reduced) {
  std::vector<Axis> axes;  // the last axis first
  uint64_t stride = 1;
  for (size_t d = count.size(); d-- > 0;) {
    const Axis axis{count[d], reduced[d] ? 0 : stride, reduced[d]};
    if (!reduced[d]) stride *= unit[d];
    if (axis.count == 1) continue;
    const bool joins = !axes.empty() && axes.back().reduced == axis.reduced &&
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

/// The cell of a piece's first element.
uint64_t first_cell(const Shape& origin, const Shape& unit, const std::vector<bool>& reduced) {
  uint64_t cell = 0;
  for (size_t d = 0; d < origin.size(); ++d)
    if (!reduced[d]) cell = cell * unit[d] + origin[d];
  return cell;
}

/// Walks the runs along the last axis of a piece, a block of its elements at a time.
class RunWalker {
 public:
  RunWalker(std::vector<Axis> axes, uint64_t cell)
      : axes_(std::move(axes)), at_(axes_.size(), 0), cell_(cell) {}

  /// The next n elements.
  void give(const uint8_t* values, size_t n, size_t size, Accumulator& accumulator) {
    const Axis& last = axes_.back();
    while (n > 0) {
      const size_t taken = std::min<uint64_t>(n, last.count - at_.back());
      if (last.reduced) {
        accumulator.fold(cell_, values, taken);
      } else if (last.stride == 1) {
        accumulator.add(cell_ + at_.back(), values, taken);
      } else {
        for (size_t i = 0; i < taken; ++i)
          accumulator.add(cell_ + (at_.back() + i) * last.stride, values + i * size, 1);
      }
      values += taken * size;
      n -= taken;
      at_.back() += taken;
      if (at_.back() == last.count) next_run();
    }
  }

 private:
  void next_run() {
    at_.back() = 0;
    for (size_t d = axes_.size() - 1; d-- > 0;) {
      cell_ += axes_[d].stride;
      if (++at_[d] < axes_[d].count) return;
      cell_ -= axes_[d].stride * axes_[d].count;
      at_[d] = 0;
    }
  }

  std::vector<Axis> axes_;
  Shape at_;
  uint64_t cell_;  // of the run's first element
};

}  // namespace

Result<PieceAdder> PieceAdder::make(cf::Decoding decoding, const DataType& raw,
                                    std::vector<bool> reduced) {
  const bool plain = std::has_single_bit(raw.size) && raw.size <= 8;
  if (!raw.is_number() || !plain || (raw.kind == Kind::kFloat && raw.size == 1))
    return fail(Code::kInvalidArgument, describe(raw) + " is not a number that can be reduced");
  PieceAdder adder;
  adder.decoding_ = std::move(decoding);
  adder.raw_ = raw;
  adder.type_ = cf::decoded_type(adder.decoding_, raw);
  if (adder.type_.kind == Kind::kFloat && adder.type_.size == 2) {
    // Widened by the decoder, which has nothing else to do.
    adder.decoding_.to_float = true;
    adder.decoding_.float_size = 4;
    adder.type_ = DataType::floating(4);
  }
  adder.reduced_ = std::move(reduced);
  return adder;
}

Result<> PieceAdder::decode(ByteSpan raw, size_t count, MutableByteSpan out) const {
  return cf::decode_into(decoding_, raw_, raw.first(count * raw_.size),
                         out.first(count * type_.size));
}

Result<> PieceAdder::add(const Box& piece, const Shape& unit, ByteSpan elements,
                         Accumulator& accumulator) const {
  alignas(64) std::array<uint8_t, kBlock * 8> values;
  RunWalker walker(axes_of(piece.shape, unit, reduced_), first_cell(piece.origin, unit, reduced_));
  const size_t n = element_count(piece.shape);
  for (size_t first = 0; first < n; first += kBlock) {
    const size_t count = std::min(kBlock, n - first);
    UPWELL_CHECK(decode(elements.subspan(first * raw_.size), count, values));
    walker.give(values.data(), count, type_.size, accumulator);
  }
  return {};
}

Result<> PieceAdder::add_constant(const Box& piece, const Shape& unit, ByteSpan element,
                                  Accumulator& accumulator) const {
  alignas(64) std::array<uint8_t, kBlock * 8> values;
  const size_t n = element_count(piece.shape);
  const size_t most = std::min(kBlock, n);
  UPWELL_CHECK(decode(element, 1, values));
  for (size_t i = 1; i < most; ++i)
    std::copy_n(values.data(), type_.size, values.data() + i * type_.size);
  RunWalker walker(axes_of(piece.shape, unit, reduced_), first_cell(piece.origin, unit, reduced_));
  for (size_t first = 0; first < n; first += kBlock)
    walker.give(values.data(), std::min(kBlock, n - first), type_.size, accumulator);
  return {};
}

Result<bool> PieceAdder::is_missing(ByteSpan element) const {
  Values value{type_, {}, Bytes(type_.size), {}};
  UPWELL_CHECK(decode(element, 1, value.data));
  return type_.kind == Kind::kFloat && std::isnan(value.number(0));
}

}  // namespace upwell::compute
