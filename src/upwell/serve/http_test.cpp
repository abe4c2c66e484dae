#include "serve/http.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libdeflate.h>

namespace upwell::serve {
namespace {

Request get(std::vector<Header> headers = {}, std::string method = "GET") {
  return {std::move(method), "/x", std::move(headers)};
}

Response text_response(std::string_view text) {
  Response response;
  response.content_type = "application/json";
  response.etag = "abc";
  response.compressible = true;
  response.body = Body::of(text);
  return response;
}

std::string_view header_of(const Response& response, std::string_view name) {
  for (const auto& [key, value] : response.headers) {
    if (key == name) return value;
  }
  return {};
}

TEST(Http, RangeForms) {
  ByteRange range;
  EXPECT_EQ(parse_range("bytes=0-9", 100, range), RangeOutcome::kPart);
  EXPECT_EQ(range, (ByteRange{0, 10}));
  EXPECT_EQ(parse_range("bytes=95-", 100, range), RangeOutcome::kPart);
  EXPECT_EQ(range, (ByteRange{95, 5}));
  EXPECT_EQ(parse_range("bytes=-4", 100, range), RangeOutcome::kPart);
  EXPECT_EQ(range, (ByteRange{96, 4}));
  EXPECT_EQ(parse_range("bytes=-400", 100, range), RangeOutcome::kPart);
  EXPECT_EQ(range, (ByteRange{0, 100}));
  EXPECT_EQ(parse_range("bytes=90-1000", 100, range), RangeOutcome::kPart);
  EXPECT_EQ(range, (ByteRange{90, 10}));
  EXPECT_EQ(parse_range("bytes=100-", 100, range), RangeOutcome::kUnsatisfiable);
  EXPECT_EQ(parse_range("bytes=-0", 100, range), RangeOutcome::kUnsatisfiable);
  EXPECT_EQ(parse_range("bytes=0-", 0, range), RangeOutcome::kUnsatisfiable);
}

TEST(Http, RangesNotUnderstoodGiveTheWhole) {
  ByteRange range;
  for (const char* text : {"", "items=0-1", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=0-1,4-5",
                           "bytes=--3", "bytes=1-2x", "bytes=99999999999999999999-"}) {
    EXPECT_EQ(parse_range(text, 100, range), RangeOutcome::kWhole) << text;
    EXPECT_EQ(range, (ByteRange{0, 100})) << text;
  }
}

TEST(Http, EtagLists) {
  EXPECT_TRUE(etag_listed("\"abc\"", "abc"));
  EXPECT_TRUE(etag_listed("\"x\", W/\"abc\"", "abc"));
  EXPECT_TRUE(etag_listed("*", "abc"));
  EXPECT_FALSE(etag_listed("abc", "abc"));
  EXPECT_FALSE(etag_listed("\"abcd\"", "abc"));
  EXPECT_FALSE(etag_listed("", "abc"));
}

TEST(Http, AcceptEncoding) {
  EXPECT_TRUE(accepts_gzip("gzip, deflate"));
  EXPECT_TRUE(accepts_gzip("br;q=1, GZIP;q=0.5"));
  EXPECT_TRUE(accepts_gzip("*"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0"));
  EXPECT_FALSE(accepts_gzip("gzip;q=0.000, *"));
  EXPECT_FALSE(accepts_gzip("identity"));
  EXPECT_FALSE(accepts_gzip(""));
}

TEST(Http, TargetsAreDecodedAndChecked) {
  using testing::ElementsAre;
  EXPECT_THAT(*split_target("/datasets/a%20b/zarr/.zattrs?x=1"),
              ElementsAre("datasets", "a b", "zarr", ".zattrs"));
  EXPECT_THAT(*split_target("/"), ElementsAre(""));
  EXPECT_THAT(*split_target("/datasets/"), ElementsAre("datasets", ""));
  for (const char* bad :
       {"", "x", "/a/../b", "/a/%2e%2e/b", "/a/./b", "/a%2Fb", "/a%5Cb", "/a\\b", "/a%00b",
        "/a%0Ab", "/%", "/%4", "/%zz", "//a", "/a//b", "/%ff", "/%c3"}) {
    EXPECT_FALSE(split_target(bad)) << bad;
  }
}

TEST(Http, Queries) {
  using testing::ElementsAre;
  using testing::Pair;
  EXPECT_THAT(query_of("/x?index=time:0&a+b=c%20d&flag"),
              ElementsAre(Pair("index", "time:0"), Pair("a b", "c d"), Pair("flag", "")));
  EXPECT_TRUE(query_of("/x").empty());
}

TEST(Http, NotModifiedFetchesNothing) {
  Response response = text_response("");
  response.body.size = 10;
  response.body.fetch = [](uint64_t, uint64_t) -> Result<SharedBytes> {
    return fail(Code::kInternal, "must not be called");
  };
  EXPECT_EQ(finish(get({{"if-none-match", "\"abc\""}}), response).status, 304);
  const Response head = finish(get({}, "HEAD"), response);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body.size, 10U);
  EXPECT_EQ(finish(get({{"Range", "bytes=10-"}}), response).status, 416);
  EXPECT_EQ(finish(get(), response).status, 500);
}

TEST(Http, RangesFetchOnlyWhatIsAsked) {
  Response response = text_response("");
  response.body.size = 1000;
  ByteRange asked;
  response.body.fetch = [&](uint64_t offset, uint64_t length) -> Result<SharedBytes> {
    asked = {offset, length};
    return SharedBytes(Bytes(length, 7));
  };
  const Response part = finish(get({{"Range", "bytes=-3"}}), response);
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(asked, (ByteRange{997, 3}));
  EXPECT_EQ(header_of(part, "Content-Range"), "bytes 997-999/1000");
  EXPECT_EQ(part.body.bytes.size(), 3U);
}

TEST(Http, IfRange) {
  const Response response = text_response("0123456789");
  EXPECT_EQ(finish(get({{"Range", "bytes=0-1"}, {"If-Range", "\"abc\""}}), response).status, 206);
  EXPECT_EQ(finish(get({{"Range", "bytes=0-1"}, {"If-Range", "\"old\""}}), response).status, 200);
  EXPECT_EQ(finish(get({{"Range", "bytes=0-1"}, {"If-Range", "W/\"abc\""}}), response).status, 200);
}

TEST(Http, GzipIsAnotherRepresentation) {
  const std::string text(5000, 'x');
  const Response plain = finish(get(), text_response(text));
  EXPECT_EQ(header_of(plain, "Content-Encoding"), "");
  EXPECT_EQ(header_of(plain, "Vary"), "Accept-Encoding");
  const Response packed = finish(get({{"Accept-Encoding", "gzip"}}), text_response(text));
  EXPECT_EQ(header_of(packed, "Content-Encoding"), "gzip");
  EXPECT_EQ(packed.etag, "abc-gzip");
  ASSERT_LT(packed.body.bytes.size(), text.size());
  std::string back(text.size(), ' ');
  libdeflate_decompressor* decompressor = libdeflate_alloc_decompressor();
  EXPECT_EQ(libdeflate_gzip_decompress(decompressor, packed.body.bytes.data(),
                                       packed.body.bytes.size(), back.data(), back.size(), nullptr),
            LIBDEFLATE_SUCCESS);
  libdeflate_free_decompressor(decompressor);
  EXPECT_EQ(back, text);
  // A range speaks of the identity representation.
  const Response part =
      finish(get({{"Accept-Encoding", "gzip"}, {"Range", "bytes=0-1"}}), text_response(text));
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(header_of(part, "Content-Encoding"), "");
}

TEST(Http, BrokenSourcesAreNeverNotFound) {
  for (Code code : {Code::kNotFound, Code::kInvalidData, Code::kChanged, Code::kPermissionDenied,
                    Code::kUnauthenticated, Code::kUnsupported}) {
    EXPECT_EQ(error_response(Error{code, "x", {}, {}}).status, 502) << to_string(code);
  }
  const Response busy = error_response(Error{Code::kUnavailable, "x", {}, 7.2});
  EXPECT_EQ(busy.status, 503);
  EXPECT_EQ(header_of(busy, "Retry-After"), "8");
}

TEST(Http, HashesTellBytesApart) {
  Bytes bytes(1000, 0);
  const std::string before = content_hash(bytes);
  EXPECT_EQ(before.size(), 32U);
  EXPECT_EQ(before, content_hash(bytes));
  for (size_t i = 0; i < bytes.size(); i += 7) {
    bytes[i] ^= 1;
    EXPECT_NE(before, content_hash(bytes)) << i;
    bytes[i] ^= 1;
  }
  EXPECT_NE(content_hash(Bytes(16, 0)), content_hash(Bytes(17, 0)));
  EXPECT_NE(content_hash({}), content_hash(Bytes(1, 0)));
}

}  // namespace
}  // namespace upwell::serve
