#pragma once
// Keeping a reference set up to date: granules added, replaced, removed.

#include <filesystem>
#include <string>
#include <unordered_set>
#include <vector>

#include "refs/virtualize.hpp"

namespace upwell::refs {

struct AppendOptions {
  VirtualizeOptions virtualize;     ///< combine.concat and combine.on_overlap among them
  std::vector<std::string> remove;  ///< URLs, file names, or patterns of either
  std::string output;               ///< a new set; empty: the set itself is changed
};

struct AppendReport {
  VirtualizeReport virtualize;         ///< of the store as it is afterwards
  std::vector<std::string> unchanged;  ///< sources that were in the store already, as they are
  size_t added = 0, replaced = 0, removed = 0, skipped = 0;
  size_t granules = 0;   ///< in the set now
  bool written = false;  ///< false: there was nothing to do, and the set was not touched
  size_t copies = 0;     ///< that were lacking, or behind, beside a set that was not touched
  std::string to_json() const;
};

/// Brings the reference set at `store` up to date with `sources` (see expand_sources),
/// under the audit of virtualize: the store stands in place of the first granule. With
/// options.output the result is a set of its own. Else a document of JSON, a file or an s3://
/// object, is replaced in one step, and a directory of Parquet grows at its end, so that readers
/// that have it open see no difference; other changes of it are kUnsupported. A store in Upwell's
/// own form takes every change. In an object store a run that another overtakes begins again
/// (kUnavailable: too often). A second run with the same sources touches nothing. Runs on the same
/// store follow one another. kUnsupported, too, for a set that does not say where its granules end
/// (no record; see granule_record.hpp). docs/decisions/append.md has the order of writes.
Result<> append(io::Session& session, const std::filesystem::path& store,
                const std::vector<std::string>& sources, const AppendOptions& options,
                AppendReport& report);

/// Brings arrays whose values are in the set, of which `cube` has all in one chunk, to the chunk
/// shapes of `store`: full chunks of the store are left out, the rest is padded. kUnsupported where
/// `cube` is not `store` grown along leading axes.
Result<> keep_chunks(Dataset& cube, const Dataset& store, const std::string& concat);

/// URLs of the granules that hold arrays without the concat dimension.
Result<std::unordered_set<std::string>> anchors_of(const Dataset& store, const StoreRecord& record);
/// Takes those arrays of `store` from another granule, `granule`. kInvalidData where that does not
/// hold them alike.
Result<> take_static(io::Session& session, Dataset& store, const StoreRecord& record,
                     const Dataset& granule);

/// Brings what a scan says of a new granule into the form in which `store` holds it: a dimension
/// put in front, names given to nameless dimensions, one run of unencoded bytes cut into the
/// store's chunks.
Dataset adapted_to_store(Dataset granule, const Group& store, const std::string& concat);
/// Gives an array `concat` as its first dimension, of one element.
void put_in_front(Array& array, const std::string& concat);

}  // namespace upwell::refs
