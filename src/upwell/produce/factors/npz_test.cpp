#include "produce/factors/npz.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "produce/factors/scipy_sparse.hpp"

namespace upwell::produce {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Bytes npy(std::string_view type, std::vector<uint64_t> shape, std::string_view data) {
  return to_bytes(npy_header(type, shape) + std::string(data));
}

template <typename T>
std::string raw(std::vector<T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

Bytes archive(const std::vector<std::pair<std::string, Bytes>>& members) {
  NpzWriter writer;
  for (const auto& [name, bytes] : members) writer.add(name, bytes);
  return std::move(writer).finish().value();
}

TEST(Npy, ReadsNumbersOfEveryKind) {
  const Bytes big = npy(">i2", {2}, std::string("\x01\x02\xff\xff", 4));
  EXPECT_THAT(parse_npy(big)->as_doubles().value(), ElementsAre(258, -1));
  const Bytes flags = npy("|b1", {2, 1}, std::string("\x00\x01", 2));
  EXPECT_THAT(parse_npy(flags)->as_doubles().value(), ElementsAre(0, 1));
  const Bytes doubles = npy("<f8", {}, raw<double>({2.5}));
  EXPECT_THAT(parse_npy(doubles)->as_doubles().value(), ElementsAre(2.5));
}

TEST(Npy, IndicesAreWholeAndNotNegative) {
  const Bytes good = npy("<i8", {2}, raw<int64_t>({7, 4294967295}));
  EXPECT_THAT(parse_npy(good)->as_uint32().value(), ElementsAre(7, 4294967295));
  for (const Bytes& bad :
       {npy("<i8", {1}, raw<int64_t>({-1})), npy("<i8", {1}, raw<int64_t>({1LL << 32})),
        npy("<f8", {1}, raw<double>({0.5})), npy("<f8", {1}, raw<double>({NAN}))})
    EXPECT_EQ(parse_npy(bad)->as_uint32().error().code, Code::kInvalidData);
}

TEST(Npy, RefusesWhatDisagrees) {
  EXPECT_THAT(parse_npy(npy("<f8", {3}, raw<double>({1, 2}))).error().message,
              HasSubstr("16 bytes of data"));
  EXPECT_EQ(parse_npy(npy("|O", {1}, "12345678")).error().code, Code::kUnsupported);
  const uint64_t huge = uint64_t{1} << 40;
  EXPECT_EQ(parse_npy(npy("<f8", {huge, huge}, "")).error().code, Code::kInvalidData);
  const Bytes whole = npy("<u4", {1}, "abcd");
  for (size_t n = 0; n < whole.size(); ++n) EXPECT_FALSE(parse_npy(ByteSpan(whole).first(n))) << n;
}

TEST(Npz, GivesBackWhatWasWritten) {
  const std::vector<uint32_t> values{1, 2, 3};
  const std::array shape{uint64_t{3}};
  NpzWriter writer;
  writer.add("note.txt", as_bytes("hello"));
  writer.add_array<uint32_t>("values", values, shape);
  const SharedBytes file(std::move(writer).finish().value());
  auto reader = NpzReader::open(file);
  ASSERT_TRUE(reader) << reader.error().to_string();
  EXPECT_EQ(as_text(reader->member("note.txt")->span()), "hello");
  auto array = read_array(*reader, "values");
  ASSERT_TRUE(array) << array.error().to_string();
  EXPECT_THAT(array->array.as_uint32().value(), ElementsAre(1, 2, 3));
  EXPECT_EQ((array->array.data.data() - file.data()) % 64, 0);
  EXPECT_EQ(reader->member("none").error().code, Code::kNotFound);
  EXPECT_EQ(reader->member("note.txt", 4).error().code, Code::kResourceExhausted);
}

TEST(Npz, TruncatedOrChangedIsAnError) {
  const Bytes whole = archive({{"a", to_bytes("first")}, {"b", to_bytes("second")}});
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(NpzReader::open(
        SharedBytes(Bytes(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n)))))
        << n;
  Bytes changed = whole;
  const std::string_view text = as_text(changed);
  changed[text.find("second")] ^= 1;
  EXPECT_THAT(NpzReader::open(SharedBytes(changed))->member("b").error().message,
              HasSubstr("checksum"));
}

TEST(ScipySparse, ReadsTheThreeForms) {
  // [[0 2 0], [3 0 4]]
  const Bytes values = npy("<i8", {3}, raw<int64_t>({2, 3, 4}));
  const Bytes shape = npy("<i8", {2}, raw<int64_t>({2, 3}));
  const Bytes by_row = archive({{"format.npy", npy("|S3", {}, "csr")},
                                {"shape.npy", shape},
                                {"data.npy", values},
                                {"indptr.npy", npy("<i4", {3}, raw<int32_t>({0, 1, 3}))},
                                {"indices.npy", npy("<i4", {3}, raw<int32_t>({1, 0, 2}))}});
  const Bytes coordinates = archive({{"format.npy", npy("|S3", {}, "coo")},
                                     {"shape.npy", shape},
                                     {"data.npy", values},
                                     {"row.npy", npy("<i4", {3}, raw<int32_t>({0, 1, 1}))},
                                     {"col.npy", npy("<i4", {3}, raw<int32_t>({1, 0, 2}))}});
  for (const Bytes& file : {by_row, coordinates}) {
    auto matrix = read_scipy_sparse(SharedBytes(file));
    ASSERT_TRUE(matrix) << matrix.error().to_string();
    EXPECT_EQ(matrix->rows, 2);
    EXPECT_THAT(matrix->columns.offsets, ElementsAre(0, 1, 2, 3));
    EXPECT_THAT(matrix->columns.indices, ElementsAre(1, 0, 1));
    EXPECT_THAT(matrix->columns.values, ElementsAre(3, 2, 4));
  }
}

TEST(ScipySparse, RefusesWhatDisagrees) {
  auto read = [](const std::vector<int32_t>& offsets, const std::vector<int32_t>& indices,
                 const char* format) {
    const Bytes file = archive({{"format.npy", npy("|S3", {}, format)},
                                {"shape.npy", npy("<i8", {2}, raw<int64_t>({2, 3}))},
                                {"data.npy", npy("<f8", {2}, raw<double>({1, 1}))},
                                {"indptr.npy", npy("<i4", {offsets.size()}, raw(offsets))},
                                {"indices.npy", npy("<i4", {indices.size()}, raw(indices))}});
    return read_scipy_sparse(SharedBytes(file));
  };
  EXPECT_TRUE(read({0, 1, 2}, {0, 2}, "csr"));
  EXPECT_THAT(read({0, 1, 2}, {0, 3}, "csr").error().message,
              HasSubstr("column of an entry: element 1 is 3, of 3"));
  EXPECT_THAT(read({0, 3, 2}, {0, 1}, "csr").error().message, HasSubstr("indptr.npy"));
  EXPECT_THAT(read({0, 2}, {0, 1}, "csr").error().message, HasSubstr("indptr.npy"));
  EXPECT_EQ(read({0, 1, 2}, {0, -1}, "csr").error().code, Code::kInvalidData);
  EXPECT_EQ(read({0, 1, 2}, {0, 1}, "bsr").error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace upwell::produce
