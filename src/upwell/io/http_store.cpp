#include "io/http_store.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <random>

#include "io/http_engine.hpp"
#include "io/http_job.hpp"
#include "io/http_message.hpp"
#include "io/line_cost.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// How often a dialect may ask for the same again at once.
constexpr int kMaxAgain = 3;
/// Connections that are opened while the first answer of an object is under way: the second step of
/// a walk goes to a dozen places, and the chunks of a selection come in parts.
constexpr size_t kFirstSpares = 23;
/// What is shorter is taken for metadata, of which each step leads to more.
constexpr uint64_t kMetadataBytes = 16 << 10;

}  // namespace

struct HttpStore::Impl {
  HttpOptions options;
  FirstSeen first_seen;
  LineBook lines;
  std::atomic<uint64_t> requests{0}, retries{0}, bytes{0};
  std::mt19937_64 random{std::random_device{}()};  // of the engine's thread
  std::unique_ptr<HttpEngine> engine;              // last: its thread uses the others

  StoreTraits usual_line() const {
    return {.coalesce_gap = 1 << 20,
            .latency_s = 0.03,
            .round_trip_s = 0.03,
            .bytes_per_s = 50e6,
            .max_request = 8 << 20,
            .parallelism = options.parallelism_per_host,
            .ready = std::min(kFirstSpares + 1, options.parallelism_per_host),
            .worth_caching = true};
  }
  void learn(HttpJob& job, const Response& response);
  void run(std::span<HttpJob> jobs);
  /// Null, and job.error, when the dialect cannot make it.
  std::unique_ptr<Exchange> exchange_for(HttpJob& job, double delay_s);
  bool prepare(HttpJob& job, Exchange& exchange);
  /// False, and job.error, when the URL lies beyond its reach.
  bool set_reach(HttpJob& job, Exchange& exchange) const;
  void on_response(HttpJob& job, Response response);
  bool redirect(HttpJob& job, const std::string& target);
  bool retry_later(HttpJob& job, std::optional<double> retry_after, double& delay_s);
};

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
  e->spares = job.spares;
  if ((options.dialect || job.call != nullptr) && !prepare(job, *e)) return nullptr;
  if (!options.dialect && !set_reach(job, *e)) return nullptr;
  if (options.authorize) e->authorization = options.authorize(origin_of(job.current));
  if (delay_s > 0) {
    e->not_before = EngineClock::now() + std::chrono::duration_cast<EngineClock::duration>(
                                             std::chrono::duration<double>(delay_s));
  }
  e->body_limit = [this, &job](const ResponseHead& head) { return body_limit(job, head, options); };
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

void HttpStore::Impl::on_response(HttpJob& job, Response response) {
  bytes += response.body.size();
  learn(job, response);
  job.error.reset();
  Verdict verdict = judge(job, response, options, first_seen);
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

/// The way to an object includes what redirects.
void HttpStore::Impl::learn(HttpJob& job, const Response& response) {
  if (response.end != Response::End::kOk) return;
  job.line.first_byte_s += response.line.first_byte_s;
  job.line.handshake_s = response.line.handshake_s;
  const int status = response.head.status;
  if (status < 200 || status >= 300 || job.ask == Ask::kCall || job.attempt > 1) return;
  job.line.body_s = response.line.body_s;
  job.line.bytes = response.body.size();
  job.line.arrived = response.line.arrived;
  lines.add(origin_of(job.url), usual_line(), job.line);
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

StoreTraits HttpStore::traits() const { return impl_->usual_line(); }

StoreTraits HttpStore::traits_for(const std::string& url) const {
  return impl_->lines.traits(origin_of(url), traits());
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

Result<Front> HttpStore::front(const std::string& url, uint64_t length, const ReachPtr& reach) {
  HttpJob job;
  job.ask = Ask::kFront;
  job.url = url;
  job.range = {0, std::max<uint64_t>(length, 1)};
  job.reach = reach;
  job.spares = kFirstSpares;
  impl_->run({&job, 1});
  if (job.error && !job.past_end) return fail(std::move(*job.error));
  if (!job.past_end && job.size_known) return Front{std::move(job.info), std::move(job.bytes)};
  // A server that does not tell the length with a range tells it with HEAD, if ever.
  UPWELL_TRY(ObjectInfo info, stat(url, reach));
  if (job.past_end && info.size > 0) return fail(std::move(*job.error));
  return Front{std::move(info), std::move(job.bytes)};
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
  const bool metadata = std::all_of(jobs.begin(), jobs.end(), [](const HttpJob& job) {
    return job.range.length <= kMetadataBytes;
  });
  if (metadata && jobs.size() > 1) {
    // A tree widens, and the handshakes pass while this step is under way.
    for (HttpJob& job : jobs) job.spares = 2 * jobs.size();
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
