#pragma once
// Global heap collections (format specification III.E): variable-length values, region references
// and the mappings of virtual datasets.

#include <unordered_map>

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

struct GlobalHeapId {
  uint64_t address = kUndefined;  ///< of the collection, relative to the base address
  uint32_t index = 0;             ///< of the object; 0 is the free space and never an object
  bool operator==(const GlobalHeapId&) const = default;
};

/// Bytes of the signature, version and size at the front of a collection.
size_t global_heap_head_size(const FileFacts& facts);
/// Size of the whole collection, from its first global_heap_head_size() bytes. `offset`: absolute,
/// for messages. kInvalidData when it cannot be (bad signature, past `object_size`).
Result<uint64_t> global_heap_size(ByteSpan head, uint64_t offset, const FileFacts& facts,
                                  uint64_t object_size);

/// One collection, parsed.
class GlobalHeapCollection {
 public:
  /// `bytes`: the whole collection, which must outlive this. Entries that do not fit are
  /// kInvalidData.
  static Result<GlobalHeapCollection> parse(ByteSpan bytes, uint64_t offset,
                                            const FileFacts& facts);
  /// kInvalidData when the collection holds no such object.
  Result<ByteSpan> object(uint32_t index) const;
  size_t size() const { return objects_.size(); }

 private:
  uint64_t offset_ = 0;
  std::unordered_map<uint32_t, ByteSpan> objects_;
};

/// One object, over the window (parses its whole collection: for the odd one). The span is valid as
/// long as the window.
Result<ByteSpan> read_global_heap_object(Window& window, const FileFacts& facts, GlobalHeapId id);

}  // namespace upwell::format::hdf5
