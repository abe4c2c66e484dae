#include "refs/open.hpp"

#include <algorithm>
#include <filesystem>

#include "refs/kerchunk_json_reader.hpp"
#include "refs/kerchunk_parquet_reader.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kHeadBytes = 512;
constexpr std::string_view kZmetadata = ".zmetadata";

bool is_local_directory(const std::string& url) {
  std::error_code error;
  return io::scheme_of(url) == "file" && !url.starts_with("file:") &&
         std::filesystem::is_directory(url, error);
}

Result<Dataset> open_parquet(io::Session& session, const std::string& directory,
                             const OpenOptions& options) {
  const std::string base = directory.ends_with('/') ? directory : directory + "/";
  UPWELL_TRY(const SharedBytes document, session.read_one(base + std::string(kZmetadata)));
  KerchunkParquetOptions parquet;
  parquet.urls = UrlPolicy::for_set(base, options.remote_may_name_local);
  parquet.drop = options.scan.drop;
  return read_kerchunk_parquet(session, base, document.span(), parquet);
}

Result<Dataset> open_json(io::Session& session, const std::string& url,
                          const OpenOptions& options) {
  UPWELL_TRY(const SharedBytes document, session.read_one(url));
  KerchunkJsonOptions json;
  json.urls = UrlPolicy::for_set(url, options.remote_may_name_local);
  json.drop = options.scan.drop;
  return read_kerchunk_json(document.span(), json);
}

Result<Dataset> open_url(io::Session& session, const std::string& url, const OpenOptions& options) {
  if (url.ends_with("/.zmetadata")) {
    return open_parquet(session, url.substr(0, url.size() - kZmetadata.size()), options);
  }
  if (url.ends_with('/') || is_local_directory(url)) {
    auto dataset = open_parquet(session, url, options);
    if (!dataset && dataset.error().code == Code::kNotFound) {
      return fail(Code::kNotFound, "no reference set in this directory: it has no .zmetadata");
    }
    return dataset;
  }
  auto info = session.stat(url);
  if (!info) {
    // For a remote directory a server says that it does not exist, that it may not be listed, or
    // sends a page that lists it.
    const Code code = info.error().code;
    const bool maybe_directory = (code == Code::kNotFound || code == Code::kPermissionDenied ||
                                  code == Code::kInvalidData) &&
                                 (url.ends_with(".parq") || url.ends_with(".parquet"));
    if (!maybe_directory) return fail(std::move(info).error());
    auto dataset = open_parquet(session, url, options);
    if (!dataset && (dataset.error().code == Code::kNotFound || dataset.error().code == code))
      return fail(std::move(info).error());
    return dataset;
  }
  if (info->size > 0) {
    UPWELL_TRY(const SharedBytes head,
               session.read_one(url, {0, std::min(info->size, kHeadBytes)}));
    if (looks_like_json(head.span())) return open_json(session, url, options);
  }
  return format::scan(session, url, options.scan);
}

}  // namespace

Result<Dataset> open_source(io::Session& session, const std::string& source,
                            const format::ScanOptions& options) {
  return open_source_with(session, source, {options, false});
}

Result<Dataset> open_source_with(io::Session& session, const std::string& source,
                                 const OpenOptions& options) {
  const std::string url = io::normal_url(source);
  auto dataset = open_url(session, url, options);
  if (!dataset) {
    // Errors of scan name the granule already.
    const auto& context = dataset.error().context;
    const bool named = std::any_of(context.begin(), context.end(), [&](const std::string& what) {
      return what.find(source) != std::string::npos;
    });
    if (named || dataset.error().message.find(source) != std::string::npos) return dataset;
    return fail(std::move(dataset).error().with(source));
  }
  return dataset;
}

}  // namespace upwell::refs
