#include "serve/refresh.hpp"

#include <algorithm>
#include <chrono>
#include <exception>

#include "cube/read.hpp"

namespace upwell::serve {
namespace {

constexpr int kRemoteRounds = 5;
constexpr int kLongestPause = 32;
/// Elements of a coordinate that is compared.
constexpr uint64_t kMostCoordinates = 4 << 20;

/// URLs of what tells that a source changed; the first that is there counts.
std::vector<std::string> documents_of(const std::string& source, const std::string& format) {
  const std::string url = io::normal_url(source);
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

bool is_coordinate(const Array& array) {
  return array.shape.size() == 1 && array.dimensions.size() == 1 &&
         array.dimensions[0] == array.name && array.shape[0] <= kMostCoordinates;
}

Result<Values> first_elements(io::Session& session, const Dataset& dataset, const Array& array,
                              uint64_t count) {
  return read_raw(session, dataset, array, Selection{{0}, {count}, {}});
}

/// Coordinates of the dimensions, by path; those that cannot be read are left out.
std::map<std::string, Values> coordinates_of(io::Session& session, const Dataset& dataset) {
  std::map<std::string, Values> out;
  for_each_array(dataset.root, [&](const std::string& path, const Array& array) {
    if (!is_coordinate(array)) return;
    auto values = first_elements(session, dataset, array, array.shape[0]);
    if (values) out.emplace(path, std::move(*values));
  });
  return out;
}

/// The coordinate of a dimension of the array at `path`: in its group, or in one above.
const Values* coordinate_of(const std::map<std::string, Values>& coordinates, std::string path,
                            const std::string& dimension) {
  while (!path.empty()) {
    path.resize(path.rfind('/'));
    const auto found = coordinates.find(path + "/" + dimension);
    if (found != coordinates.end()) return &found->second;
  }
  return nullptr;
}

Result<> not_continued(const std::string& why) {
  return fail(Code::kChanged,
              why +
                  ": clients that have the old one open would take values for those of other "
                  "places. It is served as it was; restart the server for the new one");
}

/// Whether all that the old dataset has is in the new one, at the same indices.
Result<> check_continues(const Dataset& before, const std::map<std::string, Values>& coordinates,
                         io::Session& session, const Dataset& now) {
  Result<> result;
  for_each_array(before.root, [&](const std::string& path, const Array& old) {
    if (!result) return;
    const Array* array = now.root.find_array(path);
    if (array == nullptr || array->shape.size() != old.shape.size()) {
      result = not_continued(path + " is another array now, or gone");
      return;
    }
    for (size_t d = 0; d < old.shape.size() && result; ++d) {
      if (array->shape[d] == old.shape[d]) continue;
      const bool named = d < old.dimensions.size();
      if (array->shape[d] < old.shape[d])
        result = not_continued(path + " is shorter now");
      else if (!named || coordinate_of(coordinates, path, old.dimensions[d]) == nullptr)
        result = not_continued(path + " is longer now, along a dimension without coordinates");
    }
  });
  for (const auto& [path, values] : coordinates) {
    UPWELL_CHECK(result);
    const Array* array = now.root.find_array(path);
    if (array == nullptr) return not_continued(path + " is gone");
    UPWELL_TRY(const Values there, first_elements(session, now, *array, values.shape[0]));
    if (!(there.type == values.type) || there.data != values.data || there.heap != values.heap)
      return not_continued(path + " has other values now");
  }
  return result;
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
    look(/*remote=*/true);  // what is served now is what changes are compared with
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
    if (watched.rest > 0) {
      --watched.rest;
      continue;
    }
    if (has_changed(*served, watched)) renew(*served, watched);
  }
}

Refresher::Watched Refresher::watch(io::Session& session, const Dataset& dataset,
                                    const std::string& source) {
  Watched watched;
  for (const std::string& url : documents_of(source, dataset.format)) {
    auto info = session.stat(url);
    if (!info) continue;  // not there, or away: requests will tell; or changed already
    watched.document = url;
    watched.info = *info;
    watched.coordinates = coordinates_of(session, dataset);
    break;
  }
  return watched;
}

bool Refresher::has_changed(const ServedDataset& served, Watched& watched) {
  if (watched.state != served.cache_name() || watched.document.empty()) {
    Watched first = watch(served.session(), served.dataset(), served.source());
    first.state = served.cache_name();
    first.failure = watched.failure;
    watched = std::move(first);
    return false;
  }
  // The session has seen the document when it was opened, and tells when that is another now.
  auto info = served.session().stat(watched.document);
  if (!info) return info.error().code == Code::kChanged;
  return contradict(watched.info, *info);
}

Result<> Refresher::exchange(const ServedDataset& served, Watched& watched) {
  try {
    UPWELL_TRY(Opened opened, open_(served.source()));
    UPWELL_CHECK(
        check_continues(served.dataset(), watched.coordinates, *opened.session, opened.dataset));
    Watched next = watch(*opened.session, opened.dataset, served.source());
    const std::string& id = served.id();
    UPWELL_CHECK(site_.replace(id, std::move(opened.dataset), opened.session));
    for (const auto& now : site_.datasets())
      if (now->id() == id) next.state = now->cache_name();
    watched = std::move(next);
    return {};
  } catch (const std::exception& problem) {  // of memory, above all: what is served goes on
    return fail(Code::kResourceExhausted, problem.what());
  }
}

void Refresher::renew(const ServedDataset& served, Watched& watched) {
  const std::string& id = served.id();
  const auto replaced = exchange(served, watched);
  if (replaced) return note_(id, "its source changed and was opened anew");
  watched.rest = watched.pause = std::min(2 * watched.pause + 1, kLongestPause);
  const std::string failure = replaced.error().to_string();
  if (failure != watched.failure)
    note_(id, "its source changed, the state before is served: " + failure);
  watched.failure = failure;
}

}  // namespace upwell::serve
