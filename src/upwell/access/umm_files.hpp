#pragma once
// Which of a granule's files are its data.

#include <string>
#include <vector>

#include "access/umm.hpp"

namespace upwell::access {

struct FileChoice {
  /// Extensions without the dot, the best first, before those that are known. ".tif" files beside a
  /// ".nc" are pictures of it, unless "tif" comes first here.
  std::vector<std::string> preference = {};
  /// Glob pattern of names (fnmatch); empty: all. What it names counts as data, whatever it is.
  std::string pattern = {};
};

/// The data files of the best format that is there: one of most granules, the bands of some. Never
/// a checksum; text, XML and pictures only where there is nothing else. Empty: no link leads to
/// data.
std::vector<const GranuleFile*> data_files(const Granule& granule, const FileChoice& choice);

}  // namespace upwell::access
