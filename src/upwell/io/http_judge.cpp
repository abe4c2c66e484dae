// Which answers are data, which are errors, and which are worth another try.

#include <ctime>

#include "io/http_job.hpp"
#include "io/kept_redirects.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/url.hpp"
#include "io/whole_only.hpp"

namespace upwell::io {
namespace {

/// Bodies of error answers are read so far, to keep the connection.
constexpr uint64_t kErrorBody = 64 << 10;
/// Of an answer to a call.
constexpr uint64_t kCallBody = 64 << 20;

Verdict retry_with(HttpJob& job, Code code, const std::string& what,
                   std::optional<double> retry_after = {}) {
  job.error = job.failed(code, what);
  job.error->retry_after_s = retry_after;
  return {Verdict::kRetry, retry_after};
}

std::string short_body(size_t have, uint64_t want) {
  return "short body: " + std::to_string(have) + " of " + std::to_string(want) + " bytes";
}

/// One answer to one job.
struct Judge {
  HttpJob& job;
  Response& r;
  const HttpOptions& options;
  FirstSeen& first_seen;

  Verdict decide();
  std::optional<Verdict> explain();
  Verdict call();
  Verdict stat();
  Verdict front();
  Verdict front_of_whole();
  Verdict range();
  Verdict partial();
  Verdict whole();
  bool same_object(std::optional<uint64_t> size);
  std::optional<Error> refuse() const;
};

bool Judge::same_object(std::optional<uint64_t> size) {
  job.info = object_info(r.head, size);
  auto same = first_seen.check(job.url, job.info, size.has_value());
  if (!same) job.error = std::move(same.error());
  job.size_known = size.has_value();
  return same.has_value();
}

Verdict Judge::decide() {
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
    case End::kNoLibrary:
      return done_with(job, Code::kBadConfiguration, r.detail);
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
  if (auto verdict = explain()) return *verdict;
  if (options.login) {
    auto error = options.login->take(job.current, r.head, r.redirect_url, r.body);
    if (error) {
      job.login_may_help = error->code == Code::kUnauthenticated;
      return done_with(job, error->code, error->message);
    }
  }
  const bool redirected = is_redirect_status(status) && !r.redirect_url.empty();
  if (redirected && job.ask != Ask::kCall) return {Verdict::kRedirect, {}};
  if (is_transient_status(status)) {
    return retry_with(job, Code::kUnavailable, status_text(status),
                      parse_retry_after(r.head.retry_after, std::time(nullptr)));
  }
  if (job.ask == Ask::kCall) return call();
  if (job.ask == Ask::kFront) return front();
  return job.ask == Ask::kRange ? range() : stat();
}

std::optional<Verdict> Judge::explain() {
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

Verdict Judge::call() {
  const ResponseHead& head = r.head;
  job.answer.head = head;
  job.answer.redirect = r.redirect_url;
  if (is_redirect_status(head.status) && !r.redirect_url.empty()) return {};
  if (head.status < 200 || head.status >= 300) {
    job.answer.body = std::move(r.body);
    return done_with(job, code_of_status(head.status), status_text(head.status));
  }
  if (r.end == Response::End::kTooLong)
    return done_with(job, Code::kResourceExhausted, "the answer is too long");
  if (head.content_length && *head.content_length != r.body.size())
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), *head.content_length));
  if (job.call->compressed && is_gzip(head))
    return retry_with(job, Code::kUnavailable, "it came in gzip, which is broken");
  if (job.call->compressed && is_encoded(head))
    return done_with(job, Code::kUnsupported,
                     "the server sent it with Content-Encoding " +
                         head.content_encoding.substr(0, 40) + ", though gzip was asked");
  job.answer.body = std::move(r.body);
  return {};
}

/// Errors that do not depend on what was asked; nothing when the answer may be data.
std::optional<Error> Judge::refuse() const {
  const ResponseHead& head = r.head;
  if (head.status != 200 && head.status != 206) {
    std::string what = status_text(head.status);
    if (head.status == 403 && job.led() && is_signed_url(job.current))
      what += ": the link that " + host_of(job.url) +
              " has signed is refused, also a new one; try again, and look whether the clock of "
              "this machine is right";
    return job.failed(code_of_status(head.status), what);
  }
  if (is_encoded(head)) {
    return job.failed(Code::kUnsupported, "the server sent it with Content-Encoding " +
                                              head.content_encoding.substr(0, 40) +
                                              ", though identity was asked");
  }
  if (options.dialect != nullptr || !is_page(head) || names_page(job.current)) return {};
  if (origin_of(job.current) != origin_of(job.url)) {
    return job.failed(Code::kUnauthenticated, "redirected to an HTML page of " +
                                                  origin_of(job.current) +
                                                  " instead of data: a login may be needed");
  }
  return job.failed(Code::kInvalidData,
                    "the server sent an HTML page instead of data: open the "
                    "address in a browser to see what it says (a portal "
                    "that wants a login, a proxy, a file that was moved)");
}

Verdict Judge::stat() {
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
    job.error = refuse();
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
  same_object(size);
  return {};
}

/// The first bytes of an object whose length is not known beforehand: an object that ends sooner is
/// no error.
Verdict Judge::front() {
  if (r.head.status == 416) {
    auto range = parse_content_range(r.head.content_range);
    job.past_end = !range || !range->size;
    if (job.past_end) return done_with(job, Code::kInvalidData, status_text(416));
    if (*range->size == 0) {
      same_object(0);
      return {};
    }
    return done_with(
        job, Code::kInvalidData,
        status_text(416) + ", though the object has " + std::to_string(*range->size) + " bytes");
  }
  job.error = refuse();
  if (job.error) return {};
  if (r.head.status == 200) return front_of_whole();
  auto got = parse_content_range(r.head.content_range);
  const uint64_t length = got && got->first ? got->last - *got->first + 1 : 0;
  const bool ends = got && got->size && got->last + 1 == *got->size;
  if (!got || got->first != 0u || length > job.range.length ||
      (length < job.range.length && !ends)) {
    return done_with(job, Code::kInvalidData,
                     "wrong Content-Range \"" + r.head.content_range.substr(0, 80) + "\"");
  }
  if (!same_object(got->size)) return {};
  if (r.end == Response::End::kUnwanted || r.end == Response::End::kTooLong)
    return done_with(job, Code::kInvalidData, "more bytes than its Content-Range says");
  if (r.body.size() != length)
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), length));
  job.bytes = SharedBytes(std::move(r.body));
  return {};
}

/// The server ignores Range: a small object came whole, of a large one the front was taken.
Verdict Judge::front_of_whole() {
  const std::optional<uint64_t> told = r.head.content_length;
  const bool cut = r.end == Response::End::kTooLong;
  if (r.end == Response::End::kUnwanted || (cut && (!told || r.body.size() >= *told)))
    return done_with(job, Code::kUnsupported,
                     "the server ignores Range requests and does not tell its length, and it is "
                     "too large to read whole");
  if (!cut && told && *told != r.body.size())
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), *told));
  if (!same_object(told.value_or(r.body.size()))) return {};
  job.bytes = SharedBytes(std::move(r.body));
  return {};
}

Verdict Judge::range() {
  const ResponseHead& head = r.head;
  if (head.status == 416) {
    auto range = parse_content_range(head.content_range);
    job.past_end = !range || !range->size;
    if (job.past_end) return done_with(job, Code::kInvalidData, status_text(416));
    if (!same_object(range->size)) return {};
    auto checked = checked_range(job.url, job.range, *range->size);
    if (!checked) job.error = std::move(checked.error());
    if (checked && checked->length > 0) {
      return done_with(
          job, Code::kInvalidData,
          status_text(416) + ", though the object has " + std::to_string(*range->size) + " bytes");
    }
    return {};
  }
  job.error = refuse();
  if (job.error) return {};
  return head.status == 206 ? partial() : whole();
}

Verdict Judge::partial() {
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
    if (!same_object(got->size)) return {};
    job.error = checked_range(job.url, asked, *got->size).error();
    return {};
  }
  if (!right_start || !right_end) {
    return done_with(job, Code::kInvalidData,
                     "wrong Content-Range \"" + r.head.content_range.substr(0, 80) + "\"");
  }
  if (!same_object(got->size)) return {};
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

Verdict Judge::whole() {
  std::string length = r.head.content_length ? std::to_string(*r.head.content_length) : "unknown";
  if (r.end == Response::End::kUnwanted || r.end == Response::End::kTooLong) {
    if (job.ranged()) {
      job.error = whole_only(job.failed(
          Code::kUnsupported, "the server ignores Range requests, and the whole object (" + length +
                                  " bytes) is too large to read for a part of it"));
      return {};
    }
    return done_with(job, Code::kResourceExhausted,
                     length + " bytes are more than a response may have");
  }
  if (r.head.content_length && *r.head.content_length != r.body.size()) {
    return retry_with(job, Code::kUnavailable, short_body(r.body.size(), *r.head.content_length));
  }
  if (!same_object(r.body.size())) return {};
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

}  // namespace

Error HttpJob::failed(Code code, const std::string& what) const {
  std::string text = shown_url(url);
  if (ask == Ask::kRange && ranged()) text += " (bytes " + range_header() + ")";
  text += ": " + what;
  if (attempt > 1) text += ", after " + std::to_string(attempt) + " attempts";
  return Error{code, std::move(text), {}, {}};
}

Verdict done_with(HttpJob& job, Code code, const std::string& what) {
  job.error = job.failed(code, what);
  return {};
}

Verdict judge(HttpJob& job, Response& response, const HttpOptions& options, FirstSeen& seen) {
  return Judge{job, response, options, seen}.decide();
}

std::optional<uint64_t> body_limit(const HttpJob& job, const ResponseHead& head,
                                   const HttpOptions& options) {
  if (head.status < 200 || head.status >= 300) return kErrorBody;
  if (job.ask == Ask::kHead) return 0;
  if (job.ask == Ask::kCall) return kCallBody;
  if (is_encoded(head) || (!options.dialect && is_page(head) && !names_page(job.current)))
    return {};
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
  if (job.ask == Ask::kFront && head.content_length.value_or(0) > options.max_unranged_body)
    return job.range.length;
  uint64_t limit = job.ranged() ? options.max_unranged_body : options.max_body;
  if (head.content_length.value_or(0) > limit) return {};
  return limit;
}

}  // namespace upwell::io
