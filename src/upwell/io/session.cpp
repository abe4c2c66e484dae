#include "io/session.hpp"

#include <atomic>
#include <map>
#include <mutex>
#include <shared_mutex>

#include "base/parallel.hpp"
#include "io/file_store.hpp"
#include "io/ranges.hpp"
#include "io/url.hpp"

namespace upwell::io {

struct Session::Impl {
  SessionOptions options;
  mutable std::shared_mutex mounts_mutex;
  std::map<std::string, std::shared_ptr<ByteStore>> mounts;
  std::atomic<uint64_t> requests{0}, bytes_asked{0}, bytes_fetched{0}, cache_hits{0};

  Result<std::shared_ptr<ByteStore>> store_of(const std::string& url) const;
  void read_store(ByteStore& store, std::span<const ReadRequest> requests,
                  std::vector<size_t> which, std::vector<Result<SharedBytes>>& results);
  std::vector<Result<SharedBytes>> fetch(ByteStore& store, std::span<const ReadRequest> requests);
};

Result<std::shared_ptr<ByteStore>> Session::Impl::store_of(const std::string& url) const {
  std::string scheme = scheme_of(url);
  std::shared_lock lock(mounts_mutex);
  auto it = mounts.find(scheme);
  if (it != mounts.end()) return it->second;
  return fail(Code::kUnsupported, shown_url(url) + ": no byte store for \"" + scheme + "\" URLs");
}

std::vector<Result<SharedBytes>> Session::Impl::fetch(ByteStore& store,
                                                      std::span<const ReadRequest> requests_) {
  requests += requests_.size();
  auto answers = store.read(requests_);
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) continue;
    bytes_fetched += answers[i]->size();
    uint64_t asked = requests_[i].range.length;
    if (asked != kToEnd && asked != answers[i]->size()) {
      answers[i] = fail(Code::kInvalidData, shown_url(requests_[i].url) + ": short read: " +
                                                std::to_string(answers[i]->size()) + " of " +
                                                std::to_string(asked) + " bytes at offset " +
                                                std::to_string(requests_[i].range.offset));
    }
  }
  return answers;
}

void Session::Impl::read_store(ByteStore& store, std::span<const ReadRequest> asked,
                               std::vector<size_t> which,
                               std::vector<Result<SharedBytes>>& results) {
  std::vector<Fetch> fetches = coalesce(asked, std::move(which), store.traits());
  std::vector<ReadRequest> merged;
  merged.reserve(fetches.size());
  for (const Fetch& f : fetches) merged.push_back(f.request);
  auto answers = fetch(store, merged);

  std::vector<size_t> alone;
  for (size_t f = 0; f < fetches.size(); ++f) {
    uint64_t start = fetches[f].request.range.offset;
    for (size_t i : fetches[f].members) {
      if (!answers[f]) {
        // One range past the end must not fail its neighbours.
        bool retry = answers[f].error().code == Code::kInvalidData && fetches[f].members.size() > 1;
        if (retry) alone.push_back(i);
        results[i] = fail(answers[f].error());
        continue;
      }
      auto inside = checked_range(
          asked[i].url, {asked[i].range.offset - start, asked[i].range.length}, answers[f]->size());
      if (inside) {
        results[i] = answers[f]->slice(inside->offset, inside->length);
      } else {
        results[i] = fail(std::move(inside).error());
      }
    }
  }
  if (alone.empty()) return;
  std::vector<ReadRequest> again;
  for (size_t i : alone) again.push_back(asked[i]);
  auto second = fetch(store, again);
  for (size_t k = 0; k < alone.size(); ++k) results[alone[k]] = std::move(second[k]);
}

Session::Session(SessionOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  mount("file", std::make_shared<FileStore>());
}
Session::~Session() = default;

void Session::mount(const std::string& scheme, std::shared_ptr<ByteStore> store) {
  std::unique_lock lock(impl_->mounts_mutex);
  impl_->mounts[scheme] = std::move(store);
}

std::vector<Result<SharedBytes>> Session::read(std::span<const ReadRequest> requests) {
  std::vector<Result<SharedBytes>> results(requests.size());
  std::map<std::shared_ptr<ByteStore>, std::vector<size_t>> by_store;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Range& range = requests[i].range;
    auto store = impl_->store_of(requests[i].url);
    if (!store) {
      results[i] = fail(std::move(store).error());
    } else if (range.length != kToEnd && range.length > kToEnd - 1 - range.offset) {
      results[i] = fail(Code::kInvalidData, shown_url(requests[i].url) + ": no object has " +
                                                std::to_string(range.length) + " bytes at offset " +
                                                std::to_string(range.offset));
    } else {
      by_store[*store].push_back(i);
      if (range.length != kToEnd) impl_->bytes_asked += range.length;
    }
  }
  for (auto& [store, which] : by_store) impl_->read_store(*store, requests, which, results);
  return results;
}

Result<SharedBytes> Session::read_one(const std::string& url, Range range) {
  ReadRequest request{url, range};
  return std::move(read({&request, 1}).front());
}

Result<ObjectInfo> Session::stat(const std::string& url) {
  UPWELL_TRY(auto store, impl_->store_of(url));
  ++impl_->requests;
  return store->stat(url);
}

Result<std::vector<std::string>> Session::list(const std::string& prefix) {
  UPWELL_TRY(auto store, impl_->store_of(prefix));
  ++impl_->requests;
  return store->list(prefix);
}

void Session::forget(const std::string& url) {
  if (auto store = impl_->store_of(url)) (*store)->forget(url);
}

Counters Session::counters() const {
  return {.requests = impl_->requests,
          .retries = 0,
          .bytes_asked = impl_->bytes_asked,
          .bytes_fetched = impl_->bytes_fetched,
          .cache_hits = impl_->cache_hits};
}

Result<StoreTraits> Session::traits(const std::string& url) const {
  UPWELL_TRY(auto store, impl_->store_of(url));
  return store->traits();
}

}  // namespace upwell::io
