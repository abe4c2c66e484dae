#pragma once
// Granules that lie in two places, as in a bucket and behind https, and which of them to read.

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"

namespace upwell::refs {

/// The object at a URL that begins with `first` also lies where it begins with `second` instead.
using LocationPairs = std::vector<std::pair<std::string, std::string>>;

/// How far into a document its beginning, with "locations", may reach.
constexpr size_t kLocationsHead = 64 << 10;

/// "locations" of a reference set: [["s3://bucket/a/","https://host/a/"], ...]. It stands before
/// "refs" in JSON and before "metadata" in a .zmetadata; other readers pass over it. Empty where
/// there is none; kInvalidData where it is something else, or names other than s3 and http(s) URLs.
Result<LocationPairs> read_locations(std::string_view document);
/// What to write into such a document: "\"locations\":[...],"; empty for none.
std::string locations_member(const LocationPairs& pairs);

/// Decides once for each pair, when its first object is asked for: the place whose URL has the
/// session's preferred scheme, or else the one that is written, if the object can be reached there;
/// or else the other. Thread-safe; `session` outlives it.
class LocationChoice {
 public:
  /// `reach`: of the set.
  LocationChoice(io::Session& session, LocationPairs pairs, io::ReachPtr reach);
  /// Where to read this object: the URL itself when it has one place, or cannot be reached at all.
  std::string place(const std::string& url);

 private:
  enum class Way { kUndecided, kFirst, kSecond };
  Way decide(const std::string& first, const std::string& second) const;

  io::Session& session_;
  LocationPairs pairs_;
  io::ReachPtr reach_;
  std::mutex mutex_;
  std::vector<Way> ways_;
};

}  // namespace upwell::refs
