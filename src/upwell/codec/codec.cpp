#include "codec/codec.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "codec/buffer_codec.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kMaxSteps = 32;  // HDF5 has 32 bits in the filter mask of a chunk
constexpr size_t kFirstGuess = 16 << 20;
constexpr size_t kKeptScratch = 32 << 20;

// Two buffers a thread: a step reads one and writes the other. What a very big chunk needed is
// given back.
struct Scratch {
  std::array<Bytes, 2> buffers;
  bool in_use = false;
};

class ScratchLease {
 public:
  ScratchLease() {
    thread_local Scratch shared;
    scratch_ = shared.in_use ? &own_ : &shared;
    scratch_->in_use = true;
  }
  ~ScratchLease() {
    for (Bytes& buffer : scratch_->buffers) {
      if (buffer.capacity() > kKeptScratch) Bytes().swap(buffer);
    }
    scratch_->in_use = false;
  }
  ScratchLease(const ScratchLease&) = delete;
  ScratchLease& operator=(const ScratchLease&) = delete;
  Bytes& at(size_t i) { return scratch_->buffers[i & 1]; }

 private:
  Scratch own_;
  Scratch* scratch_;
};

// The steps that were applied to a chunk, in encoding order, each with the most bytes that its
// decoding may give.
struct AppliedStep {
  const Codec* codec;
  size_t index;
  size_t limit;
};

std::vector<AppliedStep> applied_steps(std::span<const std::shared_ptr<const Codec>> steps,
                                       uint32_t filter_mask, size_t limit) {
  std::vector<AppliedStep> applied;
  applied.reserve(steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    if (filter_mask >> i & 1U) continue;
    applied.push_back({steps[i].get(), i, limit});
    limit = steps[i]->encoded_bound(limit);
  }
  return applied;
}

// Decodes all but the first `keep` steps.
Result<ByteSpan> undo_steps(std::span<const AppliedStep> applied, size_t keep, ByteSpan stored,
                            ScratchLease& scratch) {
  ByteSpan current = stored;
  for (size_t i = applied.size(); i-- > keep;) {
    auto view = applied[i].codec->decode_view(current, applied[i].limit, scratch.at(i));
    if (!view) return fail(std::move(view.error()).with(fmt::format("step {}", applied[i].index)));
    current = *view;
  }
  return current;
}

}  // namespace

Result<> Codec::encode(ByteSpan, Bytes&) const {
  return fail(Code::kUnsupported, "this codec is only read, not written");
}

Result<ByteSpan> Codec::decode_view(ByteSpan in, size_t limit, Bytes& scratch) const {
  UPWELL_CHECK(decode(in, limit, scratch));
  return ByteSpan(scratch);
}

Result<> Codec::decode_into(ByteSpan in, MutableByteSpan out) const {
  Bytes scratch;
  UPWELL_TRY(const ByteSpan view, decode_view(in, out.size(), scratch));
  if (view.size() != out.size()) {
    return fail(Code::kInvalidData,
                fmt::format("decodes to {} bytes instead of {}", view.size(), out.size()));
  }
  if (!view.empty()) std::memcpy(out.data(), view.data(), view.size());
  return {};
}

tl::unexpected<Error> BufferCodec::bad(const std::string& message) const {
  return fail(Code::kInvalidData, fmt::format("{}: {}", name_, message));
}

tl::unexpected<Error> BufferCodec::too_long(size_t limit) const {
  return bad(fmt::format("decodes to more than {} bytes", limit));
}

Result<size_t> BufferCodec::decoded_size(ByteSpan) const { return SIZE_MAX; }

Result<> BufferCodec::decode(ByteSpan in, size_t limit, Bytes& out) const {
  UPWELL_TRY(const size_t known, decoded_size(in));
  // A size that the bytes claim is a reason to allocate less, never more.
  const size_t most = std::min(limit, known);
  size_t capacity = std::min(most, std::max(kFirstGuess, multiply_saturated(in.size(), 4)));
  while (true) {
    out.resize(capacity);
    UPWELL_TRY(const size_t written, decode_to(in, MutableByteSpan(out)));
    if (written != kDoesNotFit) {
      out.resize(written);
      return {};
    }
    if (capacity == most) return too_long(most);
    capacity = std::min(most, multiply_saturated(capacity, 4));
  }
}

Result<> BufferCodec::decode_into(ByteSpan in, MutableByteSpan out) const {
  UPWELL_TRY(const size_t written, decode_to(in, out));
  if (written == kDoesNotFit) return too_long(out.size());
  if (written != out.size()) {
    return bad(fmt::format("decodes to {} bytes instead of {}", written, out.size()));
  }
  return {};
}

Result<Pipeline> Pipeline::make(std::span<const CodecSpec> specs, size_t item_size) {
  if (specs.size() > kMaxSteps) {
    return fail(Code::kInvalidData,
                fmt::format("{} codecs, at most {} are allowed", specs.size(), kMaxSteps));
  }
  Pipeline pipeline;
  pipeline.steps_.reserve(specs.size());
  for (const CodecSpec& spec : specs) {
    UPWELL_TRY(auto step, make_codec(spec, item_size));
    pipeline.steps_.push_back(std::move(step));
  }
  return pipeline;
}

Result<> Pipeline::decode(ByteSpan stored, uint32_t filter_mask, MutableByteSpan out) const {
  const auto applied = applied_steps(steps_, filter_mask, out.size());
  if (applied.empty()) {
    const bool fits = stored.size() == out.size() || (steps_.empty() && stored.size() > out.size());
    if (!fits) {
      return fail(Code::kInvalidData,
                  fmt::format("{} bytes stored instead of {}", stored.size(), out.size()));
    }
    if (!out.empty()) std::memcpy(out.data(), stored.data(), out.size());
    return {};
  }
  ScratchLease scratch;
  UPWELL_TRY(const ByteSpan current, undo_steps(applied, 1, stored, scratch));
  auto done = applied[0].codec->decode_into(current, out);
  if (!done) return fail(std::move(done.error()).with(fmt::format("step {}", applied[0].index)));
  return {};
}

Result<Bytes> Pipeline::decode_unsized(ByteSpan stored, uint32_t filter_mask, size_t limit) const {
  const auto applied = applied_steps(steps_, filter_mask, limit);
  if (applied.empty()) {
    if (stored.size() > limit) {
      return fail(Code::kInvalidData,
                  fmt::format("{} bytes stored, at most {} expected", stored.size(), limit));
    }
    return to_bytes(stored);
  }
  ScratchLease scratch;
  UPWELL_TRY(const ByteSpan current, undo_steps(applied, 1, stored, scratch));
  Bytes out;
  auto done = applied[0].codec->decode(current, limit, out);
  if (!done) return fail(std::move(done.error()).with(fmt::format("step {}", applied[0].index)));
  return out;
}

Result<Bytes> Pipeline::encode(ByteSpan raw) const {
  if (steps_.empty()) return to_bytes(raw);
  Bytes current;
  Bytes next;
  ByteSpan in = raw;
  for (size_t i = 0; i < steps_.size(); ++i) {
    auto done = steps_[i]->encode(in, next);
    if (!done) return fail(std::move(done.error()).with(fmt::format("step {}", i)));
    current.swap(next);
    in = current;
  }
  return current;
}

}  // namespace upwell::codec
