#include "access/search_client.hpp"

#include <algorithm>
#include <mutex>

#include "access/umm_page.hpp"
#include "io/url.hpp"

namespace upwell::access {
namespace {

constexpr std::string_view kOutOfTime = "the catalogue ran out of time";

constexpr std::string_view kPage =
    "a web page came instead of an answer of a catalogue: that of a proxy, of a network that wants "
    "a login in the browser, or of another server; check the address (--cmr-host, --stac), "
    "https_proxy, and what a browser shows there";

bool says_out_of_time(const io::ResponseHead& head) {
  return std::any_of(head.cmr.begin(), head.cmr.end(), [](const auto& field) {
    return (field.first == "cmr-time-out" || field.first == "cmr-timed-out") &&
           field.second != "false";
  });
}

/// What the answers of catalogues mean beyond HTTP.
class CatalogueDialect : public io::HttpDialect {
 public:
  Result<> prepare(io::HttpRequest& /*request*/) override { return {}; }
  std::optional<io::HttpMeaning> explain(const io::HttpRequest& /*sent*/,
                                         const io::ResponseHead& head, ByteSpan body) override;
  /// The catalogue is told this, and may repeat it.
  void keep_secret(const std::string& token) {
    std::lock_guard lock(mutex_);
    secrets_ = {token};
  }

 private:
  std::vector<std::string> secrets() {
    std::lock_guard lock(mutex_);
    return secrets_;
  }
  std::mutex mutex_;
  std::vector<std::string> secrets_;
};

std::optional<io::HttpMeaning> CatalogueDialect::explain(const io::HttpRequest& /*sent*/,
                                                         const io::ResponseHead& head,
                                                         ByteSpan body) {
  using Next = io::HttpMeaning::Next;
  const int status = head.status;
  if (status >= 200 && status < 300) {
    if (io::is_page(head, body))
      return io::HttpMeaning{Next::kFail, Code::kInvalidData, std::string(kPage)};
    if (!says_out_of_time(head)) return {};
    return io::HttpMeaning{Next::kFail, Code::kDeadlineExceeded,
                           std::string(kOutOfTime) + " and answered in part"};
  }
  if (status == 504)
    return io::HttpMeaning{Next::kFail, Code::kDeadlineExceeded,
                           io::status_text(status) + ": " + std::string(kOutOfTime)};
  if (io::is_transient_status(status)) return {};
  if (io::is_redirect_status(status))
    return io::HttpMeaning{Next::kFail, Code::kInvalidData,
                           io::status_text(status) +
                               ": it redirects, which searches do not follow; is this the host "
                               "of a catalogue?"};
  std::string said = error_text(as_text(body), secrets());
  if (said.empty() && io::is_page(head, body)) said = kPage;
  const bool of_parameters = status == 400 || status == 413 || status == 414 || status == 422;
  return io::HttpMeaning{Next::kFail,
                         of_parameters ? Code::kInvalidArgument : io::code_of_status(status),
                         io::status_text(status) + (said.empty() ? "" : ": " + said)};
}

/// Tokens travel encrypted, or not beyond this machine.
bool may_carry_token(const std::string& origin) {
  const std::string host = io::host_of(origin);
  return origin.starts_with("https://") ||
         io::literal_address_class(host) == io::AddressClass::kLoopback;
}

}  // namespace

struct SearchClient::Impl {
  SearchClientOptions options;
  std::shared_ptr<CatalogueDialect> dialect = std::make_shared<CatalogueDialect>();
  std::shared_ptr<io::HttpStore> http;
  std::mutex mutex;  // of what follows
  bool token_asked = false;
  std::string token;

  std::string token_for(const std::string& url);
  /// Whether the request is worth another try without it.
  bool drop_token(const std::string& used);
};

std::string SearchClient::Impl::token_for(const std::string& url) {
  if (!options.token || io::origin_of(url) != options.token_origin) return {};
  std::lock_guard lock(mutex);
  if (!token_asked) {
    token_asked = true;
    token = options.token();
    dialect->keep_secret(token);
    if (!token.empty() && !may_carry_token(options.token_origin)) {
      token.clear();
      if (options.warn)
        options.warn(options.token_origin + " is not https: the token is not sent there");
    }
  }
  return token;
}

bool SearchClient::Impl::drop_token(const std::string& used) {
  std::lock_guard lock(mutex);
  if (used.empty()) return false;
  if (token == used) token.clear();
  return true;
}

SearchClient::SearchClient(SearchClientOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->options.token_origin = io::origin_of(impl_->options.token_origin);
  io::HttpOptions http;
  http.attempts = impl_->options.attempts;
  http.stall_timeout_s = impl_->options.stall_timeout_s;
  http.ca_file = impl_->options.ca_file;
  http.say = impl_->options.say;
  http.dialect = impl_->dialect;
  impl_->http = std::make_shared<io::HttpStore>(std::move(http));
}
SearchClient::~SearchClient() = default;

Result<SearchAnswer> SearchClient::send(const SearchRequest& request) {
  while (true) {
    io::HttpRequest sent;
    sent.url = request.url;
    sent.compressed = true;
    sent.headers = request.headers;
    sent.headers.emplace_back("client-id", "upwell");
    if (!request.content_type.empty()) {
      sent.method = "POST";
      sent.headers.emplace_back("content-type", request.content_type);
      sent.body = SharedBytes(to_bytes(request.body));
    }
    const std::string token = impl_->token_for(request.url);
    if (!token.empty()) sent.headers.emplace_back("authorization", "Bearer " + token);
    io::HttpAnswer answer = std::move(impl_->http->call({std::move(sent)}).front());
    if (!answer.error) return SearchAnswer{std::move(answer.head), std::move(answer.body)};
    if (answer.error->code != Code::kUnauthenticated || !impl_->drop_token(token))
      return fail(std::move(*answer.error));
    warn("the catalogue refuses the Earthdata token; going on without it: " +
         answer.error->message);
  }
}

bool ran_out_of_time(const Error& error) {
  return error.code == Code::kDeadlineExceeded &&
         error.message.find(kOutOfTime) != std::string::npos;
}

void SearchClient::warn(const std::string& text) const {
  if (impl_->options.warn) impl_->options.warn(text);
}

std::shared_ptr<io::ByteStore> SearchClient::store() const { return impl_->http; }

}  // namespace upwell::access
