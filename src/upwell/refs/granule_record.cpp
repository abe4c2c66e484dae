#include "refs/granule_record.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "cube/cf.hpp"
#include "io/first_seen.hpp"
#include "refs/locations.hpp"
#include "refs/store/store.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {
namespace {

using RecordJson = nlohmann::ordered_json;

tl::unexpected<Error> wrong_record(const std::string& what) {
  return fail(Code::kInvalidData, "member \"upwell\": " + what);
}

std::string text_of(const simdjson::dom::object& object, const char* name) {
  std::string_view text;
  return object[name].get(text) == simdjson::SUCCESS ? std::string(text) : std::string();
}

Result<GranuleRecord> parse_granule(const simdjson::dom::element& element) {
  simdjson::dom::object object;
  if (element.get(object) != simdjson::SUCCESS) return wrong_record("a granule is no object");
  GranuleRecord granule;
  granule.url = text_of(object, "url");
  granule.info.etag = text_of(object, "etag");
  if (granule.url.empty() || object["length"].get(granule.length) != simdjson::SUCCESS)
    return wrong_record("a granule without \"url\" or \"length\"");
  uint64_t size = 0;
  if (object["size"].get(size) == simdjson::SUCCESS) granule.info.size = size;
  int64_t mtime = 0;
  if (object["mtime_ns"].get(mtime) == simdjson::SUCCESS) granule.info.mtime_ns = mtime;
  granule.info = lasting_state(granule.url, std::move(granule.info));
  return granule;
}

Result<CatalogueState> parse_catalogue(const simdjson::dom::object& object) {
  CatalogueState out;
  out.as_of = text_of(object, "as_of");
  out.instructions = text_of(object, "instructions");
  simdjson::dom::array places;
  if (out.as_of.empty() || object["places"].get(places) != simdjson::SUCCESS)
    return wrong_record("\"catalogue\" without \"as_of\" or \"places\"");
  for (const simdjson::dom::element pair : places) {
    std::string_view first, second;
    if (pair.at(0).get(first) != simdjson::SUCCESS || pair.at(1).get(second) != simdjson::SUCCESS)
      return wrong_record("a place that is not two URLs");
    out.places.emplace_back(first, second);
  }
  return out;
}

Result<StoreRecord> parse_record(const simdjson::dom::element& element) {
  StoreRecord out;
  simdjson::dom::object object;
  simdjson::dom::array loaded, granules;
  uint64_t version = 0;
  if (element.get(object) != simdjson::SUCCESS) return wrong_record("no object");
  if (object["version"].get(version) != simdjson::SUCCESS || version != 1)
    return fail(Code::kUnsupported, "member \"upwell\" of a version other than 1");
  out.concat = text_of(object, "concat");
  out.coordinate = text_of(object, "coordinate");
  if (object["loaded"].get(loaded) != simdjson::SUCCESS ||
      object["granules"].get(granules) != simdjson::SUCCESS)
    return wrong_record("without lists \"loaded\" and \"granules\"");
  for (const simdjson::dom::element path : loaded) {
    std::string_view text;
    if (path.get(text) != simdjson::SUCCESS)
      return wrong_record("\"loaded\" holds something that is no text");
    out.loaded.emplace_back(text);
  }
  for (const simdjson::dom::element one : granules) {
    UPWELL_TRY(GranuleRecord granule, parse_granule(one));
    out.granules.push_back(std::move(granule));
  }
  simdjson::dom::object catalogue;
  if (object["catalogue"].get(catalogue) == simdjson::SUCCESS) {
    UPWELL_TRY(out.catalogue, parse_catalogue(catalogue));
  }
  simdjson::dom::element mds;
  if (object["mds"].get(mds) == simdjson::SUCCESS) {
    UPWELL_TRY(out.mds, parse_mds(simdjson::minify(mds)));
  }
  return out;
}

bool same_date(const std::string& a, const std::string& b) {
  if (a == b) return true;
  const auto first = cf::parse_time_span(a, cf::Calendar::kProlepticGregorian);
  const auto second = cf::parse_time_span(b, cf::Calendar::kProlepticGregorian);
  return first && second && cf::compare(first->first, second->first) == 0;
}

/// The value of the last member, where that is "upwell", or nothing: found from the end, so that
/// the references before it need not be parsed once more.
std::string_view last_member(std::string_view document) {
  constexpr std::string_view kName = "\"upwell\"";
  constexpr std::string_view kBlank = " \t\r\n";
  const size_t at = document.rfind(kName);
  const size_t end = document.find_last_not_of(kBlank);
  if (at == std::string_view::npos || end <= at || document[end] != '}') return {};
  std::string_view value = document.substr(at + kName.size(), end - at - kName.size());
  const size_t colon = value.find_first_not_of(kBlank);
  if (colon == std::string_view::npos || value[colon] != ':') return {};
  return value.substr(colon + 1);
}

/// Of a set of kerchunk's.
std::string document_url(const std::string& source) {
  std::string url = io::normal_url(source);
  std::error_code ignored;
  const bool directory = io::scheme_of(url) == "file"
                             ? std::filesystem::is_directory(url, ignored)
                             : url.ends_with(".parq") || url.ends_with(".parquet");
  if (directory || url.ends_with('/')) url += url.ends_with('/') ? ".zmetadata" : "/.zmetadata";
  return url;
}

/// Of the last member; nothing where that is another one, or the text ends early.
Result<std::optional<StoreRecord>> record_at_end(std::string_view document) {
  const std::string_view last = last_member(document);
  simdjson::dom::parser values;
  simdjson::dom::element value;
  // Inside another member this would not parse: a brace too many.
  if (last.empty() || values.parse(simdjson::padded_string(last)).get(value) != simdjson::SUCCESS)
    return std::optional<StoreRecord>();
  UPWELL_TRY(StoreRecord record, parse_record(value));
  return std::optional<StoreRecord>(std::move(record));
}

/// The record of a set's document, of which `beginning` becomes the part that tells of locations.
/// Of a large one the ends alone are read, where they suffice.
Result<std::optional<StoreRecord>> read_ends(io::Session& session, const std::string& url,
                                             SharedBytes& beginning) {
  constexpr uint64_t kEnd = 8 << 20;
  UPWELL_TRY(const io::ObjectInfo info, session.stat(url));
  if (info.size > 2 * kEnd) {
    UPWELL_TRY(const SharedBytes end, session.read_one(url, {info.size - kEnd, kEnd}));
    UPWELL_TRY(auto record, record_at_end(as_text(end.span())));
    if (record) {
      UPWELL_TRY(beginning, session.read_one(url, {0, kLocationsHead}));
      return record;
    }
  }
  UPWELL_TRY(beginning, session.read_one(url));
  return read_record(as_text(beginning.span()));
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
  if (io::same_recorded_time(*recorded.mtime_ns, *now.mtime_ns)) return Sameness::kSame;
  // One of them was seen at another place, which has times of its own.
  return recorded.etag.empty() == now.etag.empty() ? Sameness::kChanged : Sameness::kUnknown;
}

std::string mds_json(const format::MdsOptions& mds) {
  RecordJson out = RecordJson::object();
  if (!mds.reference.empty()) out["reference"] = mds.reference;
  if (mds.delta_t) out["delta_t"] = *mds.delta_t;
  if (!mds.tiles) out["compact"] = true;
  return out.dump(-1, ' ', false, RecordJson::error_handler_t::replace);
}

Result<format::MdsOptions> parse_mds(std::string_view json) {
  const RecordJson in = RecordJson::parse(json, nullptr, false);
  const auto is = [&](const char* name, bool (RecordJson::*type)() const noexcept) {
    return !in.contains(name) || (in[name].*type)();
  };
  if (!in.is_object() || !is("reference", &RecordJson::is_string) ||
      !is("delta_t", &RecordJson::is_number) || !is("compact", &RecordJson::is_boolean))
    return wrong_record("\"mds\" is not what reading MITgcm's files takes");
  format::MdsOptions out;
  out.reference = in.value("reference", "");
  if (in.contains("delta_t")) out.delta_t = in["delta_t"].get<double>();
  out.tiles = !in.value("compact", false);
  return out;
}

Result<format::MdsOptions> mds_of_set(const StoreRecord& record, const format::MdsOptions& given) {
  if (!record.mds) return given;
  const format::MdsOptions& made = *record.mds;
  const auto contradicts = [](const std::string& option, const std::string& value) {
    return fail(Code::kInvalidArgument,
                "the set was made " +
                    (value.empty() ? "without " + option : "with " + option + " " + value) +
                    "; leave the option out, or make the set anew");
  };
  if (!given.reference.empty() && !same_date(given.reference, made.reference))
    return contradicts("--mds-reference", made.reference);
  if (given.delta_t && given.delta_t != made.delta_t)
    return contradicts("--mds-delta-t", made.delta_t ? fmt::format("{}", *made.delta_t) : "");
  if (!given.tiles && made.tiles) return contradicts("--mds-compact", "");
  return made;
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
  if (record.mds) out["mds"] = RecordJson::parse(mds_json(*record.mds));
  if (record.catalogue)
    out["catalogue"] = {{"as_of", record.catalogue->as_of},
                        {"places", RecordJson(record.catalogue->places)}};
  if (record.catalogue && !record.catalogue->instructions.empty())
    out["catalogue"]["instructions"] = record.catalogue->instructions;
  return out.dump(-1, ' ', false, RecordJson::error_handler_t::replace);
}

Result<std::optional<StoreRecord>> read_record(std::string_view document) {
  if (document.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES)
    return fail(Code::kUnsupported, "a document of 4 GiB or more");
  UPWELL_TRY(auto at_end, record_at_end(document));
  if (at_end) return at_end;
  simdjson::dom::parser values;
  simdjson::dom::element value;
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
  if (values.parse(simdjson::padded_string(raw)).get(value) != simdjson::SUCCESS)
    return wrong_record("not JSON");
  UPWELL_TRY(StoreRecord record, parse_record(value));
  return std::optional<StoreRecord>(std::move(record));
}

void expect_granule(io::Session& session, const std::string& url, io::ObjectInfo recorded) {
  if (recorded.size == 0) return;
  // The ETag of a file is of this machine. Elsewhere the time may be that of the file which was
  // indexed, before it was put there.
  if (io::scheme_of(url) == "file") {
    recorded.etag.clear();
  } else {
    recorded.mtime_ns.reset();
  }
  session.expect(url, recorded);
}

Result<uint64_t> expect_granules(io::Session& session, std::string_view document,
                                 const UrlPolicy& urls) {
  if (document.find("\"upwell\"") == std::string_view::npos) return 0;
  UPWELL_TRY(const std::optional<StoreRecord> record, read_record(document));
  if (!record) return 0;
  for (const GranuleRecord& granule : record->granules) {
    if (urls.locations != nullptr) break;  // another place has ETags and times of its own
    UPWELL_TRY(const std::string url, urls.resolve(granule.url));
    expect_granule(session, url, granule.info);
  }
  return record->granules.size();
}

Result<std::optional<StoreRecord>> read_store_record(io::Session& session,
                                                     const std::string& source, bool as_written) {
  if (names_store(source)) {
    UPWELL_TRY(const StoreManifest manifest, read_manifest(session, source));
    UPWELL_TRY(StoreRecord record, record_of_store(session, source, manifest));
    return std::optional(std::move(record));
  }
  const std::string url = document_url(source);
  SharedBytes beginning;
  auto record = read_ends(session, url, beginning);
  if (!record) return fail(std::move(record).error().with(source));
  if (!*record || as_written) return record;
  UrlPolicy policy{url, session.reach_from(url), {}};
  UPWELL_TRY(LocationPairs pairs, read_locations(as_text(beginning.span())));
  if (!pairs.empty())
    policy.locations = std::make_shared<LocationChoice>(session, std::move(pairs), policy.reach);
  for (GranuleRecord& granule : (*record)->granules) {
    UPWELL_TRY(granule.url, policy.resolve(granule.url));
  }
  return record;
}

}  // namespace upwell::refs
