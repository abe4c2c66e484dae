#pragma once
// The coordinates of granules, with their attributes: prepared once for all granules of a kind.

#include <optional>
#include <string>
#include <vector>

#include "format/netcdf4/writer.hpp"
#include "produce/granules/grid.hpp"
#include "produce/granules/metadata.hpp"
#include "produce/granules/times.hpp"

namespace upwell::produce {

/// What a granule has besides its variables.
struct Frame {
  std::vector<format::netcdf4::Variable> before;  ///< dimensions, positions and depths
  std::optional<size_t> time;                     ///< its place in `before`
  std::optional<format::netcdf4::Variable> time_bounds;
  std::vector<format::netcdf4::Variable> after;  ///< bounds, but for those of time
};

enum class TimeAxis {
  kOne,   ///< a time, with bounds
  kNone,  ///< time-invariant
};

/// `is_3d`: the granule has depths.
Frame native_frame(const ModelGrid& grid, const Metadata& metadata, bool is_3d, TimeAxis time);

/// Bounds are [360][2] and so on, as in the mapping factors.
struct LatLonBounds {
  SharedValues latitude, longitude, depth;
};
Frame latlon_frame(const LatLonCoordinates& grid, const LatLonBounds& bounds,
                   const Metadata& metadata, bool is_3d, TimeAxis time);
/// Of values, or of profiles when `z` is not null.
Frame series_frame(SharedValues z, const Metadata& metadata);

/// Fills in the times of a granule as int32 in the units of the records ("hours since ...", rounded
/// half to even, as xarray does it), and what time is called; without bounds, nothing names them.
/// kInvalidData names what is wrong with the units, or a time that they cannot hold.
Result<> set_times(const Times& times, const std::optional<std::string>& long_name, Frame& frame);

/// Which of `wanted` are coordinates of a variable on these dimensions: those of the frame whose
/// axes are all among them. In the order of the frame.
std::vector<std::string> coordinates_on(const Frame& frame,
                                        const std::vector<std::string>& dimensions,
                                        const std::vector<std::string>& wanted);

}  // namespace upwell::produce
