#pragma once
// A store over a store that goes wrong as a script says: for tests of everything that reads.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

/// One thing that goes wrong with the requests that it matches.
struct Fault {
  enum class Kind {
    kError,   ///< the request fails with `error`
    kDelay,   ///< it takes `delay_s` longer
    kShort,   ///< only the first `keep` bytes come back: a store that breaks its contract
    kFlip,    ///< the lowest bit of byte `keep` of the answer is flipped, if there is one
    kChange,  ///< the object is another one from now on: kChanged until it is forgotten
  };
  Kind kind = Kind::kError;
  std::string url_part = {};  ///< matches URLs that contain it
  Range range{0, kToEnd};     ///< matches reads that overlap it
  bool reads = true;          ///< matches reads
  bool stats = false;         ///< matches stats
  uint64_t after = 0;         ///< lets so many matching requests through first
  uint64_t times = kToEnd;    ///< then strikes so many of them
  Error error{Code::kUnavailable, "injected fault", {}, {}};
  double delay_s = 0;
  uint64_t keep = 0;
};

/// Thread-safe. Without faults it is as good as the store below it.
class FaultStore : public ByteStore {
 public:
  explicit FaultStore(std::shared_ptr<ByteStore> below, std::vector<Fault> script = {});

  void add(Fault fault);
  void clear();
  /// The reads that arrived, in order.
  std::vector<ReadRequest> seen() const;
  /// Instead of those of the store below.
  void set_traits(StoreTraits traits);

  StoreTraits traits() const override;
  StoreTraits traits_for(const std::string& url) const override;
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override;
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  Result<std::unique_ptr<ObjectWriter>> create(const std::string& url) override;
  Result<> remove(const std::string& url) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;
  std::optional<Traffic> traffic() const override;

 private:
  std::vector<Fault> striking(const std::string& url, const Range* read);

  std::shared_ptr<ByteStore> below_;
  mutable std::mutex mutex_;
  std::vector<Fault> script_;
  std::vector<ReadRequest> seen_;
  std::vector<std::string> changed_;   // URLs that are another object now
  std::vector<std::string> accepted_;  // of these, whose first state was forgotten
  std::optional<StoreTraits> traits_;
};

}  // namespace upwell::io
