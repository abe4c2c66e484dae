#include "base/result.hpp"

#include <array>

#include "base/url_secrets.hpp"

namespace upwell {
namespace {

struct CodeRow {
  Code code;
  std::string_view name;
  int exit;
  int http;
};

constexpr std::array<CodeRow, 18> kCodes{{
    {Code::kInvalidArgument, "invalid argument", 64, 400},
    {Code::kInvalidData, "invalid data", 65, 502},
    {Code::kUnsupported, "unsupported", 65, 502},
    {Code::kChanged, "changed", 65, 502},
    {Code::kNotFound, "not found", 66, 502},
    {Code::kAlreadyExists, "already exists", 73, 409},
    {Code::kPermissionDenied, "permission denied", 77, 502},
    {Code::kUnauthenticated, "not logged in", 77, 502},
    {Code::kUnavailable, "unavailable", 75, 503},
    {Code::kDeadlineExceeded, "timed out", 75, 503},
    {Code::kCancelled, "cancelled", 75, 503},
    {Code::kResourceExhausted, "limit reached", 75, 503},
    {Code::kOverBudget, "over budget", 64, 503},
    {Code::kCannotWrite, "cannot write", 73, 507},
    {Code::kBadConfiguration, "bad configuration", 78, 400},
    {Code::kNeedBytes, "needs more bytes", 70, 500},
    {Code::kDifferent, "different", 1, 500},
    {Code::kInternal, "internal error", 70, 500},
}};

const CodeRow& row(Code code) {
  for (const CodeRow& r : kCodes) {
    if (r.code == code) return r;
  }
  return kCodes.back();
}

}  // namespace

std::string Error::to_string() const {
  std::string text;
  for (auto it = context.rbegin(); it != context.rend(); ++it) {
    text += *it;
    text += ": ";
  }
  return without_url_secrets(text + message);
}

std::string_view to_string(Code code) { return row(code).name; }
int exit_status(Code code) { return row(code).exit; }
int http_status(Code code) { return row(code).http; }

}  // namespace upwell
