#include "refs/verify_compare.hpp"

#include <cmath>

#include "refs/align_values.hpp"

namespace upwell::refs {
namespace {

template <typename Same>
std::optional<Mismatch> find_mismatch(const Values& ours, const Values& theirs, const Same& same) {
  Mismatch out;
  for (size_t i = 0; i < ours.count(); ++i) {
    if (same(i)) continue;
    if (out.elements++ > 0) continue;
    out.first = i;
    out.ours = element_shown(ours, i);
    out.theirs = element_shown(theirs, i);
  }
  return out.elements > 0 ? std::optional(out) : std::nullopt;
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
    UPWELL_TRY(const Alignment alignment,
               align_numbers(set, store, granule, array, path, ours, theirs));
    if (alignment.decoded)
      return find_mismatch(ours, theirs, [&](size_t i) {
        const double a = ours.number(i), b = theirs.number(i);
        return (std::isnan(a) && std::isnan(b)) || a == b ||
               (alignment.narrow && static_cast<float>(a) == static_cast<float>(b));
      });
  }
  const bool compounds = ours.type.kind == Kind::kCompound && theirs.type.kind == Kind::kCompound;
  if (!compounds &&
      (ours.type.size != theirs.type.size || ours.type.has_vlen() != theirs.type.has_vlen()))
    return fail(Code::kUnsupported, "it is of type " + describe(ours.type) +
                                        " in the set, of type " + describe(theirs.type) +
                                        " in the granule");
  if (ours.type == theirs.type && !ours.type.has_vlen() && ours.data == theirs.data)
    return std::optional<Mismatch>();
  return find_mismatch(ours, theirs, [&](size_t i) { return same_element(ours, i, theirs, i); });
}

}  // namespace upwell::refs
