// The explicit list of formats.

#include <array>

#include "format/format.hpp"
#include "format/hdf5/hdf5.hpp"
#include "format/mds/mds.hpp"
#include "format/netcdf3/netcdf3.hpp"

namespace upwell::format {

std::span<const Format> formats() {
  static const std::array kFormats = {
      hdf5::hdf5_format(),
      netcdf3::netcdf3_format(),
      mds::mds_format(),
  };
  return kFormats;
}

}  // namespace upwell::format
