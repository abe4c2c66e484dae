#include "io/http_engine.hpp"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <new>
#include <thread>
#include <unordered_map>
#include <unordered_set>

#include "io/gunzip.hpp"
#include "io/proxy.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

using Clock = EngineClock;

constexpr size_t kMaxHeaderBytes = 256 << 10;
/// Lengths that a server claims are believed so far; beyond, the buffer grows with what arrives.
constexpr uint64_t kMaxReserve = 64 << 20;
/// Of answers in gzip.
constexpr uint64_t kMaxDecoded = 512 << 20;
/// Spare connections that are opened before it is known whether the first one can carry the other
/// requests too: what the second step of a walk asks for.
constexpr size_t kSparesUnasked = 3;

}  // namespace

namespace http_engine_detail {

/// What is known of one origin.
struct HostState {
  uint64_t arrived = 0;   // bytes of bodies
  size_t sockets = 0;     // that are open
  size_t unassigned = 0;  // exchanges that have begun and have no connection yet
  size_t handshakes = 0;  // exchanges that open a connection and ask for nothing
  /// Whether its connections carry many exchanges at once, as the last answer has shown.
  std::optional<bool> multiplexed;
};

/// What is known of addresses. Of the engine's thread.
struct AddressBook {
  /// For each host, where the user's own requests have reached it: bits 1 << class.
  std::unordered_map<std::string, unsigned> found;
  std::unordered_map<std::string, HostState> hosts;
  std::unordered_map<curl_socket_t, HostState*> sockets;
  ProxyAddresses proxies;

  struct Wish {
    std::string host;
    std::string url;
    ReachPtr reach;
    size_t spares;
  };
  std::vector<Wish> wishes;
};

/// One exchange on the wire.
struct Transfer {
  std::unique_ptr<Exchange> exchange;
  std::string host;
  CURL* easy = nullptr;
  curl_slist* headers = nullptr;
  Response response;
  std::optional<uint64_t> limit;  // of the body; set when the head is complete
  bool head_done = false;
  bool unwanted = false;
  bool too_long = false;
  bool no_memory = false;
  size_t header_bytes = 0;
  uint64_t body_bytes = 0;
  curl_off_t sent = 0;
  EngineClock::time_point last_progress;
  EngineClock::time_point sent_at{}, first_byte_at{};
  HostState* at = nullptr;
  uint64_t arrived_before = 0;  // the first byte of this answer
  bool assigned = false;        // to a connection
  AddressBook* addresses = nullptr;
  std::string refused;  // why an address may not be reached
  char error[CURL_ERROR_SIZE] = {};

  ~Transfer() {
    if (headers != nullptr) curl_slist_free_all(headers);
  }

  /// Whether a connection to this address may carry the exchange.
  bool may_reach(const sockaddr& address) {
    if (!exchange->reach) return true;
    const unsigned found = addresses->found[host_of(exchange->url)];
    auto allowed = exchange->reach->check_address(exchange->url, address_class(address),
                                                  address_text(address), found);
    if (allowed || addresses->proxies.contains(address)) return true;
    refused = allowed.error().message;
    return false;
  }

  /// Of the connection that was opened for this exchange; 0: none was.
  double handshake_s() const {
    long opened = 0;
    double resolved = 0, connected = 0;
    curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
    curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME, &resolved);
    curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME, &connected);
    return opened == 1 ? connected - resolved : 0;
  }

  void assign() {
    if (!std::exchange(assigned, true)) --at->unassigned;
  }

  /// What the answer tells about the line, once it is whole.
  LineSample line() const {
    if (sent_at == Clock::time_point{} || first_byte_at < sent_at) return {};
    auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
    return {.first_byte_s = seconds(first_byte_at - sent_at),
            .handshake_s = handshake_s(),
            .body_s = seconds(last_progress - first_byte_at),
            .bytes = response.body.size(),
            .arrived = at->arrived - arrived_before};
  }

  /// What came in gzip; what is broken stays, and stays marked as encoded.
  void decode() {
    ResponseHead& head = response.head;
    if (!is_gzip(head)) return;
    const uint64_t most = std::min(limit.value_or(0), kMaxDecoded);
    if (auto decoded = gunzip(response.body, most); !decoded) {
      if (decoded.error().code == Code::kResourceExhausted) response.end = Response::End::kTooLong;
      return;
    }
    head.content_encoding.clear();
    head.content_length = response.body.size();
  }

  void finish_head() {
    head_done = true;
    limit = exchange->body_limit(response.head);
    if (!limit) {
      unwanted = true;
      return;
    }
    uint64_t expected = std::min(*limit, response.head.content_length.value_or(0));
    if (exchange->method != "HEAD") response.body.reserve(std::min(expected, kMaxReserve));
  }
};

}  // namespace http_engine_detail

namespace {

using http_engine_detail::Transfer;

size_t on_header(char* data, size_t, size_t size, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  t.last_progress = Clock::now();
  if (t.head_done) return size;  // trailers
  if (t.header_bytes == 0) {
    t.first_byte_at = t.last_progress;
    t.arrived_before = t.at->arrived;
  }
  t.header_bytes += size;
  if (t.header_bytes > kMaxHeaderBytes) return 0;
  try {
    t.response.head.take_line({data, size});
  } catch (const std::bad_alloc&) {
    t.no_memory = true;
    return 0;
  }
  return size;
}

size_t on_body(char* data, size_t, size_t size, void* user) {
  auto& t = *static_cast<Transfer*>(user);
  t.last_progress = Clock::now();
  t.at->arrived += size;
  t.body_bytes += size;
  try {
    if (!t.head_done) t.finish_head();
    if (t.unwanted) return 0;
    const size_t room = *t.limit - t.response.body.size();
    t.response.body.insert(t.response.body.end(), data, data + std::min(size, room));
    if (size > room) {
      t.too_long = true;
      return 0;
    }
  } catch (const std::bad_alloc&) {
    t.no_memory = true;
    return 0;
  }
  return size;
}

/// What has been sent is progress, too.
int on_progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t sent) {
  auto& t = *static_cast<Transfer*>(user);
  if (sent > t.sent) t.last_progress = Clock::now();
  t.sent = sent;
  return 0;
}

/// A name has been resolved: by whom, and when, is the name's owner's choice, so the address
/// counts.
curl_socket_t on_open_socket(void* user, curlsocktype, curl_sockaddr* address) {
  auto& t = *static_cast<Transfer*>(user);
  if (!t.may_reach(address->addr)) return CURL_SOCKET_BAD;
  const int fd = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd < 0) return CURL_SOCKET_BAD;
  t.assign();
  t.addresses->sockets[fd] = t.at;
  ++t.at->sockets;
  return fd;
}

int on_close_socket(void* user, curl_socket_t fd) {
  auto& sockets = static_cast<http_engine_detail::AddressBook*>(user)->sockets;
  if (auto it = sockets.find(fd); it != sockets.end()) {
    --it->second->sockets;
    sockets.erase(it);
  }
  return ::close(fd);
}

/// Before a request goes out, also on a connection that another request has opened.
int on_connection(void* user, char* remote, char*, int port, int) {
  auto& t = *static_cast<Transfer*>(user);
  sockaddr_storage storage{};
  if (!parse_address(remote, port, storage)) return CURL_PREREQFUNC_ABORT;
  const auto& address = reinterpret_cast<const sockaddr&>(storage);
  if (!t.may_reach(address)) return CURL_PREREQFUNC_ABORT;
  if (!t.exchange->reach)
    t.addresses->found[host_of(t.exchange->url)] |=
        1U << static_cast<unsigned>(address_class(address));
  t.refused.clear();
  t.assign();
  // Set from the beginning it would keep others from the connection.
  if (t.exchange->handshake)
    return curl_easy_setopt(t.easy, CURLOPT_CONNECT_ONLY, 1L) == CURLE_OK ? CURL_PREREQFUNC_OK
                                                                          : CURL_PREREQFUNC_ABORT;
  t.sent_at = Clock::now();
  return CURL_PREREQFUNC_OK;
}

Response::End end_of_code(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return Response::End::kOk;
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
      return Response::End::kTransient;
    case CURLE_OPERATION_TIMEDOUT:
      return Response::End::kTimedOut;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
      return Response::End::kUntrusted;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
      return Response::End::kMalformed;
    default:
      return Response::End::kFailed;
  }
}

long milliseconds(double seconds) {
  return static_cast<long>(std::clamp(seconds * 1000, 1.0, 86400e3));
}

}  // namespace

struct HttpEngine::Impl {
  struct Host {
    std::deque<std::unique_ptr<Exchange>> waiting;
    size_t active = 0;
    Clock::time_point paused_until{};
  };

  EngineOptions options;
  CURLM* multi = nullptr;
  std::mutex mutex;  // guards incoming, pauses, stopping
  std::vector<std::unique_ptr<Exchange>> incoming;
  std::vector<std::pair<std::string, Clock::time_point>> pauses;
  bool stopping = false;

  // Of the engine's thread alone:
  std::map<std::string, Host> hosts;
  std::multimap<Clock::time_point, std::unique_ptr<Exchange>> delayed;
  std::unordered_map<CURL*, std::unique_ptr<Transfer>> active;
  std::vector<CURL*> spare;
  http_engine_detail::AddressBook addresses;
  std::thread thread;

  void run();
  bool take_incoming();
  void start_waiting();
  void start(std::unique_ptr<Exchange> exchange, const std::string& host);
  void configure(Transfer& t);
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
  auto connections = static_cast<long>(impl_->options.parallelism_per_host);
  curl_multi_setopt(impl_->multi, CURLMOPT_MAX_HOST_CONNECTIONS, connections);
  curl_multi_setopt(impl_->multi, CURLMOPT_MAXCONNECTS, std::max(64L, connections));
  curl_multi_setopt(impl_->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
  impl_->thread = std::thread([this] { impl_->run(); });
}

HttpEngine::~HttpEngine() {
  {
    std::lock_guard lock(impl_->mutex);
    impl_->stopping = true;
  }
  curl_multi_wakeup(impl_->multi);
  impl_->thread.join();
  for (CURL* easy : impl_->spare) curl_easy_cleanup(easy);
  curl_multi_cleanup(impl_->multi);
}

void HttpEngine::submit(std::vector<std::unique_ptr<Exchange>> exchanges) {
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
    if (e->not_before > now) {
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
      Response response;
      response.detail = "libcurl could not be loaded";
      if (t->exchange->done) t->exchange->done(std::move(response));
      return;
    }
  } else {
    t->easy = spare.back();
    spare.pop_back();
    curl_easy_reset(t->easy);
  }
  ++t->at->unassigned;
  if (t->exchange->handshake) ++t->at->handshakes;
  if (const Exchange& e = *t->exchange; e.spares > 0)
    addresses.wishes.push_back({host, e.url, e.reach, e.spares});
  configure(*t);
  CURL* easy = t->easy;
  active.emplace(easy, std::move(t));
  curl_multi_add_handle(multi, easy);
}

void HttpEngine::Impl::configure(Transfer& t) {
  const Exchange& e = *t.exchange;
  CURL* easy = t.easy;
  auto set = [&](CURLoption option, auto value) { curl_easy_setopt(easy, option, value); };
  std::string url = encoded_url(e.url);
  set(CURLOPT_URL, url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  set(CURLOPT_HTTP_VERSION, long{CURL_HTTP_VERSION_2TLS});
  // Over TLS, wait to learn whether the first connection can carry the other requests too.
  set(CURLOPT_PIPEWAIT, long{scheme_of(e.url) == "https"});
  if (e.handshake) set(CURLOPT_FRESH_CONNECT, 1L);
  set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds(options.connect_timeout_s));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);  // see gunzip
  set(CURLOPT_ERRORBUFFER, t.error);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, &t);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, &t);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, &t);
  set(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  set(CURLOPT_CLOSESOCKETDATA, &addresses);
  set(CURLOPT_PREREQFUNCTION, on_connection);
  set(CURLOPT_PREREQDATA, &t);
  if (!options.ca_file.empty()) set(CURLOPT_CAINFO, options.ca_file.c_str());
  if (!options.user_agent.empty()) set(CURLOPT_USERAGENT, options.user_agent.c_str());
  if (e.exact_path) set(CURLOPT_PATH_AS_IS, 1L);
  if (e.method == "HEAD") {
    set(CURLOPT_NOBODY, 1L);
  } else if (e.method == "PUT" || e.method == "POST") {
    set(CURLOPT_POSTFIELDS, e.body.empty() ? "" : reinterpret_cast<const char*>(e.body.data()));
    set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(e.body.size()));
    set(CURLOPT_CUSTOMREQUEST, e.method.c_str());
    set(CURLOPT_NOPROGRESS, 0L);
    set(CURLOPT_XFERINFOFUNCTION, on_progress);
    set(CURLOPT_XFERINFODATA, &t);
    // What curl would add by itself: a type of forms, and a wait for a server's leave.
    t.headers = curl_slist_append(t.headers, "Content-Type:");
    t.headers = curl_slist_append(t.headers, "Expect:");
  } else if (e.method != "GET") {
    set(CURLOPT_CUSTOMREQUEST, e.method.c_str());
  }
  if (!e.range.empty()) set(CURLOPT_RANGE, e.range.c_str());
  // A range of an encoded body would be a range of something else.
  t.headers = curl_slist_append(
      t.headers, e.compressed ? "Accept-Encoding: gzip" : "Accept-Encoding: identity");
  for (const std::string& header : e.headers) {
    t.headers = curl_slist_append(t.headers, header.c_str());
  }
  set(CURLOPT_HTTPHEADER, t.headers);
}

/// Connections for what will be wanted next, beside those that are there or about to be.
void HttpEngine::Impl::open_spares() {
  for (const auto& wish : std::exchange(addresses.wishes, {})) {
    const http_engine_detail::HostState& at = addresses.hosts[wish.host];
    if (at.multiplexed.value_or(false)) continue;
    const bool serial = at.multiplexed || scheme_of(wish.url) == "http";
    const size_t spares = serial ? wish.spares : std::min(wish.spares, kSparesUnasked);
    Host& host = hosts[wish.host];
    const size_t wanted =
        std::min(options.parallelism_per_host, host.active - at.handshakes + spares);
    for (size_t have = at.sockets + at.unassigned + host.waiting.size(); have < wanted; ++have) {
      auto e = std::make_unique<Exchange>();
      e->url = wish.url;
      e->reach = wish.reach;
      e->handshake = true;
      host.waiting.push_back(std::move(e));
    }
  }
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
  if (t->exchange->handshake) --t->at->handshakes;
  curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 0L);  // or the connection would go with the handle
  curl_multi_remove_handle(multi, easy);
  spare.push_back(easy);
  --hosts[t->host].active;
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
