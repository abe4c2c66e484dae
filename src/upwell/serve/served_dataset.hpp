#pragma once
// One dataset as the server hands it out: documents made once, chunks on demand.

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cube/dataset.hpp"
#include "serve/delivery.hpp"
#include "serve/http.hpp"

namespace upwell::serve {

/// A response that is always the same: text, its compressed form, and its ETag.
struct Document {
  SharedBytes plain;
  SharedBytes gzip;
  std::string etag;
  std::string content_type;

  static Document make(std::string_view text, std::string content_type);
  Response response() const;
};

/// One array under its path without a leading '/'.
struct ServedArray {
  std::string path;
  const Array* array = nullptr;  ///< of ServedDataset::dataset()
  /// By Target; nullopt where it cannot be shown, with the reason.
  std::array<std::optional<Delivery>, 3> deliveries;
  std::array<std::string, 3> reasons;
};

class ServedDataset : public std::enable_shared_from_this<ServedDataset> {
 public:
  /// Makes every document. `session`: what the dataset was opened with, and is read with. `source`:
  /// what the user named. `revision`: another one of each state of a source that is served.
  /// `before`: the state in whose place this one comes, or null.
  static Result<std::shared_ptr<const ServedDataset>> make(std::shared_ptr<io::Session> session,
                                                           std::string id, std::string source,
                                                           Dataset dataset, uint64_t revision,
                                                           const ServedDataset* before = nullptr);

  const std::string& id() const { return id_; }
  io::Session& session() const { return *session_; }
  /// The beginning of the names of what is kept of this dataset in a cache.
  std::string cache_name() const { return id_ + '\n' + std::to_string(revision_); }
  const std::string& source() const { return source_; }
  const Dataset& dataset() const { return dataset_; }
  const std::vector<ServedArray>& arrays() const { return arrays_; }
  const ServedArray* find(std::string_view path) const;
  /// Documents by route below /datasets/{id}/: "info", "zarr/", "zarr/.zmetadata",
  /// "kerchunk/v/.zarray".
  const std::unordered_map<std::string, Document>& documents() const { return documents_; }
  std::string title() const;

  /// A chunk by its key below "zarr/" or "kerchunk/" (no document): 200 or 404, or the source's
  /// failure.
  Response chunk(bool stored, const std::string& key, ByteCache& cache, ByteBudget& budget) const;
  /// The kerchunk reference set, made at the first call. kUnsupported names the arrays that
  /// references cannot say, and why; `partial` leaves them out.
  Result<Document> references(bool partial) const;

 private:
  ServedDataset() = default;
  Result<> make_documents();
  Result<> add_zarr(const std::string& prefix, Target target);
  Result<std::string> info_json() const;
  Result<> make_references() const;
  std::string keys_json() const;
  std::string view_json(Target target) const;
  Response deliver(const ServedArray& array, Target target, uint64_t position, ByteCache& cache,
                   ByteBudget& budget) const;

  std::shared_ptr<io::Session> session_;
  std::string id_, source_;
  uint64_t revision_ = 0;
  Dataset dataset_;
  std::vector<ServedArray> arrays_;
  std::unordered_map<std::string, size_t> by_path_;
  std::unordered_map<std::string, Document> documents_;
  mutable std::mutex references_mutex_;
  mutable std::optional<Document> references_;
  mutable std::string not_in_references_;  // "sst: why; ..."
};

/// Attributes as a JSON object, strict.
std::string attributes_json(const Attributes& attributes);

}  // namespace upwell::serve
