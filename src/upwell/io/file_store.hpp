#pragma once
// Files of this machine, by plain path or file URL.

#include "io/byte_store.hpp"
#include "io/first_seen.hpp"

namespace upwell::io {

/// Reads with pread; a file is open only while a batch reads it. Identity: inode, size and time of
/// modification in nanoseconds. Directories and devices are kInvalidArgument. Under a reach,
/// symbolic links are followed before it is asked. Writes beside and renames, after making the
/// directories that are not there; conditions hold against every writer that goes through this
/// class, under a lock of the directory.
class FileStore : public ByteStore {
 public:
  StoreTraits traits() const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::vector<std::string>> list_directory(const std::string& directory) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;

 private:
  void read_object(std::span<const ReadRequest> requests, std::span<const size_t> which,
                   std::vector<Result<SharedBytes>>& results);
  class Writer;
  FirstSeen first_seen_;
};

}  // namespace upwell::io
