#include "io/whole_only.hpp"

#include <algorithm>
#include <string_view>

namespace upwell::io {
namespace {

/// A reader of the message sees it as well.
constexpr std::string_view kWholeOnly = "given whole or not at all";

}  // namespace

Error whole_only(Error error) { return std::move(error).with(std::string(kWholeOnly)); }

bool is_whole_only(const Error& error) {
  const auto& marks = error.context;
  return std::find(marks.begin(), marks.end(), kWholeOnly) != marks.end();
}

}  // namespace upwell::io
