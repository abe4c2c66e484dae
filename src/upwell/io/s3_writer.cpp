// Writing to S3: one PUT for what fits, parts for what does not.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/mpuoverview.html

#include <openssl/evp.h>

#include <algorithm>

#include "io/s3_answer.hpp"
#include "io/s3_client.hpp"
#include "io/sigv4.hpp"

namespace upwell::io {
namespace {

constexpr size_t kMaxParts = 10'000;

std::string base64_of(ByteSpan bytes) {
  std::string out((bytes.size() + 2) / 3 * 4 + 1, '\0');
  int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()), bytes.data(),
                          static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(n));
  return out;
}

/// The body goes with its SHA-256, which is signed and which the service checks.
void set_body(HttpRequest& request, SharedBytes body) {
  const Bytes hash = sha256_of(body.span());
  request.headers.emplace_back("x-amz-content-sha256", hex_of(hash));
  request.headers.emplace_back("x-amz-checksum-sha256", base64_of(hash));
  request.body = std::move(body);
}

void set_condition(HttpRequest& request, const PutCondition& condition) {
  using When = PutCondition::When;
  if (condition.when == When::kAbsent) request.headers.emplace_back("if-none-match", "*");
  if (condition.when == When::kUnchanged) request.headers.emplace_back("if-match", condition.etag);
}

/// ETag of an object made of parts, where those are MD5: that of the parts' MD5s, and their number.
/// Empty where a part has another kind.
std::string etag_of_parts(const std::vector<std::string>& etags) {
  Bytes joined;
  for (const std::string& etag : etags) {
    if (etag.size() != 34) return {};
    for (size_t i = 1; i + 1 < etag.size(); i += 2) {
      const std::string digits = etag.substr(i, 2);
      if (digits.find_first_not_of("0123456789abcdef") != std::string::npos) return {};
      joined.push_back(static_cast<uint8_t>(std::stoi(digits, nullptr, 16)));
    }
  }
  Bytes hash(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  if (EVP_Digest(joined.data(), joined.size(), hash.data(), &size, EVP_md5(), nullptr) != 1)
    return {};
  hash.resize(size);
  return "\"" + hex_of(hash) + "-" + std::to_string(etags.size()) + "\"";
}

class S3Writer : public ObjectWriter {
 public:
  S3Writer(S3Client& client, std::string url) : client_(client), url_(std::move(url)) {}
  ~S3Writer() override {
    if (!upload_id_.empty()) (void)client_.call_one(request("DELETE", {{"uploadId", upload_id_}}));
  }

  Result<> write(ByteSpan bytes) override {
    const uint64_t batch = client_.options.part_size * client_.options.parts_at_once;
    while (!bytes.empty()) {
      // Only when more comes: what fits in one batch may still be one PUT.
      if (buffer_.size() == batch) UPWELL_CHECK(send_parts());
      const size_t n = std::min<uint64_t>(bytes.size(), batch - buffer_.size());
      buffer_.insert(buffer_.end(), bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(n));
      bytes = bytes.subspan(n);
      size_ += n;
    }
    return {};
  }

  Result<ObjectInfo> commit(const PutCondition& condition) override {
    const bool one = upload_id_.empty() && buffer_.size() <= client_.options.part_size;
    auto info = one ? put_whole(condition) : complete(condition);
    client_.http.forget(url_);
    if (info) {
      upload_id_.clear();
      return info;
    }
    Error error = std::move(info).error();
    // What S3 says of a condition, in our words.
    if (condition.when == PutCondition::When::kAbsent && error.code == Code::kChanged)
      error.code = Code::kAlreadyExists;
    if (condition.when == PutCondition::When::kUnchanged && error.code == Code::kNotFound &&
        error.message.find("NoSuchKey") != std::string::npos)
      error.code = Code::kChanged;
    return fail(std::move(error));
  }

 private:
  HttpRequest request(const char* method,
                      std::vector<std::pair<std::string, std::string>> query = {}) const {
    HttpRequest r;
    r.method = method;
    r.url = url_;
    r.query = std::move(query);
    return r;
  }

  Result<ObjectInfo> put_whole(const PutCondition& condition) {
    const SharedBytes body(std::move(buffer_));
    HttpRequest put = request("PUT");
    set_body(put, body);
    set_condition(put, condition);
    HttpAnswer answer = client_.call_one(std::move(put));
    const bool conditional = condition.when != PutCondition::When::kAlways;
    if (!answer.error) return ObjectInfo{size_, answer.head.etag, {}};
    if (conditional && answer.attempts > 1 && answer.error->code == Code::kChanged) {
      // The first attempt may have done it, and its answer was lost.
      client_.http.forget(url_);
      ReadRequest all{url_, {}};
      auto there = std::move(client_.http.read({&all, 1}).front());
      auto state = client_.http.known(url_);
      if (there && state && std::ranges::equal(there->span(), body.span())) return *state;
    }
    return fail(std::move(*answer.error));
  }

  Result<> begin_upload() {
    HttpRequest begin = request("POST", {{"uploads", ""}});
    begin.headers.emplace_back("x-amz-checksum-algorithm", "SHA256");
    HttpAnswer answer = client_.call_one(std::move(begin));
    if (answer.error) return fail(std::move(*answer.error));
    upload_id_ = xml_text(as_text(answer.body), "UploadId").value_or("");
    if (upload_id_.empty())
      return fail(Code::kInvalidData, url_ + ": the service began an upload without an UploadId");
    return {};
  }

  Result<> send_parts() {
    if (upload_id_.empty()) UPWELL_CHECK(begin_upload());
    const SharedBytes all(std::exchange(buffer_, {}));
    std::vector<HttpRequest> puts;
    for (size_t at = 0; at < all.size(); at += client_.options.part_size) {
      const size_t number = etags_.size() + puts.size() + 1;
      if (number > kMaxParts)
        return fail(Code::kResourceExhausted,
                    url_ + ": S3 takes at most " + std::to_string(kMaxParts) + " parts of " +
                        std::to_string(client_.options.part_size) + " bytes");
      puts.push_back(
          request("PUT", {{"partNumber", std::to_string(number)}, {"uploadId", upload_id_}}));
      set_body(puts.back(),
               all.slice(at, std::min<uint64_t>(client_.options.part_size, all.size() - at)));
    }
    auto answers = client_.call(puts);
    for (size_t i = 0; i < answers.size(); ++i) {
      if (answers[i].error) return fail(std::move(*answers[i].error));
      if (answers[i].head.etag.empty())
        return fail(Code::kInvalidData, url_ + ": the service took a part without an ETag");
      etags_.push_back(answers[i].head.etag);
      for (const auto& [name, value] : puts[i].headers) {
        if (name == "x-amz-checksum-sha256") checksums_.push_back(value);
      }
    }
    return {};
  }

  Result<ObjectInfo> complete(const PutCondition& condition) {
    if (!buffer_.empty()) UPWELL_CHECK(send_parts());
    std::string parts =
        "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">";
    for (size_t i = 0; i < etags_.size(); ++i) {
      parts += "<Part><PartNumber>" + std::to_string(i + 1) + "</PartNumber><ETag>" + etags_[i] +
               "</ETag><ChecksumSHA256>" + checksums_[i] + "</ChecksumSHA256></Part>";
    }
    parts += "</CompleteMultipartUpload>";
    HttpRequest post = request("POST", {{"uploadId", upload_id_}});
    post.body = SharedBytes(to_bytes(parts));
    post.headers.emplace_back("content-type", "application/xml");
    set_condition(post, condition);
    HttpAnswer answer = client_.call_one(std::move(post));
    if (!answer.error) {
      auto etag = xml_text(as_text(answer.body), "ETag");
      if (!etag) return fail(Code::kInvalidData, url_ + ": the upload ended without an ETag");
      return ObjectInfo{size_, *etag, {}};
    }
    if (answer.attempts > 1) {
      // The first attempt may have done it, and its answer was lost.
      client_.http.forget(url_);
      auto state = client_.http.stat(url_);
      if (state && state->size == size_ && state->etag == etag_of_parts(etags_)) return *state;
    }
    return fail(std::move(*answer.error));
  }

  S3Client& client_;
  std::string url_;
  Bytes buffer_;
  uint64_t size_ = 0;
  std::string upload_id_;  // empty: none is open
  std::vector<std::string> etags_, checksums_;
};

}  // namespace

std::unique_ptr<ObjectWriter> make_s3_writer(S3Client& client, std::string url) {
  return std::make_unique<S3Writer>(client, std::move(url));
}

}  // namespace upwell::io
