#pragma once
// What a granule holds, from whatever it is made: between reading and describing. Internal.

#include <functional>
#include <string>
#include <vector>

#include "produce/granules/frame.hpp"
#include "produce/granules/variables.hpp"

namespace upwell::produce {

struct Content {
  Frame frame;  ///< with its times
  std::vector<MadeVariable> variables;
  Attributes attributes;  ///< global ones of the input that are kept
  std::vector<FileRecord> files;
  std::vector<std::string> notes;
  std::string first, last;  ///< of a series: what it covers, "1992-01-01T12:00:00"
};

/// A series of values, or of profiles, from raw files of one step each, of from a netCDF file. The
/// axis of time is what any variable has; what one has not there is fill. Errors name variable and
/// file.
Result<Content> read_series(const Task& task, const Config& config, const VariableForm& form,
                            Resources& resources, ChunkEncoder& encoder);

/// About how many bytes of memory making a series, or a granule of a netCDF file, takes at most. No
/// values are read, only sizes. Errors as of `read_series`.
Result<uint64_t> memory_of_series(const Task& task, Resources& resources);
Result<uint64_t> memory_of_netcdf(const std::string& input_netcdf, io::Session& session,
                                  uint64_t kept);

/// The time-invariant fields of the task's netCDF file, as they are: its land is where it has no
/// values. Errors name variable and file; a file on another grid is kInvalidData.
Result<Content> read_invariant_netcdf(const Task& task, const VariableForm& form,
                                      Resources& resources, ChunkEncoder& encoder);

/// Rounds to the form's precision, with fill for NaN, and encodes; `made` has name and dimensions.
/// Infinities are kInvalidData unless they are to be kept; `place` says where an element lies.
Result<> encode_numbers(const std::vector<double>& numbers, const Shape& shape,
                        const VariableForm& form, Resources& resources, ChunkEncoder& encoder,
                        const std::function<std::string(uint64_t)>& place, MadeVariable& made);

}  // namespace upwell::produce
