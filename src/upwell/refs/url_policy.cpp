#include "refs/url_policy.hpp"

#include "io/session.hpp"

namespace upwell::refs {

Result<std::string> UrlPolicy::resolve(const std::string& url) const {
  if (url.empty()) return fail(Code::kInvalidData, "an empty URL");
  const bool has_scheme = io::scheme_of(url) != "file" || url.starts_with("file:");
  // A path that begins with '/' means a local file to every writer of reference sets.
  const bool absolute_path = !has_scheme && url.front() == '/';
  std::string place = has_scheme || absolute_path ? url : io::resolve_url(base, url);
  if (has_scheme && locations) place = locations->place(url);
  if (reach) UPWELL_CHECK(reach->check_url(place));
  return place;
}

}  // namespace upwell::refs
