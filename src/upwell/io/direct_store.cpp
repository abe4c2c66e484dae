#include "io/direct_store.hpp"

namespace upwell::io {
namespace {

/// An answer about the object is one, wherever it comes from; so is the end of the budget.
bool is_about_the_way(Code code) {
  switch (code) {
    case Code::kPermissionDenied:
    case Code::kUnauthenticated:
    case Code::kUnavailable:
    case Code::kDeadlineExceeded:
    case Code::kBadConfiguration:
      return true;
    default:
      return false;
  }
}

}  // namespace

DirectStore::DirectStore(std::shared_ptr<ByteStore> https, std::shared_ptr<ByteStore> s3,
                         DirectPlaces places, std::function<void(const std::string&)> say)
    : https_(std::move(https)),
      s3_(std::move(s3)),
      places_(std::move(places)),
      say_(std::move(say)),
      refused_(places_.size(), false) {}

std::optional<DirectStore::Direct> DirectStore::direct(const std::string& url) const {
  for (size_t i = 0; i < places_.size(); ++i) {
    if (!url.starts_with(places_[i].first)) continue;
    std::lock_guard lock(mutex_);
    if (refused_[i]) return {};
    return Direct{i, places_[i].second + url.substr(places_[i].first.size())};
  }
  return {};
}

bool DirectStore::give_up(const Direct& place, const Error& error) {
  if (!is_about_the_way(error.code)) return false;
  {
    std::lock_guard lock(mutex_);
    if (refused_[place.pair]) return true;
    refused_[place.pair] = true;
  }
  if (say_)
    say_(places_[place.pair].second + " is not read from S3 but from " + places_[place.pair].first +
         ": " + error.to_string());
  return true;
}

void DirectStore::hold_to_s3(const std::string& url) {
  for (const auto& [https, s3] : places_) {
    if (!url.starts_with(https)) continue;
    if (auto seen = s3_->known(s3 + url.substr(https.size()))) {
      seen->mtime_ns.reset();  // another place may have times of its own
      https_->expect(url, *seen);
    }
    return;
  }
}

StoreTraits DirectStore::traits_for(const std::string& url) const {
  const auto place = direct(url);
  return place ? s3_->traits_for(place->url) : https_->traits_for(url);
}

Result<ObjectInfo> DirectStore::stat(const std::string& url, const ReachPtr& reach) {
  if (const auto place = direct(url)) {
    auto info = s3_->stat(place->url);
    if (info || !give_up(*place, info.error())) return info;
  }
  hold_to_s3(url);
  return https_->stat(url, reach);
}

Result<Front> DirectStore::front(const std::string& url, uint64_t length, const ReachPtr& reach) {
  if (const auto place = direct(url)) {
    auto front = s3_->front(place->url, length);
    if (front || !give_up(*place, front.error())) return front;
  }
  hold_to_s3(url);
  return https_->front(url, length, reach);
}

std::vector<Result<SharedBytes>> DirectStore::read_and_tell(std::span<const ReadRequest> requests,
                                                            const Arrived& arrived) {
  std::vector<Result<SharedBytes>> results(requests.size());
  std::vector<size_t> in_s3, behind_https;
  std::vector<Direct> places;
  std::vector<ReadRequest> of_s3, of_https;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (auto place = direct(requests[i].url)) {
      in_s3.push_back(i);
      of_s3.push_back({place->url, requests[i].range});
      places.push_back(std::move(*place));
    } else {
      behind_https.push_back(i);
    }
  }
  auto telling = [&arrived](const std::vector<size_t>& which) -> Arrived {
    if (!arrived) return {};
    return [&](size_t k, const SharedBytes& bytes) { arrived(which[k], bytes); };
  };
  if (!of_s3.empty()) {
    auto answers = s3_->read_and_tell(of_s3, telling(in_s3));
    for (size_t k = 0; k < in_s3.size(); ++k) {
      if (!answers[k] && give_up(places[k], answers[k].error())) {
        behind_https.push_back(in_s3[k]);
      } else {
        results[in_s3[k]] = std::move(answers[k]);
      }
    }
  }
  for (const size_t i : behind_https) {
    hold_to_s3(requests[i].url);
    of_https.push_back(requests[i]);
  }
  if (of_https.empty()) return results;
  auto answers = https_->read_and_tell(of_https, telling(behind_https));
  for (size_t k = 0; k < behind_https.size(); ++k) results[behind_https[k]] = std::move(answers[k]);
  return results;
}

Result<std::vector<std::string>> DirectStore::list(const std::string& prefix) {
  return https_->list(prefix);
}

Result<std::unique_ptr<ObjectWriter>> DirectStore::create(const std::string& url) {
  return https_->create(url);
}

Result<> DirectStore::remove(const std::string& url) { return https_->remove(url); }

std::optional<ObjectInfo> DirectStore::known(const std::string& url) const {
  const auto place = direct(url);
  return place ? s3_->known(place->url) : https_->known(url);
}

void DirectStore::expect(const std::string& url, const ObjectInfo& state) {
  if (const auto place = direct(url)) s3_->expect(place->url, state);
  https_->expect(url, state);
}

void DirectStore::forget(const std::string& url) {
  for (const auto& [https, s3] : places_)
    if (url.starts_with(https)) s3_->forget(s3 + url.substr(https.size()));
  https_->forget(url);
}

}  // namespace upwell::io
