#pragma once
// Where the files of a model's grid are: a directory, or one archive of them.

#include <map>
#include <memory>
#include <mutex>
#include <optional>
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
  std::shared_ptr<const void> unpacked;  ///< of an archive: keeps its files in memory

  bool has(std::string_view name) const;
  /// The first *WORD*.nc.
  std::optional<std::string> netcdf_with(std::string_view word) const;
};

/// Finds grids, and unpacks archives of them (NAME.tar.gz, .tgz, .tar) into memory, of which they
/// may take `most` bytes. Outlives the places that it finds. Thread-safe.
class GridPlaces {
 public:
  GridPlaces(io::Session& session, uint64_t most) : session_(session), most_(most) {}

  /// Of an archive those files are taken that grids have, of the one directory in it that has
  /// XC.data or *native*.nc; the session reads them at "unpacked://LOCATION/NAME" as long as the
  /// place is there. kNotFound when the location is not there or has no grid; kInvalidData for an
  /// archive that is broken or has two; kResourceExhausted when its files have too many bytes.
  Result<GridPlace> find(const std::string& location);

 private:
  Result<std::shared_ptr<const void>> unpack(const std::string& location,
                                             const std::string& directory);
  void forget(const std::string& directory, const std::vector<std::string>& urls);

  io::Session& session_;
  uint64_t most_;
  std::mutex mutex_;
  std::shared_ptr<io::MemoryStore> store_;
  std::map<std::string, std::weak_ptr<const void>> unpacked_;  ///< by directory
};

}  // namespace upwell::produce
