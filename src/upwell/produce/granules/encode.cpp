#include "produce/granules/encode.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "base/parallel.hpp"

namespace upwell::produce {
namespace {

/// libdeflate's levels: 5 packs these data smaller than zlib's 5. 2 takes the time of 1, which
/// packs up to a quarter worse.
int effort_of(Compression compression) { return compression == Compression::kSmall ? 5 : 2; }

/// Copies a box of C-order values, row by row; what lies outside of them stays as it is.
class ChunkCutter {
 public:
  ChunkCutter(ByteSpan values, const Shape& shape, const Shape& chunk, size_t item)
      : values_(values), shape_(shape), chunk_(chunk), item_(item) {}

  void cut(const Shape& origin, uint8_t* out) const { copy(0, 0, origin, out); }

 private:
  void copy(size_t axis, uint64_t base, const Shape& origin, uint8_t* out) const {
    const uint64_t count = std::min(chunk_[axis], shape_[axis] - origin[axis]);
    if (axis + 1 == shape_.size()) {
      std::memcpy(out, values_.data() + (base * shape_[axis] + origin[axis]) * item_,
                  count * item_);
      return;
    }
    uint64_t stride = item_;
    for (size_t a = axis + 1; a < chunk_.size(); ++a) stride *= chunk_[a];
    for (uint64_t i = 0; i < count; ++i)
      copy(axis + 1, base * shape_[axis] + origin[axis] + i, origin, out + i * stride);
  }

  ByteSpan values_;
  const Shape& shape_;
  const Shape& chunk_;
  size_t item_;
};

void fill_with(Bytes& bytes, ByteSpan fill) {
  if (bytes.empty()) return;
  std::memcpy(bytes.data(), fill.data(), fill.size());
  for (size_t done = fill.size(); done < bytes.size();) {
    const size_t count = std::min(done, bytes.size() - done);
    std::memcpy(bytes.data() + done, bytes.data(), count);
    done += count;
  }
}

bool is_all(const Bytes& bytes, ByteSpan fill) {
  return std::memcmp(bytes.data(), fill.data(), fill.size()) == 0 &&
         std::memcmp(bytes.data(), bytes.data() + fill.size(), bytes.size() - fill.size()) == 0;
}

Shape origin_of(size_t index, const Shape& grid, const Shape& chunk) {
  Shape origin(grid.size());
  for (size_t d = grid.size(); d-- > 0;) {
    origin[d] = index % grid[d] * chunk[d];
    index /= grid[d];
  }
  return origin;
}

}  // namespace

Result<SharedBytes> ChunkEncoder::empty_chunk(const codec::Pipeline& pipeline, const Bytes& chunk) {
  std::lock_guard lock(mutex_);
  auto& [fill, encoded] = empty_[chunk.size()];
  if (fill != chunk) {
    UPWELL_TRY(Bytes bytes, pipeline.encode(chunk));
    encoded = SharedBytes(std::move(bytes));
    fill = chunk;
  }
  return encoded;
}

Result<format::netcdf4::EncodedChunks> ChunkEncoder::encode(ByteSpan values,
                                                            const Shape& values_shape,
                                                            const Shape& chunk_shape, ByteSpan fill,
                                                            int announced) {
  const size_t item = fill.size();
  const std::vector<codec::CodecSpec> specs{
      {"shuffle", fmt::format("{{\"elementsize\":{}}}", item)},
      {"zlib", fmt::format("{{\"level\":{}}}", effort_of(compression_))}};
  UPWELL_TRY(codec::Pipeline pipeline, codec::Pipeline::make(specs, item));
  format::netcdf4::EncodedChunks chunks{chunk_shape, announced, {}};
  const Shape grid = grid_shape(values_shape, chunk_shape);
  chunks.stored.resize(upwell::element_count(grid));
  const ChunkCutter cutter(values, values_shape, chunk_shape, item);
  UPWELL_CHECK(parallel_for(chunks.stored.size(), [&](size_t i) -> Result<> {
    const Shape origin = origin_of(i, grid, chunk_shape);
    Bytes chunk(upwell::element_count(chunk_shape) * item);
    bool whole = true;
    for (size_t d = 0; d < grid.size(); ++d)
      whole = whole && origin[d] + chunk_shape[d] <= values_shape[d];
    if (!whole) fill_with(chunk, fill);
    cutter.cut(origin, chunk.data());
    if (is_all(chunk, fill)) {
      UPWELL_TRY(chunks.stored[i], empty_chunk(pipeline, chunk));
      return {};
    }
    UPWELL_TRY(Bytes encoded, pipeline.encode(chunk));
    encoded.shrink_to_fit();
    chunks.stored[i] = SharedBytes(std::move(encoded));
    return {};
  }));
  return chunks;
}

}  // namespace upwell::produce
