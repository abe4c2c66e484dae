#pragma once
// One granule: from a task to what is written.

#include <set>
#include <string>
#include <vector>

#include "format/netcdf4/writer.hpp"
#include "produce/config.hpp"
#include "produce/granules/encode.hpp"
#include "produce/granules/receipt.hpp"
#include "produce/granules/resources.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::produce {

/// Whose granules: of ECCO-Dataset-Production as of 2024 (V4r4), or as of 2026.
enum class Profile { kV4r4, k2026 };

/// Values at points of water that are no numbers.
enum class NotFinite {
  kFail,
  kKeep,  ///< as EDP: NaN becomes the fill value, infinities stay
};

struct GranuleOptions {
  Profile profile = Profile::kV4r4;
  NotFinite not_finite = NotFinite::kFail;
  /// Snapshots get their times, and their row of the PO.DAAC table, in place of TBD.
  bool fix_snapshots = false;
  std::string created;  ///< date_created and the like
  /// What, besides its inputs, the granule is made of: its UUID follows from both. Empty: random.
  std::string identity;
};

/// The GCMD keywords of a task's variables.
Result<std::set<std::string>> keywords_of(const Task& task, Resources& resources);

struct MadeGranule {
  format::netcdf4::File file;
  std::vector<std::string> notes;  ///< what a user should know of it
  std::vector<FileRecord> inputs;
};

/// Reads the inputs, masks or maps, encodes. `keywords`: those to write. Errors name the variable
/// and the file.
Result<MadeGranule> make_granule(const Task& task, const Config& config,
                                 const std::set<std::string>& keywords, Resources& resources,
                                 ChunkEncoder& encoder, const GranuleOptions& options);

}  // namespace upwell::produce
