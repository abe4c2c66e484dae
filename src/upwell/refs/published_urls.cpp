#include "refs/published_urls.hpp"

#include "base/url_secrets.hpp"
#include "io/url.hpp"

namespace upwell::refs {

Result<> check_published(const std::string& url) {
  if (io::has_user(url))
    return fail(Code::kInvalidArgument,
                io::shown_url(url) +
                    ": this URL holds a user name or password, which everybody would see who reads "
                    "the reference set. Name it without: NASA's hosts are logged in to by netrc or "
                    "a token (upwell login). Or write other URLs: --url-prefix OLD=NEW");
  if (url.find("://") != std::string::npos && query_holds_secret(url))
    return fail(Code::kInvalidArgument,
                io::shown_url(url) +
                    ": this URL holds a signature, token or key, which everybody could use who "
                    "reads the reference set, and the set would lead nowhere when that ends. Name "
                    "the object's own URL, and log in: by netrc or a token (upwell login), or with "
                    "AWS keys for s3:// URLs");
  return {};
}

Result<> check_published(const GranuleTable& granules, const ReferenceOutputOptions& form) {
  for (uint32_t i = 0; i < granules.size(); ++i)
    UPWELL_CHECK(check_published(output_url(form, granules.at(i).url)));
  return {};
}

Result<> check_published(const StoreRecord& record) {
  for (const GranuleRecord& granule : record.granules) UPWELL_CHECK(check_published(granule.url));
  return {};
}

}  // namespace upwell::refs
