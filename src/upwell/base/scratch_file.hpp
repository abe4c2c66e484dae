#pragma once
// Memory on disk, for what is written in one order and read in another.

#include <cstdint>
#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell {

/// A file without a name: gone when it is closed, however the process ends. Calls may be
/// concurrent. What was never written reads as zeros.
class ScratchFile {
 public:
  /// kCannotWrite where nothing can be made in `directory`.
  static Result<ScratchFile> create(const std::filesystem::path& directory);
  ScratchFile(ScratchFile&& other) noexcept;
  ScratchFile& operator=(ScratchFile&&) = delete;
  ~ScratchFile();

  Result<> write(uint64_t offset, ByteSpan bytes);
  Result<> read(uint64_t offset, MutableByteSpan bytes) const;

 private:
  ScratchFile(std::filesystem::path directory, int fd);
  std::filesystem::path directory_;
  int fd_ = -1;
};

}  // namespace upwell
