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

class ServedDataset {
 public:
  /// Makes every document. `source`: what the user named.
  static Result<std::shared_ptr<const ServedDataset>> make(io::Session& session, std::string id,
                                                           std::string source, Dataset dataset);

  const std::string& id() const { return id_; }
  const std::string& source() const { return source_; }
  const Dataset& dataset() const { return dataset_; }
  const std::vector<ServedArray>& arrays() const { return arrays_; }
  const ServedArray* find(std::string_view path) const;
  /// Documents by route below /datasets/{id}/: "info", "zarr/.zmetadata", "kerchunk/v/.zarray".
  const std::unordered_map<std::string, Document>& documents() const { return documents_; }
  std::string title() const;

  /// A chunk by its key below "zarr/" or "kerchunk/" (no document): 200 or 404, or the source's
  /// failure.
  Response chunk(io::Session& session, bool stored, const std::string& key, ByteCache& cache,
                 ByteBudget& budget) const;
  /// The kerchunk reference set, made at the first call. Arrays that references cannot say are left
  /// out.
  Result<Document> references(io::Session& session) const;

 private:
  ServedDataset() = default;
  Result<> make_documents();
  Result<> add_zarr(const std::string& prefix, Target target);
  Result<std::string> info_json() const;
  std::string keys_json() const;
  Response deliver(io::Session& session, const ServedArray& array, Target target, uint64_t position,
                   ByteCache& cache, ByteBudget& budget) const;

  std::string id_, source_;
  Dataset dataset_;
  std::vector<ServedArray> arrays_;
  std::unordered_map<std::string, size_t> by_path_;
  std::unordered_map<std::string, Document> documents_;
  mutable std::mutex references_mutex_;
  mutable std::optional<Document> references_;
};

/// Attributes as a JSON object, strict.
std::string attributes_json(const Attributes& attributes);

}  // namespace upwell::serve
