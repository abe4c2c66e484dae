#pragma once
// Where the files of a model's grid are: a directory, or one archive of them.

#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "io/memory_store.hpp"
#include "io/session.hpp"

namespace upwell::produce {

/// A grid's directory with the names of what lies in it.
struct GridPlace {
  std::string location;   ///< as the user named it
  std::string directory;  ///< URL, ends in '/'
  std::vector<std::string> names;

  bool has(std::string_view name) const;
  /// The first *WORD*.nc.
  std::optional<std::string> netcdf_with(std::string_view word) const;
};

/// Finds grids, and unpacks archives of them (NAME.tar.gz, .tgz, .tar) into memory, each once.
/// Thread-safe.
class GridPlaces {
 public:
  explicit GridPlaces(io::Session& session) : session_(session) {}

  /// Of an archive those files are kept that grids have, of the one directory in it that has
  /// XC.data or *native*.nc; the session reads them at "unpacked://LOCATION/NAME". kNotFound when
  /// the location is not there or has no grid; kInvalidData for an archive that is broken or has
  /// two.
  Result<GridPlace> find(const std::string& location);

 private:
  Result<> unpack(const std::string& location, const std::string& directory);

  io::Session& session_;
  std::mutex mutex_;
  std::shared_ptr<io::MemoryStore> store_;
  std::set<std::string> unpacked_;
};

}  // namespace upwell::produce
