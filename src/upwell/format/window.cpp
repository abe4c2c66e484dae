#include "format/window.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

namespace upwell::format {
namespace {

/// So many places cost a round trip and nothing else.
constexpr size_t kFew = 16;

}  // namespace

void Window::add(uint64_t offset, const SharedBytes& bytes) {
  if (offset >= object_size_) return;
  uint64_t end = offset + std::min<uint64_t>(bytes.size(), object_size_ - offset);
  // Only the gaps between the parts that are there already are taken.
  uint64_t at = offset;
  auto next = parts_.upper_bound(offset);
  if (next != parts_.begin()) {
    auto before = std::prev(next);
    at = std::max(at, before->first + before->second.size());
  }
  while (at < end) {
    uint64_t stop = next == parts_.end() ? end : std::min(end, next->first);
    if (stop > at) {
      parts_.emplace(at, bytes.slice(at - offset, stop - at));
      held_ += stop - at;
    }
    if (next == parts_.end()) break;
    at = std::max(stop, next->first + next->second.size());
    ++next;
  }
}

void Window::overlay(uint64_t offset, const SharedBytes& bytes) {
  uint64_t end = offset + bytes.size();
  auto part = parts_.upper_bound(offset);
  if (part != parts_.begin()) --part;
  while (part != parts_.end() && part->first < end) {
    uint64_t first = part->first;
    SharedBytes old = part->second;
    uint64_t last = first + old.size();
    if (last <= offset) {
      ++part;
      continue;
    }
    part = parts_.erase(part);
    held_ -= old.size();
    retired_.push_back(old);
    if (first < offset) add(first, old.slice(0, offset - first));
    if (last > end) add(end, old.slice(end - first, last - end));
  }
  add(offset, bytes);
}

bool Window::has(uint64_t offset, uint64_t length) const {
  if (length == 0) return true;
  if (offset > object_size_ || length > object_size_ - offset) return false;
  auto part = parts_.upper_bound(offset);
  if (part == parts_.begin()) return false;
  --part;
  uint64_t at = offset;
  for (; part != parts_.end() && part->first <= at; ++part) {
    at = std::max(at, part->first + part->second.size());
    if (at >= offset + length) return true;
  }
  return false;
}

Result<ByteSpan> Window::get(uint64_t offset, uint64_t length) {
  return get(offset, length, length);
}

Result<ByteSpan> Window::get(uint64_t offset, uint64_t length, uint64_t guess) {
  if (length == 0) return ByteSpan{};
  if (offset > object_size_ || length > object_size_ - offset) {
    return fail(Code::kInvalidData, fmt::format("{} bytes at offset {} pass the end of the object "
                                                "({} bytes)",
                                                length, offset, object_size_));
  }
  auto part = parts_.upper_bound(offset);
  if (part != parts_.begin()) {
    --part;
    uint64_t skip = offset - part->first;
    if (skip < part->second.size() && length <= part->second.size() - skip)
      return part->second.span().subspan(skip, length);
  }
  if (has(offset, length)) return join(offset, length);
  missing_.push_back({offset, std::min(std::max(length, guess), object_size_ - offset)});
  return fail(Code::kNeedBytes, fmt::format("{} bytes at offset {}", length, offset));
}

Result<ByteSpan> Window::get_up_to(uint64_t offset, uint64_t length) {
  if (offset > object_size_) return get(offset, length);
  return get(offset, std::min(length, object_size_ - offset));
}

ByteSpan Window::join(uint64_t offset, uint64_t length) {
  auto first = std::prev(parts_.upper_bound(offset));
  auto last = parts_.lower_bound(offset + length);
  uint64_t start = first->first;
  Bytes joined;
  for (auto part = first; part != last; ++part) {
    ByteSpan span = part->second.span();
    joined.insert(joined.end(), span.begin(), span.end());
    retired_.push_back(std::move(part->second));
  }
  parts_.erase(first, last);
  auto [part, added] = parts_.emplace(start, SharedBytes(std::move(joined)));
  return part->second.span().subspan(offset - start, length);
}

io::Range Window::widened(io::Range asked, uint64_t before) const {
  const uint64_t block = ahead_ / 8;
  if (block == 0) return asked;
  uint64_t end = asked.offset + std::max(asked.length, ahead_);
  const uint64_t begin = asked.offset - std::min(asked.offset, before);
  end = std::min(object_size_, end + (block - end % block) % block);
  return {begin - begin % block, end - (begin - begin % block)};
}

std::vector<io::Range> Window::take_missing() {
  std::vector<io::Range> asked = std::exchange(missing_, {});
  const uint64_t before = asked.size() <= kFew ? ahead_ + ahead_ / 2 : ahead_ / 2;
  for (io::Range& range : asked) range = widened(range, before);
  std::sort(asked.begin(), asked.end(),
            [](const io::Range& a, const io::Range& b) { return a.offset < b.offset; });
  std::vector<io::Range> merged;
  for (const io::Range& range : asked) {
    if (!merged.empty() && range.offset <= merged.back().offset + merged.back().length) {
      io::Range& back = merged.back();
      back.length = std::max(back.length, range.offset + range.length - back.offset);
    } else {
      merged.push_back(range);
    }
  }
  // Cut out what is there already.
  std::vector<io::Range> out;
  for (const io::Range& range : merged) {
    uint64_t at = range.offset;
    uint64_t end = range.offset + range.length;
    auto part = parts_.upper_bound(at);
    if (part != parts_.begin()) --part;
    for (; part != parts_.end() && part->first < end; ++part) {
      uint64_t part_end = part->first + part->second.size();
      if (part_end <= at) continue;
      if (part->first > at) out.push_back({at, part->first - at});
      at = part_end;
    }
    if (at < end) out.push_back({at, end - at});
  }
  return out;
}

}  // namespace upwell::format
