// The driver: recognises a granule, then runs rounds of "parse what is there, fetch what is
// missing".

#include <fmt/core.h>

#include <algorithm>
#include <cctype>

#include "format/format.hpp"
#include "format/hdf5/hdf5.hpp"

namespace upwell::format {
namespace {

// A tree is a few levels deep; a chain of this many structures is broken or hostile.
constexpr int kMaxRounds = 4096;
constexpr uint64_t kMaxMetadata = 1ULL << 30;
// libhdf5 allots metadata in blocks of 2 KiB, so what a structure points to often lies in the next.
constexpr uint64_t kRemoteReadAhead = 4096;

std::string scan_first_line(ByteSpan head) {
  std::string text;
  for (uint8_t c : head.first(std::min<size_t>(head.size(), 16))) text += fmt::format("{:02x} ", c);
  if (!text.empty()) text.pop_back();
  return text;
}

bool scan_looks_like_html(ByteSpan head) {
  std::string text;
  for (uint8_t c : head.first(std::min<size_t>(head.size(), 512))) {
    if (text.empty() && std::isspace(c)) continue;
    text += static_cast<char>(std::tolower(c));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  return text.starts_with("<!doctype html") || text.starts_with("<html") ||
         text.starts_with("<head") || text.starts_with("<?xml");
}

tl::unexpected<Error> scan_unknown(ByteSpan head) {
  if (scan_looks_like_html(head)) {
    return fail(Code::kInvalidData,
                "not a data file: looks like an HTML page (login or error page?)");
  }
  return fail(Code::kInvalidData, fmt::format("not a format that is read here (first bytes: {})",
                                              scan_first_line(head)));
}

Result<> scan_fetch(io::Session& session, const Granule& granule, Window& window,
                    std::span<const io::Range> ranges) {
  std::vector<io::ReadRequest> requests;
  requests.reserve(ranges.size());
  for (const io::Range& range : ranges) requests.push_back({granule.url, range, granule.reach});
  auto answers = session.read(requests);
  for (size_t i = 0; i < answers.size(); ++i) {
    UPWELL_TRY(SharedBytes bytes, std::move(answers[i]));
    window.add(ranges[i].offset, bytes);
  }
  return {};
}

/// Signatures behind a user block larger than the head.
Result<bool> scan_probe_user_block(io::Session& session, const Granule& granule, Window& window) {
  std::vector<io::Range> probes;
  for (uint64_t at : hdf5::signature_offsets(window.object_size()))
    if (!window.has(at, 8)) probes.push_back({at, 8});
  if (probes.empty()) return false;
  UPWELL_CHECK(scan_fetch(session, granule, window, probes));
  return hdf5::find_signature(window).has_value();
}

Result<Dataset> scan_granule(io::Session& session, const Granule& granule,
                             const ScanOptions& options, int depth) {
  uint64_t size = granule.info.size;
  if (size == 0) return fail(Code::kInvalidData, "the object is empty");

  uint64_t head_bytes = 0;
  for (const Format& format : formats()) head_bytes = std::max(head_bytes, format.head_bytes);
  Window window(size);
  io::Range head_range{0, std::min(head_bytes, size)};
  UPWELL_CHECK(scan_fetch(session, granule, window, {&head_range, 1}));
  UPWELL_TRY(ByteSpan head, window.get(0, head_range.length));

  const Format* found = nullptr;
  for (const Format& format : formats()) {
    if (format.recognise(head.first(std::min<size_t>(head.size(), format.head_bytes)), size)) {
      found = &format;
      break;
    }
  }
  if (!found && !scan_looks_like_html(head)) {
    UPWELL_TRY(bool hidden, scan_probe_user_block(session, granule, window));
    if (hidden) found = &hdf5::hdf5_format();
  }
  if (!found) return scan_unknown(head);

  UPWELL_TRY(io::StoreTraits traits, session.traits(granule.url));
  if (traits.worth_caching) window.read_ahead(kRemoteReadAhead);
  auto reader = found->make(granule, options);
  for (int round = 0;; ++round) {
    UPWELL_TRY(bool done, reader->advance(window));
    if (done) break;
    auto missing = window.take_missing();
    if (missing.empty())
      return fail(Code::kInternal, "the reader waits for bytes but asks for none");
    if (round >= kMaxRounds)
      return fail(Code::kInvalidData,
                  fmt::format("structures form a chain of more than {} steps", kMaxRounds));
    if (window.held() > kMaxMetadata)
      return fail(Code::kResourceExhausted,
                  fmt::format("more than {} bytes of metadata", kMaxMetadata));
    UPWELL_CHECK(scan_fetch(session, granule, window, missing));
  }
  UPWELL_TRY(Dataset dataset, reader->finish());
  if (found->link) UPWELL_CHECK(found->link(session, *reader, dataset, options, depth));
  return dataset;
}

}  // namespace

Result<Dataset> scan(io::Session& session, const std::string& url, const ScanOptions& options,
                     int depth) {
  Granule granule{io::normal_url(url), {}};
  auto info = session.stat(granule.url);
  if (!info) return fail(std::move(info).error().with("granule " + granule.url));
  granule.info = *info;
  return scan_known(session, granule, options, depth);
}

Result<Dataset> scan_known(io::Session& session, const Granule& granule, const ScanOptions& options,
                           int depth) {
  auto dataset = scan_granule(session, granule, options, depth);
  if (!dataset) return fail(std::move(dataset).error().with("granule " + granule.url));
  return dataset;
}

}  // namespace upwell::format
