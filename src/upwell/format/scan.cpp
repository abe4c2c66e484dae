// The driver: recognises a granule, then runs rounds of "parse what is there, fetch what is
// missing".

#include <fmt/core.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>

#include "format/format.hpp"
#include "format/hdf5/hdf5.hpp"
#include "io/url.hpp"

namespace upwell::format {
namespace {

// A tree is a few levels deep; a chain of this many structures is broken or hostile.
constexpr int kMaxRounds = 4096;
constexpr uint64_t kMaxMetadata = 1ULL << 30;
// libhdf5 allots metadata in blocks of 2 KiB: what belongs to a structure lies up to so much before
// it, if it was made before, or after it, or in the next block. The global heap that an attribute
// points to has blocks of 4 KiB, and lies before the block that it was made for.
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

/// The bytes of one object as a scan needs them: from what an earlier scan of the same state has
/// read, or from where it lies.
class ScanSource {
 public:
  ScanSource(io::Session& session, const Granule& granule, Window& window)
      : session_(session), granule_(granule), window_(window) {
    read_ = session.known_index(granule.url, granule.info);
    for (const io::Extent& extent : read_) window.add(extent.offset, extent.bytes);
  }

  Result<> fetch(std::span<const io::Range> ranges) {
    std::vector<io::ReadRequest> requests;
    requests.reserve(ranges.size());
    for (const io::Range& range : ranges) requests.push_back({granule_.url, range, granule_.reach});
    auto answers = session_.read(requests);
    for (size_t i = 0; i < answers.size(); ++i) {
      UPWELL_TRY(SharedBytes bytes, std::move(answers[i]));
      window_.add(ranges[i].offset, bytes);
      read_.push_back({ranges[i].offset, std::move(bytes)});
      more_ = true;
    }
    return {};
  }

  /// The scan has come to its end: the next one begins with what this one has read.
  void keep() {
    if (more_) session_.keep_index(granule_.url, granule_.info, std::move(read_));
  }

 private:
  io::Session& session_;
  const Granule& granule_;
  Window& window_;
  std::vector<io::Extent> read_;
  bool more_ = false;
};

uint64_t scan_head_bytes() {
  uint64_t bytes = 0;
  for (const Format& format : formats()) bytes = std::max(bytes, format.head_bytes);
  return bytes;
}

/// Signatures behind a user block larger than the head.
Result<bool> scan_probe_user_block(ScanSource& source, Window& window) {
  std::vector<io::Range> probes;
  for (uint64_t at : hdf5::signature_offsets(window.object_size()))
    if (!window.has(at, 8)) probes.push_back({at, 8});
  if (probes.empty()) return false;
  UPWELL_CHECK(source.fetch(probes));
  return hdf5::find_signature(window).has_value();
}

/// Runs rounds over the object until its reader is done.
Result<std::unique_ptr<GranuleReader>> scan_rounds(io::Session& session, const Format& format,
                                                   const Granule& granule, ScanSource& source,
                                                   Window& window, const ScanOptions& options) {
  UPWELL_TRY(io::StoreTraits traits, session.traits(granule.url));
  if (traits.worth_caching) window.read_ahead(kRemoteReadAhead);
  auto reader = format.make(granule, options);
  for (int round = 0;; ++round) {
    UPWELL_TRY(bool done, reader->advance(window));
    if (done) return reader;
    auto missing = window.take_missing();
    if (missing.empty())
      return fail(Code::kInternal, "the reader waits for bytes but asks for none");
    if (round >= kMaxRounds)
      return fail(Code::kInvalidData,
                  fmt::format("structures form a chain of more than {} steps", kMaxRounds));
    if (window.held() > kMaxMetadata)
      return fail(Code::kResourceExhausted,
                  fmt::format("more than {} bytes of metadata", kMaxMetadata));
    UPWELL_CHECK(source.fetch(missing));
  }
}

/// The format whose objects are described by others, and the object that describes this one.
std::pair<const Format*, std::string> scan_description(const std::string& url) {
  for (const Format& format : formats()) {
    std::string description = format.description ? format.description(url) : std::string();
    if (!description.empty()) return {&format, std::move(description)};
  }
  return {nullptr, ""};
}

/// `granule` by what `description` says, which can be itself and then speaks of another.
Result<Dataset> scan_described(io::Session& session, const Format& format, const Granule& granule,
                               const Granule& description, const ScanOptions& options, int depth) {
  Window window(description.info.size);
  ScanSource source(session, description, window);
  auto reader = scan_rounds(session, format, description, source, window, options);
  if (!reader) {
    const ByteSpan text = window.get_up_to(0, description.info.size).value_or(ByteSpan());
    if (scan_looks_like_html(text)) return scan_unknown(text);
    return fail(std::move(reader).error());
  }
  UPWELL_TRY(Dataset dataset, (*reader)->finish());
  source.keep();
  if (description.url != granule.url) dataset.granules->intern(granule);
  if (format.link) UPWELL_CHECK(format.link(session, **reader, dataset, options, depth));
  return dataset;
}

/// The dataset, where an object describes this one. `lacking`: that object, where it should be but
/// is not.
Result<std::optional<Dataset>> scan_by_name(io::Session& session, const Granule& granule,
                                            const ScanOptions& options, int depth,
                                            std::string& lacking) {
  const auto [format, url] = scan_description(granule.url);
  if (format == nullptr) return std::nullopt;
  if (url == granule.url) {
    UPWELL_TRY(Dataset own, scan_described(session, *format, granule, granule, options, depth));
    return own;
  }
  auto info = session.stat(url, granule.reach);
  if (!info && info.error().code == Code::kNotFound) {
    lacking = url;
    return std::nullopt;
  }
  if (!info) return fail(std::move(info).error());
  auto dataset =
      scan_described(session, *format, granule, {url, *info, granule.reach}, options, depth);
  if (!dataset) return fail(std::move(dataset).error().with(io::shown_url(url)));
  return std::move(*dataset);
}

/// The format of an object by its first bytes, or by a signature behind a user block; null: none.
Result<const Format*> scan_recognise(ScanSource& source, Window& window) {
  const io::Range head_range{0, std::min(scan_head_bytes(), window.object_size())};
  if (!window.has(0, head_range.length)) UPWELL_CHECK(source.fetch({&head_range, 1}));
  UPWELL_TRY(ByteSpan head, window.get(0, head_range.length));
  for (const Format& format : formats())
    if (format.recognise(head.first(std::min<size_t>(head.size(), format.head_bytes)),
                         window.object_size()))
      return &format;
  if (scan_looks_like_html(head)) return nullptr;
  UPWELL_TRY(const bool hidden, scan_probe_user_block(source, window));
  return hidden ? &hdf5::hdf5_format() : nullptr;
}

Result<Dataset> scan_granule(io::Session& session, const Granule& granule,
                             const ScanOptions& options, int depth) {
  std::string lacking;
  UPWELL_TRY(auto described, scan_by_name(session, granule, options, depth, lacking));
  if (described) return std::move(*described);
  uint64_t size = granule.info.size;
  if (size == 0) return fail(Code::kInvalidData, "the object is empty");

  Window window(size);
  ScanSource source(session, granule, window);
  UPWELL_TRY(const Format* found, scan_recognise(source, window));
  if (found == nullptr && !lacking.empty())
    return fail(Code::kInvalidData, "what describes it is not there: " + io::shown_url(lacking));
  if (found == nullptr) {
    UPWELL_TRY(const ByteSpan head, window.get(0, std::min(scan_head_bytes(), size)));
    return scan_unknown(head);
  }

  UPWELL_TRY(auto reader, scan_rounds(session, *found, granule, source, window, options));
  UPWELL_TRY(Dataset dataset, reader->finish());
  source.keep();
  if (found->link) UPWELL_CHECK(found->link(session, *reader, dataset, options, depth));
  return dataset;
}

}  // namespace

Result<bool> is_recognised(io::Session& session, const Granule& granule) {
  if (!scan_description(granule.url).second.empty()) return true;
  if (granule.info.size == 0) return false;
  Window window(granule.info.size);
  ScanSource source(session, granule, window);
  UPWELL_TRY(const Format* found, scan_recognise(source, window));
  return found != nullptr;
}

std::string description_of(const std::string& url) { return scan_description(url).second; }

Result<Dataset> scan(io::Session& session, const std::string& url, const ScanOptions& options,
                     int depth) {
  Granule granule{io::normal_url(url), {}};
  auto front = session.front(granule.url, scan_head_bytes());
  if (!front) return fail(std::move(front).error().with("granule " + io::shown_url(granule.url)));
  granule.info = front->info;
  return scan_known(session, granule, options, depth);
}

Result<Dataset> scan_known(io::Session& session, const Granule& granule, const ScanOptions& options,
                           int depth) {
  auto dataset = scan_granule(session, granule, options, depth);
  if (!dataset)
    return fail(std::move(dataset).error().with("granule " + io::shown_url(granule.url)));
  return dataset;
}

}  // namespace upwell::format
