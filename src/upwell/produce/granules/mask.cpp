#include "produce/granules/mask.hpp"

#include <algorithm>

namespace upwell::produce {

void ValueRange::join(const ValueRange& other, uint64_t offset) {
  if (not_finite == 0 && other.not_finite > 0) first_not_finite = other.first_not_finite + offset;
  not_finite += other.not_finite;
  min = std::min(min, other.min);
  max = std::max(max, other.max);
}

}  // namespace upwell::produce
