#include "io/sigv4.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

namespace upwell::io {
namespace {

// The examples of "Authenticating Requests", https://docs.aws.amazon.com/AmazonS3/latest/API/
// sig-v4-header-based-auth.html and sigv4-query-string-auth.html.
const SigningKey kExampleKey{"AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                             "us-east-1", "s3"};
const std::string kExampleDate = "20130524T000000Z";
const std::string kEmptyHash = hex_of(sha256_of({}));

SigningRequest example(const std::string& method, const std::string& path,
                       const std::string& hash = kEmptyHash) {
  return {method,
          path,
          {},
          {{"Host", "examplebucket.s3.amazonaws.com"},
           {"x-amz-content-sha256", hash},
           {"x-amz-date", kExampleDate}},
          hash};
}

TEST(SigV4, PublishedS3Examples) {
  SigningRequest get = example("GET", "/test.txt");
  get.headers.emplace_back("Range", "bytes=0-9");
  EXPECT_EQ(signature_of(get, kExampleKey, kExampleDate),
            "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
  EXPECT_EQ(authorization_of(get, kExampleKey, kExampleDate),
            "AWS4-HMAC-SHA256 "
            "Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
            "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
            "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");

  const std::string hash = hex_of(sha256_of(as_bytes("Welcome to Amazon S3.")));
  SigningRequest put = example("PUT", "/" + uri_encoded("test$file.text", true), hash);
  put.headers.emplace_back("Date", "Fri, 24 May 2013 00:00:00 GMT");
  put.headers.emplace_back("x-amz-storage-class", "REDUCED_REDUNDANCY");
  EXPECT_EQ(signature_of(put, kExampleKey, kExampleDate),
            "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");

  SigningRequest lifecycle = example("GET", "/");
  lifecycle.query = {{"lifecycle", ""}};
  EXPECT_EQ(signature_of(lifecycle, kExampleKey, kExampleDate),
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");

  SigningRequest list = example("GET", "/");
  list.query = {{"prefix", "J"}, {"max-keys", "2"}};
  EXPECT_EQ(signature_of(list, kExampleKey, kExampleDate),
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");

  SigningRequest link{"GET",
                      "/test.txt",
                      {},
                      {{"host", "examplebucket.s3.amazonaws.com"}},
                      std::string(kUnsignedPayload)};
  presign(link, kExampleKey, "", kExampleDate, 86400);
  EXPECT_EQ(link.query.back().second,
            "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

TEST(SigV4, EncodesPathsAndQueries) {
  EXPECT_EQ(uri_encoded("year=2020/sea level \xc3\xa9+~%.nc", true),
            "year%3D2020/sea%20level%20%C3%A9%2B~%25.nc");
  EXPECT_EQ(uri_encoded("a/b", false), "a%2Fb");
  EXPECT_EQ(canonical_query({{"versioning", ""}}), "versioning=");
  EXPECT_EQ(canonical_query({{"prefix", "a b/c:d=\xc3\xa9"}, {"delimiter", "/"}}),
            "delimiter=%2F&prefix=a%20b%2Fc%3Ad%3D%C3%A9");
  EXPECT_EQ(amz_date(1440938160), "20150830T123600Z");
}

// The signing test suite of AWS's common runtime, where it is at hand.

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
  return text;
}

/// request.txt: a request line, headers (lines that begin with a space go on), and a body.
SigningRequest parse_request(const std::string& text) {
  SigningRequest request;
  std::istringstream lines(text);
  std::string line;
  std::getline(lines, line);
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  request.method = line.substr(0, first);
  std::string target = line.substr(first + 1, last - first - 1);
  const size_t question = std::min(target.find('?'), target.size());
  request.path = uri_encoded(target.substr(0, question), true);
  std::istringstream query(target.substr(std::min(question + 1, target.size())));
  for (std::string pair; std::getline(query, pair, '&');) {
    const size_t equal = std::min(pair.find('='), pair.size());
    request.query.emplace_back(pair.substr(0, equal),
                               pair.substr(std::min(equal + 1, pair.size())));
  }
  while (std::getline(lines, line) && !line.empty()) {
    if (line[0] == ' ') {
      request.headers.back().second += line;
      continue;
    }
    const size_t colon = line.find(':');
    request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
  }
  std::string body{std::istreambuf_iterator<char>(lines), {}};
  request.payload_hash = hex_of(sha256_of(as_bytes(body)));
  return request;
}

TEST(SigV4, PublishedSuite) {
  const char* shared = std::getenv("UPWELL_SHARED");
  const std::filesystem::path suite =
      std::filesystem::path(shared == nullptr ? "/nowhere" : shared) /
      "data/conformance/sigv4/awslabs+aws-c-auth/tests/aws-signing-test-suite/v4";
  if (!std::filesystem::is_directory(suite)) GTEST_SKIP() << "no vectors: set UPWELL_SHARED";
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator(suite)) {
    SCOPED_TRACE(entry.path().filename().string());
    const auto context = nlohmann::json::parse(text_of(entry.path() / "context.json"));
    const SigningKey key{context["credentials"]["access_key_id"],
                         context["credentials"]["secret_access_key"], context["region"],
                         context["service"]};
    SigningRequest request = parse_request(text_of(entry.path() / "request.txt"));
    // Services other than S3 sign the normal form of the path.
    if (context["normalize"]) {
      std::string path = std::filesystem::path(request.path).lexically_normal().string();
      request.path = path.starts_with("//") ? path.substr(1) : path;
    }
    const std::string date = "20150830T123600Z";
    SigningRequest link = request;
    request.headers.emplace_back("X-Amz-Date", date);
    if (context["sign_body"]) {
      request.headers.emplace_back("x-amz-content-sha256", request.payload_hash);
    }
    auto expected = [&](const char* name) { return text_of(entry.path() / name); };
    EXPECT_EQ(canonical_request(request), expected("header-canonical-request.txt"));
    EXPECT_EQ(string_to_sign(request, key, date), expected("header-string-to-sign.txt"));
    EXPECT_EQ(signature_of(request, key, date), expected("header-signature.txt"));
    const std::string token = context["credentials"].value("token", "");
    presign(link, key, token, date, context["expiration_in_seconds"]);
    EXPECT_EQ(link.query.back().second, expected("query-signature.txt"));
    ++count;
  }
  EXPECT_EQ(count, 12);
}

}  // namespace
}  // namespace upwell::io
