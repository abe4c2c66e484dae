#pragma once
// When the values of one .data file hold. Internal.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/format.hpp"
#include "format/mds/meta.hpp"

namespace upwell::format::mds {

/// The axis along which files of different time steps follow each other, one element of it.
struct TimeAxis {
  std::string dimension;      ///< empty: the file belongs to no time step
  std::vector<Array> arrays;  ///< its coordinate and what goes with it
  std::string coordinates;    ///< for the attribute of that name of the fields; may be empty
};

/// `step`: of the file's name; a file without one holds for the whole run.
///  - Where the date of step 0 is known (MdsOptions::reference; timeStepDate) and the seconds since
///    then are (MdsOptions::delta_t, else the end of timeInterval): dimension `time` with a CF
///    coordinate in seconds, its bounds where timeInterval has two values, and timeStepNumber.
///  - Else dimension `timeStepNumber`, and timeInterval beside it.
/// kInvalidData when the name, timeStepNumber, timeInterval and timeStepDate contradict each other
/// or the options; kInvalidArgument when an option cannot be understood, or needs what is not
/// there.
Result<TimeAxis> time_axis(const Meta& meta, std::optional<int64_t> step,
                           const MdsOptions& options);

}  // namespace upwell::format::mds
