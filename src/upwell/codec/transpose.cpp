// Zarr v3's transpose: the axes of a chunk in another order. Parameters beyond Zarr's "order":
// "shape" of the decoded chunk and "itemsize", since a codec here sees only bytes.

#include <fmt/format.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kMaxTransposeRank = 64;

class TransposeCodec : public BufferCodec {
 public:
  TransposeCodec(std::vector<size_t> shape, std::vector<size_t> order, size_t item_size)
      : BufferCodec("transpose"),
        shape_(std::move(shape)),
        order_(std::move(order)),
        item_size_(item_size) {
    size_ = item_size_;
    for (const size_t n : shape_) size_ = multiply_saturated(size_, n);
  }

  Result<> encode(ByteSpan in, Bytes& out) const override {
    if (in.size() != size_) {
      return fail(Code::kInvalidArgument,
                  fmt::format("transpose: {} bytes instead of {}", in.size(), size_));
    }
    out.resize(size_);
    permute(in.data(), out.data(), /*gather=*/true);
    return {};
  }
  size_t encoded_bound(size_t decoded) const override { return decoded; }

 protected:
  Result<size_t> decoded_size(ByteSpan) const override { return size_; }
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    if (in.size() != size_) return bad(fmt::format("{} bytes instead of {}", in.size(), size_));
    if (size_ > out.size()) return kDoesNotFit;
    permute(in.data(), out.data(), /*gather=*/false);
    return size_;
  }

 private:
  // Walks the encoded chunk in order, and the decoded one with the strides of the permuted axes.
  void permute(const uint8_t* in, uint8_t* out, bool gather) const {
    if (size_ == 0) return;
    const size_t rank = shape_.size();
    std::vector<size_t> decoded_strides(rank);
    size_t stride = item_size_;
    for (size_t axis = rank; axis-- > 0;) {
      decoded_strides[axis] = stride;
      stride *= shape_[axis];
    }
    std::vector<size_t> extent(rank);
    std::vector<size_t> step(rank);
    std::vector<size_t> index(rank, 0);
    for (size_t i = 0; i < rank; ++i) {
      extent[i] = shape_[order_[i]];
      step[i] = decoded_strides[order_[i]];
    }
    size_t decoded = 0;
    for (size_t encoded = 0; encoded < size_; encoded += item_size_) {
      if (gather) {
        std::memcpy(out + encoded, in + decoded, item_size_);
      } else {
        std::memcpy(out + decoded, in + encoded, item_size_);
      }
      for (size_t axis = rank; axis-- > 0;) {
        decoded += step[axis];
        if (++index[axis] < extent[axis]) break;
        decoded -= step[axis] * extent[axis];
        index[axis] = 0;
      }
    }
  }

  std::vector<size_t> shape_;
  std::vector<size_t> order_;
  size_t item_size_;
  size_t size_;
};

}  // namespace

CodecResult make_transpose(const Params& params, size_t item_size) {
  UPWELL_TRY(const auto order, params.integers("order"));
  UPWELL_TRY(const auto shape, params.integers("shape"));
  UPWELL_TRY(const int64_t size,
             params.integer("itemsize", static_cast<int64_t>(item_size), 1, INT32_MAX));
  if (order.size() != shape.size() || order.size() > kMaxTransposeRank) {
    return params.bad(fmt::format("order of {} axes, shape of {}", order.size(), shape.size()));
  }
  std::vector<size_t> axes;
  std::vector<bool> seen(order.size(), false);
  for (const int64_t axis : order) {
    if (axis < 0 || static_cast<size_t>(axis) >= order.size() || seen[static_cast<size_t>(axis)]) {
      return params.bad("\"order\" is no permutation");
    }
    seen[static_cast<size_t>(axis)] = true;
    axes.push_back(static_cast<size_t>(axis));
  }
  std::vector<size_t> extents;
  for (const int64_t n : shape) {
    if (n < 0) return params.bad("a negative extent");
    extents.push_back(static_cast<size_t>(n));
  }
  return std::make_shared<TransposeCodec>(std::move(extents), std::move(axes),
                                          static_cast<size_t>(size));
}

}  // namespace upwell::codec
