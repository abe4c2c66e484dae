#include "refs/verify_compare.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cube/cf.hpp"
#include "refs/combine.hpp"
#include "refs/coordinates.hpp"

namespace upwell::refs {
namespace {

bool is_text(const DataType& type) {
  return type.kind == Kind::kString || type.kind == Kind::kUnicode ||
         type.kind == Kind::kVlenString;
}

/// One element in memory form.
struct Element {
  const DataType& type;
  const uint8_t* at;
  ByteSpan heap;
  Element part(const DataType& of, const uint8_t* where) const { return {of, where, heap}; }
};

/// Members of compounds by their names: Zarr has others where HDF5 leaves gaps.
bool same_element(const Element& a, const Element& b) {
  if (a.type.kind == Kind::kCompound && b.type.kind == Kind::kCompound) {
    return std::all_of(b.type.members.begin(), b.type.members.end(), [&](const Member& theirs) {
      const auto ours =
          std::find_if(a.type.members.begin(), a.type.members.end(),
                       [&](const Member& member) { return member.name == theirs.name; });
      return ours != a.type.members.end() &&
             same_element(a.part(*ours->type, a.at + ours->offset),
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
    if (!same_element(a.part(x, first + i * x.size), b.part(y, second + i * y.size))) return false;
  return true;
}

std::string show(const Values& values, size_t i) {
  const DataType& type = values.type;
  if (is_text(type)) return '"' + values.text(i).substr(0, 60) + '"';
  const uint8_t* at = values.data.data() + i * type.size;
  if (type.kind == Kind::kFloat) {
    const double value = values.number(i);
    if (!std::isnan(value)) return fmt::format("{}", value);
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

template <typename Same>
std::optional<Mismatch> find_mismatch(const Values& ours, const Values& theirs, const Same& same) {
  Mismatch out;
  for (size_t i = 0; i < ours.count(); ++i) {
    if (same(i)) continue;
    if (out.elements++ > 0) continue;
    out.first = i;
    out.ours = show(ours, i);
    out.theirs = show(theirs, i);
  }
  return out.elements > 0 ? std::optional(out) : std::nullopt;
}

std::optional<cf::TimeUnits> units_of(const Dataset& dataset, const Array& array,
                                      const std::string& path) {
  const Array* source = &array;
  if (!text_attribute(array.attributes, "units")) source = bounds_parent(dataset.root, path, array);
  auto units = source != nullptr ? cf::time_units_of(*source) : std::nullopt;
  return units && *units ? std::optional(**units) : std::nullopt;
}

/// Values that are to be equal once scaled: floats of the narrower of the two types.
Result<std::optional<Mismatch>> compare_decoded(const Array& store, const Array& array, Values ours,
                                                Values theirs) {
  UPWELL_TRY(ours, cf::decode(cf::decoding_of(store), std::move(ours)));
  UPWELL_TRY(theirs, cf::decode(cf::decoding_of(array), std::move(theirs)));
  const bool narrow = ours.type == DataType::floating(4) || theirs.type == DataType::floating(4);
  return find_mismatch(ours, theirs, [&](size_t i) {
    const double a = ours.number(i), b = theirs.number(i);
    return (std::isnan(a) && std::isnan(b)) || a == b ||
           (narrow && static_cast<float>(a) == static_cast<float>(b));
  });
}

}  // namespace

Result<std::optional<Mismatch>> compare_values(const Dataset& set, const Array& store,
                                               const Dataset& granule, const Array& array,
                                               const std::string& path, Values ours,
                                               Values theirs) {
  // How a fixed string is padded is not said in Zarr; its bytes are there.
  const bool same_bytes = ours.type.kind == theirs.type.kind &&
                          ours.type.size == theirs.type.size && !ours.type.has_vlen();
  if (is_text(ours.type) && is_text(theirs.type) && !same_bytes)
    return find_mismatch(ours, theirs, [&](size_t i) { return ours.text(i) == theirs.text(i); });
  if (ours.type.is_number() && theirs.type.is_number()) {
    const auto own = units_of(granule, array, path), shared = units_of(set, store, path);
    if (own && shared && (own->text != shared->text || own->calendar != shared->calendar)) {
      UPWELL_TRY(theirs, convert_time(theirs, *own, *shared, cf::decoding_of(array).missing));
    }
    const cf::Decoding a = cf::decoding_of(store), b = cf::decoding_of(array);
    const bool decoded = !store.segments.empty() && store.segments[0].layout->packing;
    if (decoded || a.scale_factor != b.scale_factor || a.add_offset != b.add_offset)
      return compare_decoded(store, array, std::move(ours), std::move(theirs));
    if (!(ours.type == theirs.type)) {
      UPWELL_TRY(const DataType type, common_type({&ours, &theirs}));
      UPWELL_TRY(ours, cast_numbers(ours, type));
      UPWELL_TRY(theirs, cast_numbers(theirs, type));
    }
  }
  const bool compounds = ours.type.kind == Kind::kCompound && theirs.type.kind == Kind::kCompound;
  if (!compounds &&
      (ours.type.size != theirs.type.size || ours.type.has_vlen() != theirs.type.has_vlen()))
    return fail(Code::kUnsupported, "it is of type " + describe(ours.type) +
                                        " in the set, of type " + describe(theirs.type) +
                                        " in the granule");
  if (ours.type == theirs.type && !ours.type.has_vlen() && ours.data == theirs.data)
    return std::optional<Mismatch>();
  return find_mismatch(ours, theirs, [&](size_t i) {
    return same_element({ours.type, ours.data.data() + i * ours.type.size, ours.heap},
                        {theirs.type, theirs.data.data() + i * theirs.type.size, theirs.heap});
  });
}

}  // namespace upwell::refs
