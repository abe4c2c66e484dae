#pragma once
// One request of an HttpStore over all its attempts, and what an answer to it means.

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "io/first_seen.hpp"
#include "io/http_engine.hpp"
#include "io/http_store.hpp"

namespace upwell::io {

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
  /// Not longer than so; whether all are done.
  bool wait_for(std::chrono::duration<double> most) {
    std::unique_lock lock(mutex_);
    return all_done_.wait_for(lock, most, [&] { return left_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable all_done_;
  size_t left_;
};

enum class Ask {
  kRange,
  kFront,  ///< the first range.length bytes, or what there is of them, and the object's state
  kHead,
  kProbe,
  kCall,
};

/// Owned by the caller, who waits for it.
struct HttpJob {
  Ask ask = Ask::kRange;
  std::string url;
  std::string current;  // after redirects
  Range range;
  ReachPtr reach;
  int attempt = 1;
  int redirects = 0;
  int again = 0;
  size_t spares = 0;                       // see Exchange
  LineSample line;                         // over the steps of a redirect
  const HttpRequest* call = nullptr;       // of kCall
  HttpRequest sent;                        // of a dialect, without its body
  HttpAnswer answer;                       // of kCall
  std::vector<std::string> login_headers;  // of the last attempt
  bool leads = false;                      // others wait to hear where the object lies
  bool kept = false;                       // `current` is where an earlier redirect led
  bool asked_anew = false;                 // after such a place refused
  bool has_waited = false;                 // for a leader
  bool login_may_help = false;             // against the error
  Countdown* countdown = nullptr;
  const Arrived* arrived = nullptr;  // told of the bytes, as of request `asked`
  size_t asked = 0;
  bool past_end = false;  // 416 without the object's size
  SharedBytes bytes;
  ObjectInfo info;
  bool size_known = false;  // of info
  uint64_t reserved = 0;    // of the budget, for the answer under way
  bool over_budget = false;
  std::optional<Error> error;

  bool ranged() const {
    return ask == Ask::kProbe || ask == Ask::kFront ||
           (ask == Ask::kRange && (range.offset > 0 || range.length != kToEnd));
  }
  /// Whoever follows still does.
  void begin_anew() {
    current = url;
    attempt = 1;
    redirects = again = 0;
    kept = asked_anew = has_waited = login_may_help = false;
    error.reset();
  }
  /// The attempt went where a redirect leads.
  bool led() const { return current != url; }
  std::string range_header() const {
    if (ask == Ask::kProbe) return "0-0";
    if (!ranged()) return {};
    std::string last =
        range.length == kToEnd ? std::string() : std::to_string(range.offset + range.length - 1);
    return std::to_string(range.offset) + "-" + last;
  }
  Error failed(Code code, const std::string& what) const;
};

/// What follows a response.
struct Verdict {
  enum Next { kDone, kRetry, kRedirect, kProbe, kAgain } next = kDone;
  std::optional<double> retry_after;
};

Verdict done_with(HttpJob& job, Code code, const std::string& what);

/// How much of a body is read, once its head is there; nothing: hang up.
std::optional<uint64_t> body_limit(const HttpJob& job, const ResponseHead& head,
                                   const HttpOptions& options);

/// Takes the response into the job (bytes, info or error) and says what is next. `seen` remembers
/// the object's state.
Verdict judge(HttpJob& job, Response& response, const HttpOptions& options, FirstSeen& seen);

}  // namespace upwell::io
