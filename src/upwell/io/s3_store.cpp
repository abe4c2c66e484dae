#include "io/s3_store.hpp"

#include <algorithm>
#include <ctime>
#include <mutex>
#include <set>

#include "io/s3_answer.hpp"
#include "io/s3_client.hpp"

namespace upwell::io {
namespace {

S3Options with_clock(S3Options options) {
  if (!options.now) options.now = [] { return int64_t{std::time(nullptr)}; };
  return options;
}

HttpOptions with_dialect(HttpOptions http, std::shared_ptr<S3Dialect> dialect) {
  http.dialect = std::move(dialect);
  http.login = nullptr;
  return http;
}

bool refused(const std::optional<Error>& error) {
  return error && error->code == Code::kUnauthenticated;
}

std::string directory_of(const std::string& prefix) {
  return prefix.ends_with('/') ? prefix : prefix + "/";
}

}  // namespace

S3Client::S3Client(S3Options o)
    : options(with_clock(std::move(o))),
      dialect(
          std::make_shared<S3Dialect>(options.configuration, options.requester_pays, options.now)),
      http(with_dialect(options.http, dialect)) {}

std::vector<HttpAnswer> S3Client::call(const std::vector<HttpRequest>& requests) {
  std::vector<HttpAnswer> answers(requests.size());
  auto used = CredentialsInUse::of(*dialect, requests);
  if (!used) {
    for (HttpAnswer& answer : answers) answer.error = used.error();
    return answers;
  }
  answers = http.call(requests);
  std::vector<size_t> which;
  std::vector<HttpRequest> again;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!refused(answers[i].error) || !used->replace(requests[i].url)) continue;
    which.push_back(i);
    again.push_back(requests[i]);
  }
  if (which.empty()) return answers;
  auto second = http.call(again);
  for (size_t k = 0; k < which.size(); ++k) answers[which[k]] = std::move(second[k]);
  return answers;
}

HttpAnswer S3Client::call_one(HttpRequest request) {
  return std::move(call({std::move(request)}).front());
}

Result<> CredentialsInUse::add(const std::string& url) {
  S3CredentialCache& cache = dialect_->credentials(url);
  for (const auto& [known, credentials] : used_)
    if (known == &cache) return {};
  UPWELL_CHECK(cache.refresh());
  used_.emplace_back(&cache, cache.current());
  return {};
}

bool CredentialsInUse::replace(const std::string& url) {
  S3CredentialCache& cache = dialect_->credentials(url);
  for (const auto& [known, credentials] : used_)
    if (known == &cache) return cache.replace(credentials);
  return false;
}

struct S3Store::Impl {
  S3Client client;
  explicit Impl(S3Options options) : client(std::move(options)) {}

  std::mutex mutex;
  std::set<std::string> existing_buckets;  // as far as that was in doubt

  Error why_missing(const std::string& url, Error error, S3Store& store);
  Result<> list_pages(const std::string& prefix, bool directory_only,
                      const std::function<Result<>(S3ListPage)>& visit);
};

/// HEAD has no body that could say whether the object, the bucket or the access key is unknown. A
/// bucket's first missing object is asked for again, to hear it.
Error S3Store::Impl::why_missing(const std::string& url, Error error, S3Store& store) {
  auto place = parse_s3_url(url);
  if (!place) return error;
  {
    std::lock_guard lock(mutex);
    if (existing_buckets.contains(place->bucket)) return error;
  }
  ReadRequest request{url, {0, 1}};
  auto answer = std::move(store.read({&request, 1}).front());
  if (answer) return error;
  if (answer.error().message.find("NoSuchKey") == std::string::npos) return answer.error();
  std::lock_guard lock(mutex);
  existing_buckets.insert(place->bucket);
  return answer.error();
}

/// ListObjectsV2, https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
Result<> S3Store::Impl::list_pages(const std::string& prefix, bool directory_only,
                                   const std::function<Result<>(S3ListPage)>& visit) {
  UPWELL_TRY(const S3Url place, parse_s3_url(prefix));
  std::string next;
  do {
    HttpRequest request;
    request.url = "s3://" + place.bucket + "/";
    request.query = {{"list-type", "2"}, {"encoding-type", "url"}, {"prefix", place.key}};
    if (directory_only) request.query.emplace_back("delimiter", "/");
    if (!next.empty()) request.query.emplace_back("continuation-token", next);
    HttpAnswer answer = client.call_one(std::move(request));
    if (answer.error) return fail(std::move(*answer.error).with("listing " + prefix));
    auto page = parse_s3_list(as_text(answer.body));
    if (!page) return fail(std::move(page).error().with("listing " + prefix));
    if (!page->next.empty() && page->next == next)
      return fail(Code::kInvalidData, prefix + ": the listing does not move on");
    next = page->next;
    auto inside = [&](const std::string& key) { return key.starts_with(place.key); };
    if (!std::all_of(page->keys.begin(), page->keys.end(), inside) ||
        !std::all_of(page->prefixes.begin(), page->prefixes.end(), inside))
      return fail(Code::kInvalidData, prefix + ": the listing names objects from elsewhere");
    UPWELL_CHECK(visit(std::move(*page)));
  } while (!next.empty());
  return {};
}

S3Store::S3Store(S3Options options) : impl_(std::make_unique<Impl>(std::move(options))) {}
S3Store::~S3Store() = default;

StoreTraits S3Store::traits() const { return impl_->client.http.traits(); }
StoreTraits S3Store::traits_for(const std::string& url) const {
  return impl_->client.http.traits_for(url);
}

Result<ObjectInfo> S3Store::stat(const std::string& url, const ReachPtr& /*reach*/) {
  UPWELL_TRY(auto used, CredentialsInUse::of_one(*impl_->client.dialect, url));
  auto info = impl_->client.http.stat(url);
  if (!info && refused(info.error()) && used.replace(url)) info = impl_->client.http.stat(url);
  if (!info && info.error().code == Code::kNotFound)
    return fail(impl_->why_missing(url, std::move(info).error(), *this));
  return info;
}

Result<Front> S3Store::front(const std::string& url, uint64_t length, const ReachPtr& /*reach*/) {
  UPWELL_TRY(auto used, CredentialsInUse::of_one(*impl_->client.dialect, url));
  auto front = impl_->client.http.front(url, length);
  if (!front && refused(front.error()) && used.replace(url))
    return impl_->client.http.front(url, length);
  return front;
}

std::vector<Result<SharedBytes>> S3Store::read_and_tell(std::span<const ReadRequest> requests,
                                                        const Arrived& arrived) {
  std::vector<Result<SharedBytes>> results(requests.size());
  auto used = CredentialsInUse::of(*impl_->client.dialect, requests);
  if (!used) {
    for (auto& result : results) result = fail(used.error());
    return results;
  }
  results = impl_->client.http.read_and_tell(requests, arrived);
  std::vector<size_t> which;
  std::vector<ReadRequest> again;
  for (size_t i = 0; i < results.size(); ++i) {
    if (results[i] || !refused(results[i].error()) || !used->replace(requests[i].url)) continue;
    which.push_back(i);
    again.push_back(requests[i]);
  }
  if (which.empty()) return results;
  auto second = impl_->client.http.read(again);
  for (size_t k = 0; k < which.size(); ++k) results[which[k]] = std::move(second[k]);
  return results;
}

Result<> S3Store::list_each(const std::string& prefix,
                            const std::function<Result<>(const std::string& url)>& visit) {
  const std::string directory = directory_of(prefix);
  UPWELL_TRY(const S3Url place, parse_s3_url(directory));
  return impl_->list_pages(directory, false, [&](const S3ListPage& page) -> Result<> {
    for (const std::string& key : page.keys) {
      if (key.ends_with('/')) continue;  // stands for a directory, holds nothing
      UPWELL_CHECK(visit("s3://" + place.bucket + "/" + key));
    }
    return {};
  });
}

Result<std::vector<std::string>> S3Store::list(const std::string& prefix) {
  std::vector<std::string> urls;
  UPWELL_CHECK(list_each(prefix, [&](const std::string& url) -> Result<> {
    urls.push_back(url);
    return {};
  }));
  std::sort(urls.begin(), urls.end());
  return urls;
}

Result<std::vector<std::string>> S3Store::list_directory(const std::string& directory) {
  const std::string prefix = directory_of(directory);
  UPWELL_TRY(const S3Url place, parse_s3_url(prefix));
  std::vector<std::string> names;
  UPWELL_CHECK(impl_->list_pages(prefix, true, [&](const S3ListPage& page) -> Result<> {
    for (const auto* keys : {&page.keys, &page.prefixes}) {
      for (const std::string& key : *keys) {
        if (key.size() > place.key.size()) names.push_back(key.substr(place.key.size()));
      }
    }
    return {};
  }));
  std::sort(names.begin(), names.end());
  return names;
}

Result<std::unique_ptr<ObjectWriter>> S3Store::create(const std::string& url) {
  UPWELL_TRY(const S3Url place, parse_s3_url(url));
  if (place.key.empty()) return fail(Code::kInvalidArgument, url + ": names no object");
  return make_s3_writer(impl_->client, url);
}

Result<> S3Store::remove(const std::string& url) {
  HttpRequest request;
  request.method = "DELETE";
  request.url = url;
  HttpAnswer answer = impl_->client.call_one(std::move(request));
  forget(url);
  if (answer.error && answer.error->code != Code::kNotFound) return fail(*answer.error);
  return {};
}

std::optional<ObjectInfo> S3Store::known(const std::string& url) const {
  return impl_->client.http.known(url);
}
void S3Store::expect(const std::string& url, const ObjectInfo& state) {
  impl_->client.http.expect(url, state);
}

void S3Store::forget(const std::string& url) { impl_->client.http.forget(url); }
std::optional<Traffic> S3Store::traffic() const { return impl_->client.http.traffic(); }

}  // namespace upwell::io
