#pragma once
// Objects in memory: for tests, and for what a program makes itself.

#include <map>
#include <mutex>

#include "io/byte_store.hpp"
#include "io/first_seen.hpp"

namespace upwell::io {

/// Holds bytes under URLs, any text. Thread-safe.
class MemoryStore : public ByteStore {
 public:
  /// Adds an object or replaces one (which readers of the old one will notice as kChanged).
  void put(const std::string& url, Bytes bytes);
  void put(const std::string& url, std::string_view text) { put(url, to_bytes(text)); }
  using ByteStore::put;

  StoreTraits traits() const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;

 private:
  struct Object {
    SharedBytes bytes;
    ObjectInfo info;
  };
  class Writer;
  Result<Object> find(const std::string& url);
  Result<ObjectInfo> place(const std::string& url, Bytes bytes, const PutCondition& condition);

  std::mutex mutex_;
  std::map<std::string, Object> objects_;
  uint64_t revision_ = 0;
  FirstSeen first_seen_;
};

}  // namespace upwell::io
