#include "refs/pieces.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

namespace upwell::refs {
namespace {

Array array_of(const Shape& shape, const Shape& chunks, bool coded) {
  Array out;
  out.type = DataType::floating(4);
  out.shape = shape;
  out.chunk_shape = chunks;
  auto layout = std::make_shared<SegmentLayout>();
  layout->chunk_shape = chunks;
  if (coded) layout->codecs.push_back({"zlib", "{}"});
  out.segments.push_back({Shape(shape.size(), 0), shape, {}, layout, nullptr, {}});
  return out;
}

/// How often the pieces take each element.
std::vector<int> visits(const Pieces& pieces, const Shape& shape) {
  std::vector<int> out(element_count(shape));
  for (uint64_t k = 0; k < pieces.count; ++k) {
    const Selection box = pieces.box(shape, k);
    for (uint64_t i = 0; i < element_count(box.shape); ++i) {
      uint64_t rest = i, number = 0, stride = 1;
      for (size_t d = shape.size(); d-- > 0; stride *= shape[d]) {
        number += (box.origin[d] + rest % box.shape[d]) * stride;
        rest /= box.shape[d];
      }
      ++out[number];
    }
  }
  return out;
}

TEST(Pieces, CoverAnArrayOnceInBoundedPieces) {
  const Shape shape{7, 30, 50};
  for (const bool coded : {false, true}) {
    for (const Shape& chunks : {Shape{1, 10, 25}, Shape{7, 30, 50}, Shape{3, 7, 13}}) {
      for (const uint64_t bytes : {uint64_t{0}, uint64_t{1000}, uint64_t{1} << 20}) {
        const Array a = array_of(shape, {1, 10, 25}, coded), b = array_of(shape, chunks, coded);
        for (const Pieces& pieces : {Pieces::of(b, bytes), Pieces::of_both(a, b, bytes)})
          for (const int n : visits(pieces, shape)) ASSERT_EQ(n, 1);
        const uint64_t chunk = element_count(chunks) * 4,
                       piece = element_count(Pieces::of_both(a, b, bytes).extent) * 4;
        EXPECT_LE(piece, std::max({bytes, coded ? chunk : 4, coded ? uint64_t{1000} : 4}));
      }
    }
  }
}

TEST(Pieces, OfAScalarAndOfNothing) {
  const Array scalar = array_of({}, {}, false), none = array_of({0, 3}, {1, 3}, false);
  EXPECT_EQ(Pieces::of_both(scalar, scalar, 10).count, 1U);
  EXPECT_EQ(Pieces::of_both(none, none, 10).count, 0U);
}

}  // namespace
}  // namespace upwell::refs
