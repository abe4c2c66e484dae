#pragma once
// All datasets of a server and its routes: pure functions from a request to a response.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "serve/byte_budget.hpp"
#include "serve/byte_cache.hpp"
#include "serve/http_server.hpp"
#include "serve/served_dataset.hpp"

namespace upwell::serve {

struct SiteOptions {
  uint64_t cache_bytes = 128ULL << 20;  ///< encoded chunks and pictures that are kept
  uint64_t memory_bytes = 0;  ///< for reading, of all requests together; 0: half of the machine's
  double patience_s = 30;     ///< a request waits for memory so long
};

/// Routes:
///   /                                 page of all cubes
///   /datasets                         JSON array of ids
///   /datasets/{id}/                   page of a cube
///   /datasets/{id}/info, /keys        JSON
///   /datasets/{id}/zarr/...           Zarr v2 and v3; the root itself: what there is, as JSON
///   /datasets/{id}/kerchunk/...       Zarr v2 of stored chunks, undecoded
///   /datasets/{id}/refs.json          kerchunk reference set, version 1
///   /datasets/{id}/picture/{var}.png  ?index=time:0,depth:-1
///   /healthz
/// Errors are {"detail": "..."}. 404: no such name, or a chunk that was never written. 502 and 503:
/// the source is broken or away.
class Site {
 public:
  /// The session is used by every request and must outlive the site.
  explicit Site(io::Session& session, SiteOptions options = {});

  using Datasets = std::vector<std::shared_ptr<const ServedDataset>>;

  /// Adds a dataset and makes its documents. An id that is taken gets "-2", "-3", ... Before
  /// serving.
  Result<> add(const std::string& id, const std::string& source, Dataset dataset);
  /// To be called once after the last add().
  void seal();
  /// Serves another state of a dataset from now on, opened with a session of its own. Thread-safe;
  /// requests that have begun are answered from the old one.
  Result<> replace(const std::string& id, Dataset dataset, std::shared_ptr<io::Session> session);

  Datasets datasets() const;
  /// Whether there was a request since the last call.
  bool take_asked() { return asked_.exchange(false, std::memory_order_relaxed); }

  /// Thread-safe. `quick` answers what needs no reading.
  std::optional<Response> quick(const Request& request) const;
  Response handle(const Request& request) const;
  Handlers handlers() const;

 private:
  /// What is served: never changed, but exchanged as a whole.
  struct Contents {
    Datasets datasets;
    std::unordered_map<std::string, std::shared_ptr<const ServedDataset>> by_id;
    std::unordered_map<std::string, Document> documents;  ///< by whole path
  };
  static std::shared_ptr<const Contents> contents_of(const Datasets& datasets);
  std::shared_ptr<const Contents> contents() const;

  Response route(const Contents& contents, const Request& request) const;
  Response dataset_route(const Request& request, const ServedDataset& dataset,
                         const std::vector<std::string>& segments) const;
  Response picture(const Request& request, const ServedDataset& dataset,
                   const std::string& name) const;

  std::shared_ptr<io::Session> session_;
  mutable ByteCache cache_;
  mutable ByteBudget budget_;
  mutable std::mutex mutex_;  // of what follows
  Datasets datasets_;
  std::shared_ptr<const Contents> contents_ = std::make_shared<const Contents>();
  uint64_t revision_ = 0;
  mutable std::atomic<bool> asked_ = false;
};

/// An id for a source: its file name without endings that say the format, with characters that
/// would need escaping in a URL replaced.
std::string id_of_source(std::string_view source);

}  // namespace upwell::serve
