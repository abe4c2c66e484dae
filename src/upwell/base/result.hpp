#pragma once
// The one error type of the project. See docs/decisions/error-type.md.

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace upwell {

/// What went wrong, as far as a caller can act on it. `exit_status` and `http_status` map each code
/// once.
enum class Code {
  kInvalidArgument,  ///< wrong usage: the caller asked for something that makes no sense
  kInvalidData,    ///< the bytes are broken, truncated or contradict themselves; trying again will
                   ///< not help
  kUnsupported,    ///< the bytes are fine, but use a feature that is not read
  kChanged,        ///< an object is no longer the one that was first seen (ETag, length)
  kNotFound,       ///< an object, group or array that was named does not exist
  kAlreadyExists,  ///< an output is in the way
  kPermissionDenied,   ///< known who you are, not allowed
  kUnauthenticated,    ///< not logged in
  kUnavailable,        ///< transient; trying again may help
  kDeadlineExceeded,   ///< took longer than allowed
  kCancelled,          ///< the user stopped it
  kResourceExhausted,  ///< a limit of ours (memory, requests) would be passed
  kOverBudget,         ///< more would be fetched than the user allows
  kCannotWrite,        ///< disk full, read-only, ...
  kBadConfiguration,   ///< a configuration file or recipe is wrong
  kNeedBytes,  ///< internal to readers: resume when the window holds more (see format/window.hpp)
  kDifferent,  ///< what was compared is not the same: an answer, as that of cmp
  kInternal,   ///< our own bug
};

/// An error: a code, what happened, and the chain of what was being done, innermost first.
struct Error {
  Code code = Code::kInternal;
  std::string message;
  std::vector<std::string> context;  ///< e.g. {"chunk 0.1 of /sst", "granule a.nc"}
  std::optional<double>
      retry_after_s;  ///< set with kUnavailable when the server said when to come back

  /// "granule a.nc: chunk 0.1 of /sst: checksum mismatch", without what is secret in URLs
  /// (url_secrets.hpp).
  std::string to_string() const;
  /// Adds what was being done when the error came up; returns *this to chain.
  Error&& with(std::string what) && {
    context.push_back(std::move(what));
    return std::move(*this);
  }
};

template <typename T = void>
using Result = tl::expected<T, Error>;

/// `return fail(Code::kInvalidData, "...")` from a function that returns any Result<T>.
inline tl::unexpected<Error> fail(Code code, std::string message) {
  return tl::unexpected<Error>(Error{code, std::move(message), {}, {}});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

std::string_view to_string(Code code);
/// sysexits-style status of DESIGN section 7: 64 usage, 65 bad data, 66 missing, 70 bug, 73 cannot
/// write, 75 transient, 77 not allowed, 78 bad configuration; and 1 for kDifferent, as cmp and
/// diff.
int exit_status(Code code);
/// Status for a client of our server when serving a *source* failed with this code: a broken source
/// is 502, never 404.
int http_status(Code code);

#define UPWELL_CONCAT_INNER(a, b) a##b
#define UPWELL_CONCAT(a, b) UPWELL_CONCAT_INNER(a, b)
// The names below carry a counter, so that one macro may stand inside the arguments of another (in
// a lambda).
#define UPWELL_TRY_AS(name, decl, ...)              \
  auto name = (__VA_ARGS__);                        \
  if (!name) [[unlikely]]                           \
    return ::upwell::fail(std::move(name).error()); \
  decl = std::move(*name)
#define UPWELL_CHECK_AS(name, ...)                    \
  do {                                                \
    auto name = (__VA_ARGS__);                        \
    if (!name) [[unlikely]]                           \
      return ::upwell::fail(std::move(name).error()); \
  } while (false)
/// UPWELL_TRY(auto x, f()): x = *f(), or return its error from the enclosing function.
#define UPWELL_TRY(decl, ...) \
  UPWELL_TRY_AS(UPWELL_CONCAT(upwell_try_, __COUNTER__), decl, __VA_ARGS__)
/// UPWELL_CHECK(f()): return the error of a Result<void> (or of any Result whose value is not
/// needed).
#define UPWELL_CHECK(...) UPWELL_CHECK_AS(UPWELL_CONCAT(upwell_check_, __COUNTER__), __VA_ARGS__)

}  // namespace upwell
