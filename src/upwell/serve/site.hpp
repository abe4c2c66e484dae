#pragma once
// All datasets of a server and its routes: pure functions from a request to a response.

#include <memory>
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
///   /datasets/{id}/zarr/...           Zarr v2 and v3
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

  /// Adds a dataset and makes its documents. An id that is taken gets "-2", "-3", ... Not
  /// thread-safe: before serving.
  Result<> add(const std::string& id, const std::string& source, Dataset dataset);
  /// To be called once after the last add().
  void seal();

  const std::vector<std::shared_ptr<const ServedDataset>>& datasets() const { return datasets_; }

  /// Thread-safe. `quick` answers what needs no reading.
  std::optional<Response> quick(const Request& request) const;
  Response handle(const Request& request) const;
  Handlers handlers() const;

 private:
  Response route(const Request& request) const;
  Response dataset_route(const Request& request, const ServedDataset& dataset,
                         const std::vector<std::string>& segments) const;
  Response picture(const Request& request, const ServedDataset& dataset,
                   const std::string& name) const;

  io::Session& session_;
  mutable ByteCache cache_;
  mutable ByteBudget budget_;
  std::vector<std::shared_ptr<const ServedDataset>> datasets_;
  std::unordered_map<std::string, std::shared_ptr<const ServedDataset>> by_id_;
  std::unordered_map<std::string, Document> documents_;  ///< by whole path
};

/// An id for a source: its file name without endings that say the format, with characters that
/// would need escaping in a URL replaced.
std::string id_of_source(std::string_view source);

}  // namespace upwell::serve
