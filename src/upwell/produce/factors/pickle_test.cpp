#include "produce/factors/pickle.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::produce {
namespace {

using testing::HasSubstr;
using Kind = PickleObject::Kind;

Result<Pickle> read_pickle(std::string_view text) { return Pickle::read(as_bytes(text)); }
std::string_view operator""_pickle(const char* text, size_t n) { return {text, n}; }

std::string error_of(std::string_view text) {
  auto pickle = read_pickle(text);
  return pickle ? "no error" : pickle.error().to_string();
}

TEST(Pickle, ReadsPlainValues) {
  // {'a': [1, -2, 300, None, True], 'b': (2.5,)}, protocol 4
  auto pickle = read_pickle(
      "\x80\x04}\x94(\x8c\x01"
      "a]\x94(K\x01J\xfe\xff\xff\xffM,\x01N\x88"
      "e\x8c\x01"
      "bG@\x04\x00\x00\x00\x00\x00\x00\x85\x94u."_pickle);
  ASSERT_TRUE(pickle) << pickle.error().to_string();
  const PickleObject* list = pickle->value(pickle->root(), "a").value();
  ASSERT_EQ(list->items.size(), 5);
  EXPECT_EQ(pickle->item(*list, 1).value()->integer, -2);
  EXPECT_EQ(pickle->item(*list, 2).value()->integer, 300);
  EXPECT_EQ(pickle->item(*list, 3).value()->kind, Kind::kNone);
  EXPECT_EQ(pickle->item(*list, 4).value()->kind, Kind::kBool);
  const PickleObject* tuple = pickle->value(pickle->root(), "b").value();
  EXPECT_EQ(pickle->item(*tuple, 0).value()->number, 2.5);
  EXPECT_FALSE(pickle->value(pickle->root(), "c"));
  EXPECT_FALSE(pickle->item(*tuple, 1));
}

TEST(Pickle, ReadsTheFirstProtocol) {
  // [7L, 1.5, u'\u00e9', True]
  auto pickle = read_pickle("(lp0\nL7L\naF1.5\naV\\u00e9\np1\naI01\na."_pickle);
  ASSERT_TRUE(pickle) << pickle.error().to_string();
  EXPECT_EQ(pickle->item(pickle->root(), 0).value()->integer, 7);
  EXPECT_EQ(pickle->item(pickle->root(), 1).value()->number, 1.5);
  EXPECT_EQ(as_text(pickle->item(pickle->root(), 2).value()->bytes), "\xc3\xa9");
  EXPECT_EQ(pickle->item(pickle->root(), 3).value()->kind, Kind::kBool);
}

TEST(Pickle, RefusesEveryOtherNameAndSaysIt) {
  EXPECT_THAT(error_of("cos\nsystem\n(S'true'\ntR."),
              HasSubstr("offset 0, opcode 'c': it names os.system"));
  EXPECT_THAT(error_of("\x80\x04\x8c\x08"
                       "builtins\x8c\x04"
                       "eval\x93."_pickle),
              HasSubstr("builtins.eval"));
  EXPECT_THAT(error_of("(S'true'\nios\nsystem\n."),
              HasSubstr("opcode 'i': this opcode is not read"));
  EXPECT_EQ(read_pickle("cnumpy\nload\n.").error().code, Code::kUnsupported);
}

TEST(Pickle, BrokenOnesAreErrorsWithTheirPlace) {
  EXPECT_THAT(error_of(""), HasSubstr("offset 0: ends without STOP"));
  EXPECT_THAT(error_of("K"), HasSubstr("offset 0, opcode 'K': its argument goes beyond the end"));
  EXPECT_THAT(error_of("B\xff\xff\xff\xff"), HasSubstr("goes beyond the end"));
  EXPECT_THAT(error_of("h\x05."), HasSubstr("nothing was remembered as 5"));
  EXPECT_THAT(error_of("e."), HasSubstr("there is no mark"));
  EXPECT_THAT(error_of("K\x01(K\x02"
                       "e."),
              HasSubstr("no list to append to"));
  EXPECT_THAT(error_of("NN."), HasSubstr("2 objects on the stack"));
  EXPECT_THAT(error_of("."), HasSubstr("0 objects on the stack"));
  EXPECT_THAT(error_of("(."), HasSubstr("STOP"));
  EXPECT_THAT(error_of("NR."), HasSubstr("nothing is on the stack"));
  EXPECT_THAT(error_of("\x80\x06."), HasSubstr("protocol 6"));
  EXPECT_THAT(error_of("\x8a\x09"
                       "123456789."),
              HasSubstr("64 bits"));
}

TEST(Pickle, IsBounded) {
  PickleLimits limits;
  limits.max_objects = 100;
  limits.max_items = 1000;
  const std::string many(200, ']');
  EXPECT_EQ(Pickle::read(as_bytes(many), limits).error().code, Code::kResourceExhausted);
  // One list appended to itself again and again doubles nothing and nests nothing.
  const std::string cycle =
      "]q\x01h\x01"
      "a.";
  EXPECT_TRUE(read_pickle(cycle));
  std::string copies = "]q\x01";
  for (int i = 0; i < 2000; ++i)
    copies +=
        "h\x01"
        "a";
  EXPECT_EQ(Pickle::read(as_bytes(copies), limits).error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace upwell::produce
