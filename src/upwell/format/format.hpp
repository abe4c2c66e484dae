#pragma once
// What a format gives, the explicit list of formats, and the driver that runs a reader against a
// session.

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/window.hpp"
#include "io/session.hpp"

namespace upwell::format {

/// What the files of MITgcm do not say themselves.
struct MdsOptions {
  /// Seconds of one time step; absent: times are those of timeInterval.
  std::optional<double> delta_t;
  /// Date of step 0, "1992-01-01T12:00:00"; empty: time is counted in steps.
  std::string reference;
  /// The compact form of an llc grid as 13 tiles; else as it lies in the file.
  bool tiles = true;
};

struct ScanOptions {
  /// Arrays (paths, with or without the leading '/') to leave out: they may be broken.
  std::vector<std::string> drop;
  /// Paths of the arrays and groups that are wanted; empty: all. A reader may then leave out other
  /// arrays and groups, but not what wanted arrays need: the arrays that bear the names of their
  /// dimensions. A dataset that is not whole says so (Dataset::partial). Where a path leads
  /// nowhere, the dataset is whole.
  std::vector<std::string> only;
  /// With `only`: the values of the wanted arrays are all that matters, so that the arrays that
  /// bear the names of their dimensions may be left out, too.
  bool values_alone = false;
  /// Contiguous arrays are cut along their leading axes into chunks of about this many bytes. 0:
  /// one chunk.
  uint64_t subchunk_bytes = 4ULL << 20;
  /// All chunks of an array are stored in one way, even where that takes many small ones: as
  /// reference sets need it.
  bool one_layout = false;
  MdsOptions mds = {};
  /// How deep external links and virtual datasets may lead from file to file.
  int max_file_depth = 8;
  /// The file as its own library shows it: attributes that netCDF-4 and dimension scales need for
  /// themselves stay, scales without a variable are arrays, names are those of the links.
  bool all_attributes = false;
  /// For `link` alone: the files that led here, outermost first, so that no file leads back to
  /// itself, and how many more files may be scanned below the first.
  std::vector<std::string> trail = {};
  std::shared_ptr<int> linked_scans_left = {};
};

/// A state machine over the bytes of one object.
class GranuleReader {
 public:
  virtual ~GranuleReader() = default;
  /// Does what the window allows. True: done. False: fetch window.take_missing() and call again. An
  /// error is final.
  virtual Result<bool> advance(Window& window) = 0;
  /// After advance gave true: the dataset, one granule (number 0), links to other files unresolved.
  virtual Result<Dataset> finish() = 0;
  /// Other files that this one points to (external links, virtual datasets): resolved by the
  /// format's `link` below.
};

struct Format {
  const char* name;     ///< "hdf5"
  uint64_t head_bytes;  ///< how many first bytes `recognise` wants
  bool (*recognise)(ByteSpan head, uint64_t object_size);
  std::unique_ptr<GranuleReader> (*make)(const Granule& granule, const ScanOptions& options);
  /// Null, or: completes the dataset with what lies in other files; scans them through `scan`
  /// itself.
  Result<> (*link)(io::Session& session, GranuleReader& reader, Dataset& dataset,
                   const ScanOptions& options, int depth);
  /// Null, or: for objects without a signature, the one that says what this one is ("x.meta" of
  /// "x.data" and of itself), by its URL; empty for others. Where it is there, `make` and the
  /// reader are given it, and `link` finds this one as granule 0 (none if it is the same).
  std::string (*description)(const std::string& url) = nullptr;
};

/// Every format, in the order in which they are tried. Adding one is one line in formats.cpp.
std::span<const Format> formats();

/// Whether some format takes an object for its own, by its name or its first bytes; it may be
/// broken all the same.
Result<bool> is_recognised(io::Session& session, const Granule& granule);

/// The object that describes this one, by the rules of `Format::description`; empty: it is to be
/// recognised by its bytes.
std::string description_of(const std::string& url);

/// Scans one granule: recognises the format, runs rounds until done. kInvalidData with a hint for
/// HTML, empty and unknown objects.
Result<Dataset> scan(io::Session& session, const std::string& url, const ScanOptions& options = {},
                     int depth = 0);
/// As scan, of an object whose state is known: `granule` has its normal URL and what `stat` said.
Result<Dataset> scan_known(io::Session& session, const Granule& granule,
                           const ScanOptions& options = {}, int depth = 0);

}  // namespace upwell::format
