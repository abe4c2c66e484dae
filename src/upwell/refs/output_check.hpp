#pragma once
// What an output must not replace: what is read to make it.

#include <filesystem>
#include <string>
#include <vector>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// kInvalidArgument when `output` is there and is one of the local files `sources`, by whatever
/// path or link, or lies in a directory that is a source (a document of a set).
Result<> check_no_source(const std::filesystem::path& output,
                         const std::vector<std::string>& sources);

/// The same for the granules of `dataset`. When `output` is there, every chunk index is gone
/// through, since sets may know a granule only by its chunks; otherwise it costs nothing.
Result<> check_no_granule(const std::filesystem::path& output, const Dataset& dataset);

}  // namespace upwell::refs
