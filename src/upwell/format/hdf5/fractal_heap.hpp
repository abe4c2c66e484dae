#pragma once
// Fractal heaps (format specification III.G): where dense groups, dense attributes and shared
// messages keep their messages.

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Decodes `stored` through the filter pipeline message (IV.A.2.l) whose body is `pipeline` into
/// exactly `size` bytes. The heap's own filters are rare; who opens a heap says how they decode.
using HeapFilter =
    std::function<Result<Bytes>(ByteSpan pipeline, ByteSpan stored, uint32_t mask, uint64_t size)>;

/// One heap. Blocks are verified once and kept.
class FractalHeap {
 public:
  /// FRHP at `address` (relative to the base address). kNeedBytes while the header is not there.
  static Result<FractalHeap> open(Window& window, const FileFacts& facts, uint64_t address,
                                  HeapFilter filter = {});
  ~FractalHeap();
  FractalHeap(FractalHeap&&) noexcept;
  FractalHeap& operator=(FractalHeap&&) noexcept;

  /// Bytes of a heap id in this heap (records of type 5, 6, 8, 9 hold ids of 7 or 8 bytes).
  size_t id_size() const;
  /// Managed, tiny and huge objects. The result is valid as long as the heap object and the window.
  /// kNeedBytes when a block is missing; kInvalidData for an id that points outside.
  Result<ByteSpan> get(Window& window, ByteSpan id);
  /// All ids, result i for id i; all that is missing for any of them is asked for in one round.
  Result<std::vector<ByteSpan>> get_all(Window& window, std::span<const ByteSpan> ids);

 private:
  struct Impl;
  explicit FractalHeap(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::format::hdf5
