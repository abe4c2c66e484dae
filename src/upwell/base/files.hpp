#pragma once
// Local outputs that are either whole or not there.

#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell {

/// Whether what is committed is on the disk before commit returns, or only in the kernel's memory:
/// a power cut may then leave an empty or a partial file under the new name.
enum class Sync { kYes, kNo };

/// Where a file of this name belongs: where the links lead, as far as it is a symbolic link. A
/// rename would replace the link.
Result<std::filesystem::path> followed_links(const std::filesystem::path& path);
/// Renames a file that is on the disk already over `target`, and syncs the directory.
Result<> move_into_place(const std::filesystem::path& file, const std::filesystem::path& target);

/// A file under a temporary name beside its target (where that is a symbolic link: beside what it
/// leads to, which is replaced in place of the link); `commit` syncs and renames it. Destroyed
/// without commit: nothing is left. Of a process that was killed `.NAME.tmp-…` stays; whoever
/// writes the same target an hour later removes it.
class AtomicFile {
 public:
  static Result<AtomicFile> create(const std::filesystem::path& target);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();

  /// For libraries that write a file by its name, in place of `write`.
  const std::filesystem::path& path() const { return temporary_; }
  Result<> write(ByteSpan bytes);
  /// fsync, rename over the target, fsync the directory.
  Result<> commit(Sync sync = Sync::kYes);
  /// The same where no target is; kAlreadyExists where one is.
  Result<> commit_new();

 private:
  Result<> place(unsigned rename_flags, Sync sync);
  AtomicFile(std::filesystem::path target, std::filesystem::path temporary, int fd);
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  int fd_ = -1;
};

/// A directory under a temporary name beside its target; `commit` syncs every file and exchanges it
/// with the target.
class AtomicDirectory {
 public:
  static Result<AtomicDirectory> create(const std::filesystem::path& target);
  AtomicDirectory(AtomicDirectory&& other) noexcept;
  AtomicDirectory& operator=(AtomicDirectory&&) = delete;
  ~AtomicDirectory();

  const std::filesystem::path& path() const { return temporary_; }
  Result<> commit(Sync sync = Sync::kYes);

 private:
  AtomicDirectory(std::filesystem::path target, std::filesystem::path temporary);
  std::filesystem::path target_;
  std::filesystem::path temporary_;
};

Result<> write_file_atomically(const std::filesystem::path& target, ByteSpan bytes);

}  // namespace upwell
