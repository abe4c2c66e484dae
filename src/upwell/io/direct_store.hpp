#pragma once
// Objects behind https that lie in S3 as well: read there for as long as S3 answers.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

/// Objects whose https URL begins with `first` lie in S3 where it begins with `second` instead.
using DirectPlaces = std::vector<std::pair<std::string, std::string>>;

/// Decides for each request: S3 until it refuses one (AccessDenied outside of the region where keys
/// hold, no keys, no way there), and https for that one and all that follow of these places:
/// kChanged for an object that is another there, by size and ETag (gateways hand on S3's), than S3
/// showed. Other objects, writing and listing are left to `https`. An object is known by its https
/// URL alone. Thread-safe.
class DirectStore : public ByteStore {
 public:
  /// `say` hears once for each pair why it is not read from S3.
  DirectStore(std::shared_ptr<ByteStore> https, std::shared_ptr<ByteStore> s3, DirectPlaces places,
              std::function<void(const std::string&)> say);

  StoreTraits traits() const override { return https_->traits(); }
  StoreTraits traits_for(const std::string& url) const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override {
    return read_and_tell(requests, {});
  }
  std::vector<Result<SharedBytes>> read_and_tell(std::span<const ReadRequest> requests,
                                                 const Arrived& arrived) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;
  /// Nothing of its own: both stores count.
  std::optional<Traffic> traffic() const override { return Traffic{}; }

 private:
  /// Which pair an object belongs to, and its S3 URL; nothing: it is read by https.
  struct Direct {
    size_t pair = 0;
    std::string url;
  };
  std::optional<Direct> direct(const std::string& url) const;
  /// Whether https may do better; then it is S3's last word on these places.
  bool give_up(const Direct& place, const Error& error);
  /// What S3 has shown of an object holds behind https too: parts of two states shall not mix.
  void hold_to_s3(const std::string& url);

  std::shared_ptr<ByteStore> https_, s3_;
  DirectPlaces places_;
  std::function<void(const std::string&)> say_;
  mutable std::mutex mutex_;
  std::vector<bool> refused_;
};

}  // namespace upwell::io
