#pragma once
// What a format gives, the explicit list of formats, and the driver that runs a reader against a
// session.

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/window.hpp"
#include "io/session.hpp"

namespace upwell::format {

struct ScanOptions {
  /// Arrays (paths, with or without the leading '/') to leave out: they may be broken.
  std::vector<std::string> drop;
  /// Paths of the arrays and groups that are wanted; empty: all. A reader may then leave out other
  /// arrays and groups, but not what wanted arrays need: the arrays that bear the names of their
  /// dimensions. A dataset that is not whole says so (Dataset::partial). Where a path leads
  /// nowhere, the dataset is whole.
  std::vector<std::string> only;
  /// Contiguous arrays are cut along their leading axes into chunks of about this many bytes. 0:
  /// one chunk.
  uint64_t subchunk_bytes = 4ULL << 20;
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
};

/// Every format, in the order in which they are tried. Adding one is one line in formats.cpp.
std::span<const Format> formats();

/// Scans one granule: recognises the format, runs rounds until done. kInvalidData with a hint for
/// HTML, empty and unknown objects.
Result<Dataset> scan(io::Session& session, const std::string& url, const ScanOptions& options = {},
                     int depth = 0);
/// As scan, of an object whose state is known: `granule` has its normal URL and what `stat` said.
Result<Dataset> scan_known(io::Session& session, const Granule& granule,
                           const ScanOptions& options = {}, int depth = 0);

}  // namespace upwell::format
