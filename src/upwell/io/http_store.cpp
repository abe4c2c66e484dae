#include "io/http_store.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <random>

#include "io/http_engine.hpp"
#include "io/http_message.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// Bodies of error answers are read so far, to keep the connection.
constexpr uint64_t kErrorBody = 64 << 10;
/// Of an answer to a call.
constexpr uint64_t kCallBody = 64 << 20;
/// How often a dialect may ask for the same again at once.
constexpr int kMaxAgain = 3;

/// Counts the unfinished jobs of one call.
class Countdown {
 public:
  explicit Countdown(size_t n) : left_(n) {}
  void one_done() {
    std::lock_guard lock(mutex_);
    if (--left_ == 0) all_done_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    all_done_.wait(lock, [&] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_done_;
  size_t left_;
};

enum class Ask { kRange, kHead, kProbe, kCall };

/// One range or one stat, over all its attempts. Owned by the caller, who waits for it.
struct HttpJob {
  Ask ask = Ask::kRange;
  std::string url;
  std::string current;  // after redirects
  Range range;
  ReachPtr reach;
  int attempt = 1;
  int redirects = 0;
  int again = 0;
  const HttpRequest* call = nullptr;  // of kCall
  HttpRequest sent;                   // of a dialect, without its body
  HttpAnswer answer;                  // of kCall
  Countdown* countdown = nullptr;
  bool past_end = false;  // 416 without the object's size
  SharedBytes bytes;
  ObjectInfo info;
  std::optional<Error> error;

  bool ranged() const {
    return ask == Ask::kProbe ||
           (ask == Ask::kRange && (range.offset > 0 || range.length != kToEnd));
  }
  std::string range_header() const {
    if (ask == Ask::kProbe) return "0-0";
    if (!ranged()) return {};
    std::string last =
        range.length == kToEnd ? std::string() : std::to_string(range.offset + range.length - 1);
    return std::to_string(range.offset) + "-" + last;
  }
  Error failed(Code code, const std::string& what) const {
    std::string text = shown_url(url);
    if (ask == Ask::kRange && ranged()) text += " (bytes " + range_header() + ")";
    text += ": " + what;
    if (attempt > 1) text += ", after " + std::to_string(attempt) + " attempts";
    return Error{code, std::move(text), {}, {}};
  }
};

/// What follows a response.
struct Verdict {
  enum Next { kDone, kRetry, kRedirect, kProbe, kAgain } next = kDone;
  std::optional<double> retry_after;
};

}  // namespace

struct HttpStore::Impl {
  HttpOptions options;
  FirstSeen first_seen;
  std::atomic<uint64_t> requests{0}, retries{0}, bytes{0};
  std::mt19937_64 random{std::random_device{}()};  // of the engine's thread
  std::unique_ptr<HttpEngine> engine;              // last: its thread uses the others

  void run(std::span<HttpJob> jobs);
  /// Null, and job.error, when the dialect cannot make it.
  std::unique_ptr<Exchange> exchange_for(HttpJob& job, double delay_s);
  bool prepare(HttpJob& job, Exchange& exchange);
  /// False, and job.error, when the URL lies beyond its reach.
  bool set_reach(HttpJob& job, Exchange& exchange) const;
  std::optional<uint64_t> body_limit(const HttpJob& job, const ResponseHead& head) const;
  void on_response(HttpJob& job, Response response);

  Verdict judge(HttpJob& job, Response& r);
  std::optional<Verdict> explain(HttpJob& job, const Response& r);
  Verdict judge_call(HttpJob& job, Response& r);
  Verdict judge_stat(HttpJob& job, const Response& r);
  Verdict judge_range(HttpJob& job, Response& r);
  Verdict judge_partial(HttpJob& job, Response& r);
  Verdict judge_whole(HttpJob& job, Response& r);
  bool redirect(HttpJob& job, const std::string& target);
  bool retry_later(HttpJob& job, std::optional<double> retry_after, double& delay_s);
  bool same_object(HttpJob& job, const ResponseHead& head, std::optional<uint64_t> size);
};

namespace {

Verdict done_with(HttpJob& job, Code code, const std::string& what) {
  job.error = job.failed(code, what);
  return {};
}

Verdict retry_with(HttpJob& job, Code code, const std::string& what,
                   std::optional<double> retry_after = {}) {
  job.error = job.failed(code, what);
  job.error->retry_after_s = retry_after;
  return {Verdict::kRetry, retry_after};
}

std::string short_body(size_t have, uint64_t want) {
  return "short body: " + std::to_string(have) + " of " + std::to_string(want) + " bytes";
}

}  // namespace

void HttpStore::Impl::run(std::span<HttpJob> jobs) {
  if (jobs.empty()) return;
  Countdown countdown(jobs.size());
  std::vector<std::unique_ptr<Exchange>> exchanges;
  exchanges.reserve(jobs.size());
  for (HttpJob& job : jobs) {
    job.current = job.url;
    job.countdown = &countdown;
    if (auto exchange = exchange_for(job, 0)) {
      exchanges.push_back(std::move(exchange));
    } else {
      countdown.one_done();
    }
  }
  engine->submit(std::move(exchanges));
  countdown.wait();
}

std::unique_ptr<Exchange> HttpStore::Impl::exchange_for(HttpJob& job, double delay_s) {
  ++requests;
  auto e = std::make_unique<Exchange>();
  e->url = job.current;
  e->method = job.ask == Ask::kHead ? "HEAD" : "GET";
  e->range = job.range_header();
  if ((options.dialect || job.call != nullptr) && !prepare(job, *e)) return nullptr;
  if (!options.dialect && !set_reach(job, *e)) return nullptr;
  if (options.authorize) e->authorization = options.authorize(origin_of(job.current));
  if (delay_s > 0) {
    e->not_before = EngineClock::now() + std::chrono::duration_cast<EngineClock::duration>(
                                             std::chrono::duration<double>(delay_s));
  }
  e->body_limit = [this, &job](const ResponseHead& head) { return body_limit(job, head); };
  e->done = [this, &job](Response response) { on_response(job, std::move(response)); };
  return e;
}

bool HttpStore::Impl::set_reach(HttpJob& job, Exchange& exchange) const {
  exchange.reach = job.reach;
  const bool led = job.redirects > 0 && host_of(job.current) != host_of(job.url);
  if (!exchange.reach && led) exchange.reach = options.redirects;
  if (!exchange.reach) return true;
  // The engine sees addresses, but not behind a proxy.
  auto allowed = exchange.reach->check_url(job.current);
  if (!allowed) done_with(job, Code::kPermissionDenied, allowed.error().message);
  return allowed.has_value();
}

bool HttpStore::Impl::prepare(HttpJob& job, Exchange& exchange) {
  HttpRequest request;
  if (job.call != nullptr) {
    request = *job.call;
  } else {
    request.method = exchange.method;
    request.url = job.url;
  }
  request.asked_url = job.url;
  if (options.dialect) {
    if (auto ready = options.dialect->prepare(request); !ready) {
      job.error = std::move(ready).error();
      return false;
    }
    job.current = request.url;
  }
  exchange.url = job.current;
  exchange.exact_path = options.dialect != nullptr;
  exchange.method = request.method;
  for (const auto& [name, value] : request.headers) {
    exchange.headers.push_back(name + ": " + value);
  }
  exchange.body = std::exchange(request.body, {});
  job.sent = std::move(request);
  return true;
}

std::optional<uint64_t> HttpStore::Impl::body_limit(const HttpJob& job,
                                                    const ResponseHead& head) const {
  if (head.status < 200 || head.status >= 300) return kErrorBody;
  if (job.ask == Ask::kHead) return 0;
  if (job.ask == Ask::kCall) return kCallBody;
  if (is_encoded(head) || (!options.dialect && is_stray_page(head, job.current))) return {};
  if (head.status == 206) {
    auto range = parse_content_range(head.content_range);
    if (!range || !range->first || !job.ranged()) return {};
    uint64_t length = range->last - *range->first + 1;
    uint64_t asked = job.ask == Ask::kProbe ? 1 : job.range.length;
    if (asked != kToEnd && length > asked) return {};
    if (length > options.max_body) return {};
    return length;
  }
  if (job.ask == Ask::kProbe && head.content_length) return {};
  uint64_t limit = job.ranged() ? options.max_unranged_body : options.max_body;
  if (head.content_length.value_or(0) > limit) return {};
  return limit;
}

void HttpStore::Impl::on_response(HttpJob& job, Response response) {
  bytes += response.body.size();
  job.error.reset();
  Verdict verdict = judge(job, response);
  double delay_s = 0;
  bool again = false;
  if (verdict.next == Verdict::kRedirect) {
    again = redirect(job, response.redirect_url);
  } else if (verdict.next == Verdict::kProbe) {
    job.ask = Ask::kProbe;
    job.current = job.url;
    job.redirects = 0;
    again = true;
  } else if (verdict.next == Verdict::kAgain) {
    again = ++job.again <= kMaxAgain;
  } else if (verdict.next == Verdict::kRetry) {
    again = retry_later(job, verdict.retry_after, delay_s);
  }
  if (!again) return job.countdown->one_done();
  std::vector<std::unique_ptr<Exchange>> next;
  next.push_back(exchange_for(job, delay_s));
  if (!next.front()) return job.countdown->one_done();
  engine->submit(std::move(next));
}

bool HttpStore::Impl::redirect(HttpJob& job, const std::string& target) {
  std::string scheme = scheme_of(target);
  if (++job.redirects > options.max_redirects) {
    job.error = job.failed(Code::kInvalidData, "redirected more than " +
                                                   std::to_string(options.max_redirects) +
                                                   " times, last to " + shown_url(target));
    return false;
  }
  bool downgrade = scheme == "http" && scheme_of(job.current) == "https";
  if ((scheme != "http" && scheme != "https") || downgrade) {
    job.error = job.failed(Code::kUnsupported, "redirected to " + shown_url(target) +
                                                   ", which is not followed: only https, or http "
                                                   "from http");
    return false;
  }
  job.current = target;
  return true;
}

bool HttpStore::Impl::retry_later(HttpJob& job, std::optional<double> retry_after,
                                  double& delay_s) {
  if (job.attempt >= options.attempts) return false;
  if (retry_after.value_or(0) > options.max_retry_after_s) return false;
  // Full jitter: many readers that failed together must not come back together.
  double ceiling =
      std::min(options.backoff_max_s, options.backoff_base_s * std::pow(2.0, job.attempt - 1));
  delay_s = std::uniform_real_distribution<double>(0, ceiling)(random);
  if (retry_after) {
    // The server speaks for itself, not for one object.
    auto pause = std::chrono::duration<double>(*retry_after);
    engine->pause_host(
        job.current, EngineClock::now() + std::chrono::duration_cast<EngineClock::duration>(pause));
    delay_s = *retry_after + std::min(delay_s, options.backoff_base_s);
  }
  ++job.attempt;
  ++retries;
  job.current = job.url;
  job.redirects = 0;
  return true;
}

bool HttpStore::Impl::same_object(HttpJob& job, const ResponseHead& head,
                                  std::optional<uint64_t> size) {
  job.info = object_info(head, size);
  auto same = first_seen.check(job.url, job.info, size.has_value());
  if (!same) job.error = std::move(same.error());
  return same.has_value();
}

Verdict HttpStore::Impl::judge(HttpJob& job, Response& r) {
  using End = Response::End;
  const bool has_answer = r.head.status >= 300;
  switch (r.end) {
    case End::kCancelled:
      return done_with(job, Code::kCancelled, "cancelled");
    case End::kMalformed:
      return done_with(job, Code::kInvalidArgument, "not a URL that can be read: " + r.detail);
    case End::kUntrusted:
      return done_with(job, Code::kPermissionDenied, "the server is not trusted: " + r.detail);
    case End::kRefused:
      return done_with(job, Code::kPermissionDenied, r.detail);
    case End::kTimedOut:
      return retry_with(job, Code::kDeadlineExceeded, "timed out: " + r.detail);
    case End::kTransient:
      if (!has_answer) return retry_with(job, Code::kUnavailable, r.detail);
      break;
    case End::kFailed:
      if (!has_answer) return done_with(job, Code::kUnavailable, r.detail);
      break;
    default:
      break;
  }
  const int status = r.head.status;
  if (auto verdict = explain(job, r)) return *verdict;
  if (is_redirect_status(status) && !r.redirect_url.empty()) return {Verdict::kRedirect, {}};
  if (is_transient_status(status)) {
    return retry_with(job, Code::kUnavailable, status_text(status),
                      parse_retry_after(r.head.retry_after, std::time(nullptr)));
  }
  if (job.ask == Ask::kCall) return judge_call(job, r);
  return job.ask == Ask::kRange ? judge_range(job, r) : judge_stat(job, r);
}

std::optional<Verdict> HttpStore::Impl::explain(HttpJob& job, const Response& r) {
  const int status = r.head.status;
  const bool success = status >= 200 && status < 300;
  if (!options.dialect || (success && job.ask != Ask::kCall)) return {};
  auto meaning = options.dialect->explain(job.sent, r.head, r.body);
  if (!meaning) return {};
  switch (meaning->next) {
    case HttpMeaning::Next::kAgain:
      job.error = job.failed(meaning->code, meaning->what);
      return Verdict{Verdict::kAgain, {}};
    case HttpMeaning::Next::kRetry:
      return retry_with(job, meaning->code, meaning->what,
                        parse_retry_after(r.head.retry_after, std::time(nullptr)));
    default:
      return done_with(job, meaning->code, meaning->what);
  }
}

Verdict HttpStore::Impl::judge_call(HttpJob& job, Response& r) {
  const ResponseHead& head = r.head;
  if (head.status < 200 || head.status >= 300)
    return done_with(job, code_of_status(head.status), status_text(head.status));
  if (r.end == Response::End::kTooLong)
    return done_with(job, Code::kResourceExhausted, "the answer is too long");
  if (head.content_length && *head.content_length != r.body.size())
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), *head.content_length));
  job.answer.head = head;
  job.answer.body = std::move(r.body);
  return {};
}

namespace {

/// Errors that do not depend on what was asked; nothing when the answer may be data.
std::optional<Error> refuse(const HttpJob& job, const ResponseHead& head, bool pages_are_data) {
  if (head.status != 200 && head.status != 206) {
    return job.failed(code_of_status(head.status), status_text(head.status));
  }
  if (is_encoded(head)) {
    return job.failed(Code::kUnsupported, "the server sent it with Content-Encoding " +
                                              head.content_encoding.substr(0, 40) +
                                              ", though identity was asked");
  }
  if (pages_are_data || !is_stray_page(head, job.current)) return {};
  if (origin_of(job.current) != origin_of(job.url)) {
    return job.failed(Code::kUnauthenticated, "redirected to an HTML page of " +
                                                  origin_of(job.current) +
                                                  " instead of data: a login may be needed");
  }
  return job.failed(Code::kInvalidData, "the server sent an HTML page instead of data");
}

}  // namespace

Verdict HttpStore::Impl::judge_stat(HttpJob& job, const Response& r) {
  const ResponseHead& head = r.head;
  if (job.ask == Ask::kHead) {
    // 403 too: URLs signed for GET refuse HEAD so.
    bool refused =
        head.status >= 400 && head.status != 401 && head.status != 404 && head.status != 410;
    if (refused || (head.status == 200 && !head.content_length)) return {Verdict::kProbe, {}};
  }
  std::optional<uint64_t> size;
  auto range = parse_content_range(head.content_range);
  if (head.status == 416 && range && range->size == 0u) {
    size = 0;
  } else {
    job.error = refuse(job, head, options.dialect != nullptr);
    if (job.error) return {};
    if (head.status == 206) {
      size = range ? range->size : std::nullopt;
    } else if (head.content_length) {
      size = head.content_length;
    } else if (r.end == Response::End::kOk) {
      size = r.body.size();
    }
  }
  if (!size) return done_with(job, Code::kUnsupported, "the server does not tell its length");
  same_object(job, head, size);
  return {};
}

Verdict HttpStore::Impl::judge_range(HttpJob& job, Response& r) {
  const ResponseHead& head = r.head;
  if (head.status == 416) {
    auto range = parse_content_range(head.content_range);
    job.past_end = !range || !range->size;
    if (job.past_end) return done_with(job, Code::kInvalidData, status_text(416));
    if (!same_object(job, head, range->size)) return {};
    auto checked = checked_range(job.url, job.range, *range->size);
    if (!checked) job.error = std::move(checked.error());
    if (checked && checked->length > 0) {
      return done_with(
          job, Code::kInvalidData,
          status_text(416) + ", though the object has " + std::to_string(*range->size) + " bytes");
    }
    return {};
  }
  job.error = refuse(job, head, options.dialect != nullptr);
  if (job.error) return {};
  return head.status == 206 ? judge_partial(job, r) : judge_whole(job, r);
}

Verdict HttpStore::Impl::judge_partial(HttpJob& job, Response& r) {
  auto got = parse_content_range(r.head.content_range);
  const Range& asked = job.range;
  bool to_end = asked.length == kToEnd;
  if (!job.ranged()) return done_with(job, Code::kInvalidData, "HTTP 206, though all was asked");
  uint64_t length = got && got->first ? got->last - *got->first + 1 : 0;
  bool right_start = got && got->first && *got->first == asked.offset;
  bool right_end =
      to_end ? !got || !got->size || got->last == *got->size - 1 : length == asked.length;
  if (right_start && !right_end && got->size && length < asked.length &&
      got->last + 1 == *got->size) {
    if (!same_object(job, r.head, got->size)) return {};
    job.error = checked_range(job.url, asked, *got->size).error();
    return {};
  }
  if (!right_start || !right_end) {
    return done_with(job, Code::kInvalidData,
                     "wrong Content-Range \"" + r.head.content_range.substr(0, 80) + "\"");
  }
  if (!same_object(job, r.head, got->size)) return {};
  if (r.end == Response::End::kUnwanted || r.end == Response::End::kTooLong) {
    if (length > options.max_body) {
      return done_with(job, Code::kResourceExhausted,
                       std::to_string(length) + " bytes are more than a response may have");
    }
    return done_with(job, Code::kInvalidData, "more bytes than its Content-Range says");
  }
  if (r.body.size() != length) {
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), length));
  }
  job.bytes = SharedBytes(std::move(r.body));
  return {};
}

Verdict HttpStore::Impl::judge_whole(HttpJob& job, Response& r) {
  std::string length = r.head.content_length ? std::to_string(*r.head.content_length) : "unknown";
  if (r.end == Response::End::kUnwanted || r.end == Response::End::kTooLong) {
    if (job.ranged()) {
      return done_with(job, Code::kUnsupported,
                       "the server ignores Range requests, and the whole object (" + length +
                           " bytes) is too large to read for a part of it");
    }
    return done_with(job, Code::kResourceExhausted,
                     length + " bytes are more than a response may have");
  }
  if (r.head.content_length && *r.head.content_length != r.body.size()) {
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), *r.head.content_length));
  }
  if (!same_object(job, r.head, r.body.size())) return {};
  auto range = checked_range(job.url, job.range, r.body.size());
  if (!range) {
    job.error = std::move(range).error();
    return {};
  }
  SharedBytes whole(std::move(r.body));
  job.bytes = whole.slice(range->offset, range->length);
  // A small slice must not keep a large body alive.
  if (range->length < whole.size() / 2) job.bytes = SharedBytes(to_bytes(job.bytes.span()));
  return {};
}

HttpStore::HttpStore(HttpOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  const HttpOptions& o = impl_->options;
  impl_->engine =
      std::make_unique<HttpEngine>(EngineOptions{.connect_timeout_s = o.connect_timeout_s,
                                                 .stall_timeout_s = o.stall_timeout_s,
                                                 .parallelism_per_host = o.parallelism_per_host,
                                                 .ca_file = o.ca_file,
                                                 .user_agent = "upwell"});
}
HttpStore::~HttpStore() = default;

StoreTraits HttpStore::traits() const {
  // A far server behind a good line. With a near one, merging less than this costs little.
  return {.coalesce_gap = 256 << 10,
          .latency_s = 0.03,
          .bytes_per_s = 50e6,
          .max_request = 8 << 20,
          .parallelism = impl_->options.parallelism_per_host,
          .worth_caching = true};
}

Result<ObjectInfo> HttpStore::stat(const std::string& url, const ReachPtr& reach) {
  HttpJob job;
  job.reach = reach;
  job.ask = Ask::kHead;
  job.url = url;
  impl_->run({&job, 1});
  if (job.error) return fail(std::move(*job.error));
  return job.info;
}

std::vector<Result<SharedBytes>> HttpStore::read(std::span<const ReadRequest> requests) {
  std::vector<Result<SharedBytes>> results(requests.size());
  std::vector<HttpJob> jobs;
  std::vector<size_t> answers;
  jobs.reserve(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    const Range& range = requests[i].range;
    if (range.length != kToEnd && range.length > kToEnd - 1 - range.offset) {
      results[i] = fail(checked_range(requests[i].url, range, 0).error());
      continue;
    }
    HttpJob job;
    job.url = requests[i].url;
    job.range = range;
    job.reach = requests[i].reach;
    // HTTP cannot ask for no bytes; HEAD tells whether the object is there.
    if (range.length == 0) job.ask = Ask::kHead;
    jobs.push_back(std::move(job));
    answers.push_back(i);
  }
  impl_->run(jobs);
  for (size_t j = 0; j < jobs.size(); ++j) {
    HttpJob& job = jobs[j];
    Result<SharedBytes>& result = results[answers[j]];
    bool empty = job.range.length == 0;
    if (job.past_end && job.range.length == kToEnd) {
      if (auto info = stat(job.url, job.reach)) {
        job.info = *info;
        job.error.reset();
        empty = true;
      } else {
        job.error = info.error();
      }
    }
    if (job.error) {
      result = fail(std::move(*job.error));
    } else if (empty) {
      auto range = checked_range(job.url, job.range, job.info.size);
      if (!range) {
        result = fail(std::move(range).error());
      } else if (range->length > 0) {
        result = fail(Code::kInvalidData, shown_url(job.url) + ": " + status_text(416));
      }
    } else {
      result = std::move(job.bytes);
    }
  }
  return results;
}

std::vector<HttpAnswer> HttpStore::call(const std::vector<HttpRequest>& requests) {
  std::vector<HttpJob> jobs(requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    jobs[i].ask = Ask::kCall;
    jobs[i].url = requests[i].url;
    jobs[i].call = &requests[i];
  }
  impl_->run(jobs);
  std::vector<HttpAnswer> answers;
  answers.reserve(jobs.size());
  for (HttpJob& job : jobs) {
    job.answer.attempts = job.attempt;
    job.answer.error = std::move(job.error);
    answers.push_back(std::move(job.answer));
  }
  return answers;
}

Result<std::vector<std::string>> HttpStore::list(const std::string& prefix) {
  return fail(Code::kUnsupported, shown_url(prefix) + ": HTTP cannot list; name the objects");
}

std::optional<ObjectInfo> HttpStore::known(const std::string& url) const {
  return impl_->first_seen.find(url);
}
void HttpStore::expect(const std::string& url, const ObjectInfo& state) {
  impl_->first_seen.expect(url, state);
}

void HttpStore::forget(const std::string& url) { impl_->first_seen.forget(url); }

std::optional<Traffic> HttpStore::traffic() const {
  return Traffic{.requests = impl_->requests, .retries = impl_->retries, .bytes = impl_->bytes};
}

}  // namespace upwell::io
