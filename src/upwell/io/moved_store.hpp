#pragma once
// A store over two others, for objects that are named by one URL and reached by another.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

/// Objects whose URL begins with `first` are those of `there` whose URL begins with `second`
/// instead; all others are those of `here`.
class MovedStore : public ByteStore {
 public:
  using Places = std::vector<std::pair<std::string, std::string>>;
  MovedStore(std::shared_ptr<ByteStore> here, std::shared_ptr<ByteStore> there, Places places)
      : here_(std::move(here)), there_(std::move(there)), places_(std::move(places)) {}

  StoreTraits traits() const override { return there_->traits(); }
  StoreTraits traits_for(const std::string& url) const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::vector<std::string>> list_directory(const std::string& directory) override;
  Result<> list_each(const std::string& prefix,
                     const std::function<Result<>(const std::string& url)>& visit) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;
  /// Nothing of its own: both stores count.
  std::optional<Traffic> traffic() const override { return Traffic{}; }

 private:
  struct Way {
    ByteStore& store;
    std::string url;
  };
  Way way(const std::string& url) const;

  std::shared_ptr<ByteStore> here_, there_;
  Places places_;
};

}  // namespace upwell::io
