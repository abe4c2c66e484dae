#include "refs/align_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cube/cf.hpp"
#include "refs/combine.hpp"
#include "refs/coordinates.hpp"

namespace upwell::refs {
namespace {

/// One element in memory form.
struct ElementBytes {
  const DataType& type;
  const uint8_t* at;
  ByteSpan heap;
  ElementBytes part(const DataType& of, const uint8_t* where) const { return {of, where, heap}; }
};

/// Members of compounds by their names: Zarr has others where HDF5 leaves gaps.
bool equal_elements(const ElementBytes& a, const ElementBytes& b) {
  if (a.type.kind == Kind::kCompound && b.type.kind == Kind::kCompound) {
    return std::all_of(b.type.members.begin(), b.type.members.end(), [&](const Member& theirs) {
      const auto ours =
          std::find_if(a.type.members.begin(), a.type.members.end(),
                       [&](const Member& member) { return member.name == theirs.name; });
      return ours != a.type.members.end() &&
             equal_elements(a.part(*ours->type, a.at + ours->offset),
                            b.part(*theirs.type, b.at + theirs.offset));
    });
  }
  if (a.type.has_vlen() != b.type.has_vlen() || a.type.size != b.type.size) return false;
  if (!a.type.has_vlen()) return std::memcmp(a.at, b.at, a.type.size) == 0;
  if (a.type.kind != b.type.kind) return false;
  const DataType byte = DataType::unsigned_integer(1);
  const DataType& x = a.type.base ? *a.type.base : byte;
  const DataType& y = b.type.base ? *b.type.base : byte;
  VlenHandle ours{0, element_count(a.type.dims)}, theirs{0, element_count(b.type.dims)};
  const uint8_t *first = a.at, *second = b.at;
  if (a.type.kind != Kind::kArray) {
    std::memcpy(&ours, a.at, sizeof(ours));
    std::memcpy(&theirs, b.at, sizeof(theirs));
    first = a.heap.data() + ours.offset;
    second = b.heap.data() + theirs.offset;
  }
  if (ours.count != theirs.count) return false;
  for (uint64_t i = 0; i < ours.count; ++i)
    if (!equal_elements(a.part(x, first + i * x.size), b.part(y, second + i * y.size)))
      return false;
  return true;
}

std::optional<cf::TimeUnits> units_of(const Dataset& dataset, const Array& array,
                                      const std::string& path) {
  const Array* source = &array;
  if (!text_attribute(array.attributes, "units")) source = bounds_parent(dataset.root, path, array);
  auto units = source != nullptr ? cf::time_units_of(*source) : std::nullopt;
  return units && *units ? std::optional(**units) : std::nullopt;
}

}  // namespace

bool is_text(const DataType& type) {
  return type.kind == Kind::kString || type.kind == Kind::kUnicode ||
         type.kind == Kind::kVlenString;
}

bool same_element(const Values& a, size_t i, const Values& b, size_t j) {
  return equal_elements({a.type, a.data.data() + i * a.type.size, a.heap},
                        {b.type, b.data.data() + j * b.type.size, b.heap});
}

std::string element_shown(const Values& values, size_t i, bool nan_bits) {
  const DataType& type = values.type;
  if (is_text(type)) return '"' + values.text(i).substr(0, 60) + '"';
  const uint8_t* at = values.data.data() + i * type.size;
  if (type.kind == Kind::kFloat) {
    const double value = values.number(i);
    // The shortest text that gives the value back.
    if (!std::isnan(value))
      return type.size == 4 ? fmt::format("{}", static_cast<float>(value))
                            : fmt::format("{}", value);
    if (!nan_bits) return "NaN";
    uint64_t bits = 0;
    std::memcpy(&bits, at, std::min<size_t>(type.size, sizeof(bits)));
    return fmt::format("NaN ({:#x})", bits);
  }
  if (type.kind == Kind::kUint) return fmt::format("{}", static_cast<uint64_t>(values.integer(i)));
  if (type.kind == Kind::kInt) return fmt::format("{}", values.integer(i));
  if (type.has_vlen()) return "a sequence";
  std::string text = "0x";
  for (size_t k = 0; k < std::min<size_t>(type.size, 16); ++k) text += fmt::format("{:02x}", at[k]);
  return text;
}

Result<Alignment> align_numbers(const Dataset& a, const Array& a_array, const Dataset& b,
                                const Array& b_array, const std::string& path, Values& ours,
                                Values& theirs) {
  Alignment out;
  const auto shared = units_of(a, a_array, path), own = units_of(b, b_array, path);
  const cf::Decoding here = cf::decoding_of(a_array), there = cf::decoding_of(b_array);
  if (own && shared && (own->text != shared->text || own->calendar != shared->calendar)) {
    UPWELL_TRY(theirs, convert_time(theirs, *own, *shared, there.missing));
  }
  const bool holds_decoded = !a_array.segments.empty() && a_array.segments[0].layout->packing;
  out.decoded = holds_decoded || here.scale_factor != there.scale_factor ||
                here.add_offset != there.add_offset;
  if (out.decoded) {
    UPWELL_TRY(ours, cf::decode(here, std::move(ours)));
    UPWELL_TRY(theirs, cf::decode(there, std::move(theirs)));
    const DataType narrow = DataType::floating(4);
    out.narrow = ours.type == narrow || theirs.type == narrow;
    return out;
  }
  ours.type = cf::integers_as_read(here, ours.type);
  theirs.type = cf::integers_as_read(there, theirs.type);
  if (!(ours.type == theirs.type)) {
    UPWELL_TRY(const DataType type, common_type({&ours, &theirs}));
    UPWELL_TRY(ours, cast_numbers(ours, type));
    UPWELL_TRY(theirs, cast_numbers(theirs, type));
  }
  return out;
}

}  // namespace upwell::refs
