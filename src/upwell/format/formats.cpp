// The explicit list of formats.

#include <array>

#include "format/format.hpp"
#include "format/hdf5/hdf5.hpp"

namespace upwell::format {

std::span<const Format> formats() {
  static const std::array kFormats = {
      hdf5::hdf5_format(),
  };
  return kFormats;
}

}  // namespace upwell::format
