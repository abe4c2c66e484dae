#include "produce/factors/factors.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "produce/factors/mapper.hpp"

namespace upwell::produce {
namespace {

using testing::HasSubstr;

constexpr uint64_t kRows = 9, kColumns = 15, kPoints = 13 * 2 * 2;

FactorsHead small_head(uint64_t levels) {
  FactorsHead head;
  head.source_shape = {13, 2, 2};
  head.grid.latitude.assign(kRows, 0);
  head.grid.longitude.assign(kColumns, 0);
  head.grid.latitude_bounds.assign(2 * kRows, 0);
  head.grid.longitude_bounds.assign(2 * kColumns, 0);
  head.depth_bounds.assign(2 * levels, 0);
  head.method = "nearest";
  return head;
}

LevelFactors random_level(std::mt19937& random, bool nearest) {
  LevelFactors level;
  level.wet.assign(bytes_of_bits(kPoints), 0xff);
  level.ocean.assign(bytes_of_bits(kRows * kColumns), 0);
  level.rows.offsets.push_back(0);
  for (uint64_t cell = 0; cell < kRows * kColumns; ++cell) {
    if (random() % 4 != 0) {
      set_bit(level.ocean, cell);
      const uint32_t n = nearest ? 1 : random() % 4;
      for (uint32_t e = 0; e < n; ++e) {
        level.rows.indices.push_back(static_cast<uint32_t>((cell + 7 * e) % kPoints));
        level.rows.values.push_back(nearest ? 1.0 : 1.0 / (1 + random() % 7));
      }
    }
    level.rows.offsets.push_back(static_cast<uint32_t>(level.rows.indices.size()));
  }
  return level;
}

MappingFactors made_of(const FactorsHead& head, const std::vector<LevelFactors>& levels) {
  FactorsBuilder builder(head);
  for (const LevelFactors& level : levels) EXPECT_TRUE(builder.add(level));
  auto factors = MappingFactors::parse(SharedBytes(std::move(builder).finish().value()));
  EXPECT_TRUE(factors) << factors.error().to_string();
  return *factors;
}

class Factors : public testing::TestWithParam<bool> {};

TEST_P(Factors, AFileGivesBackEveryLevel) {
  std::mt19937 random(1);
  std::vector<LevelFactors> levels;
  for (int k = 0; k < 5; ++k) levels.push_back(random_level(random, GetParam()));
  const MappingFactors factors = made_of(small_head(levels.size()), levels);
  for (size_t k = 0; k < levels.size(); ++k) {
    const LevelFactors back = factors.level(k);
    EXPECT_EQ(back.ocean, levels[k].ocean);
    EXPECT_EQ(back.wet, levels[k].wet);
    EXPECT_EQ(back.rows.offsets, levels[k].rows.offsets);
    EXPECT_EQ(back.rows.indices, levels[k].rows.indices);
    EXPECT_EQ(back.rows.values, levels[k].rows.values);
  }
  if (GetParam()) {
    EXPECT_EQ(factors.own().sources.size(), 0) << "equal rows are kept once";
  }
  EXPECT_TRUE(factor_differences(factors, factors).empty());
}

/// The definition: ascending sources, in double, each product rounded, NaN where not ocean.
double reference(const LevelFactors& level, uint64_t cell, const std::vector<float>& field) {
  if (!bit_at(level.ocean, cell)) return std::nan("");
  double total = 0;
  for (uint32_t e = level.rows.offsets[cell]; e < level.rows.offsets[cell + 1]; ++e) {
    const volatile double product =
        level.rows.values[e] * static_cast<double>(field[level.rows.indices[e]]);
    total += product;
  }
  return total;
}

TEST_P(Factors, MapsEveryTypeAndOrder) {
  std::mt19937 random(2);
  constexpr size_t kLevels = 11;  // more than one group, and a part of one
  std::vector<LevelFactors> levels;
  std::vector<std::vector<float>> fields(kLevels, std::vector<float>(kPoints));
  std::vector<std::vector<float>> big = fields, compact = fields;
  std::vector<std::vector<double>> wide(kLevels, std::vector<double>(kPoints));
  for (size_t k = 0; k < kLevels; ++k) {
    levels.push_back(random_level(random, GetParam()));
    for (uint64_t p = 0; p < kPoints; ++p) {
      const float value = p == 3 ? -0.0F : static_cast<float>(random()) / 3e7F - 50;
      fields[k][p] = value;
      big[k][p] = byteswap(value);
      compact[k][compact_position(p, 2)] = value;
      wide[k][p] = value;
    }
  }
  const MappingFactors factors = made_of(small_head(kLevels), levels);
  const Mapper by_tile = Mapper::make(factors, FieldOrder::kTiles).value();
  const Mapper by_face = Mapper::make(factors, FieldOrder::kCompact).value();
  std::vector<std::vector<float>> out(kLevels, std::vector<float>(kRows * kColumns));
  std::vector<std::vector<double>> out64(kLevels, std::vector<double>(kRows * kColumns));
  auto check = [&](const Mapper& mapper, auto& from, FieldType type, bool both) {
    std::vector<MapTask> tasks;
    for (size_t k = 0; k < kLevels; ++k)
      tasks.push_back({k, from[k].data(), out[k].data(), both ? out64[k].data() : nullptr});
    ASSERT_TRUE(mapper.map(tasks, type));
    for (size_t k = 0; k < kLevels; ++k) {
      for (uint64_t cell = 0; cell < kRows * kColumns; ++cell) {
        const double expected = reference(levels[k], cell, fields[k]);
        const auto bits = std::bit_cast<uint32_t>(static_cast<float>(expected));
        ASSERT_EQ(std::bit_cast<uint32_t>(out[k][cell]), bits) << k << " " << cell;
        if (both) {
          ASSERT_EQ(std::bit_cast<uint64_t>(out64[k][cell]), std::bit_cast<uint64_t>(expected));
        }
      }
    }
  };
  check(by_tile, fields, FieldType::kFloat32, false);
  check(by_tile, fields, FieldType::kFloat32, true);
  check(by_tile, big, FieldType::kFloat32Big, false);
  check(by_face, compact, FieldType::kFloat32, false);
  check(by_tile, wide, FieldType::kFloat64, true);
}

INSTANTIATE_TEST_SUITE_P(NearestAndSums, Factors, testing::Bool());

TEST(FactorsFile, IsCheckedBeforeItIsBelieved) {
  std::mt19937 random(3);
  FactorsBuilder builder(small_head(2));
  ASSERT_TRUE(builder.add(random_level(random, false)));
  ASSERT_TRUE(builder.add(random_level(random, false)));
  const Bytes file = std::move(builder).finish().value();
  for (size_t n = 0; n < file.size(); n += 97)
    EXPECT_FALSE(MappingFactors::parse(
        SharedBytes(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(n)))));
  // Every byte of a member is under its checksum; padding and times are under none.
  size_t noticed = 0, tried = 0;
  for (size_t at = 0; at < file.size(); at += 31, ++tried) {
    Bytes changed = file;
    changed[at] ^= 0x10;
    if (!MappingFactors::parse(SharedBytes(changed))) ++noticed;
  }
  EXPECT_GT(noticed, tried * 3 / 4);
}

TEST(FactorsFile, MissingLevelsAndOtherSizesAreErrors) {
  std::mt19937 random(4);
  FactorsBuilder builder(small_head(2));
  LevelFactors level = random_level(random, true);
  ASSERT_TRUE(builder.add(level));
  level.ocean.pop_back();
  EXPECT_EQ(builder.add(level).error().code, Code::kInvalidData);
  EXPECT_THAT(std::move(builder).finish().error().message, HasSubstr("1 of 2 levels"));
}

TEST(CompactPosition, IsAPermutation) {
  constexpr uint64_t n = 3;
  std::vector<bool> taken(13 * n * n, false);
  for (uint64_t p = 0; p < taken.size(); ++p) taken[compact_position(p, n)] = true;
  EXPECT_EQ(std::count(taken.begin(), taken.end(), true), 13 * n * n);
  // Tile 8, j 1, i 2 of faces 4: row 1 of 3n values, second strip.
  EXPECT_EQ(compact_position(8 * 9 + 1 * 3 + 2, n), 63 + 9 + 3 + 2);
}

}  // namespace
}  // namespace upwell::produce
