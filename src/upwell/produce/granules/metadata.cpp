#include "produce/granules/metadata.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <map>
#include <nlohmann/json.hpp>

#include "io/digest.hpp"

namespace upwell::produce {

using Json = nlohmann::ordered_json;

namespace {

std::string_view trim_blanks(std::string_view text) {
  const size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') - begin + 1);
}

Values value_of(const Json& json) {
  if (json.is_string()) return make_text(json.get<std::string>());
  if (json.is_number_integer()) return make_integer(json.get<int64_t>());
  if (json.is_number()) return make_number(json.get<double>());
  return make_text(json.dump());
}

/// The record whose "name" is `name`; null when there is none.
const Json* find_record(const std::vector<Json>& records, const std::string& name) {
  for (const Json& record : records) {
    const auto found = record.find("name");
    if (found != record.end() && *found == name) return &record;
  }
  return nullptr;
}

std::string text_of(const Json& record, const char* key) {
  const auto found = record.find(key);
  return found != record.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// Adds all keys in order of their names, but for those that are not for users.
void add_keys(const Json& record, std::initializer_list<std::string_view> left_out,
              Attributes& attributes) {
  std::map<std::string, const Json*> sorted;
  for (const auto& [key, value] : record.items()) sorted[key] = &value;
  for (const auto& [key, value] : sorted) {
    if (std::find(left_out.begin(), left_out.end(), key) == left_out.end())
      set_attribute(attributes, key, value_of(*value));
  }
}

/// Two halves of a comment, with a full stop between.
std::string join_comments(const std::string& first, const std::string& second) {
  if (first.empty() || second.empty()) return first + second;
  return first + (first.ends_with('.') ? " " : ". ") + second;
}

void add_variable_record(const Json& record, Attributes& attributes,
                         std::set<std::string>& keywords) {
  add_keys(record,
           {"grid_dimension", "name", "GCMD_keywords", "variable_rename", "comments_1",
            "comments_2", "internal_note", "internal note", "grid_location", "land_mask_override"},
           attributes);
  const std::string comment =
      join_comments(text_of(record, "comments_1"), text_of(record, "comments_2"));
  if (!comment.empty()) set_attribute(attributes, "comment", comment);
  if (record.find("GCMD_keywords") == record.end()) return;
  const std::string all = text_of(record, "GCMD_keywords");
  for (size_t begin = 0; begin <= all.size();) {
    const size_t end = std::min(all.find(',', begin), all.size());
    keywords.emplace(trim_blanks(std::string_view(all).substr(begin, end - begin)));
    begin = end + 1;
  }
}

/// A global attribute by its declared type: s text, f float64, i int32. What is still to be
/// determined (TBD_...) stays text.
Values typed_value(const Json& value, const std::string& type) {
  const bool text = value.is_string();
  const bool open = text && value.get<std::string>().find("TBD_") != std::string::npos;
  if (open || (type != "f" && type != "i")) return value_of(value);
  const double number = text                ? std::strtod(value.get<std::string>().c_str(), nullptr)
                        : value.is_number() ? value.get<double>()
                                            : 0;
  if (type == "f") return make_number(number);
  Values integer{DataType::integer(4), {}, Bytes(4), {}};
  store_le(integer.data.data(), static_cast<int32_t>(number));
  return integer;
}

void add_global_records(const std::vector<Json>& records, const std::string& dimension,
                        Attributes& attributes) {
  for (const Json& record : records) {
    const auto value = record.find("value");
    if (value == record.end()) continue;
    if (record.find("grid_dimension") != record.end() &&
        text_of(record, "grid_dimension").find(dimension) == std::string::npos)
      continue;
    set_attribute(attributes, text_of(record, "name"),
                  typed_value(*value, text_of(record, "type")));
  }
}

/// The kinds of files, and how their names end before ".json".
enum File {
  kVariables,
  kGeometryNative,
  kVariablesLatLon,
  kVariables1D,
  kCoordinatesNative,
  kCoordinatesLatLon,
  kCoordinates1D,
  kTime,
  kGlobalAll,
  kGlobalNative,
  kGlobalLatLon,
  kGlobal1D,
  kFileKinds
};
constexpr std::array<const char*, kFileKinds> kFileNames{"variable_metadata",
                                                         "geometry_metadata_for_native_datasets",
                                                         "variable_metadata_for_latlon_datasets",
                                                         "variable_metadata_for_1D_datasets",
                                                         "coordinate_metadata_for_native_datasets",
                                                         "coordinate_metadata_for_latlon_datasets",
                                                         "coordinate_metadata_for_1D_datasets",
                                                         "time_coordinate_metadata",
                                                         "global_metadata_for_all_datasets",
                                                         "global_metadata_for_native_datasets",
                                                         "global_metadata_for_latlon_datasets",
                                                         "global_metadata_for_1D_datasets"};

File of_grid(GridType grid, File native, File latlon, File series) {
  return grid == GridType::kNative ? native : grid == GridType::kLatLon ? latlon : series;
}

Result<std::vector<Json>> parse_records(std::string_view text, const std::string& url) {
  try {
    const Json json = Json::parse(text);
    if (!json.is_array()) return fail(Code::kInvalidData, url + ": not a list of records");
    for (const Json& record : json) {
      if (!record.is_object()) return fail(Code::kInvalidData, url + ": a record is no object");
    }
    return std::vector<Json>(json.begin(), json.end());
  } catch (const Json::parse_error& error) {
    const size_t end = std::min<size_t>(error.byte, text.size());
    const auto line = std::count(text.begin(), text.begin() + end, '\n') + 1;
    return fail(Code::kInvalidData, fmt::format("{}:{}: not JSON", url, line));
  }
}

}  // namespace

struct Metadata::Records {
  std::array<std::vector<Json>, kFileKinds> of;
};

void set_attribute(Attributes& attributes, std::string_view name, Values value) {
  for (Attribute& attribute : attributes) {
    if (attribute.name != name) continue;
    attribute.value = std::move(value);
    return;
  }
  attributes.push_back({std::string(name), std::move(value)});
}

void set_attribute(Attributes& attributes, std::string_view name, std::string_view text) {
  set_attribute(attributes, name, make_text(text));
}

Result<Metadata> Metadata::load(io::Session& session, const std::string& location) {
  Metadata metadata;
  metadata.location_ = io::normal_url(location);
  if (!metadata.location_.ends_with('/')) metadata.location_ += '/';
  auto names = session.list_directory(metadata.location_);
  if (!names) return fail(std::move(names).error().with("metadata " + location));
  auto records = std::make_shared<Records>();
  std::string digests;
  for (const std::string& name : *names) {
    for (int kind = 0; kind < kFileKinds; ++kind) {
      if (!name.ends_with(std::string(kFileNames[kind]) + ".json")) continue;
      const std::string url = metadata.location_ + name;
      UPWELL_TRY(SharedBytes text, session.read_one(url));
      UPWELL_TRY(std::vector<Json> parsed, parse_records(as_text(text.span()), url));
      digests += io::hex_digest(io::DigestKind::kSha256, text.span());
      std::vector<Json>& all = records->of[kind];
      all.insert(all.end(), parsed.begin(), parsed.end());
    }
  }
  if (records->of[kVariables].empty() || records->of[kGlobalAll].empty()) {
    return fail(Code::kNotFound,
                "metadata " + location +
                    ": no *variable_metadata.json or no *global_metadata_for_all_datasets.json");
  }
  metadata.records_ = std::move(records);
  metadata.digest_ = io::hex_digest(io::DigestKind::kSha256, as_bytes(digests));
  return metadata;
}

void Metadata::add_variable(const std::string& name, GridType grid, Attributes& attributes,
                            std::set<std::string>& keywords) const {
  const Json* record = find_record(records_->of[kVariables], name);
  if (record == nullptr) record = find_record(records_->of[kGeometryNative], name);
  if (record != nullptr) add_variable_record(*record, attributes, keywords);
  if (grid == GridType::kNative) return;
  record =
      find_record(records_->of[of_grid(grid, kVariables, kVariablesLatLon, kVariables1D)], name);
  if (record != nullptr) add_variable_record(*record, attributes, keywords);
}

void Metadata::add_coordinate(const std::string& name, GridType grid, bool time,
                              Attributes& attributes) const {
  const File kind = of_grid(grid, kCoordinatesNative, kCoordinatesLatLon, kCoordinates1D);
  for (const Json* record : {find_record(records_->of[kind], name),
                             time ? find_record(records_->of[kTime], name) : nullptr}) {
    if (record != nullptr) add_keys(*record, {"grid_dimension", "name"}, attributes);
  }
}

void Metadata::add_global(GridType grid, const std::string& dimension,
                          Attributes& attributes) const {
  add_global_records(records_->of[kGlobalAll], dimension, attributes);
  add_global_records(records_->of[of_grid(grid, kGlobalNative, kGlobalLatLon, kGlobal1D)],
                     dimension, attributes);
}

}  // namespace upwell::produce
