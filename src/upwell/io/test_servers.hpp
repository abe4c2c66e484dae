#pragma once
// Servers for tests, on loopback: real nginx, and one that misbehaves as told.

#include <sys/types.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace upwell::io {

/// A directory that goes with its owner.
class TemporaryDirectory {
 public:
  TemporaryDirectory();
  ~TemporaryDirectory();
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// nginx that serves a directory of its own over http and, if openssl is there, https.
class Nginx {
 public:
  /// Null when nginx is not installed. `http2`: over https.
  static std::unique_ptr<Nginx> start(bool http2 = true);
  ~Nginx();
  const std::filesystem::path& directory() const { return files_; }
  std::string url() const;                       ///< "http://127.0.0.1:port/"
  std::optional<std::string> https_url() const;  ///< "https://localhost:port/"
  std::string certificate() const;               ///< file to trust
  std::string access_log() const;                ///< lines "protocol method uri status"

 private:
  Nginx() = default;
  bool launch();
  bool write_configuration(bool tls);
  TemporaryDirectory home_;
  std::filesystem::path files_;
  int port_ = 0;
  int tls_port_ = 0;
  pid_t pid_ = -1;
  bool http2_ = true;
};

/// A request as the misbehaving server got it.
struct SeenRequest {
  std::string method;
  std::string target;
  std::string head;  ///< all header lines, lower case
  /// The value of a header, empty when it is not there.
  std::string header(const std::string& name) const;
};

/// What to send back, byte for byte.
struct RawAnswer {
  std::string bytes;
  double stall_s = 0;  ///< silence after the bytes, before the connection closes
  bool keep = false;   ///< leave the connection open for the next request
};

/// Answers each request with what `script` says for it; `n` counts requests from 0.
class RawServer {
 public:
  using Script = std::function<RawAnswer(const SeenRequest&, size_t n)>;
  explicit RawServer(Script script);
  ~RawServer();
  std::string url() const;  ///< "http://127.0.0.1:port/"
  std::vector<SeenRequest> seen() const;
  size_t connections() const { return connections_; }  ///< that were accepted so far

 private:
  void accept_all();
  void serve(int fd);
  Script script_;
  int listener_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<size_t> connections_{0};
  mutable std::mutex mutex_;
  std::vector<SeenRequest> seen_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

/// "HTTP/1.1 STATUS x\r\n" + headers (each ending in \r\n) + Content-Length + body.
std::string http_answer(int status, const std::string& headers, const std::string& body);

}  // namespace upwell::io
