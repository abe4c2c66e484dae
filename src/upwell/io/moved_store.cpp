#include "io/moved_store.hpp"

#include <algorithm>

namespace upwell::io {

MovedStore::Way MovedStore::way(const std::string& url) const {
  for (const auto& [from, to] : places_)
    if (url.starts_with(from)) return {*there_, to + url.substr(from.size())};
  return {*here_, url};
}

StoreTraits MovedStore::traits_for(const std::string& url) const {
  const Way found = way(url);
  return found.store.traits_for(found.url);
}

Result<ObjectInfo> MovedStore::stat(const std::string& url, const ReachPtr& reach) {
  const Way found = way(url);
  return found.store.stat(found.url, reach);
}

Result<Front> MovedStore::front(const std::string& url, uint64_t length, const ReachPtr& reach) {
  const Way found = way(url);
  return found.store.front(found.url, length, reach);
}

std::vector<Result<SharedBytes>> MovedStore::read(std::span<const ReadRequest> requests) {
  std::vector<ReadRequest> of_store[2];
  std::vector<size_t> place[2];
  for (size_t i = 0; i < requests.size(); ++i) {
    Way found = way(requests[i].url);
    const size_t which = &found.store == there_.get() ? 1 : 0;
    of_store[which].push_back({std::move(found.url), requests[i].range, requests[i].reach});
    place[which].push_back(i);
  }
  std::vector<Result<SharedBytes>> out(requests.size());
  for (const size_t which : {size_t{0}, size_t{1}}) {
    if (of_store[which].empty()) continue;
    auto results = (which == 1 ? there_ : here_)->read(of_store[which]);
    for (size_t k = 0; k < results.size(); ++k) out[place[which][k]] = std::move(results[k]);
  }
  return out;
}

Result<> MovedStore::list_each(const std::string& prefix,
                               const std::function<Result<>(const std::string& url)>& visit) {
  const Way found = way(prefix);
  return found.store.list_each(found.url, [&](const std::string& url) {
    return visit(prefix + url.substr(std::min(found.url.size(), url.size())));
  });
}

Result<std::vector<std::string>> MovedStore::list(const std::string& prefix) {
  std::vector<std::string> urls;
  UPWELL_CHECK(list_each(prefix, [&](const std::string& url) -> Result<> {
    urls.push_back(url);
    return {};
  }));
  return urls;
}

Result<std::vector<std::string>> MovedStore::list_directory(const std::string& directory) {
  const Way found = way(directory);
  return found.store.list_directory(found.url);
}

Result<std::unique_ptr<ObjectWriter>> MovedStore::create(const std::string& url) {
  const Way found = way(url);
  return found.store.create(found.url);
}

Result<> MovedStore::remove(const std::string& url) {
  const Way found = way(url);
  return found.store.remove(found.url);
}

std::optional<ObjectInfo> MovedStore::known(const std::string& url) const {
  const Way found = way(url);
  return found.store.known(found.url);
}

void MovedStore::expect(const std::string& url, const ObjectInfo& state) {
  const Way found = way(url);
  found.store.expect(found.url, state);
}

void MovedStore::forget(const std::string& url) {
  const Way found = way(url);
  found.store.forget(found.url);
}

}  // namespace upwell::io
