#pragma once
// Whether a reference set still says what its granules say.

#include <string>
#include <vector>

#include "base/progress.hpp"
#include "format/format.hpp"
#include "io/session.hpp"

namespace upwell::refs {

struct VerifyOptions {
  uint64_t sample = 0;  ///< chunks to compare, spread over granules and variables; 0: one of each
                        ///< variable of each granule, up to kVerifyChunks
  bool all = false;     ///< every chunk
  uint64_t seed = 0;    ///< same seed, same granules: same chunks
  std::vector<std::string> drop;  ///< arrays left out
  format::MdsOptions mds;         ///< for sets that do not record it
  size_t threads = 0;             ///< granules at once; 0: chosen
  Progress::Style progress = Progress::Style::kQuiet;
};
inline constexpr uint64_t kVerifyChunks = 1000;

/// One granule, now and when it was indexed.
struct GranuleVerdict {
  std::string url;
  enum class State {
    kUnchanged,
    kUnrecorded,  ///< there, but the set does not say how it was, or at another place
    kChanged,
    kVanished,
    kUnreachable,  ///< not allowed, or no such kind of URL
  } state = State::kUnrecorded;
  std::string detail;  ///< what is different
  uint64_t compared = 0, bytes = 0;
};

/// A variable of a granule that the set gives otherwise than the granule.
struct Finding {
  std::string granule, path;
  std::string
      kind;  ///< "values", "missing", "unwritten", "unreadable", "shape", "variable", "type"
  std::string message;  ///< of the first place
  uint64_t places = 1;  ///< chunks (or, of all, runs of chunks) that differ
};

struct VerifyReport {
  std::string source, format, concat;
  bool recorded = false;  ///< the set keeps the states of its granules
  uint64_t seed = 0;
  std::vector<GranuleVerdict> granules;  ///< in cube order
  struct Variable {
    std::string path;
    uint64_t compared = 0;   ///< pieces: chunks, or runs of them
    uint64_t differing = 0;  ///< pieces
    uint64_t bytes = 0;      ///< decoded, in memory form
  };
  std::vector<Variable> variables;
  std::vector<Finding> findings;

  size_t count(GranuleVerdict::State state) const;
  /// Nothing differs, has changed, vanished or was out of reach.
  bool good() const;
  std::string to_json() const;
};

/// Reads pieces of the set at `source` through its references, and the same places from the
/// granules, each scanned anew by its format's reader, and compares every bit (times as far as both
/// say the same instant); what one side has never written the other must not have either. Granules
/// are those of the set's record, or else those that its references name, in their order along the
/// one axis on which they follow each other. Compares the granules' states, too.
/// kUnsupported where there are no granules to compare with; kInvalidData, or kNotFound where
/// granules vanished and nothing else is wrong, when something was found: `report` says what.
/// Transient failures end it.
Result<> verify(io::Session& session, const std::string& source, const VerifyOptions& options,
                VerifyReport& report);

}  // namespace upwell::refs
