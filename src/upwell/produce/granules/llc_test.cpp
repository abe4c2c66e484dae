#include "produce/granules/llc.hpp"

#include <gtest/gtest.h>

#include <set>

namespace upwell::produce {
namespace {

Field number_field(uint32_t n, double first) {
  FieldValues<float> values(level_values(n));
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(first + i);
  return {n, 1, std::move(values)};
}

TEST(Llc, RowsOfTilesFillACompactLevelOnce) {
  for (uint32_t n : {1U, 3U, 6U}) {
    std::set<uint64_t> rows;
    for (uint32_t tile = 0; tile < kLlcTiles; ++tile) {
      for (uint32_t j = 0; j < n; ++j) rows.insert(compact_row(n, tile, j));
    }
    ASSERT_EQ(rows.size(), kLlcTiles * n);
    uint64_t next = 0;
    for (uint64_t row : rows) {
      EXPECT_EQ(row, next);
      next += n;
    }
  }
  // Of faces 4 and 5 each row of the file is one of three tiles.
  EXPECT_EQ(compact_row(90, 6, 0), 48600U);
  EXPECT_EQ(compact_row(90, 8, 1), 56700U + 270 + 90);
  EXPECT_EQ(compact_row(90, 12, 89), 81000U + 270 * 89 + 180);
}

TEST(Llc, FieldsAreAsPreciseAsTheFile) {
  const uint32_t n = 2;
  Bytes raw(level_values(n) * 8);
  for (size_t i = 0; i < level_values(n); ++i) store_be(raw.data() + 8 * i, 1.0 / (1.0 + i));
  auto field = field_from_compact(raw, n, 1, 8);
  ASSERT_TRUE(field) << field.error().to_string();
  const auto& values = std::get<FieldValues<double>>(field->values);
  EXPECT_EQ(values[0], 1.0);
  // Tile 8, j 1, i 0: row 1 of face 4, in its middle third.
  EXPECT_EQ(values[8 * 4 + 2], 1.0 / (1.0 + compact_row(n, 8, 1)));
}

TEST(Llc, AFileOfAnotherSizeIsNamedWithBoth) {
  auto field = field_from_compact(Bytes(100), 2, 3, 4);
  ASSERT_FALSE(field);
  EXPECT_EQ(field.error().code, Code::kInvalidData);
  EXPECT_EQ(field.error().message,
            "100 bytes, where 3 levels of 13 x 2 x 2 values of 4 bytes are 624");
}

TEST(Llc, VectorsAtCentresAreOnlyTurned) {
  const uint32_t n = 2;
  const std::vector<float> cs(level_values(n), 0), sn(level_values(n), -1);
  const Field x = number_field(n, 0), y = number_field(n, 1000);
  auto turned = to_east_north(x, y, VectorPoints::kCentres, cs, sn);
  ASSERT_TRUE(turned) << turned.error().to_string();
  EXPECT_EQ(std::get<FieldValues<float>>(turned->east.values),
            std::get<FieldValues<float>>(y.values));
  EXPECT_EQ(std::get<FieldValues<float>>(turned->north.values)[5], -5.0F);
}

TEST(Llc, EdgesTakeTheNeighboursPart) {
  const uint32_t n = 2;
  const std::vector<float> cs(level_values(n), 1), sn(level_values(n), 0);
  const Field x = number_field(n, 0), y = number_field(n, 1000);
  auto turned = to_east_north(x, y, VectorPoints::kFaces, cs, sn);
  ASSERT_TRUE(turned) << turned.error().to_string();
  const auto& east = std::get<FieldValues<float>>(turned->east.values);
  const auto& north = std::get<FieldValues<float>>(turned->north.values);
  // Within tile 0; then to tile 3 along x; from tile 3 to the rows of tile 9, backwards and in y.
  EXPECT_EQ(east[0], 0.5F * (0 + 1));
  EXPECT_EQ(east[1], 0.5F * (1 + 12));
  EXPECT_EQ(east[3 * 4 + 1], 0.5F * (13 + 1000 + 9 * 4 + 1));
  EXPECT_EQ(east[3 * 4 + 3], 0.5F * (15 + 1000 + 9 * 4 + 0));
  // From tile 2 up to the columns of tile 6, backwards and in x. Tile 9 has nothing to its right.
  EXPECT_EQ(north[2 * 4 + 2], 0.5F * (1010 + 6 * 4 + 2));
  EXPECT_EQ(north[2 * 4 + 3], 0.5F * (1011 + 6 * 4 + 0));
  EXPECT_EQ(east[9 * 4 + 1], 0.5F * 37);
}

TEST(Llc, ComponentsMustMatch) {
  const std::vector<float> angles(level_values(2), 1);
  EXPECT_FALSE(
      to_east_north(number_field(2, 0), number_field(3, 0), VectorPoints::kFaces, angles, angles));
  EXPECT_FALSE(
      to_east_north(number_field(3, 0), number_field(3, 0), VectorPoints::kFaces, angles, angles));
}

}  // namespace
}  // namespace upwell::produce
