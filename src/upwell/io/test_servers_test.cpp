#include "io/test_servers.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <sstream>

extern char** environ;

namespace upwell::io {
namespace {

namespace fs = std::filesystem;

/// Loopback is never behind a proxy.
[[maybe_unused]] const bool kNoProxy = [] {
  ::setenv("no_proxy", "127.0.0.1,localhost", 1);
  ::setenv("NO_PROXY", "127.0.0.1,localhost", 1);
  return true;
}();

std::pair<int, int> listen_on_loopback() {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 64) != 0 ||
      ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    ::close(fd);
    return {-1, 0};
  }
  return {fd, ntohs(address.sin_port)};
}

int free_port() {
  auto [fd, port] = listen_on_loopback();
  ::close(fd);
  return port;
}

bool accepts(int port) {
  int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(port));
  int status = ::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
  ::close(fd);
  return status == 0;
}

pid_t spawn(std::vector<std::string> words) {
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
  pid_t pid = -1;
  if (::posix_spawnp(&pid, argv[0], &actions, nullptr, argv.data(), environ) != 0) pid = -1;
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

/// A certificate for localhost, made once per process, its key beside it as ".key". Empty when
/// openssl is not installed.
const std::string& own_certificate() {
  static const TemporaryDirectory home;
  static const std::string path = [] {
    std::string file = (home.path() / "cert.pem").string();
    pid_t openssl =
        spawn({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
               "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file + ".key", "-out", file,
               "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"});
    int status = 1;
    if (openssl > 0) ::waitpid(openssl, &status, 0);
    return status == 0 ? file : std::string();
  }();
  return path;
}

std::string read_text(const fs::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace

TemporaryDirectory::TemporaryDirectory() {
  std::string name = (fs::temp_directory_path() / "upwell-io-XXXXXX").string();
  if (::mkdtemp(name.data()) != nullptr) path_ = name;
}
TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  if (!path_.empty()) fs::remove_all(path_, ignored);
}

std::unique_ptr<Nginx> Nginx::start(bool http2) {
  if (::access("/usr/sbin/nginx", X_OK) != 0) return nullptr;
  std::unique_ptr<Nginx> nginx(new Nginx);
  nginx->http2_ = http2;
  nginx->files_ = nginx->home_.path() / "files";
  fs::create_directories(nginx->files_);
  // Another process may take the port between looking and binding.
  for (int attempt = 0; attempt < 3; ++attempt) {
    if (nginx->launch()) return nginx;
  }
  std::cerr << "nginx did not start: " << read_text(nginx->home_.path() / "error.log") << "\n";
  return nullptr;
}

bool Nginx::write_configuration(bool tls) {
  std::string home = home_.path().string();
  std::ostringstream conf;
  conf << "daemon off;\nmaster_process off;\npid " << home << "/pid;\nerror_log " << home
       << "/error.log;\nevents { worker_connections 256; }\nhttp {\n"
       << "log_format short '$server_protocol $request_method $request_uri $status';\n"
       << "access_log " << home << "/access.log short;\n";
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
    conf << kind << "_temp_path " << home << "/" << kind << ";\n";
  }
  std::string locations = "root " + files_.string() +
                          ";\nlocation /moved/ { rewrite ^/moved/(.*)$ /$1 redirect; }\n"
                          "location /nohead/ { if ($request_method = HEAD) { return 405; } "
                          "rewrite ^/nohead/(.*)$ /$1 break; }\n";
  conf << "server { listen 127.0.0.1:" << port_ << ";\n" << locations << "}\n";
  if (tls) {
    conf << "server { listen 127.0.0.1:" << tls_port_ << " ssl" << (http2_ ? " http2" : "")
         << ";\nssl_certificate " << certificate() << ";\nssl_certificate_key " << certificate()
         << ".key;\n"
         << locations << "}\n";
  }
  conf << "}\n";
  std::ofstream(home_.path() / "nginx.conf") << conf.str();
  return true;
}

bool Nginx::launch() {
  std::string home = home_.path().string();
  const bool tls = !certificate().empty();
  int status = 0;
  port_ = free_port();
  tls_port_ = tls ? free_port() : 0;
  write_configuration(tls);
  pid_ =
      spawn({"/usr/sbin/nginx", "-p", home, "-e", home + "/error.log", "-c", home + "/nginx.conf"});
  if (pid_ <= 0) return false;
  for (int i = 0; i < 500; ++i) {
    if (accepts(port_) && (!tls || accepts(tls_port_))) return true;
    if (::waitpid(pid_, &status, WNOHANG) == pid_) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return false;
}

Nginx::~Nginx() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGTERM);
  int status = 0;
  ::waitpid(pid_, &status, 0);
}

std::string Nginx::url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }
std::optional<std::string> Nginx::https_url() const {
  if (tls_port_ == 0) return {};
  return "https://localhost:" + std::to_string(tls_port_) + "/";
}
std::string Nginx::certificate() const { return own_certificate(); }
std::string Nginx::access_log() const { return read_text(home_.path() / "access.log"); }

std::string SeenRequest::header(const std::string& name) const {
  size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  at += name.size() + 4;
  return head.substr(at, head.find("\r\n", at) - at);
}

RawServer::RawServer(Script script) : script_(std::move(script)) {
  std::tie(listener_, port_) = listen_on_loopback();
  acceptor_ = std::thread([this] { accept_all(); });
}

RawServer::~RawServer() {
  stopping_ = true;
  acceptor_.join();
  for (std::thread& t : threads_) t.join();
  ::close(listener_);
}

std::string RawServer::url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/"; }

std::vector<SeenRequest> RawServer::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

void RawServer::accept_all() {
  while (!stopping_) {
    pollfd p{listener_, POLLIN, 0};
    if (::poll(&p, 1, 20) <= 0) continue;
    int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    ++connections_;
    threads_.emplace_back([this, fd] { serve(fd); });
  }
}

void RawServer::serve(int fd) {
  std::string text;
  bool open = true;
  while (open && !stopping_) {
    size_t end = text.find("\r\n\r\n");
    if (end == std::string::npos) {
      pollfd p{fd, POLLIN, 0};
      if (::poll(&p, 1, 20) <= 0) continue;
      char buffer[4096];
      ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      text.append(buffer, static_cast<size_t>(n));
      continue;
    }
    SeenRequest request;
    std::istringstream(text) >> request.method >> request.target;
    request.head = text.substr(0, end + 2);
    for (char& c : request.head) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    const std::string length = request.header("content-length");
    const size_t body = length.empty() ? 0 : std::stoul(length);
    if (text.size() < end + 4 + body) {
      char buffer[4096];
      ssize_t more = ::recv(fd, buffer, sizeof buffer, 0);
      if (more <= 0) break;
      text.append(buffer, static_cast<size_t>(more));
      continue;
    }
    text.erase(0, end + 4 + body);
    size_t n = 0;
    {
      std::lock_guard lock(mutex_);
      n = seen_.size();
      seen_.push_back(request);
    }
    RawAnswer answer = script_(request, n);
    size_t sent = 0;
    while (sent < answer.bytes.size()) {
      ssize_t k = ::send(fd, answer.bytes.data() + sent, answer.bytes.size() - sent, MSG_NOSIGNAL);
      if (k <= 0) break;
      sent += static_cast<size_t>(k);
    }
    auto until = std::chrono::steady_clock::now() + std::chrono::duration<double>(answer.stall_s);
    while (!stopping_ && std::chrono::steady_clock::now() < until) {
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    open = answer.keep;
  }
  ::shutdown(fd, SHUT_RDWR);
  ::close(fd);
}

std::string http_answer(int status, const std::string& headers, const std::string& body) {
  return "HTTP/1.1 " + std::to_string(status) + " x\r\n" + headers +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace upwell::io
