#include "io/http_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <ctime>
#include <map>
#include <new>
#include <random>
#include <utility>

#include "io/http_budget.hpp"
#include "io/http_engine.hpp"
#include "io/http_job.hpp"
#include "io/http_message.hpp"
#include "io/kept_redirects.hpp"
#include "io/line_cost.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// How often a dialect may ask for the same again at once.
constexpr int kMaxAgain = 3;
/// How often refused requests are sent again with other credentials: those that others have got in
/// the meantime, a newer token, then a cookie.
constexpr int kMaxLogins = 3;
/// Connections that are opened while the first answers of an object are under way: the next step of
/// a walk goes to a dozen places, and the chunks of a selection come in parts.
constexpr size_t kFirstSpares = 23;
/// So long nobody is told why nothing happens.
constexpr std::chrono::seconds kPatience{10};
/// What is shorter is taken for metadata, of which each step leads to more.
constexpr uint64_t kMetadataBytes = 16 << 10;

}  // namespace

struct HttpStore::Impl {
  HttpOptions options;
  FirstSeen first_seen;
  LineBook lines;
  KeptRedirects kept_redirects;
  std::atomic<uint64_t> requests{0}, retries{0}, bytes{0}, head_bytes{0}, sent_bytes{0};
  std::atomic<size_t> under_way{0};                // jobs of all readers
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
  /// Until all are done, those that need other credentials with these.
  void run(std::span<HttpJob> jobs);
  void run_all(std::span<HttpJob* const> jobs);
  void prepare_login(const HttpJob& job);
  std::vector<HttpJob*> renew_logins(std::span<HttpJob* const> jobs);
  /// Sends those that can be sent, parks those that wait for a redirect, and ends the others.
  void start(std::span<HttpJob* const> jobs, double delay_s = 0);
  bool has_to_wait(HttpJob& job);
  /// Null, and job.error, when the dialect cannot make it, or the budget does not hold it.
  std::unique_ptr<Exchange> exchange_for(HttpJob& job, double delay_s);
  std::unique_ptr<Exchange> make_exchange(HttpJob& job, double delay_s);
  void release_followers(HttpJob& job);
  void end(HttpJob& job);
  bool prepare(HttpJob& job, Exchange& exchange);
  /// False, and job.error, when the URL lies beyond its reach.
  bool set_reach(HttpJob& job, Exchange& exchange) const;
  void on_response(HttpJob& job, Response response);
  bool redirect(HttpJob& job, const Response& response);
  bool keep(HttpJob& job, const Response& response);
  bool no_longer_there(HttpJob& job, int status);
  void say_again(const HttpJob& job, double retry_after) const;
  bool retry_later(HttpJob& job, std::optional<double> retry_after, double& delay_s);
  void account(HttpJob& job, const Response& response);
};

void HttpStore::Impl::run(std::span<HttpJob> jobs) {
  std::vector<HttpJob*> todo;
  for (HttpJob& job : jobs) todo.push_back(&job);
  if (!options.login) return run_all(todo);
  std::string last;
  for (const HttpJob& job : jobs) {
    if (const std::string origin = origin_of(job.url); origin != last) {
      if (options.login->covers(job.url)) prepare_login(job);
      last = origin;
    }
  }
  run_all(todo);
  for (int k = 0; k < kMaxLogins; ++k) {
    todo = renew_logins(todo);
    run_all(todo);
  }
}

/// The server's handshake passes while the login's server is asked.
void HttpStore::Impl::prepare_login(const HttpJob& job) {
  if (!options.login->is_prepared(job.url) && (!job.reach || job.reach->check_url(job.url))) {
    std::vector<std::unique_ptr<Exchange>> exchanges;
    exchanges.push_back(std::make_unique<Exchange>());
    exchanges.back()->url = job.url;
    exchanges.back()->reach = job.reach;
    exchanges.back()->handshake = true;
    engine->submit(std::move(exchanges));
  }
  options.login->prepare(job.url);
}

/// Those of the jobs for which there are other credentials than those that were refused.
std::vector<HttpJob*> HttpStore::Impl::renew_logins(std::span<HttpJob* const> jobs) {
  std::vector<HttpJob*> again;
  std::map<std::pair<std::string, std::vector<std::string>>, Result<>> renewed;
  for (HttpJob* job : jobs) {
    if (!job->error || !job->login_may_help) continue;
    const auto [it, first] = renewed.try_emplace({origin_of(job->current), job->login_headers});
    if (first) it->second = options.login->renew(job->current, job->login_headers);
    if (it->second) {
      again.push_back(job);
    } else {
      job->error = job->failed(it->second.error().code, it->second.error().message);
    }
  }
  return again;
}

void HttpStore::Impl::run_all(std::span<HttpJob* const> jobs) {
  if (jobs.empty()) return;
  Countdown countdown(jobs.size());
  for (HttpJob* job : jobs) {
    job->countdown = &countdown;
    job->begin_anew();
  }
  under_way += jobs.size();
  start(jobs);
  if (options.say && !countdown.wait_for(kPatience))
    options.say(fmt::format("waiting for {}, which has not answered for {} s",
                            host_of(jobs[0]->url), kPatience.count()));
  countdown.wait();
  under_way -= jobs.size();
}

void HttpStore::Impl::start(std::span<HttpJob* const> jobs, double delay_s) {
  std::vector<std::unique_ptr<Exchange>> exchanges;
  std::vector<HttpJob*> ended;
  for (HttpJob* job : jobs) {
    if (has_to_wait(*job)) continue;
    if (auto exchange = exchange_for(*job, delay_s)) {
      exchanges.push_back(std::move(exchange));
    } else {
      ended.push_back(job);
    }
  }
  engine->submit(std::move(exchanges));
  // Last: whoever waits for a job may be gone once it has ended.
  for (HttpJob* job : ended) end(*job);
}

/// Whether another job is on the way to find out where this one's object lies. If that is known, it
/// goes there at once.
bool HttpStore::Impl::has_to_wait(HttpJob& job) {
  if (options.dialect || job.led() || job.ask == Ask::kCall || job.ask == Ask::kHead) return false;
  const bool covered = options.login && options.login->covers(job.url);
  const bool expected = kept_redirects.expects_redirect(origin_of(job.url), covered);
  switch (kept_redirects.turn(job, expected && !job.has_waited, job.current)) {
    case KeptRedirects::Turn::kWait:
      return true;
    case KeptRedirects::Turn::kLead:
      job.leads = true;
      return false;
    case KeptRedirects::Turn::kFollow:
      job.kept = true;
      return false;
    default:
      return false;
  }
}

/// What followed the leader goes where it was led, or fails as it did.
void HttpStore::Impl::release_followers(HttpJob& job) {
  if (!job.leads) return;
  job.leads = false;
  // A range past the end says nothing about other ranges, nor another reach about this one.
  const bool fails = job.error && job.error->code != Code::kInvalidData;
  std::vector<HttpJob*> going;
  for (HttpJob* follower : kept_redirects.release(job.url)) {
    follower->has_waited = true;
    if (!fails || follower->reach != job.reach) {
      going.push_back(follower);
      continue;
    }
    follower->error = job.error;
    follower->login_headers = job.login_headers;
    follower->login_may_help = job.login_may_help;
    follower->countdown->one_done();
  }
  start(going);
}

void HttpStore::Impl::end(HttpJob& job) {
  release_followers(job);
  if (job.arrived != nullptr && !job.error && !job.past_end) {
    try {
      (*job.arrived)(job.asked, job.bytes);
    } catch (const std::bad_alloc&) {  // what is not told is returned all the same
    }
  }
  job.countdown->one_done();
}

std::unique_ptr<Exchange> HttpStore::Impl::exchange_for(HttpJob& job, double delay_s) {
  const uint64_t size = options.budget ? first_seen.find(job.url).value_or(ObjectInfo{}).size : 0;
  if (!set_aside(job, options.budget.get(), size)) return nullptr;
  auto exchange = make_exchange(job, delay_s);
  if (!exchange) give_back(job, options.budget.get());
  return exchange;
}

std::unique_ptr<Exchange> HttpStore::Impl::make_exchange(HttpJob& job, double delay_s) {
  ++requests;
  auto e = std::make_unique<Exchange>();
  e->url = job.current;
  e->method = job.ask == Ask::kHead ? "HEAD" : "GET";
  e->range = job.range_header();
  // The ranges go to where the redirect leads.
  e->spares = job.leads ? 0 : job.spares;
  if ((options.dialect || job.call != nullptr) && !prepare(job, *e)) return nullptr;
  if (!options.dialect && !set_reach(job, *e)) return nullptr;
  if (options.login && job.ask != Ask::kCall) {
    job.login_headers = options.login->headers(job.current);
    e->headers.insert(e->headers.end(), job.login_headers.begin(), job.login_headers.end());
  }
  if (delay_s > 0) {
    e->not_before = EngineClock::now() + std::chrono::duration_cast<EngineClock::duration>(
                                             std::chrono::duration<double>(delay_s));
  }
  e->body_limit = [this, &job](const ResponseHead& head) {
    return limit_of_body(job, head, options);
  };
  e->done = [this, &job](Response response) { on_response(job, std::move(response)); };
  return e;
}

bool HttpStore::Impl::set_reach(HttpJob& job, Exchange& exchange) const {
  exchange.reach = job.reach;
  if (!exchange.reach && host_of(job.current) != host_of(job.url))
    exchange.reach = options.redirects;
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
  exchange.compressed = request.compressed;
  for (const auto& [name, value] : request.headers) {
    exchange.headers.push_back(name + ": " + value);
  }
  exchange.body = std::exchange(request.body, {});
  job.sent = std::move(request);
  return true;
}

void HttpStore::Impl::account(HttpJob& job, const Response& response) {
  bytes += response.body_bytes;
  head_bytes += response.head_bytes;
  sent_bytes += response.sent_bytes;
  settle(job, response, options.budget.get());
}

void HttpStore::Impl::on_response(HttpJob& job, Response response) {
  account(job, response);
  learn(job, response);
  job.error.reset();
  if (job.over_budget) {
    job.error = job.failed(Code::kOverBudget, options.budget->refusal());
    return end(job);
  }
  Verdict verdict = judge(job, response, options, first_seen);
  double delay_s = 0;
  bool again = false;
  if (verdict.next == Verdict::kRedirect) {
    again = redirect(job, response);
  } else if (verdict.next == Verdict::kProbe) {
    job.ask = Ask::kProbe;
    job.current = job.url;
    job.redirects = 0;
    again = true;
  } else if (verdict.next == Verdict::kAgain) {
    again = ++job.again <= kMaxAgain;
  } else if (verdict.next == Verdict::kRetry) {
    again = retry_later(job, verdict.retry_after, delay_s);
  } else if (job.error && no_longer_there(job, response.head.status)) {
    again = true;
  } else if (!job.error && job.leads) {
    kept_redirects.note_direct(origin_of(job.url));
  }
  if (!again) return end(job);
  HttpJob* const next = &job;
  start({&next, 1}, delay_s);
}

/// A kept redirect, or a signed URL, that is refused may only be too old: the object's own server
/// is asked again, once.
bool HttpStore::Impl::no_longer_there(HttpJob& job, int status) {
  const bool refused =
      status == 400 || status == 401 || status == 403 || status == 404 || status == 410;
  if (!refused || job.asked_anew || !job.led()) return false;
  if (!job.kept && !is_signed_url(job.current)) return false;
  kept_redirects.forget(job.url, job.current);
  job.begin_anew();
  job.asked_anew = true;
  return true;
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

bool HttpStore::Impl::redirect(HttpJob& job, const Response& response) {
  const std::string& target = response.redirect_url;
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
  const bool kept = job.ask != Ask::kHead && keep(job, response);
  job.current = target;
  if (kept) release_followers(job);
  return true;
}

/// Signatures of GET do not hold for HEAD, nor the other way round.
bool HttpStore::Impl::keep(HttpJob& job, const Response& response) {
  if (job.redirects > 1 || job.current != job.url) return false;
  const int status = response.head.status;
  if (status != 302 && status != 303 && status != 307) return false;
  const auto life =
      redirect_life(response.head, response.redirect_url, int64_t{std::time(nullptr)});
  if (!life) return false;
  kept_redirects.keep(job.url, response.redirect_url, *life);
  job.line = {};  // the way is long only once
  return true;
}

/// Of what takes long; what is over in a moment needs no word.
void HttpStore::Impl::say_again(const HttpJob& job, double retry_after) const {
  const std::string how = fmt::format("asked again, {} of {}", job.attempt, options.attempts);
  if (job.error->code == Code::kDeadlineExceeded)
    options.say(fmt::format("{} does not answer within {:g} s; it is {}", host_of(job.current),
                            options.stall_timeout_s, how));
  else if (retry_after >= 1)
    options.say(fmt::format("{} wants {:.0f} s of patience; it is then {}", host_of(job.current),
                            retry_after, how));
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
  if (options.say) say_again(job, retry_after.value_or(0));
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
  StoreTraits line = impl_->lines.traits(origin_of(url), traits());
  // Where others read at the same time, theirs are the connections that are ready.
  if (line.ready > 1) line.ready -= std::min<size_t>(impl_->under_way, line.ready - 1);
  return line;
}

Result<ObjectInfo> HttpStore::stat(const std::string& url, const ReachPtr& reach) {
  HttpJob job;
  job.reach = reach;
  const bool covered = impl_->options.login && impl_->options.login->covers(url);
  const bool redirects = impl_->kept_redirects.expects_redirect(origin_of(url), covered);
  // What is found out with GET holds for reading, too.
  job.ask = redirects && !impl_->options.dialect ? Ask::kProbe : Ask::kHead;
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

std::vector<Result<SharedBytes>> HttpStore::read_and_tell(std::span<const ReadRequest> requests,
                                                          const Arrived& arrived) {
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
    job.asked = i;
    if (arrived && job.ask == Ask::kRange) job.arrived = &arrived;
    jobs.push_back(std::move(job));
    answers.push_back(i);
  }
  const bool metadata = std::all_of(jobs.begin(), jobs.end(), [](const HttpJob& job) {
    return job.range.length <= kMetadataBytes;
  });
  if (metadata && jobs.size() > 1) {
    // A tree widens, and the handshakes pass while this step is under way.
    for (HttpJob& job : jobs) job.spares = std::max(kFirstSpares, 2 * jobs.size());
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
  return Traffic{.requests = impl_->requests,
                 .retries = impl_->retries,
                 .bytes = impl_->bytes,
                 .head_bytes = impl_->head_bytes,
                 .sent_bytes = impl_->sent_bytes};
}

}  // namespace upwell::io
