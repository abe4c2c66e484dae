#pragma once
// Reference sets that are kept up to date with the granules of a run: one for each dataset.

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/session.hpp"

namespace upwell::produce {

struct ReferenceOptions {
  /// NAME.json, NAME.parq or NAME.upwell, with {dataset}, {name}, {frequency}, {version}, {type},
  /// {grid} for what granules are called; or a directory, for {dataset}.json in it. JSON may be an
  /// s3:// URL. Empty: no sets.
  std::string output;
  double seconds = 60;  ///< at least so long from one update of a set to the next
};

/// One set, after the run.
struct ReferenceSetResult {
  std::string output;
  size_t granules = 0;             ///< in it now
  size_t added = 0, replaced = 0;  ///< by this run
  size_t updates = 0;              ///< how often it was written
  double seconds = 0;              ///< all of them
  std::vector<std::string> warnings;
  std::optional<Error> error;
};

/// The set that a granule belongs to; nullopt for granules that have no date, and are in none.
/// kInvalidArgument for placeholders that there are not, and outputs that cannot be kept up to
/// date.
Result<std::optional<std::string>> reference_set_of(const std::string& output,
                                                    const std::string& granule);

/// Thread-safe.
class ReferenceKeeper {
 public:
  /// `granules`: what the tasks make; "" where it is not known. kInvalidArgument, too, when
  /// granules of different datasets would go into one set.
  static Result<std::unique_ptr<ReferenceKeeper>> make(io::Session& session,
                                                       const ReferenceOptions& options,
                                                       const std::vector<std::string>& granules);

  /// Granule `i` is there, or will not be. When it is time, and all granules before it have ended,
  /// sets are brought up to date on this thread. What goes wrong then is tried again by finish.
  void ended(size_t i, bool there);
  /// Brings every set up to date with all its granules that are there, whatever an earlier run,
  /// perhaps a killed one, left out.
  std::vector<ReferenceSetResult> finish();

 private:
  using Clock = std::chrono::steady_clock;
  enum class State { kAwaited, kThere, kAbsent };
  struct Member {
    std::string url;
    State state = State::kAwaited;
  };
  struct Set {
    std::string output, dataset;
    std::vector<Member> members;  ///< by date
    size_t next = 0;              ///< before it all have ended
    std::vector<std::string> due;
    bool busy = false;
    Clock::time_point updated = Clock::now();
    double last_seconds = 0;
    ReferenceSetResult result;
  };
  struct Where {
    Set* set = nullptr;
    size_t member = 0;
  };

  ReferenceKeeper(io::Session& session, const ReferenceOptions& options)
      : session_(session), options_(options) {}
  bool is_time(const Set& set) const;
  Result<> update(Set& set, const std::vector<std::string>& urls);

  io::Session& session_;
  const ReferenceOptions options_;
  std::map<std::string, Set> sets_;  // by output
  std::vector<Where> where_;         // by granule
  std::mutex mutex_;
};

}  // namespace upwell::produce
