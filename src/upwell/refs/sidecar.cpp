#include "refs/sidecar.hpp"

#include <algorithm>

#include "refs/dmrpp.hpp"

namespace upwell::refs {
namespace {

/// "URL.dmrpp", before a query.
std::string sidecar_url(const std::string& url) {
  const size_t query = url.starts_with("http") ? std::min(url.find('?'), url.size()) : url.size();
  return url.substr(0, query) + ".dmrpp" + url.substr(query);
}

bool is_about_reaching(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded ||
         code == Code::kUnauthenticated || code == Code::kCancelled ||
         code == Code::kResourceExhausted;
}

/// Why the document may not stand for the granule; empty when it may.
std::string disagreement(const Result<Dataset>& dataset, const io::ObjectInfo& document,
                         const io::ObjectInfo& granule, bool partly) {
  if (!dataset) return dataset.error().to_string();
  if (document.mtime_ns && granule.mtime_ns && *document.mtime_ns < *granule.mtime_ns) {
    return "it is older than the granule";
  }
  for (const Problem& problem : dataset->problems) {
    if (partly && problem.error.code != Code::kChanged) continue;
    return problem.path + ": " + problem.error.to_string();
  }
  return "";
}

}  // namespace

Result<Sidecar> open_sidecar(io::Session& session, const std::string& url,
                             const io::ObjectInfo& granule, const OpenOptions& options,
                             bool partly) {
  DmrppOptions dmrpp;
  dmrpp.document_url = sidecar_url(url);
  dmrpp.granule_url = url;
  dmrpp.granule_reach = options.reach;
  dmrpp.urls = {dmrpp.document_url, session.reach_from(dmrpp.document_url), {}};
  dmrpp.drop = options.scan.drop;
  auto info = session.stat(dmrpp.document_url, options.reach);
  if (!info) {
    // Stores that hide what is not there say that it is forbidden.
    if (is_about_reaching(info.error().code)) return fail(std::move(info).error());
    return Sidecar{};
  }
  auto text = session.read_one(dmrpp.document_url, {}, options.reach);
  if (!text && is_about_reaching(text.error().code)) return fail(std::move(text).error());
  auto dataset = text ? read_dmrpp(session, text->span(), dmrpp)
                      : Result<Dataset>(fail(std::move(text).error()));
  const std::string why = disagreement(dataset, *info, granule, partly);
  if (!why.empty()) return Sidecar{std::nullopt, dmrpp.document_url + " is not used: " + why};
  dataset->notes.push_back("read through " + dmrpp.document_url + ", which agrees with its size");
  return Sidecar{std::move(*dataset), ""};
}

}  // namespace upwell::refs
