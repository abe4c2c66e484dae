#include "io/index_cache.hpp"

#include <algorithm>
#include <cstdlib>

#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

constexpr std::string_view kIndexMagic = "UPWIDX1\n";
constexpr size_t kIndexHeader = 8 + 4;
constexpr size_t kExtentHeader = 8 + 8;
/// Larger indexes are read again: they would push out all others.
constexpr uint64_t kMostOfOne = 64 << 20;

tl::unexpected<Error> no_index(const char* why) {
  return fail(Code::kInvalidData, std::string("no index document: ") + why);
}

}  // namespace

std::vector<Extent> united(std::vector<Extent> extents) {
  std::erase_if(extents, [](const Extent& e) { return e.bytes.empty(); });
  std::stable_sort(extents.begin(), extents.end(),
                   [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  std::vector<Extent> out;
  for (size_t i = 0; i < extents.size();) {
    uint64_t end = extents[i].offset + extents[i].bytes.size();
    size_t next = i + 1;
    for (; next < extents.size() && extents[next].offset <= end; ++next)
      end = std::max(end, extents[next].offset + extents[next].bytes.size());
    if (next == i + 1) {
      out.push_back(std::move(extents[i]));
    } else {
      const uint64_t begin = extents[i].offset;
      Bytes bytes;
      bytes.reserve(end - begin);
      for (size_t k = i; k < next; ++k) {
        const uint64_t have = begin + bytes.size();
        const ByteSpan span = extents[k].bytes.span();
        const uint64_t skip = std::min<uint64_t>(have - extents[k].offset, span.size());
        bytes.insert(bytes.end(), span.begin() + static_cast<std::ptrdiff_t>(skip), span.end());
      }
      out.push_back({begin, SharedBytes(std::move(bytes))});
    }
    i = next;
  }
  return out;
}

Bytes index_document(const std::vector<Extent>& extents) {
  size_t size = kIndexHeader;
  for (const Extent& e : extents) size += kExtentHeader + e.bytes.size();
  Bytes out;
  out.reserve(size);
  out.resize(kIndexHeader + extents.size() * kExtentHeader);
  std::copy(kIndexMagic.begin(), kIndexMagic.end(), out.begin());
  store_le(out.data() + 8, static_cast<uint32_t>(extents.size()));
  uint8_t* at = out.data() + kIndexHeader;
  for (const Extent& e : extents) {
    store_le(at, e.offset);
    store_le(at + 8, uint64_t{e.bytes.size()});
    at += kExtentHeader;
  }
  for (const Extent& e : extents)
    out.insert(out.end(), e.bytes.span().begin(), e.bytes.span().end());
  return out;
}

Result<std::vector<Extent>> parse_index_document(const SharedBytes& document,
                                                 uint64_t object_size) {
  const ByteSpan all = document.span();
  if (all.size() < kIndexHeader || as_text(all.first(8)) != kIndexMagic)
    return no_index("it does not begin like one");
  const uint64_t count = load_le<uint32_t>(all.data() + 8);
  if (count > (all.size() - kIndexHeader) / kExtentHeader) return no_index("it is cut short");
  uint64_t at = kIndexHeader + count * kExtentHeader;
  std::vector<Extent> extents;
  extents.reserve(count);
  uint64_t last_end = 0;
  for (uint64_t i = 0; i < count; ++i) {
    const uint8_t* head = all.data() + kIndexHeader + i * kExtentHeader;
    const uint64_t offset = load_le<uint64_t>(head), length = load_le<uint64_t>(head + 8);
    if (length == 0 || offset > object_size || length > object_size - offset)
      return no_index("an extent lies outside of the object");
    if (i > 0 && offset <= last_end) return no_index("extents are not in order");
    if (length > all.size() - at) return no_index("it is cut short");
    extents.push_back({offset, document.slice(at, length)});
    last_end = offset + length;
    at += length;
  }
  if (at != all.size()) return no_index("there is more behind its end");
  return extents;
}

bool IndexCache::may_keep(const std::string& url, const ObjectInfo& state) {
  const size_t authority = url.find("://");
  if (authority == std::string::npos) return false;
  const size_t path = std::min(url.find('/', authority + 3), url.size());
  // A query may be a signature, and a user a password. In a bucket '?' is part of a name.
  const bool secret = url.substr(authority, path - authority).find('@') != std::string::npos ||
                      url.find('?') != std::string::npos;
  const bool strong = !state.etag.empty() && !state.etag.starts_with("W/");
  return !secret && strong && state.settled && state.size > 0;
}

std::vector<Extent> IndexCache::find(const std::string& place, const std::string& url,
                                     const ObjectInfo& state) {
  if (state.etag.empty()) return {};
  auto document = files_.find_front(place + url, state);
  if (!document) return {};
  auto extents = parse_index_document(*document, state.size);
  return extents ? std::move(*extents) : std::vector<Extent>{};
}

void IndexCache::put(const std::string& place, const std::string& url, const ObjectInfo& state,
                     std::vector<Extent> extents) {
  if (!may_keep(url, state)) return;
  uint64_t bytes = 0;
  for (const Extent& e : extents) bytes += e.bytes.size();
  if (bytes == 0 || bytes > kMostOfOne) return;
  files_.put_front(place + url, state, index_document(united(std::move(extents))));
}

std::filesystem::path usual_index_directory() {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  // The specification of base directories: a path that is not absolute is to be ignored.
  if (cache != nullptr && cache[0] == '/') return std::filesystem::path(cache) / "upwell/index";
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] != '/') return {};
  return std::filesystem::path(home) / ".cache/upwell/index";
}

}  // namespace upwell::io
