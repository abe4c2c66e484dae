#include "io/http_transfer.hpp"

#include <curl/curl.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <utility>

#include "io/gunzip.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

using Clock = EngineClock;

/// How long a host is left alone where spares were of no use.
constexpr std::chrono::seconds kWithoutSpares(60);
/// For a handshake that nobody waits for.
constexpr double kHandshakeSeconds = 3;

static_assert(sizeof Transfer::error == CURL_ERROR_SIZE);

constexpr size_t kMaxHeaderBytes = 256 << 10;
/// Lengths that a server claims are believed so far; beyond, the buffer grows with what arrives.
constexpr uint64_t kMaxReserve = 64 << 20;
/// Of answers in gzip.
constexpr uint64_t kMaxDecoded = 512 << 20;

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
  try {
    t.own_sockets.push_back(fd);
    t.addresses->sockets[fd] = {t.at, 0};
    t.assign();
  } catch (const std::bad_alloc&) {
    t.no_memory = true;
    t.addresses->sockets.erase(fd);
    ::close(fd);
    return CURL_SOCKET_BAD;
  }
  ++t.at->sockets;
  return fd;
}

int on_close_socket(void* user, curl_socket_t fd) {
  auto& book = *static_cast<AddressBook*>(user);
  if (auto it = book.sockets.find(fd); it != book.sockets.end()) {
    const auto [at, spare_port] = it->second;
    book.sockets.erase(it);
    if (at != nullptr) --at->sockets;
    // libcurl from 8.0 on takes a connection for dead on which TLS 1.3 has sent its tickets.
    if (book.spares.erase(spare_port) > 0 && at != nullptr) at->go_without_spares();
  }
  return ::close(fd);
}

int local_port(int fd) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return 0;
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<sockaddr_in&>(address).sin_port);
}

/// The connection of a handshake is there for others.
int keep_spare(Transfer& t, int port) {
  for (const int fd : t.own_sockets) {
    auto socket = t.addresses->sockets.find(fd);
    if (socket == t.addresses->sockets.end() || local_port(fd) != port) continue;
    t.addresses->spares[port] = {fd, Clock::now()};
    socket->second.spare_port = port;
  }
  // Set from the beginning it would keep others from the connection.
  const CURLcode set = curl_easy_setopt(t.easy, CURLOPT_CONNECT_ONLY, 1L);
  return set == CURLE_OK ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/// Before a request goes out, also on a connection that another request has opened.
int on_connection(void* user, char* remote, char*, int port, int own_port) {
  auto& t = *static_cast<Transfer*>(user);
  sockaddr_storage storage{};
  if (!parse_address(remote, port, storage)) return CURL_PREREQFUNC_ABORT;
  const auto& address = reinterpret_cast<const sockaddr&>(storage);
  if (!t.may_reach(address)) return CURL_PREREQFUNC_ABORT;
  t.refused.clear();
  try {
    t.assign();
    if (t.exchange->handshake) return keep_spare(t, own_port);
    if (!t.exchange->reach)
      t.addresses->found[host_of(t.exchange->url)] |=
          1U << static_cast<unsigned>(address_class(address));
  } catch (const std::bad_alloc&) {
    t.no_memory = true;
    return CURL_PREREQFUNC_ABORT;
  }
  t.addresses->spares.erase(own_port);
  t.sent_at = Clock::now();
  return CURL_PREREQFUNC_OK;
}

}  // namespace

bool Transfer::may_reach(const sockaddr& address) {
  if (!exchange->reach) return true;
  const unsigned found = addresses->found[host_of(exchange->url)];
  auto allowed = exchange->reach->check_address(exchange->url, address_class(address),
                                                address_text(address), found);
  if (allowed || addresses->proxies.contains(address)) return true;
  refused = allowed.error().message;
  return false;
}

void HostState::go_without_spares() { no_spares_until = Clock::now() + kWithoutSpares; }

double Transfer::handshake_s() const {
  long opened = 0;
  double resolved = 0, connected = 0;
  curl_easy_getinfo(easy, CURLINFO_NUM_CONNECTS, &opened);
  curl_easy_getinfo(easy, CURLINFO_NAMELOOKUP_TIME, &resolved);
  curl_easy_getinfo(easy, CURLINFO_CONNECT_TIME, &connected);
  return opened == 1 ? connected - resolved : 0;
}

void Transfer::assign() {
  if (!std::exchange(assigned, true)) --at->unassigned;
  if (exchange->spares > 0 && !std::exchange(wished, true))
    addresses->wishes.push_back({host, exchange->url, exchange->reach, exchange->spares});
}

void AddressBook::drop_idle_spares(std::chrono::seconds longest) {
  const auto now = Clock::now();
  std::erase_if(spares, [&](const auto& entry) {
    const Spare& spare = entry.second;
    if (now - spare.since < longest) return false;
    Socket& socket = sockets.at(spare.socket);
    --socket.at->sockets;
    socket = {nullptr, 0};
    // What TLS has sent is taken away, so that libcurl sees the end and nothing else.
    char unread[4096];
    while (::recv(spare.socket, unread, sizeof unread, MSG_DONTWAIT) > 0) continue;
    ::shutdown(spare.socket, SHUT_RDWR);
    return true;
  });
}

LineSample Transfer::line() const {
  if (sent_at == Clock::time_point{} || first_byte_at < sent_at) return {};
  auto seconds = [](Clock::duration d) { return std::chrono::duration<double>(d).count(); };
  return {.first_byte_s = seconds(first_byte_at - sent_at),
          .handshake_s = handshake_s(),
          .body_s = seconds(last_progress - first_byte_at),
          .bytes = response.body.size(),
          .arrived = at->arrived - arrived_before};
}

void Transfer::decode() {
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

void Transfer::finish_head() {
  head_done = true;
  limit = exchange->body_limit(response.head);
  if (!limit) {
    unwanted = true;
    return;
  }
  uint64_t expected = std::min(*limit, response.head.content_length.value_or(0));
  if (exchange->method != "HEAD") response.body.reserve(std::min(expected, kMaxReserve));
}

Transfer::~Transfer() {
  if (headers != nullptr) curl_slist_free_all(headers);
}

void Transfer::configure(const EngineOptions& options) {
  const Exchange& e = *exchange;
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
  set(CURLOPT_CONNECTTIMEOUT_MS,
      milliseconds(e.handshake ? std::min(kHandshakeSeconds, options.connect_timeout_s)
                               : options.connect_timeout_s));
  set(CURLOPT_TCP_KEEPALIVE, 1L);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_HTTP_CONTENT_DECODING, 0L);  // see gunzip
  set(CURLOPT_ERRORBUFFER, error);
  set(CURLOPT_HEADERFUNCTION, on_header);
  set(CURLOPT_HEADERDATA, this);
  set(CURLOPT_WRITEFUNCTION, on_body);
  set(CURLOPT_WRITEDATA, this);
  set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
  set(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
  set(CURLOPT_OPENSOCKETDATA, this);
  set(CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
  set(CURLOPT_CLOSESOCKETDATA, addresses);
  set(CURLOPT_PREREQFUNCTION, on_connection);
  set(CURLOPT_PREREQDATA, this);
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
    set(CURLOPT_XFERINFODATA, this);
    // What curl would add by itself: a type of forms, and a wait for a server's leave.
    headers = curl_slist_append(headers, "Content-Type:");
    headers = curl_slist_append(headers, "Expect:");
  } else if (e.method != "GET") {
    set(CURLOPT_CUSTOMREQUEST, e.method.c_str());
  }
  if (!e.range.empty()) set(CURLOPT_RANGE, e.range.c_str());
  // A range of an encoded body would be a range of something else.
  headers = curl_slist_append(headers,
                              e.compressed ? "Accept-Encoding: gzip" : "Accept-Encoding: identity");
  for (const std::string& header : e.headers) {
    headers = curl_slist_append(headers, header.c_str());
  }
  set(CURLOPT_HTTPHEADER, headers);
}

Response::End end_of_code(int code) {
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

}  // namespace upwell::io
