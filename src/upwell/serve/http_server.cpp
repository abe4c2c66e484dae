#include "serve/http_server.hpp"

#if defined(__SANITIZE_THREAD__) && !defined(__clang__)
// Asio's fences are beside its locks, which ThreadSanitizer does understand.
#pragma GCC diagnostic ignored "-Wtsan"
#endif

#include <algorithm>
#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <csignal>
#include <ctime>
#include <thread>
#include <unordered_set>

#include "base/parallel.hpp"

namespace upwell::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr size_t kWriteStep = 1 << 20;  // of a body at a time: a write deadline is for one step

Clock::duration seconds(double s) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
}

std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  gmtime_r(&now, &utc);
  std::array<char, 64> text{};
  const size_t length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), length};
}

class Connection;

/// Shared by all threads; counters only.
struct Shared {
  ServerOptions options;
  Handlers handlers;
  std::atomic<size_t> connections{0};
  std::atomic<size_t> requests{0};
  std::atomic<uint64_t> response_bytes{0};
  std::unique_ptr<asio::thread_pool> pool;
};

/// One I/O thread: its sockets live and are touched only there, so they need no locks.
struct Worker {
  explicit Worker(Shared& s) : shared(s), guard(context.get_executor()), timer(context) {}
  void tick();
  void begin_stop();
  void finish_if_idle();

  Shared& shared;
  std::unordered_set<Connection*> connections;  // outlives the context, whose end ends them
  std::string date = http_date();
  bool stopping = false;
  Clock::time_point stop_deadline;
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> guard;
  asio::steady_timer timer;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  Connection(Worker& worker, tcp::socket socket) : worker_(worker), socket_(std::move(socket)) {
    worker_.connections.insert(this);
  }
  ~Connection() {
    release_body();
    worker_.connections.erase(this);
    worker_.shared.connections.fetch_sub(1);
    worker_.finish_if_idle();
  }

  void start() {
    error_code ignored;
    socket_.set_option(tcp::no_delay(true), ignored);
    next_request();
  }
  void refuse() {
    keep_alive_ = false;
    send(too_busy("too many connections"));
  }
  void close_if_expired(Clock::time_point now) {
    if (now > deadline_) close();
  }
  /// Stopping: nothing is lost by closing a connection that waits for its next request.
  void close_if_waiting() {
    if (waiting_) close();
  }
  void close() {
    error_code ignored;
    socket_.close(ignored);
  }

 private:
  static Response too_busy(std::string_view why) {
    Response response = error_response(503, why);
    response.headers.emplace_back("Retry-After", "1");
    return response;
  }

  void next_request() {
    parser_.emplace();
    parser_->header_limit(worker_.shared.options.max_header_bytes);
    parser_->body_limit(worker_.shared.options.max_body_bytes);
    // A pipelined request may be in the buffer already.
    waiting_ = buffer_.size() == 0;
    deadline_ = Clock::now() + seconds(waiting_ ? worker_.shared.options.idle_timeout_s
                                                : worker_.shared.options.request_timeout_s);
    if (waiting_ && worker_.stopping) return;
    read_some();
  }

  void read_some() {
    http::async_read_some(
        socket_, buffer_, *parser_,
        [self = shared_from_this()](error_code error, size_t) { self->on_read(error); });
  }

  void on_read(error_code error) {
    if (error) return on_read_error(error);
    if (waiting_) {
      waiting_ = false;
      deadline_ = Clock::now() + seconds(worker_.shared.options.request_timeout_s);
    }
    if (!parser_->is_done()) return read_some();
    dispatch();
  }

  void on_read_error(error_code error) {
    int status = 0;
    if (error == http::error::header_limit) {
      status = 431;
    } else if (error == http::error::body_limit) {
      status = 413;
    } else if (error.category() == make_error_code(http::error::bad_method).category() &&
               error != http::error::end_of_stream && error != http::error::partial_message) {
      status = 400;
    }
    // Anything else: the client or the sweep closed the connection.
    if (status == 0) return close();
    waiting_ = false;
    keep_alive_ = false;
    head_only_ = false;
    send(error_response(status, error.message()));
  }

  void take_request() {
    const auto& message = parser_->get();
    const auto text = [](auto view) { return std::string_view(view.data(), view.size()); };
    request_.method.assign(text(message.method_string()));
    request_.target.assign(text(message.target()));
    size_t n = 0;
    for (const auto& field : message) {
      if (n == request_.headers.size()) request_.headers.emplace_back();
      request_.headers[n].first.assign(text(field.name_string()));
      request_.headers[n].second.assign(text(field.value()));
      ++n;
    }
    request_.headers.resize(n);
    keep_alive_ = message.keep_alive() && !worker_.stopping;
    head_only_ = request_.method == "HEAD";
  }

  void dispatch() {
    take_request();
    deadline_ = Clock::time_point::max();  // a handler has its own limits
    Shared& shared = worker_.shared;
    if (request_.target.size() > shared.options.max_target_bytes) {
      return send(error_response(414, "the address is too long"));
    }
    if (auto response = shared.handlers.quick(request_)) return send(std::move(*response));
    if (shared.response_bytes.load() > shared.options.max_response_bytes) {
      return send(too_busy("too much is being sent"));
    }
    if (shared.requests.fetch_add(1) >= shared.options.max_requests) {
      shared.requests.fetch_sub(1);
      return send(too_busy("too many requests"));
    }
    asio::post(*shared.pool, [self = shared_from_this()]() mutable {
      Response response = self->answer();
      Shared& s = self->worker_.shared;
      s.requests.fetch_sub(1);
      s.response_bytes.fetch_add(self->held_ = response.body.bytes.size());
      // The reference moves along: a connection dies only on its own thread.
      auto executor = self->socket_.get_executor();
      asio::post(executor, [self = std::move(self), response = std::move(response)]() mutable {
        self->send(std::move(response));
      });
    });
  }

  /// On a handler thread; request_ is not touched elsewhere meanwhile.
  Response answer() const {
    try {
      return worker_.shared.handlers.handle(request_);
    } catch (const std::bad_alloc&) {
      return too_busy("out of memory");
    } catch (const std::exception& e) {
      return error_response(500, e.what());
    }
  }

  void send(Response response) {
    response_ = std::move(response);
    if (worker_.stopping) keep_alive_ = false;
    write_head();
    sent_ = 0;
    write_step(true);
  }

  void write_head() {
    head_.clear();
    const auto line = [this](std::string_view name, std::string_view value) {
      head_.append(name).append(": ").append(value).append("\r\n");
    };
    head_.append("HTTP/1.1 ").append(std::to_string(response_.status)).append(" ");
    head_.append(reason_phrase(response_.status)).append("\r\n");
    line("Server", "upwell");
    line("Date", worker_.date);
    if (response_.status != 304 && response_.status != 204) {
      line("Content-Length", std::to_string(response_.body.size));
    }
    if (!response_.content_type.empty()) line("Content-Type", response_.content_type);
    if (!response_.etag.empty()) head_.append("ETag: \"").append(response_.etag).append("\"\r\n");
    for (const auto& [name, value] : response_.headers) line(name, value);
    head_.append(
        "Accept-Ranges: bytes\r\n"
        "Access-Control-Allow-Origin: *\r\n"
        "Access-Control-Expose-Headers: ETag, Content-Range, Content-Length, Content-Encoding, "
        "Accept-Ranges, Retry-After\r\n"
        "X-Content-Type-Options: nosniff\r\n");
    line("Connection", keep_alive_ ? "keep-alive" : "close");
    head_.append("\r\n");
  }

  void write_step(bool first) {
    const ByteSpan body = head_only_ ? ByteSpan{} : response_.body.bytes.span();
    const size_t step = std::min(kWriteStep, body.size() - sent_);
    const std::array<asio::const_buffer, 2> buffers{
        first ? asio::buffer(head_) : asio::const_buffer{},
        asio::const_buffer(body.data() + sent_, step)};
    sent_ += step;
    deadline_ = Clock::now() + seconds(worker_.shared.options.write_timeout_s);
    asio::async_write(socket_, buffers, [self = shared_from_this()](error_code error, size_t) {
      self->on_written(error);
    });
  }

  void on_written(error_code error) {
    if (error) return close();
    if (!head_only_ && sent_ < response_.body.bytes.size()) return write_step(false);
    release_body();
    if (keep_alive_) return next_request();
    // Closing with unread input would reset the connection and lose the answer: drain for a moment.
    error_code ignored;
    socket_.shutdown(tcp::socket::shutdown_send, ignored);
    deadline_ = Clock::now() + std::chrono::seconds(2);
    drain();
  }

  void drain() {
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(4096),
                            [self = shared_from_this()](error_code error, size_t) {
                              if (error) return self->close();
                              self->drain();
                            });
  }

  void release_body() {
    worker_.shared.response_bytes.fetch_sub(std::exchange(held_, 0));
    response_ = {};
  }

  Worker& worker_;
  tcp::socket socket_;
  beast::flat_buffer buffer_{64 << 10};
  std::optional<http::request_parser<http::string_body>> parser_;
  Request request_;
  Response response_;
  std::string head_;
  size_t sent_ = 0;
  uint64_t held_ = 0;  // bytes of the body that count against max_response_bytes
  bool keep_alive_ = false;
  bool head_only_ = false;
  bool waiting_ = false;  // for the first byte of a request
  Clock::time_point deadline_ = Clock::time_point::max();
};

/// Once a second: the date, and connections that took too long. One timer instead of one a socket.
void Worker::tick() {
  date = http_date();
  const auto now = Clock::now();
  for (Connection* connection : connections) {
    connection->close_if_expired(stopping && now > stop_deadline ? Clock::time_point::max() : now);
  }
  timer.expires_after(std::chrono::seconds(1));
  timer.async_wait([this](error_code error) {
    if (!error) tick();
  });
}

void Worker::begin_stop() {
  stopping = true;
  stop_deadline = Clock::now() + seconds(shared.options.stop_timeout_s);
  for (Connection* connection : connections) connection->close_if_waiting();
  finish_if_idle();
}

void Worker::finish_if_idle() {
  if (!stopping || !connections.empty()) return;
  guard.reset();
  timer.cancel();
}

Error listen_error(const std::string& where, const error_code& error) {
  Code code = Code::kInvalidArgument;
  if (error == asio::error::address_in_use) code = Code::kUnavailable;
  if (error == asio::error::access_denied) code = Code::kPermissionDenied;
  return Error{code, "cannot listen on " + where + ": " + error.message(), {}, {}};
}

}  // namespace

struct Server::Impl {
  Shared shared;
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<tcp::acceptor> acceptor;
  std::unique_ptr<asio::signal_set> signals;
  std::unique_ptr<asio::steady_timer> retry;
  size_t next_worker = 0;
  tcp::endpoint endpoint;

  Result<> open() {
    const ServerOptions& options = shared.options;
    const std::string where = options.address + ":" + std::to_string(options.port);
    asio::io_context& context = workers[0]->context;
    error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(options.address, std::to_string(options.port),
                                        tcp::resolver::passive, error);
    if (error || found.empty()) return fail(listen_error(where, error));
    endpoint = found.begin()->endpoint();
    acceptor = std::make_unique<tcp::acceptor>(context);
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(tcp::acceptor::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (error) return fail(listen_error(where, error));
    endpoint = acceptor->local_endpoint(error);
    retry = std::make_unique<asio::steady_timer>(context);
    if (options.handle_signals) {
      signals = std::make_unique<asio::signal_set>(context, SIGINT, SIGTERM);
      signals->async_wait([this](error_code failed, int) {
        if (!failed) begin_stop();
      });
    }
    return {};
  }

  void accept() {
    Worker& worker = *workers[next_worker++ % workers.size()];
    acceptor->async_accept(worker.context, [this, &worker](error_code error, tcp::socket socket) {
      if (!acceptor->is_open()) return;
      if (error) {
        // Out of descriptors, most likely: give the others a moment to end.
        retry->expires_after(std::chrono::milliseconds(100));
        retry->async_wait([this](error_code cancelled) {
          if (!cancelled) accept();
        });
        return;
      }
      const bool refused = shared.connections.fetch_add(1) >= shared.options.max_connections;
      auto executor = socket.get_executor();
      asio::post(executor, [&worker, refused, s = std::move(socket)]() mutable {
        auto connection = std::make_shared<Connection>(worker, std::move(s));
        refused ? connection->refuse() : connection->start();
      });
      accept();
    });
  }

  /// On the first worker's thread.
  void begin_stop() {
    error_code ignored;
    acceptor->close(ignored);
    retry->cancel();
    // Without the set, signals have their default meaning again: a second Ctrl-C kills.
    signals.reset();
    for (auto& worker : workers) {
      asio::post(worker->context, [w = worker.get()] { w->begin_stop(); });
    }
  }
};

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;

Result<std::unique_ptr<Server>> Server::listen(const ServerOptions& options, Handlers handlers) {
  auto impl = std::make_unique<Impl>();
  impl->shared.options = options;
  impl->shared.handlers = std::move(handlers);
  const size_t cores = core_count();
  const size_t io = options.io_threads != 0 ? options.io_threads : std::max<size_t>(1, cores / 2);
  for (size_t i = 0; i < io; ++i) impl->workers.push_back(std::make_unique<Worker>(impl->shared));
  try {
    UPWELL_CHECK(impl->open());
  } catch (const std::exception& e) {
    return fail(Code::kInternal, std::string("cannot listen: ") + e.what());
  }
  return std::unique_ptr<Server>(new Server(std::move(impl)));
}

uint16_t Server::port() const { return impl_->endpoint.port(); }

std::string Server::url() const {
  std::string host = impl_->endpoint.address().to_string();
  if (impl_->endpoint.address().is_v6()) host = "[" + host + "]";
  return "http://" + host + ":" + std::to_string(port()) + "/";
}

void Server::run() {
  const size_t set = impl_->shared.options.handler_threads;
  const size_t threads = set != 0 ? set : std::max<size_t>(4, 2 * core_count());
  impl_->shared.pool = std::make_unique<asio::thread_pool>(threads);
  impl_->accept();
  for (auto& worker : impl_->workers) worker->tick();
  std::vector<std::thread> helpers;
  for (size_t i = 1; i < impl_->workers.size(); ++i) {
    helpers.emplace_back([worker = impl_->workers[i].get()] { worker->context.run(); });
  }
  impl_->workers[0]->context.run();
  for (std::thread& thread : helpers) thread.join();
  impl_->shared.pool->join();
}

void Server::stop() {
  asio::post(impl_->workers[0]->context, [impl = impl_.get()] { impl->begin_stop(); });
}

}  // namespace upwell::serve
