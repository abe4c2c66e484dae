#include "compute/beside.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numbers>

#include "cube/place.hpp"

namespace upwell::compute {
namespace {

/// Elements of a memory type as doubles, `stride` elements apart.
template <typename T>
void load(const uint8_t* from, uint64_t stride, size_t n, double* out) {
  for (size_t i = 0; i < n; ++i) {
    T value;
    std::memcpy(&value, from + i * stride * sizeof(T), sizeof(T));
    out[i] = static_cast<double>(value);
  }
}

using Loader = void (*)(const uint8_t*, uint64_t, size_t, double*);

Loader loader_of(const DataType& type) {
  if (type.kind == Kind::kFloat) return type.size == 4 ? load<float> : load<double>;
  const bool sign = type.kind == Kind::kInt;
  switch (type.size) {
    case 1:
      return sign ? load<int8_t> : load<uint8_t>;
    case 2:
      return sign ? load<int16_t> : load<uint16_t>;
    case 4:
      return sign ? load<int32_t> : load<uint32_t>;
    default:
      return sign ? load<int64_t> : load<uint64_t>;
  }
}

/// One array of a walk.
struct Walked {
  const Values* values;
  Shape strides;
  Loader loader;
};

/// Calls `take(first, n, columns)` for runs of at most Condition::kBlock elements of a box in C
/// order, with a column of doubles of each array.
template <typename Take>
Result<> walk(const Shape& shape, std::vector<Walked> arrays, Take&& take) {
  // Axes that all arrays have in one piece are walked as one.
  Shape counts;
  std::vector<Shape> strides(arrays.size());
  for (size_t d = shape.size(); d-- > 0;) {
    if (shape[d] == 1) continue;
    bool joins = !counts.empty();
    for (size_t a = 0; a < arrays.size() && joins; ++a)
      joins = arrays[a].strides[d] == strides[a].back() * counts.back();
    if (joins) {
      counts.back() *= shape[d];
      continue;
    }
    counts.push_back(shape[d]);
    for (size_t a = 0; a < arrays.size(); ++a) strides[a].push_back(arrays[a].strides[d]);
  }
  if (counts.empty()) {
    counts.push_back(1);
    for (Shape& s : strides) s.push_back(0);
  }
  std::vector<double> buffer(arrays.size() * Condition::kBlock);
  std::vector<const double*> columns;
  for (size_t a = 0; a < arrays.size(); ++a)
    columns.push_back(buffer.data() + a * Condition::kBlock);
  Shape at(counts.size(), 0);  // the last axis first
  uint64_t first = 0;
  const uint64_t rows = element_count(counts) / counts[0];
  for (uint64_t row = 0; row < rows; ++row) {
    for (uint64_t begin = 0; begin < counts[0]; begin += Condition::kBlock) {
      const size_t n = std::min<uint64_t>(Condition::kBlock, counts[0] - begin);
      for (size_t a = 0; a < arrays.size(); ++a) {
        uint64_t offset = begin * strides[a][0];
        for (size_t d = 1; d < at.size(); ++d) offset += at[d] * strides[a][d];
        const Values& values = *arrays[a].values;
        arrays[a].loader(values.data.data() + offset * values.type.size, strides[a][0], n,
                         buffer.data() + a * Condition::kBlock);
      }
      UPWELL_CHECK(take(first, n, columns));
      first += n;
    }
    for (size_t d = 1; d < at.size() && ++at[d] == counts[d]; ++d) at[d] = 0;
  }
  return {};
}

/// Beyond it doubles have gaps.
constexpr int64_t kLastExact = int64_t{1} << 53;

bool is_exact(const Values& values) {
  if (values.type.kind == Kind::kFloat || values.type.size < 8) return true;
  const bool sign = values.type.kind == Kind::kInt;
  for (size_t i = 0; i < values.count(); ++i) {
    const int64_t value = values.integer(i);
    if (value > kLastExact || value < (sign ? -kLastExact : 0)) return false;
  }
  return true;
}

}  // namespace

Result<BesideArray> BesideArray::make(const std::string& name, const Array& array,
                                      const Array& reduced) {
  if (!array.type.is_number())
    return fail(Code::kInvalidArgument, name + " holds " + describe(array.type) + ", not numbers");
  BesideArray beside;
  beside.name_ = name;
  beside.array_ = &array;
  beside.rank_ = reduced.shape.size();
  beside.decoding_ = cf::decoding_of(array);
  const DataType raw = memory_type(array.type);
  const DataType type = cf::decoded_type(beside.decoding_, raw);
  if (type.kind == Kind::kFloat && type.size == 2) {
    beside.decoding_.to_float = true;
    beside.decoding_.float_size = 4;
  }
  for (size_t d = 0; d < array.shape.size(); ++d) {
    const std::string dimension = d < array.dimensions.size() ? array.dimensions[d] : "";
    const auto at = std::find(reduced.dimensions.begin(), reduced.dimensions.end(), dimension);
    if (dimension.empty() || at == reduced.dimensions.end())
      return fail(Code::kInvalidArgument,
                  fmt::format("{} has the dimension '{}', which {} has not; it has ({})", name,
                              dimension, reduced.name, fmt::join(reduced.dimensions, ", ")));
    const auto axis = static_cast<size_t>(at - reduced.dimensions.begin());
    if (array.shape[d] != reduced.shape[axis])
      return fail(Code::kInvalidArgument,
                  fmt::format("{} has {} elements along '{}', {} has {}", name, array.shape[d],
                              dimension, reduced.name, reduced.shape[axis]));
    beside.axis_.push_back(axis);
  }
  return beside;
}

VariableFacts BesideArray::facts() const {
  const DataType raw = memory_type(array_->type);
  VariableFacts facts;
  facts.type = cf::decoded_type(decoding_, raw);
  facts.units = text_attribute(array_->attributes, "units").value_or("");
  // Those of 8 bytes would lose digits where missing values make them floats.
  const bool packed = decoding_.scale_factor || decoding_.add_offset;
  facts.whole =
      facts.type.kind != Kind::kFloat || (raw.kind != Kind::kFloat && raw.size <= 4 && !packed);
  return facts;
}

uint64_t BesideArray::memory(const Shape& shape) const {
  Shape own;
  for (const size_t axis : axis_) own.push_back(shape[axis]);
  // As stored, and decoded.
  return element_count(own) * (memory_type(array_->type).size + facts().type.size);
}

Selection BesideArray::selection_of(const Selection& selection) const {
  Selection own;
  for (const size_t axis : axis_) {
    own.origin.push_back(selection.origin[axis]);
    own.shape.push_back(selection.shape[axis]);
    own.step.push_back(selection.step.empty() ? 1 : selection.step[axis]);
  }
  return own;
}

Result<Values> BesideArray::read(io::Session& session, const Dataset& dataset,
                                 const Selection& selection, const ReadOptions& options) const {
  auto raw = read_raw(session, dataset, *array_, selection_of(selection), options);
  if (!raw) return fail(std::move(raw).error().with(name_));
  auto values = cf::decode(decoding_, std::move(*raw));
  if (!values) return fail(std::move(values).error().with(name_));
  if (!is_exact(*values))
    return fail(Code::kUnsupported,
                name_ + ": has integers beyond 2^53, which conditions and weights do not hold");
  return values;
}

Shape BesideArray::strides(const Shape& shape) const {
  Shape strides(rank_, 0);
  uint64_t stride = 1;
  for (size_t d = axis_.size(); d-- > 0;) {
    strides[axis_[d]] += stride;  // a dimension that comes twice: its diagonal
    stride *= shape[axis_[d]];
  }
  return strides;
}

Result<std::vector<uint8_t>> mask_of(io::Session& session, const Dataset& dataset, const Mask& mask,
                                     const Selection& selection, const ReadOptions& options) {
  std::vector<Values> values;
  std::vector<Walked> arrays;
  values.reserve(mask.arrays.size());
  for (const BesideArray& array : mask.arrays) {
    UPWELL_TRY(Values read, array.read(session, dataset, selection, options));
    values.push_back(std::move(read));
    arrays.push_back(
        {&values.back(), array.strides(selection.shape), loader_of(values.back().type)});
  }
  std::vector<uint8_t> holds(element_count(selection.shape));
  std::vector<double> scratch;
  auto take = [&](uint64_t first, size_t n, const std::vector<const double*>& columns) -> Result<> {
    mask.condition.evaluate(columns, n, scratch, holds.data() + first);
    return {};
  };
  UPWELL_CHECK(walk(selection.shape, std::move(arrays), take));
  return holds;
}

Result<std::vector<double>> weights_of(io::Session& session, const Dataset& dataset,
                                       const Weights& weights, const Selection& selection,
                                       const ReadOptions& options) {
  UPWELL_TRY(const Values values, weights.array.read(session, dataset, selection, options));
  std::vector<double> out(element_count(selection.shape));
  auto take = [&](uint64_t first, size_t n, const std::vector<const double*>& columns) -> Result<> {
    for (size_t i = 0; i < n; ++i) {
      double weight = columns[0][i];
      if (weights.cosine) weight = std::cos(weight * (std::numbers::pi / 180));
      if (std::isnan(weight))
        return fail(Code::kInvalidData, "a weight is missing; weights must be numbers everywhere");
      out[first + i] = weight;
    }
    return {};
  };
  UPWELL_CHECK(walk(selection.shape,
                    {{&values, weights.array.strides(selection.shape), loader_of(values.type)}},
                    take));
  return out;
}

}  // namespace upwell::compute
