// S3 beside the conformance suite: credentials, answers, and a service that misbehaves.

#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <map>

#include "io/s3_answer.hpp"
#include "io/s3_dialect.hpp"
#include "io/s3_store.hpp"
#include "io/session.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

Environment environment(std::map<std::string, std::string> variables) {
  return [variables = std::move(variables)](const std::string& name) {
    auto it = variables.find(name);
    return it == variables.end() ? std::string() : it->second;
  };
}

/// A home directory with ~/.aws.
class AwsHome {
 public:
  AwsHome(const std::string& credentials, const std::string& config) {
    std::filesystem::create_directory(home_.path() / ".aws");
    write("credentials", credentials);
    write("config", config);
  }
  void write(const std::string& name, const std::string& text) {
    std::ofstream(home_.path() / ".aws" / name) << text;
  }
  Environment with(std::map<std::string, std::string> variables = {}) const {
    variables.emplace("HOME", home_.path().string());
    return environment(std::move(variables));
  }

 private:
  TemporaryDirectory home_;
};

const char* const kCredentialsFile =
    "# a comment\n"
    "[default]\n"
    "aws_access_key_id = AKDEFAULT\n"
    "aws_secret_access_key = s3cret/=+\n"
    "\n"
    "[archive]\n"
    "aws_access_key_id=AKARCHIVE\n"
    "AWS_SECRET_ACCESS_KEY=other ; a comment\n"
    "aws_session_token = token==\n"
    "aws_expiration = 2026-11-26T08:00:00+01:00\n";
const char* const kConfigFile =
    "[default]\nregion = eu-west-1\n"
    "[profile archive]\n"
    "region = us-west-2\n"
    "endpoint_url = https://elsewhere.example\n"
    "s3 =\n"
    "    addressing_style = path\n"
    "    endpoint_url = https://s3.example/\n"
    "[profile single-sign-on]\n"
    "sso_session = somewhere\n";

S3Credentials credentials_of(const S3Settings& settings, const Environment& env) {
  auto configuration = s3_configuration(settings, env);
  EXPECT_TRUE(configuration) << configuration.error().to_string();
  auto credentials = configuration->credentials();
  EXPECT_TRUE(credentials) << credentials.error().to_string();
  return credentials ? *credentials : S3Credentials{};
}

TEST(S3Credentials, ComeFromEnvironmentAndProfiles) {
  AwsHome home(kCredentialsFile, kConfigFile);
  EXPECT_EQ(credentials_of({}, home.with()).access_key_id, "AKDEFAULT");
  EXPECT_EQ(credentials_of({}, home.with()).secret_access_key, "s3cret/=+");
  auto archive = credentials_of({}, home.with({{"AWS_PROFILE", "archive"}}));
  EXPECT_EQ(archive, (S3Credentials{"AKARCHIVE", "other", "token==", 1795676400}));
  const std::map<std::string, std::string> keys{
      {"AWS_ACCESS_KEY_ID", "AKENV"}, {"AWS_SECRET_ACCESS_KEY", "x"}, {"AWS_SESSION_TOKEN", "t"}};
  EXPECT_EQ(credentials_of({}, home.with(keys)), (S3Credentials{"AKENV", "x", "t", {}}));
  // A profile that is named in the call is meant.
  S3Settings named;
  named.profile = "archive";
  EXPECT_EQ(credentials_of(named, home.with(keys)).access_key_id, "AKARCHIVE");
  EXPECT_TRUE(credentials_of({}, home.with({{"AWS_NO_SIGN_REQUEST", "true"}})).anonymous());
  EXPECT_TRUE(credentials_of({}, environment({{"HOME", "/nowhere"}})).anonymous());
}

TEST(S3Credentials, PlacesComeInOrder) {
  AwsHome home(kCredentialsFile, kConfigFile);
  S3Settings settings;
  settings.profile = "archive";
  auto c = s3_configuration(settings, home.with());
  ASSERT_TRUE(c) << c.error().to_string();
  EXPECT_EQ(c->endpoint, "https://s3.example");
  EXPECT_EQ(c->region, "us-west-2");
  EXPECT_EQ(c->addressing_style, "path");
  c = s3_configuration(settings, home.with({{"AWS_ENDPOINT_URL", "http://a"}}));
  EXPECT_EQ(c->endpoint, "http://a");
  c = s3_configuration(
      settings, home.with({{"AWS_ENDPOINT_URL", "http://a"}, {"AWS_ENDPOINT_URL_S3", "http://b"}}));
  EXPECT_EQ(c->endpoint, "http://b");
  settings.endpoint = "http://c";
  c = s3_configuration(settings, home.with({{"AWS_ENDPOINT_URL_S3", "http://b"}}));
  EXPECT_EQ(c->endpoint, "http://c");
}

TEST(S3Credentials, WrongConfigurationIsSaid) {
  AwsHome home(kCredentialsFile, kConfigFile);
  auto message = [&](std::map<std::string, std::string> env) {
    auto c = s3_configuration({}, home.with(std::move(env)));
    if (!c) return c.error().to_string();
    auto credentials = c->credentials();
    return credentials ? "" : credentials.error().to_string();
  };
  EXPECT_NE(message({{"AWS_PROFILE", "nobody"}}).find("\"nobody\" is neither in"),
            std::string::npos);
  EXPECT_NE(message({{"AWS_PROFILE", "single-sign-on"}}).find("sso_session"), std::string::npos);
  EXPECT_NE(message({{"AWS_ACCESS_KEY_ID", "half"}}).find("belong together"), std::string::npos);
  EXPECT_NE(message({{"AWS_ENDPOINT_URL", "example.org"}}).find("must begin with https://"),
            std::string::npos);
  home.write("config", "[default\n");
  EXPECT_NE(message({}).find("config, line 1"), std::string::npos);
}

TEST(S3Credentials, Expirations) {
  EXPECT_EQ(parse_expiration("2026-11-26T07:00:00Z"), 1795676400);
  EXPECT_EQ(parse_expiration("2026-11-26 08:00:00+01:00"), 1795676400);
  EXPECT_EQ(parse_expiration("2026-11-26T07:00:00.123Z"), 1795676400);
  EXPECT_FALSE(parse_expiration(""));
  EXPECT_FALSE(parse_expiration("soon"));
}

TEST(S3Answer, ListsAndErrors) {
  auto page = parse_s3_list(
      "<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>b</Name><Prefix>a/</Prefix>"
      "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
      "<NextContinuationToken>n&amp;1</NextContinuationToken>"
      "<Contents><Key>a/year%3D2020+%C3%A9%2B.nc</Key><Size>1</Size></Contents>"
      "<Contents><Key>a/&#x62;&lt;</Key></Contents>"
      "<CommonPrefixes><Prefix>a/c/</Prefix></CommonPrefixes></ListBucketResult>");
  ASSERT_TRUE(page) << page.error().to_string();
  EXPECT_EQ(page->keys, (std::vector<std::string>{"a/year=2020 \xc3\xa9+.nc", "a/b<"}));
  EXPECT_EQ(page->prefixes, std::vector<std::string>{"a/c/"});
  EXPECT_EQ(page->next, "n&1");
  EXPECT_FALSE(parse_s3_list("<html>"));
  EXPECT_FALSE(
      parse_s3_list("<ListBucketResult><IsTruncated>true</IsTruncated>"
                    "</ListBucketResult>"));
  EXPECT_FALSE(parse_s3_list("<ListBucketResult><Contents></Contents></ListBucketResult>"));
  auto error = parse_s3_error("<Error><Code>NoSuchKey</Code><Message>gone</Message></Error>");
  ASSERT_TRUE(error);
  EXPECT_EQ(error->code, "NoSuchKey");
  EXPECT_FALSE(parse_s3_error("<ErrorX><Code>a</Code></ErrorX>"));
}

// A service that misbehaves.

const S3Credentials kKeys{"AK", "secret", "token-1", {}};

S3Options options_for(const RawServer& server, S3CredentialsProvider provider = {}) {
  S3Options options;
  options.http.backoff_base_s = 0.01;
  options.configuration.endpoint = server.url().substr(0, server.url().size() - 1);
  options.configuration.credentials =
      provider ? std::move(provider) : [] { return Result<S3Credentials>(kKeys); };
  return options;
}

std::string s3_error(const std::string& code, const std::string& more = "") {
  return "<Error><Code>" + code + "</Code><Message>because</Message>" + more + "</Error>";
}

RawAnswer answer(int status, const std::string& body, const std::string& headers = "") {
  return {http_answer(status, headers, body), 0, true};
}

RawAnswer part(const std::string& content) {
  return answer(
      206, content,
      "Content-Range: bytes 0-" + std::to_string(content.size() - 1) + "/100\r\nETag: \"e\"\r\n");
}

Result<SharedBytes> read_three(S3Store& store) {
  ReadRequest request{"s3://bucket/a=1/b c.nc", {0, 3}};
  return std::move(store.read({&request, 1}).front());
}

TEST(S3Store, SignsAndAddressesByPath) {
  RawServer server([](const SeenRequest&, size_t) { return part("abc"); });
  S3Options options = options_for(server);
  options.requester_pays = true;
  S3Store store(std::move(options));
  ASSERT_TRUE(read_three(store));
  const SeenRequest seen = server.seen().front();
  EXPECT_EQ(seen.target, "/bucket/a%3D1/b%20c.nc");
  EXPECT_TRUE(seen.header("authorization").starts_with("aws4-hmac-sha256 credential=ak/") ||
              seen.header("authorization").starts_with("AWS4-HMAC-SHA256 Credential=AK/"))
      << seen.head;
  EXPECT_EQ(seen.header("x-amz-security-token"), "token-1");
  EXPECT_EQ(seen.header("x-amz-request-payer"), "requester");
  EXPECT_EQ(seen.header("range"), "bytes=0-2");
}

TEST(S3Store, AnonymousRequestsAreNotSigned) {
  RawServer server([](const SeenRequest&, size_t n) {
    return n == 0 ? part("abc") : answer(403, s3_error("AccessDenied"));
  });
  S3Store store(options_for(server, [] { return Result<S3Credentials>(S3Credentials{}); }));
  ASSERT_TRUE(read_three(store));
  EXPECT_EQ(server.seen().front().header("authorization"), "");
  auto denied = read_three(store);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().code, Code::kPermissionDenied);
  EXPECT_NE(denied.error().message.find("not signed"), std::string::npos);
}

TEST(S3Store, LearnsTheRegionOfABucket) {
  RawServer server([](const SeenRequest& seen, size_t) {
    if (seen.head.find("/eu-north-1/s3/") != std::string::npos) return part("abc");
    return answer(301, s3_error("PermanentRedirect"),
                  "x-amz-bucket-region: eu-north-1\r\nLocation: http://127.0.0.1:1/x\r\n");
  });
  S3Store store(options_for(server));
  ASSERT_TRUE(read_three(store));
  ASSERT_TRUE(read_three(store));
  EXPECT_EQ(server.seen().size(), 3u);  // it is remembered
}

TEST(S3Store, LearnsTheRegionFromAMalformedAuthorization) {
  RawServer server([](const SeenRequest& seen, size_t) {
    if (seen.head.find("/eu-north-1/s3/") != std::string::npos)
      return answer(200, "", "ETag: \"e\"\r\n");
    if (seen.method == "HEAD") return RawAnswer{http_answer(400, "", ""), 0, true};
    return answer(400, s3_error("AuthorizationHeaderMalformed", "<Region>eu-north-1</Region>"));
  });
  S3Store store(options_for(server));
  auto info = store.stat("s3://bucket/empty");
  ASSERT_TRUE(info) << info.error().to_string();
}

TEST(S3Store, NeverFollowsARedirect) {
  RawServer other([](const SeenRequest&, size_t) { return part("abc"); });
  RawServer server([&](const SeenRequest&, size_t) {
    return answer(307, "", "Location: " + other.url() + "bucket/x\r\n");
  });
  S3Store store(options_for(server));
  auto got = read_three(store);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().message.find("do not follow"), std::string::npos) << got.error().message;
  EXPECT_TRUE(other.seen().empty());
}

TEST(S3Store, ExpiredCredentialsAreRenewedInTheMiddleOfABatch) {
  std::atomic<int> asked{0};
  RawServer server([](const SeenRequest& seen, size_t n) {
    if (n < 3 || seen.header("x-amz-security-token") == "token-2") return part("abc");
    return answer(400, s3_error("ExpiredToken"));
  });
  S3Store store(options_for(server, [&] {
    return Result<S3Credentials>(
        S3Credentials{"AK", "s", ++asked == 1 ? "token-1" : "token-2", {}});
  }));
  std::vector<ReadRequest> batch(8, ReadRequest{"s3://bucket/a", {0, 3}});
  for (const auto& got : store.read(batch)) {
    ASSERT_TRUE(got) << got.error().to_string();
    EXPECT_EQ(as_text(got->span()), "abc");
  }
  EXPECT_EQ(asked, 2);
}

TEST(S3Store, ExpiredCredentialsWithoutNewerOnesAreAnError) {
  RawServer server(
      [](const SeenRequest&, size_t) { return answer(400, s3_error("ExpiredToken")); });
  S3Store store(options_for(server));
  auto got = read_three(store);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnauthenticated);
  EXPECT_NE(got.error().message.find("log in again"), std::string::npos);
  // Known to have expired: nothing is sent.
  const size_t before = server.seen().size();
  S3Options options = options_for(
      server, [] { return Result<S3Credentials>(S3Credentials{"AK", "s", "t", 1000}); });
  S3Store late(std::move(options));
  got = read_three(late);
  ASSERT_FALSE(got);
  EXPECT_EQ(got.error().code, Code::kUnauthenticated);
  EXPECT_EQ(server.seen().size(), before);
}

TEST(S3Store, SlowDownAndTruncatedBodiesAreRetried) {
  RawServer server([](const SeenRequest&, size_t n) {
    if (n == 0) return answer(503, s3_error("SlowDown"));
    if (n == 1) return answer(400, s3_error("RequestTimeout"));
    RawAnswer whole = part("abc");
    if (n == 2) {
      whole.bytes.resize(whole.bytes.size() - 2);
      whole.keep = false;
    }
    return whole;
  });
  S3Store store(options_for(server));
  auto got = read_three(store);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(as_text(got->span()), "abc");
  EXPECT_EQ(server.seen().size(), 4u);
}

TEST(S3Store, ErrorsAreClear) {
  struct Row {
    int status;
    std::string code;
    Code expected;
    std::string words;
  };
  for (const Row& row : {Row{403, "AccessDenied", Code::kPermissionDenied, "may not"},
                         Row{404, "NoSuchKey", Code::kNotFound, "NoSuchKey"},
                         Row{404, "NoSuchBucket", Code::kNotFound, "NoSuchBucket"},
                         Row{403, "InvalidAccessKeyId", Code::kUnauthenticated, "--s3-anonymous"},
                         Row{403, "SignatureDoesNotMatch", Code::kUnauthenticated, "secret"},
                         Row{403, "RequestTimeTooSkewed", Code::kUnauthenticated, "ahead of"}}) {
    RawServer server([&](const SeenRequest&, size_t) {
      return answer(row.status, s3_error(row.code), "Date: Thu, 26 Nov 2015 07:00:00 GMT\r\n");
    });
    S3Store store(options_for(server));
    auto got = read_three(store);
    ASSERT_FALSE(got);
    EXPECT_EQ(to_string(got.error().code), to_string(row.expected)) << row.code;
    EXPECT_NE(got.error().message.find(row.words), std::string::npos) << got.error().message;
    EXPECT_NE(got.error().message.find("s3://bucket/a=1/b c.nc"), std::string::npos);
  }
}

TEST(S3Store, ListsPageByPage) {
  RawServer server([](const SeenRequest& seen, size_t) {
    const bool second = seen.target.find("continuation-token=t%2B1") != std::string::npos;
    return answer(200, second ? "<ListBucketResult><EncodingType>url</EncodingType><Contents><Key>"
                                "a/2</Key></Contents></ListBucketResult>"
                              : "<ListBucketResult><IsTruncated>true</IsTruncated>"
                                "<NextContinuationToken>t+1</NextContinuationToken><Contents><Key>"
                                "a/</Key></Contents><Contents><Key>a/1</Key></Contents>"
                                "</ListBucketResult>");
  });
  S3Store store(options_for(server));
  auto urls = store.list("s3://bucket/a");
  ASSERT_TRUE(urls) << urls.error().to_string();
  EXPECT_EQ(*urls, (std::vector<std::string>{"s3://bucket/a/1", "s3://bucket/a/2"}));
  EXPECT_FALSE(store.list("s3://bucket/elsewhere/"));  // names objects that were not asked for
}

TEST(S3Store, AConditionalPutWhoseAnswerWasLostIsKnownToHaveHappened) {
  RawServer server([](const SeenRequest& seen, size_t n) -> RawAnswer {
    if (n == 0) return {"", 0, false};  // done, but the connection breaks
    if (seen.method == "PUT") return answer(412, s3_error("PreconditionFailed"));
    return answer(200, "pointer", "ETag: \"e\"\r\n");
  });
  S3Store store(options_for(server));
  auto put = store.put("s3://bucket/p", as_bytes("pointer"), PutCondition::absent());
  ASSERT_TRUE(put) << put.error().to_string();
  EXPECT_EQ(put->etag, "\"e\"");
  auto other = store.put("s3://bucket/p", as_bytes("another"), PutCondition::absent());
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::kAlreadyExists);
}

TEST(S3Store, AnUploadThatFailsIsAborted) {
  RawServer server([](const SeenRequest& seen, size_t) {
    if (seen.method == "POST" && seen.target.ends_with("?uploads="))
      return answer(200, "<R><UploadId>u1</UploadId></R>");
    if (seen.method == "PUT") return answer(200, "", "ETag: \"p\"\r\n");
    if (seen.method == "DELETE") return answer(204, "");
    return answer(200, s3_error("EntityTooSmall"));  // 200, and yet it failed
  });
  S3Options options = options_for(server);
  options.part_size = 1000;
  S3Store store(std::move(options));
  auto put = store.put("s3://bucket/large", as_bytes(std::string(5000, 'x')));
  ASSERT_FALSE(put);
  EXPECT_NE(put.error().message.find("EntityTooSmall"), std::string::npos);
  EXPECT_EQ(server.seen().back().method, "DELETE");
  EXPECT_EQ(server.seen().back().target, "/bucket/large?uploadId=u1");
}

TEST(S3Store, PartsAndTheEndOfAnUploadAreRetried) {
  std::atomic<int> parts{0};
  std::atomic<int> ends{0};
  RawServer server([&](const SeenRequest& seen, size_t) {
    if (seen.target.ends_with("?uploads=")) return answer(200, "<R><UploadId>u1</UploadId></R>");
    if (seen.method == "PUT" && ++parts == 2) return answer(503, s3_error("SlowDown"));
    if (seen.method == "PUT") return answer(200, "", "ETag: \"p\"\r\n");
    if (++ends == 1) return answer(200, s3_error("InternalError"));  // 200 came too early
    return answer(200, "<R><ETag>&quot;whole-5&quot;</ETag></R>");
  });
  S3Options options = options_for(server);
  options.part_size = 1000;
  S3Store store(std::move(options));
  auto put = store.put("s3://bucket/large", as_bytes(std::string(5000, 'x')));
  ASSERT_TRUE(put) << put.error().to_string();
  EXPECT_EQ(put->etag, "\"whole-5\"");
  EXPECT_EQ(parts, 6);
  EXPECT_EQ(ends, 2);
}

TEST(S3Store, UrlsAreChecked) {
  EXPECT_FALSE(parse_s3_url("s3:///key"));
  EXPECT_FALSE(parse_s3_url("s3://user@evil.example/key"));
  EXPECT_FALSE(parse_s3_url("https://bucket/key"));
  auto url = parse_s3_url("s3://bucket/a?b#c%20/");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->key, "a?b#c%20/");
}

}  // namespace
}  // namespace upwell::io
