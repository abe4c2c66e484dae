#include "refs/url_policy.hpp"

#include "io/session.hpp"

namespace upwell::refs {
namespace {

bool is_remote_scheme(const std::string& scheme) {
  return scheme == "http" || scheme == "https" || scheme == "s3";
}

}  // namespace

UrlPolicy UrlPolicy::for_set(const std::string& base, bool remote_may_name_local) {
  return {base, remote_may_name_local || !is_remote_scheme(io::scheme_of(base)), {}};
}

Result<std::string> UrlPolicy::resolve(const std::string& url) const {
  if (url.empty()) return fail(Code::kInvalidData, "an empty URL");
  const bool has_scheme = io::scheme_of(url) != "file" || url.starts_with("file:");
  // A path that begins with '/' means a local file to every writer of reference sets.
  const bool absolute_path = !has_scheme && url.front() == '/';
  if (has_scheme && is_remote_scheme(io::scheme_of(url)))
    return locations ? locations->place(url) : url;
  if (!allow_local && (has_scheme || absolute_path)) {
    return fail(Code::kPermissionDenied,
                "reference set " + base + " from the network names the local object " +
                    url.substr(0, 200) + "; allow that explicitly if you trust it");
  }
  if (has_scheme || absolute_path) return url;
  return io::resolve_url(base, url);
}

}  // namespace upwell::refs
