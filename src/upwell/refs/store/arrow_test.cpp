#include "refs/store/arrow.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace upwell::refs::arrow {
namespace {

std::filesystem::path scratch(const char* name) {
  // Tests run at the same time, each in a process of its own.
  const std::string own = name + std::to_string(::getpid());
  std::filesystem::path path = std::filesystem::path(testing::TempDir()) / own;
  std::filesystem::remove(path);
  return path;
}

Bytes bytes_of(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  return to_bytes(std::string(std::istreambuf_iterator<char>(in), {}));
}

Result<Table> table_of(Bytes bytes) {
  return open_table(std::make_shared<StoreFile>(SharedBytes(std::move(bytes))));
}

Bytes small_table() {
  const auto path = scratch("arrow_small");
  std::vector<Column> columns{{{"n", Type::kUint32}, {}},
                              {{"text", Type::kText}, {}},
                              {{"when", Type::kInt64}, {}},
                              {{"raw", Type::kBinary}, {}}};
  for (uint64_t i = 0; i < 5; ++i) {
    columns[0].add(i * 7);
    columns[1].add(std::string(i, 'x'));
    columns[2].add(~i);
    columns[3].add(std::string_view("\0a", 2));
  }
  EXPECT_TRUE(write_table(path, columns, 5));
  return bytes_of(path);
}

TEST(Arrow, RowsComeBackAsWritten) {
  auto table = table_of(small_table());
  ASSERT_TRUE(table) << table.error().to_string();
  EXPECT_EQ(table->rows, 5u);
  auto n = read_rows(*table, "n", Type::kUint32, 1, 4);
  ASSERT_TRUE(n);
  EXPECT_EQ(n->number(3), 28u);
  auto text = read_rows(*table, "text", Type::kText, 2, 3);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->text(0), "xx");
  EXPECT_EQ(text->text(2), "xxxx");
  auto when = read_rows(*table, "when", Type::kInt64, 0, 5);
  ASSERT_TRUE(when);
  EXPECT_EQ(static_cast<int64_t>(when->number(2)), -3);
  auto raw = read_rows(*table, "raw", Type::kBinary, 4, 1);
  ASSERT_TRUE(raw);
  EXPECT_EQ(as_text(raw->shared(0).span()), std::string_view("\0a", 2));
}

TEST(Arrow, OnlyWhatIsThereIsRead) {
  auto table = table_of(small_table());
  ASSERT_TRUE(table);
  EXPECT_FALSE(read_rows(*table, "n", Type::kUint32, 3, 3));
  EXPECT_FALSE(read_rows(*table, "n", Type::kUint32, ~uint64_t{0}, 2));
  EXPECT_FALSE(read_rows(*table, "n", Type::kUint64, 0, 1));
  EXPECT_FALSE(read_rows(*table, "none", Type::kUint32, 0, 1));
}

TEST(Arrow, PiecesInAnyOrder) {
  const auto path = scratch("arrow_pieces");
  auto out = TableWriter::create(path, {{"a", Type::kUint64}, {"b", Type::kUint32}}, 1000);
  ASSERT_TRUE(out);
  for (const uint64_t first : {500, 0, 750, 250}) {
    Column a{{"a", Type::kUint64}, {}}, b{{"b", Type::kUint32}, {}};
    for (uint64_t i = first; i < first + 250; ++i) {
      a.add(i << 40);
      b.add(i);
    }
    ASSERT_TRUE(out->put(0, first, a.values));
    ASSERT_TRUE(out->put(1, first, b.values));
  }
  ASSERT_TRUE(out->finish());
  auto table = table_of(bytes_of(path));
  ASSERT_TRUE(table) << table.error().to_string();
  auto a = read_rows(*table, "a", Type::kUint64, 0, 1000);
  auto b = read_rows(*table, "b", Type::kUint32, 0, 1000);
  ASSERT_TRUE(a && b);
  for (uint64_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(a->number(i), i << 40);
    EXPECT_EQ(b->number(i), i);
  }
}

TEST(Arrow, NoRows) {
  const auto path = scratch("arrow_empty");
  ASSERT_TRUE(write_table(path, {{{"text", Type::kText}, {}}, {{"n", Type::kUint64}, {}}}, 0));
  auto table = table_of(bytes_of(path));
  ASSERT_TRUE(table) << table.error().to_string();
  EXPECT_EQ(table->rows, 0u);
  EXPECT_TRUE(read_rows(*table, "text", Type::kText, 0, 0));
}

/// Whatever a byte becomes, the answer is rows or an error; whatever is cut off is an error.
TEST(Arrow, BrokenFiles) {
  const Bytes whole = small_table();
  for (size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(table_of(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n))));
    for (const uint8_t flip : {0x01, 0x80, 0xff}) {
      Bytes broken = whole;
      broken[n] ^= flip;
      auto table = table_of(std::move(broken));
      if (!table) continue;
      for (const ColumnPlace& column : table->columns)
        (void)read_rows(*table, column.field.name, column.field.type, 0, table->rows);
    }
  }
}

}  // namespace
}  // namespace upwell::refs::arrow
