#pragma once
// Messages that lie elsewhere: in another object header (committed datatypes) or in the shared
// object header message heap (format specification III.I, IV.A.2.p), and the heaps of a file.

#include <memory>
#include <unordered_map>
#include <vector>

#include "format/hdf5/fractal_heap.hpp"
#include "format/hdf5/object_header.hpp"

namespace upwell::format::hdf5 {

/// A message body, wherever it was. Valid as long as the window and the SharedMessages.
struct MessageBody {
  ByteSpan bytes;
  uint64_t offset = 0;  ///< in the object; of the heap for bodies in heaps
};

/// Resolves messages; keeps heaps and headers that it has opened.
class SharedMessages {
 public:
  void use(const FileFacts& facts) { facts_ = facts; }
  const FileFacts& facts() const { return facts_; }
  /// Address of the shared object header message table (superblock extension), and how many
  /// indexes it has.
  void set_table(uint64_t address, uint8_t indexes) {
    table_address_ = address;
    table_indexes_ = indexes;
  }

  /// The body of a message of a header, following sharing.
  Result<MessageBody> body(Window& window, const Message& message);
  /// The body that a shared message structure at `offset` points to.
  Result<MessageBody> follow(Window& window, ByteSpan pointer, uint64_t offset, uint16_t type,
                             int depth = 0);
  /// A message of this type in the shared heap, by its heap id.
  Result<MessageBody> in_shared_heap(Window& window, ByteSpan id, uint16_t type);
  /// An open heap.
  Result<FractalHeap*> heap(Window& window, uint64_t address);

 private:
  struct Index {
    uint16_t types = 0;
    uint64_t heap = kUndefined;
  };
  Result<> load_table(Window& window);

  FileFacts facts_;
  uint64_t table_address_ = kUndefined;
  uint8_t table_indexes_ = 0;
  bool table_loaded_ = false;
  std::vector<Index> table_;
  std::unordered_map<uint64_t, std::unique_ptr<FractalHeap>> heaps_;
  std::unordered_map<uint64_t, std::unique_ptr<ObjectHeader>> headers_;
};

}  // namespace upwell::format::hdf5
