#include "io/http_engine.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <utility>

#include "io/http_transfer.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

using Clock = EngineClock;

/// Spare connections that are opened before it is known whether the first one can carry the other
/// requests too: what the second step of a walk asks for.
constexpr size_t kSparesUnasked = 3;
/// A walk takes its next step within a round trip.
constexpr std::chrono::seconds kSpareLife(3);

/// S3, to which the archives' gateways send, offers HTTP/1.1 alone; other services of Amazon do
/// not.
bool is_amazon_s3(const std::string& url) {
  const std::string host = "." + host_of(url);
  return (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")) &&
         (host.find(".s3.") != std::string::npos || host.find(".s3-") != std::string::npos);
}

}  // namespace

struct HttpEngine::Impl {
  struct Host {
    std::deque<std::unique_ptr<Exchange>> waiting;
    size_t active = 0;
    Clock::time_point paused_until{};
  };

  EngineOptions options;
  CURLM* multi = nullptr;  // null where there is no libcurl: then there is no thread, either
  std::mutex mutex;        // guards incoming, pauses, stopping
  std::vector<std::unique_ptr<Exchange>> incoming;
  std::vector<std::pair<std::string, Clock::time_point>> pauses;
  bool stopping = false;

  // Of the engine's thread alone:
  std::map<std::string, Host> hosts;
  std::multimap<Clock::time_point, std::unique_ptr<Exchange>> delayed;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> active;
  std::vector<CURL*> spare;
  AddressBook addresses;
  std::thread thread;

  void run();
  bool take_incoming();
  void start_waiting();
  void start(std::unique_ptr<Exchange> exchange, const std::string& host);
  void open_spares();
  void complete_finished();
  void complete_stalled();
  void complete(CURL* easy, Response::End end, std::string detail);
  void cancel_all();
  int poll_timeout_ms() const;
};

HttpEngine::HttpEngine(EngineOptions options) : impl_(std::make_unique<Impl>()) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  impl_->options = std::move(options);
  impl_->multi = curl_multi_init();
  if (impl_->multi == nullptr) return;
  auto connections = static_cast<long>(impl_->options.parallelism_per_host);
  curl_multi_setopt(impl_->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(impl_->multi, CURLMOPT_MAXCONNECTS, std::max(256L, 4 * connections));
  curl_multi_setopt(impl_->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  impl_->thread = std::thread([this] { impl_->run(); });
}

HttpEngine::~HttpEngine() {
  if (impl_->multi == nullptr) return;
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  curl_multi_wakeup(impl_->multi);
  impl_->thread.join();
  for (CURL* easy : impl_->spare) curl_easy_cleanup(easy);
  curl_multi_cleanup(impl_->multi);
}

namespace {

/// To an exchange that cannot begin.
void refuse(Exchange& exchange, Response::End end, std::string detail) {
  Response response;
  response.end = end;
  response.detail = std::move(detail);
  if (exchange.done) exchange.done(std::move(response));
}

}  // namespace

void HttpEngine::submit(std::vector<std::unique_ptr<Exchange>> exchanges) {
  if (impl_->multi == nullptr) {
    for (auto& e : exchanges)
      refuse(*e, Response::End::kNoLibrary, UPWELL_LIBCURL " could not be loaded; install libcurl");
    return;
  }
  {
    std::lock_guard lock(impl_->mutex);
    for (auto& e : exchanges) impl_->incoming.push_back(std::move(e));
  }
  curl_multi_wakeup(impl_->multi);
}

void HttpEngine::pause_host(const std::string& url, Clock::time_point until) {
  std::lock_guard lock(impl_->mutex);
  impl_->pauses.emplace_back(origin_of(url), until);
}

void HttpEngine::Impl::run() {
  while (take_incoming()) {
    start_waiting();
    int running = 0;
    curl_multi_perform(multi, &running);
    open_spares();
    complete_finished();
    complete_stalled();
    curl_multi_poll(multi, nullptr, 0, poll_timeout_ms(), nullptr);
  }
  cancel_all();
}

bool HttpEngine::Impl::take_incoming() {
  std::vector<std::unique_ptr<Exchange>> fresh;
  {
    std::lock_guard lock(mutex);
    if (stopping) return false;
    fresh.swap(incoming);
    for (auto& [host, until] : pauses) {
      hosts[host].paused_until = std::max(hosts[host].paused_until, until);
    }
    pauses.clear();
  }
  auto now = Clock::now();
  for (auto& e : fresh) {
    if (e->handshake) {
      addresses.wishes.push_back({origin_of(e->url), e->url, e->reach, 1});
    } else if (e->not_before > now) {
      auto when = e->not_before;
      delayed.emplace(when, std::move(e));
    } else {
      hosts[origin_of(e->url)].waiting.push_back(std::move(e));
    }
  }
  while (!delayed.empty() && delayed.begin()->first <= now) {
    auto node = delayed.extract(delayed.begin());
    hosts[origin_of(node.mapped()->url)].waiting.push_back(std::move(node.mapped()));
  }
  return true;
}

void HttpEngine::Impl::start_waiting() {
  auto now = Clock::now();
  for (auto it = hosts.begin(); it != hosts.end();) {
    Host& host = it->second;
    while (!host.waiting.empty() && host.paused_until <= now &&
           host.active < options.parallelism_per_host) {
      auto exchange = std::move(host.waiting.front());
      host.waiting.pop_front();
      ++host.active;
      start(std::move(exchange), it->first);
    }
    bool idle = host.waiting.empty() && host.active == 0 && host.paused_until <= now;
    it = idle ? hosts.erase(it) : std::next(it);
  }
}

void HttpEngine::Impl::start(std::unique_ptr<Exchange> exchange, const std::string& host) {
  auto t = std::make_unique<Transfer>();
  t->exchange = std::move(exchange);
  t->host = host;
  t->last_progress = Clock::now();
  t->addresses = &addresses;
  t->at = &addresses.hosts[host];
  if (spare.empty()) {
    t->easy = curl_easy_init();
    if (t->easy == nullptr) {
      if (!t->exchange->handshake) --hosts[host].active;
      return refuse(*t->exchange, Response::End::kFailed, "no memory for a request");
    }
  } else {
    t->easy = spare.back();
    spare.pop_back();
    curl_easy_reset(t->easy);
  }
  ++t->at->unassigned;
  t->configure(options);
  CURL* easy = t->easy;
  active.emplace(easy, std::move(t));
  curl_multi_add_handle(multi, easy);
}

/// Connections for what will be wanted next, beside those that are there or about to be. What waits
/// to be sent goes first.
void HttpEngine::Impl::open_spares() {
  for (const auto& wish : std::exchange(addresses.wishes, {})) {
    const HostState& at = addresses.hosts[wish.host];
    const Host& host = hosts[wish.host];
    const bool tls = scheme_of(wish.url) == "https";
    if (at.multiplexed.value_or(false) || Clock::now() < at.no_spares_until ||
        !host.waiting.empty() || (!tls && addresses.proxies.any()))
      continue;
    const bool serial = at.multiplexed || !tls || is_amazon_s3(wish.url);
    const size_t spares = serial ? wish.spares : std::min(wish.spares, kSparesUnasked);
    const size_t wanted = std::min(options.parallelism_per_host, host.active + spares);
    while (at.sockets + at.unassigned < wanted) {
      auto e = std::make_unique<Exchange>();
      e->url = wish.url;
      e->reach = wish.reach;
      e->handshake = true;
      const size_t before = at.unassigned;
      start(std::move(e), wish.host);
      if (at.unassigned == before) break;  // there is no memory
    }
  }
  addresses.drop_idle_spares(kSpareLife);
}

void HttpEngine::Impl::complete_finished() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    CURL* easy = message->easy_handle;
    CURLcode code = message->data.result;
    Transfer& t = *active.at(easy);
    if (code == CURLE_OK && !t.head_done && !t.exchange->handshake) t.finish_head();
    Response::End end = end_of_code(code);
    if (t.unwanted) end = Response::End::kUnwanted;
    if (t.too_long) end = Response::End::kTooLong;
    const bool refused = code != CURLE_OK && !t.refused.empty();
    if (refused) end = Response::End::kRefused;
    std::string detail = t.error[0] != '\0' ? t.error : curl_easy_strerror(code);
    if (refused) detail = t.refused;
    if (t.no_memory) detail = "out of memory";
    if (end == Response::End::kOk || end == Response::End::kUnwanted) detail.clear();
    complete(easy, end, std::move(detail));
  }
}

void HttpEngine::Impl::complete_stalled() {
  auto limit = std::chrono::milliseconds(milliseconds(options.stall_timeout_s));
  auto now = Clock::now();
  std::vector<CURL*> stalled;
  for (auto& [easy, t] : active) {
    if (now - t->last_progress > limit) stalled.push_back(easy);
  }
  for (CURL* easy : stalled) {
    complete(easy, Response::End::kTimedOut,
             "no byte for " + std::to_string(limit.count()) + " ms");
  }
}

void HttpEngine::Impl::complete(CURL* easy, Response::End end, std::string detail) {
  auto it = active.find(easy);
  std::unique_ptr<Transfer> t = std::move(it->second);
  active.erase(it);
  char* redirect = nullptr;
  curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &redirect);
  if (redirect != nullptr) t->response.redirect_url = redirect;
  long version = 0, request_size = 0;
  curl_off_t uploaded = 0;
  curl_easy_getinfo(easy, CURLINFO_REQUEST_SIZE, &request_size);
  curl_easy_getinfo(easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
  t->response.head_bytes = t->header_bytes;
  t->response.body_bytes = t->body_bytes;
  t->response.sent_bytes = static_cast<uint64_t>(request_size) + static_cast<uint64_t>(uploaded);
  curl_easy_getinfo(easy, CURLINFO_HTTP_VERSION, &version);
  if (version != CURL_HTTP_VERSION_NONE) t->at->multiplexed = version > CURL_HTTP_VERSION_1_1;
  t->assign();
  if (version == CURL_HTTP_VERSION_1_0 || (t->exchange->handshake && end != Response::End::kOk))
    t->at->go_without_spares();
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 0L);  // or the connection would go with the handle
  curl_multi_remove_handle(multi, easy);
  spare.push_back(easy);
  if (!t->exchange->handshake) --hosts[t->host].active;
  t->response.line = t->line();
  t->response.end = end;
  t->response.detail = std::move(detail);
  if (t->exchange->compressed && end == Response::End::kOk) t->decode();
  if (t->exchange->done) t->exchange->done(std::move(t->response));
}

void HttpEngine::Impl::cancel_all() {
  while (!active.empty()) complete(active.begin()->first, Response::End::kCancelled, "cancelled");
  std::vector<std::unique_ptr<Exchange>> rest;
  for (auto& [name, host] : hosts) {
    for (auto& e : host.waiting) rest.push_back(std::move(e));
  }
  for (auto& [when, e] : delayed) rest.push_back(std::move(e));
  {
    std::lock_guard lock(mutex);
    for (auto& e : incoming) rest.push_back(std::move(e));
    incoming.clear();
  }
  for (auto& e : rest) {
    Response response;
    response.end = Response::End::kCancelled;
    response.detail = "cancelled";
    if (e->done) e->done(std::move(response));
  }
}

int HttpEngine::Impl::poll_timeout_ms() const {
  using std::chrono::milliseconds;
  auto now = Clock::now();
  auto next = now + milliseconds(active.empty() ? 10'000 : 200);
  if (!active.empty()) {
    next = std::min(next, now + milliseconds(std::max(
                                    1L, upwell::io::milliseconds(options.stall_timeout_s) / 4)));
  }
  if (!addresses.spares.empty()) next = std::min(next, now + milliseconds(1000));
  if (!addresses.wishes.empty()) next = now;
  if (!delayed.empty()) next = std::min(next, delayed.begin()->first);
  for (const auto& [name, host] : hosts) {
    if (host.waiting.empty() || host.active >= options.parallelism_per_host) continue;
    // What has just finished made room: do not sleep on it.
    next = std::min(next, std::max(now, host.paused_until));
  }
  auto wait = std::chrono::ceil<milliseconds>(next - now).count();
  return static_cast<int>(std::max<int64_t>(0, wait));
}

}  // namespace upwell::io
