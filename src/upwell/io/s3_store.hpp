#pragma once
// Objects of Amazon S3 and of services that speak its protocol: s3://bucket/key.

#include <memory>

#include "io/http_store.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::io {

struct S3Options {
  HttpOptions http;
  S3Configuration configuration;
  bool requester_pays = false;
  uint64_t part_size = 8 << 20;       ///< of a multipart upload; at least 5 MiB
  size_t parts_at_once = 4;           ///< a writer holds so many parts
  std::function<int64_t()> now = {};  ///< seconds since 1970; absent: the system's clock
};

/// An HttpStore whose requests are signed. Redirects are not followed; a bucket's region is learned
/// from what the service answers; credentials that a service calls expired are asked for anew, and
/// the failed requests repeated once. Writes with PUT, large objects in parts; every body carries
/// its SHA-256. What a conditional PUT did is known even if its answer was lost: the object is read
/// back.
class S3Store : public ByteStore {
 public:
  explicit S3Store(S3Options options);
  ~S3Store() override;

  StoreTraits traits() const override;
  StoreTraits traits_for(const std::string& url) const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override {
    return read_and_tell(requests, {});
  }
  std::vector<Result<SharedBytes>> read_and_tell(std::span<const ReadRequest> requests,
                                                 const Arrived& arrived) override;
  /// Any prefix of whole names: "s3://bucket/a/" or "s3://bucket/a". One page in memory at a time.
  Result<> list_each(const std::string& prefix,
                     const std::function<Result<>(const std::string& url)>& visit) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::vector<std::string>> list_directory(const std::string& directory) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;
  std::optional<Traffic> traffic() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::io
