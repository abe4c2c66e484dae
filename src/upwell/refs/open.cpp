#include "refs/open.hpp"

#include <algorithm>
#include <filesystem>

#include "io/url.hpp"
#include "refs/dmrpp.hpp"
#include "refs/granule_record.hpp"
#include "refs/kerchunk_json_reader.hpp"
#include "refs/kerchunk_parquet_reader.hpp"
#include "refs/sidecar.hpp"
#include "refs/store/store.hpp"
#include "refs/url_policy.hpp"
#include "refs/zarr_consolidated.hpp"
#include "refs/zarr_store.hpp"

namespace upwell::refs {
namespace {

// Enough to know a document, and what the scan of a granule begins with, so that it need not ask.
// With its head the answer fits into what a server sends on a new connection before it waits for an
// acknowledgement (10 segments, RFC 6928): more would cost another round trip.
constexpr uint64_t kHeadBytes = 12288;
constexpr std::string_view kZmetadata = ".zmetadata";
constexpr std::string_view kZarrJson = "zarr.json";

bool is_local_directory(const std::string& url) {
  std::error_code error;
  return io::scheme_of(url) == "file" && !url.starts_with("file:") &&
         std::filesystem::is_directory(url, error);
}

/// The path without a query.
std::string_view path_of(std::string_view url) { return url.substr(0, url.find('?')); }

/// A directory by its name, where nothing else tells.
bool looks_like_directory(const std::string& url) {
  const std::string_view path = path_of(url);
  for (const char* end : {"/", ".parq", ".parquet", ".zarr", ".zr3", ".upwell"}) {
    if (path.ends_with(end)) return true;
  }
  return false;
}

/// A file by its name: nobody calls a directory so.
bool looks_like_file(const std::string& url) {
  const std::string_view path = path_of(url);
  for (const char* end : {".nc", ".nc4", ".cdf", ".h5", ".hdf5", ".he5", ".json", ".dmrpp"}) {
    if (path.ends_with(end)) return true;
  }
  return false;
}

Result<UrlPolicy> policy_of(io::Session& session, const std::string& url,
                            std::string_view document) {
  UrlPolicy policy{url, session.reach_from(url), {}};
  UPWELL_TRY(LocationPairs pairs, read_locations(document));
  if (!pairs.empty())
    policy.locations = std::make_shared<LocationChoice>(session, std::move(pairs), policy.reach);
  return policy;
}

/// A Zarr store, or a reference set in Parquet. kNotFound when it is neither.
Result<Dataset> open_directory(io::Session& session, const std::string& url,
                               const OpenOptions& options) {
  std::string base = url;
  const size_t end = path_of(base).size();
  if (base[end - 1] != '/') base.insert(end, "/");
  if (names_store(url)) {
    UPWELL_TRY(const SharedBytes manifest, session.read_one(base + kManifest));
    OpenStoreOptions store;
    UPWELL_TRY(store.urls, policy_of(session, base, as_text(manifest.span())));
    store.only_as_recorded = options.only_as_recorded;
    store.drop = options.scan.drop;
    return open_store(session, base, manifest.span(), store);
  }
  UPWELL_TRY(const ZarrRoot root, read_zarr_root(session, base));
  if (root.empty()) {
    return fail(Code::kNotFound,
                "neither a Zarr store nor a reference set: the directory has no zarr.json, "
                ".zmetadata, .zgroup or .zarray");
  }
  if (!root.zarr_json && root.zmetadata && has_record_size(as_bytes(*root.zmetadata))) {
    KerchunkParquetOptions parquet;
    UPWELL_TRY(parquet.urls, policy_of(session, base, *root.zmetadata));
    uint64_t granules = 0;
    if (options.only_as_recorded) {
      UPWELL_TRY(granules, expect_granules(session, *root.zmetadata, parquet.urls));
    }
    parquet.drop = options.scan.drop;
    UPWELL_TRY(Dataset dataset,
               read_kerchunk_parquet(session, base, as_bytes(*root.zmetadata), parquet));
    dataset.granule_count = granules;
    return dataset;
  }
  return open_zarr_store(session, base, root, options.scan.drop);
}

Result<Dataset> open_json(io::Session& session, const std::string& url, const SharedBytes& document,
                          const OpenOptions& options) {
  KerchunkJsonOptions json;
  UPWELL_TRY(json.urls, policy_of(session, url, as_text(document.span())));
  if (options.only_as_recorded)
    UPWELL_CHECK(expect_granules(session, as_text(document.span()), json.urls));
  json.drop = options.scan.drop;
  json.arrays = options.arrays;
  return read_kerchunk_json(document.span(), json);
}

Result<Dataset> open_dmrpp(io::Session& session, const std::string& url,
                           const OpenOptions& options) {
  UPWELL_TRY(const SharedBytes document, session.read_one(url, {}, options.reach));
  DmrppOptions dmrpp;
  dmrpp.document_url = url;
  dmrpp.urls = {url, session.reach_from(url), {}};
  dmrpp.drop = options.scan.drop;
  return read_dmrpp(session, document.span(), dmrpp);
}

bool is_hdf4(ByteSpan head) {
  return head.size() >= 4 && as_text(head.first(4)) == "\x0e\x03\x13\x01";
}

/// The granule's own structures, or the DMR++ beside it.
Result<Dataset> open_granule(io::Session& session, const std::string& url,
                             const io::ObjectInfo& info, ByteSpan head,
                             const OpenOptions& options) {
  const bool hdf4 = is_hdf4(head);
  const bool wanted = options.sidecar == SidecarUse::kAlways ||
                      (hdf4 && options.sidecar == SidecarUse::kWhenNeeded);
  std::string note;
  if (wanted) {
    UPWELL_TRY(Sidecar sidecar, open_sidecar(session, url, info, options, /*partly=*/hdf4));
    if (sidecar.dataset) return std::move(*sidecar.dataset);
    note = std::move(sidecar.note);
  }
  if (hdf4) {
    return fail(Code::kUnsupported, "HDF4 is read only through a DMR++ beside it (NAME.dmrpp)" +
                                        (note.empty() ? "" : "; " + note));
  }
  UPWELL_TRY(Dataset dataset,
             format::scan_known(session, {url, info, options.reach}, options.scan));
  if (!note.empty()) dataset.notes.push_back(std::move(note));
  return dataset;
}

Result<Dataset> open_url(io::Session& session, const std::string& url, const OpenOptions& options) {
  if (options.reach) UPWELL_CHECK(options.reach->check_url(url));
  for (const std::string_view document : {kZmetadata, kZarrJson, std::string_view(kManifest)}) {
    if (path_of(url).ends_with(document) && path_of(url).size() > document.size() &&
        url[path_of(url).size() - document.size() - 1] == '/') {
      std::string directory = url;
      return open_directory(session,
                            directory.erase(path_of(url).size() - document.size(), document.size()),
                            options);
    }
  }
  const bool local = io::scheme_of(url) == "file";
  if (local ? is_local_directory(url) || url.ends_with('/') : looks_like_directory(url)) {
    auto dataset = open_directory(session, url, options);
    const bool absent = !dataset && dataset.error().code == Code::kNotFound;
    if (local || !absent || path_of(url).ends_with('/')) return dataset;
  }
  // Values of MITgcm can look like anything: what its name makes a pair is not looked into.
  if (const std::string description = format::description_of(url); !description.empty()) {
    auto info = session.stat(url, options.reach);
    if (info) return format::scan_known(session, {url, *info, options.reach}, options.scan);
    if (info.error().code == Code::kNotFound && description != url &&
        session.stat(description, options.reach))
      return fail(Code::kInvalidData,
                  url + " is not there, only what describes it: " + description);
    return fail(std::move(info).error());
  }
  auto front = session.front(url, kHeadBytes, options.reach);
  if (!front) {
    // For a remote directory a server says that it does not exist, that it may not be listed, or
    // sends a page that lists it.
    const Code code = front.error().code;
    const bool maybe_directory =
        !local && !looks_like_directory(url) && !looks_like_file(url) &&
        (code == Code::kNotFound || code == Code::kPermissionDenied || code == Code::kInvalidData);
    if (!maybe_directory) return fail(std::move(front).error());
    auto dataset = open_directory(session, url, options);
    if (!dataset && (dataset.error().code == Code::kNotFound || dataset.error().code == code))
      return fail(std::move(front).error());
    return dataset;
  }
  const SharedBytes& head = front->bytes;
  if (looks_like_json(head.span())) {
    if (head.size() == front->info.size) return open_json(session, url, head, options);
    UPWELL_TRY(const SharedBytes document, session.read_one(url, {}, options.reach));
    return open_json(session, url, document, options);
  }
  if (looks_like_dmrpp(head.span())) return open_dmrpp(session, url, options);
  return open_granule(session, url, front->info, head.span(), options);
}

/// A JSON document is a reference set when it has one of their keys; others lie beside granules,
/// too.
bool names_references(std::string_view head) {
  for (const std::string_view key : {"\"refs\"", ".zgroup\"", ".zarray\"", ".zattrs\""})
    if (head.find(key) != head.npos) return true;
  return false;
}

}  // namespace

Result<bool> looks_like_source(io::Session& session, const std::string& url) {
  if (!format::description_of(url).empty()) return true;
  UPWELL_TRY(const io::Front front, session.front(url, kHeadBytes));
  const ByteSpan head = front.bytes.span();
  if (looks_like_json(head)) return names_references(as_text(head));
  if (looks_like_dmrpp(head) || is_hdf4(head)) return true;
  return format::is_recognised(session, {url, front.info});
}

Result<Dataset> open_source(io::Session& session, const std::string& source,
                            const format::ScanOptions& options) {
  OpenOptions open;
  open.scan = options;
  return open_source_with(session, source, open);
}

Result<Dataset> open_source_with(io::Session& session, const std::string& source,
                                 const OpenOptions& options) {
  const std::string url = io::normal_url(source);
  auto dataset = open_url(session, url, options);
  if (!dataset) {
    const std::string shown = io::shown_url(source);
    // Errors of scan name the granule already.
    const auto& context = dataset.error().context;
    const bool named = std::any_of(context.begin(), context.end(), [&](const std::string& what) {
      return what.find(shown) != std::string::npos;
    });
    if (named || dataset.error().message.find(shown) != std::string::npos) return dataset;
    return fail(std::move(dataset).error().with(shown));
  }
  return dataset;
}

}  // namespace upwell::refs
