#include "access/s3_keys.hpp"

#include <nlohmann/json.hpp>
#include <utility>

#include "io/url.hpp"

namespace upwell::access {

Result<io::S3Credentials> parse_s3_keys(ByteSpan json) {
  const auto keys = nlohmann::json::parse(json.begin(), json.end(), nullptr, false);
  const auto text = [&](const char* name) {
    const auto it = keys.is_object() ? keys.find(name) : keys.end();
    return it != keys.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  io::S3Credentials out{text("accessKeyId"), text("secretAccessKey"), text("sessionToken"),
                        io::parse_expiration(text("expiration"))};
  if (out.access_key_id.empty() || out.secret_access_key.empty() || out.session_token.empty())
    return fail(Code::kInvalidData, "the answer holds no S3 keys");
  if (!out.expires_unix_s)
    return fail(Code::kInvalidData, "the answer does not tell when its S3 keys expire");
  return out;
}

io::S3CredentialsProvider earthdata_s3_keys(std::shared_ptr<EarthdataLogin> login,
                                            std::string endpoint) {
  return [login = std::move(login), endpoint = std::move(endpoint)]() -> Result<io::S3Credentials> {
    UPWELL_TRY(const Bytes body, login->get(endpoint));
    auto keys = parse_s3_keys(body);
    if (!keys) return fail(std::move(keys).error().with(io::shown_url(endpoint)));
    return keys;
  };
}

}  // namespace upwell::access
