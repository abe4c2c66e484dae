#pragma once
// What lies in other files: virtual datasets, external raw data, external links.

#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/format.hpp"
#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// A dataspace selection as virtual datasets serialise it (format specification VI, "selections").
struct HyperSelection {
  enum class Kind : uint8_t { kNone, kAll, kRegular, kBlocks } kind = Kind::kAll;
  /// kRegular: one of each per axis; count and block may be kUndefined (unlimited).
  Shape start, stride, count, block;
  /// kBlocks: first and last corner (inclusive) of each block, in order.
  std::vector<std::pair<Shape, Shape>> blocks;
};

/// One mapping of a virtual dataset: what `target` selects comes from what `source` selects.
struct VirtualMapping {
  std::string file;  ///< "." is the file itself; may hold %b
  std::string path;  ///< of the source dataset; may hold %b
  HyperSelection source, target;
};

/// Layout message version 4 class 3: the mappings in the global heap object (`address`, `index`).
/// kNeedBytes as usual. An undefined address gives none.
Result<std::vector<VirtualMapping>> read_virtual_mappings(Window& window, const FileFacts& facts,
                                                          uint64_t address, uint32_t index);

/// One slot of an external file list (message 0x0007).
struct ExternalSlot {
  std::string file;
  uint64_t offset = 0;
  uint64_t size = 0;  ///< kUndefined: without end
};
/// `message`: body of the External Data Files message at absolute `offset`; names come from the
/// local heap that it points to.
Result<std::vector<ExternalSlot>> read_external_slots(Window& window, const FileFacts& facts,
                                                      ByteSpan message, uint64_t offset);

/// What a scan leaves for `link_files`. Paths are of arrays that are already in the dataset, with
/// their type, shape and fill, and no segments.
struct PendingVirtual {
  std::string path;
  std::vector<VirtualMapping> mappings;
};
struct PendingExternal {
  std::string path;
  std::vector<ExternalSlot> slots;
  std::shared_ptr<const HeapResolver> heap;  ///< for types with has_vlen(); else null
};
struct PendingLink {
  std::string group;  ///< path of the group that holds the link
  std::string name;   ///< of the link
  std::string file;   ///< named by the link
  std::string path;   ///< object in that file
};
struct PendingFiles {
  std::vector<PendingVirtual> virtuals;
  std::vector<PendingExternal> externals;
  std::vector<PendingLink> links;
  bool empty() const { return virtuals.empty() && externals.empty() && links.empty(); }
};

/// Completes `dataset` (granule 0 is the file that was scanned). A source file that does not exist
/// leaves a hole of fill in a virtual dataset, as libhdf5 does; what cannot be expressed or read is
/// a Problem of the dataset with its path. Only errors that concern the whole (cancelled, out of
/// memory) are returned.
Result<> link_files(io::Session& session, Dataset& dataset, const PendingFiles& pending,
                    const FileFacts& facts, const ScanOptions& options, int depth);

}  // namespace upwell::format::hdf5
