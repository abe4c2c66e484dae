#include "produce/granules/receipt.hpp"

#include <nlohmann/json.hpp>

#include "io/digest.hpp"

namespace upwell::produce {

using Json = nlohmann::ordered_json;

namespace {

Json record_json(const FileRecord& record) {
  Json json{{"url", record.url}, {"size", record.size}, {"sha256", record.sha256}};
  if (record.mtime_ns) json["mtime_ns"] = *record.mtime_ns;
  if (!record.etag.empty()) json["etag"] = record.etag;
  return json;
}

FileRecord record_of(const Json& json) {
  FileRecord record;
  record.url = json.at("url").get<std::string>();
  record.size = json.at("size").get<uint64_t>();
  record.sha256 = json.at("sha256").get<std::string>();
  if (json.contains("mtime_ns")) record.mtime_ns = json["mtime_ns"].get<int64_t>();
  if (json.contains("etag")) record.etag = json["etag"].get<std::string>();
  return record;
}

bool same_file(io::Session& session, const FileRecord& then) {
  auto now = session.stat(then.url);
  if (!now || now->size != then.size) return false;
  if (then.mtime_ns && now->mtime_ns == then.mtime_ns) return true;
  if (!then.etag.empty() && now->etag == then.etag) return true;
  auto bytes = session.read_one(then.url);
  return bytes && io::hex_digest(io::DigestKind::kSha256, bytes->span()) == then.sha256;
}

}  // namespace

std::string Receipt::to_json() const {
  Json json{{"made_from", made_from}, {"output", record_json(output)}, {"inputs", Json::array()}};
  for (const FileRecord& input : inputs) json["inputs"].push_back(record_json(input));
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<Receipt> Receipt::parse(std::string_view text) {
  try {
    const Json json = Json::parse(text);
    Receipt receipt{json.at("made_from").get<std::string>(), record_of(json.at("output")), {}};
    for (const Json& input : json.at("inputs")) receipt.inputs.push_back(record_of(input));
    return receipt;
  } catch (const Json::exception& error) {
    return fail(Code::kInvalidData, std::string("not a receipt: ") + error.what());
  }
}

std::string receipt_url(const std::string& granule) {
  const size_t name = granule.rfind('/') + 1;  // npos + 1 is 0
  return granule.substr(0, name) + ".receipts/" + granule.substr(name) + ".json";
}

std::optional<Receipt> find_receipt(io::Session& session, const std::string& granule) {
  auto text = session.read_one(receipt_url(granule));
  if (!text) return {};
  auto receipt = Receipt::parse(as_text(text->span()));
  if (!receipt || receipt->output.url != granule) return {};
  return std::move(*receipt);
}

bool still_holds(io::Session& session, const Receipt& receipt) {
  if (!same_file(session, receipt.output)) return false;
  for (const FileRecord& input : receipt.inputs) {
    if (!same_file(session, input)) return false;
  }
  return true;
}

}  // namespace upwell::produce
