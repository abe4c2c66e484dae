#include "refs/granule_record.hpp"

#include <simdjson.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "refs/store/store.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {
namespace {

using RecordJson = nlohmann::ordered_json;

tl::unexpected<Error> wrong_record(const std::string& what) {
  return fail(Code::kInvalidData, "member \"upwell\": " + what);
}

Result<StoreRecord> parse_record(const RecordJson& json) {
  StoreRecord out;
  const auto text = [](const RecordJson& object, const char* name) {
    const auto it = object.find(name);
    return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  if (!json.is_object()) return wrong_record("no object");
  if (json.value("version", RecordJson()) != 1)
    return fail(Code::kUnsupported, "member \"upwell\" of a version other than 1");
  out.concat = text(json, "concat");
  out.coordinate = text(json, "coordinate");
  const auto loaded = json.find("loaded"), granules = json.find("granules");
  if (loaded == json.end() || !loaded->is_array() || granules == json.end() ||
      !granules->is_array())
    return wrong_record("without lists \"loaded\" and \"granules\"");
  for (const RecordJson& path : *loaded) {
    if (!path.is_string()) return wrong_record("\"loaded\" holds something that is no text");
    out.loaded.push_back(path.get<std::string>());
  }
  for (const RecordJson& one : *granules) {
    if (!one.is_object()) return wrong_record("a granule is no object");
    GranuleRecord granule;
    granule.url = text(one, "url");
    granule.info.etag = text(one, "etag");
    const auto length = one.find("length"), size = one.find("size"), mtime = one.find("mtime_ns");
    if (granule.url.empty() || length == one.end() || !length->is_number_unsigned())
      return wrong_record("a granule without \"url\" or \"length\"");
    granule.length = length->get<uint64_t>();
    if (size != one.end() && size->is_number_unsigned()) granule.info.size = size->get<uint64_t>();
    if (mtime != one.end() && mtime->is_number_integer())
      granule.info.mtime_ns = mtime->get<int64_t>();
    granule.info = lasting_state(granule.url, std::move(granule.info));
    out.granules.push_back(std::move(granule));
  }
  return out;
}

bool same_time(int64_t a, int64_t b) {
  constexpr int64_t kSecond = 1'000'000'000;
  return a == b || (a / kSecond == b / kSecond && (a % kSecond == 0 || b % kSecond == 0));
}

}  // namespace

io::ObjectInfo lasting_state(const std::string& url, io::ObjectInfo info) {
  if (io::scheme_of(url) == "file") info.etag.clear();
  return info;
}

Sameness compare_states(const io::ObjectInfo& recorded, const io::ObjectInfo& now) {
  if (recorded.size == 0) return Sameness::kUnknown;
  if (recorded.size != now.size) return Sameness::kChanged;
  if (!recorded.etag.empty() && !now.etag.empty())
    return recorded.etag == now.etag ? Sameness::kSame : Sameness::kChanged;
  if (!recorded.mtime_ns || !now.mtime_ns) return Sameness::kUnknown;
  if (same_time(*recorded.mtime_ns, *now.mtime_ns)) return Sameness::kSame;
  // One of them was seen at another place, which has times of its own.
  return recorded.etag.empty() == now.etag.empty() ? Sameness::kChanged : Sameness::kUnknown;
}

std::string record_json(const StoreRecord& record) {
  RecordJson out{{"version", 1},
                 {"concat", record.concat},
                 {"coordinate", record.coordinate},
                 {"loaded", record.loaded},
                 {"granules", RecordJson::array()}};
  for (const GranuleRecord& granule : record.granules) {
    RecordJson one{{"url", granule.url}, {"length", granule.length}};
    if (granule.info.size > 0) one["size"] = granule.info.size;
    if (!granule.info.etag.empty()) one["etag"] = granule.info.etag;
    if (granule.info.mtime_ns) one["mtime_ns"] = *granule.info.mtime_ns;
    out["granules"].push_back(std::move(one));
  }
  return out.dump(-1, ' ', false, RecordJson::error_handler_t::replace);
}

Result<std::optional<StoreRecord>> read_record(std::string_view document) {
  if (document.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES)
    return fail(Code::kUnsupported, "a document of 4 GiB or more");
  const simdjson::padded_string padded(document);
  simdjson::ondemand::parser parser;
  simdjson::ondemand::document parsed;
  simdjson::ondemand::object object;
  std::string_view raw;
  if (parser.iterate(padded).get(parsed) != simdjson::SUCCESS)
    return fail(Code::kInvalidData, "not JSON");
  const auto error = parsed.find_field("upwell").get_object().get(object);
  if (error == simdjson::NO_SUCH_FIELD) return std::optional<StoreRecord>();
  if (error != simdjson::SUCCESS || object.raw_json().get(raw) != simdjson::SUCCESS)
    return fail(Code::kInvalidData,
                std::string("member \"upwell\": ") + simdjson::error_message(error));
  UPWELL_TRY(StoreRecord record, parse_record(RecordJson::parse(raw, nullptr, false)));
  return std::optional<StoreRecord>(std::move(record));
}

Result<std::optional<StoreRecord>> read_store_record(io::Session& session,
                                                     const std::string& source) {
  if (names_store(source)) {
    UPWELL_TRY(const StoreManifest manifest, read_manifest(session, source));
    UPWELL_TRY(StoreRecord record, record_of_store(session, source, manifest));
    return std::optional(std::move(record));
  }
  std::string url = io::normal_url(source);
  std::error_code ignored;
  const bool local = io::scheme_of(url) == "file";
  const bool directory = local ? std::filesystem::is_directory(url, ignored)
                               : url.ends_with(".parq") || url.ends_with(".parquet");
  if (directory || url.ends_with('/')) url += url.ends_with('/') ? ".zmetadata" : "/.zmetadata";
  UPWELL_TRY(const SharedBytes document, session.read_one(url));
  auto record = read_record(as_text(document.span()));
  if (!record) return fail(std::move(record).error().with(source));
  if (!*record) return record;
  UrlPolicy policy = UrlPolicy::for_set(url, false);
  UPWELL_TRY(LocationPairs pairs, read_locations(as_text(document.span())));
  if (!pairs.empty())
    policy.locations = std::make_shared<LocationChoice>(session, std::move(pairs));
  for (GranuleRecord& granule : (*record)->granules) {
    UPWELL_TRY(granule.url, policy.resolve(granule.url));
  }
  return record;
}

}  // namespace upwell::refs
