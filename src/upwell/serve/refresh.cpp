#include "serve/refresh.hpp"

#include <chrono>

namespace upwell::serve {
namespace {

constexpr int kRemoteRounds = 5;

/// URLs of what tells that a source changed; the first that is there counts.
std::vector<std::string> documents_of(const ServedDataset& served) {
  const std::string url = io::normal_url(served.source());
  const std::string& format = served.dataset().format;
  std::vector<std::string> names;
  if (format == "upwell") names = {"manifest.json"};
  if (format == "kerchunk-parquet") names = {".zmetadata"};
  if (format == "zarr2") names = {".zmetadata", ".zgroup", ".zarray"};
  if (format == "zarr3") names = {"zarr.json"};
  if (names.empty()) return {url};
  const size_t query = std::min(url.find('?'), url.size());
  std::vector<std::string> out;
  for (const std::string& name : names) {
    std::string path = url.substr(0, query);
    if (!path.ends_with("/" + name)) path += (path.ends_with('/') ? "" : "/") + name;
    out.push_back(path + url.substr(query));
  }
  return out;
}

bool is_remote(const ServedDataset& served) {
  return io::scheme_of(io::normal_url(served.source())) != "file";
}

bool contradict(const io::ObjectInfo& a, const io::ObjectInfo& b) {
  if (a.size != b.size) return true;
  if (!a.etag.empty() && !b.etag.empty()) return a.etag != b.etag;
  return a.mtime_ns && b.mtime_ns && *a.mtime_ns != *b.mtime_ns;
}

}  // namespace

Refresher::~Refresher() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Refresher::start(double interval_s) {
  thread_ = std::thread([this, interval_s] {
    for (int round = 1;; ++round) {
      {
        std::unique_lock lock(mutex_);
        const std::chrono::duration<double> interval(interval_s);
        if (wake_.wait_for(lock, interval, [&] { return stopping_; })) return;
      }
      const bool remote = round >= kRemoteRounds && site_.take_asked();
      if (remote) round = 0;
      look(remote);
    }
  });
}

void Refresher::look(bool remote) {
  for (const auto& served : site_.datasets()) {
    if (is_remote(*served) && !remote) continue;
    Watched& watched = watched_[served->id()];
    if (has_changed(*served, watched)) renew(*served, watched);
  }
}

bool Refresher::has_changed(const ServedDataset& served, Watched& watched) {
  if (watched.state != served.cache_name()) {
    watched.state = served.cache_name();
    watched.document.clear();
  }
  // The session has seen the document when it was opened, and tells when that is another now.
  if (!watched.document.empty()) {
    auto info = served.session().stat(watched.document);
    if (!info) return info.error().code == Code::kChanged;
    return contradict(watched.info, *info);
  }
  for (const std::string& url : documents_of(served)) {
    auto info = served.session().stat(url);
    if (!info && info.error().code == Code::kChanged) return true;
    if (!info) continue;  // not there, or away: requests will tell
    watched.document = url;
    watched.info = *info;
    return false;
  }
  return false;
}

void Refresher::renew(const ServedDataset& served, Watched& watched) {
  const std::string id = served.id();  // `served` may go with its place
  auto opened = open_(served.source());
  Result<> replaced = opened ? site_.replace(id, std::move(opened->dataset), opened->session)
                             : Result<>(fail(std::move(opened).error()));
  if (replaced) {
    watched.failure.clear();
    note_(id, "its source changed and was opened anew");
    return;
  }
  const std::string failure = replaced.error().to_string();
  if (failure != watched.failure)
    note_(id, "its source changed and cannot be opened, the state before is served: " + failure);
  watched.failure = failure;
}

}  // namespace upwell::serve
