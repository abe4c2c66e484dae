#include "produce/tasks/groupings.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace upwell::produce {
namespace {

using Json = nlohmann::ordered_json;

/// "A, B" without its blanks, as EDP splits it.
std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == ',') {
      parts.emplace_back();
    } else if (c != ' ') {
      parts.back() += c;
    }
  }
  return parts;
}

Result<std::string> text_of(const Json& object, const char* key) {
  auto it = object.find(key);
  if (it == object.end()) return fail(Code::kInvalidData, fmt::format("no '{}'", key));
  if (!it->is_string()) return fail(Code::kInvalidData, fmt::format("'{}' is not text", key));
  return it->get<std::string>();
}

/// {"EVEL":{"x":"UVEL","y":"VVEL"}}
Result<std::vector<VectorField>> components_of(const Json& grouping) {
  std::vector<VectorField> vectors;
  auto it = grouping.find("field_components");
  if (it == grouping.end()) return vectors;
  const Error wrong{
      Code::kInvalidData, "'field_components' is not {FIELD:{\"x\":…,\"y\":…}}", {}, {}};
  if (!it->is_object()) return fail(wrong);
  for (const auto& [name, components] : it->items()) {
    VectorField vector{name, {}};
    if (!components.is_object() || components.size() != 2) return fail(wrong);
    for (const auto& [axis, field] : components.items()) {
      if (!field.is_string()) return fail(wrong);
      vector.components.emplace_back(axis, field.get<std::string>());
    }
    vectors.push_back(std::move(vector));
  }
  return vectors;
}

Result<std::vector<std::pair<std::string, std::string>>> orientations_of(const Json& grouping) {
  std::vector<std::pair<std::string, std::string>> orientations;
  auto it = grouping.find("field_orientations");
  if (it == grouping.end()) return orientations;
  const Error wrong{Code::kInvalidData, "'field_orientations' is not {FIELD:\"zonal\",…}", {}, {}};
  if (!it->is_object()) return fail(wrong);
  for (const auto& [name, orientation] : it->items()) {
    if (!orientation.is_string()) return fail(wrong);
    orientations.emplace_back(name, orientation.get<std::string>());
  }
  return orientations;
}

/// Of 2024: {"UVEL":["EVEL","NVEL"],"VVEL":["EVEL","NVEL"]}, by component.
Result<std::vector<std::string>> vector_inputs_of(const Json& grouping, const std::string& field) {
  std::vector<std::string> sources;
  auto it = grouping.find("vector_inputs");
  if (it == grouping.end()) return sources;
  const Error wrong{Code::kInvalidData, "'vector_inputs' is not {COMPONENT:[FIELD,…]}", {}, {}};
  if (!it->is_object()) return fail(wrong);
  for (const auto& [component, outputs] : it->items()) {
    if (!outputs.is_array()) return fail(wrong);
    for (const Json& output : outputs) {
      if (!output.is_string()) return fail(wrong);
      if (output.get_ref<const std::string&>() == field) sources.push_back(component);
    }
  }
  if (sources.size() == 1 || sources.size() > 2)
    return fail(Code::kInvalidData,
                fmt::format("'vector_inputs' makes {} of {} components", field, sources.size()));
  return sources;
}

Result<> read_fields(const Json& json, Grouping& grouping) {
  UPWELL_TRY(const std::string fields, text_of(json, "fields"));
  for (const std::string& name : split_list(fields)) {
    if (name.empty()) return fail(Code::kInvalidData, "'fields' has an empty name");
    GroupingField field{name, {}};
    for (const VectorField& vector : grouping.field_components) {
      if (vector.name != name) continue;
      for (const auto& component : vector.components) field.sources.push_back(component.second);
    }
    if (field.sources.empty()) {
      UPWELL_TRY(field.sources, vector_inputs_of(json, name));
    }
    if (field.sources.empty()) field.sources.push_back(name);
    for (const GroupingField& other : grouping.fields)
      if (other.name == name) return fail(Code::kInvalidData, "'fields' has " + name + " twice");
    grouping.fields.push_back(std::move(field));
  }
  return {};
}

/// "OLD:NEW" gives the field another name and puts it last.
Result<> rename(const Json& json, Grouping& grouping) {
  if (!json.contains("variable_rename")) return {};
  UPWELL_TRY(const std::string text, text_of(json, "variable_rename"));
  const size_t colon = text.find(':');
  if (colon == std::string::npos || text.find(':', colon + 1) != std::string::npos)
    return fail(Code::kInvalidData, "'variable_rename' is not OLD:NEW: '" + text + "'");
  const std::string from = text.substr(0, colon), to = text.substr(colon + 1);
  auto named = [](const std::string& name) {
    return [&name](const GroupingField& field) { return field.name == name; };
  };
  auto& fields = grouping.fields;
  auto old = std::find_if(fields.begin(), fields.end(), named(from));
  if (old == fields.end())
    return fail(Code::kInvalidData, "'variable_rename' names " + from + ", which is no field");
  GroupingField field = std::move(*old);
  fields.erase(old);
  if (std::any_of(fields.begin(), fields.end(), named(to)))
    return fail(Code::kInvalidData, "'variable_rename' gives a second field " + to);
  field.name = to;
  fields.push_back(std::move(field));
  return {};
}

Result<Grouping> grouping_of(const Json& json) {
  if (!json.is_object()) return fail(Code::kInvalidData, "not an object");
  Grouping grouping;
  UPWELL_TRY(grouping.name, text_of(json, "name"));
  UPWELL_TRY(grouping.filename, text_of(json, "filename"));
  UPWELL_TRY(grouping.dimension, text_of(json, "dimension"));
  if (grouping.filename.empty() || grouping.filename.find('/') != std::string::npos)
    return fail(Code::kInvalidData, "'filename' is no name of a file: '" + grouping.filename + "'");
  if (json.contains("comment")) {
    UPWELL_TRY(grouping.comment, text_of(json, "comment"));
  }
  if (json.contains("frequency")) {
    UPWELL_TRY(const std::string frequency, text_of(json, "frequency"));
    grouping.frequencies = split_list(frequency);
  }
  UPWELL_TRY(grouping.field_components, components_of(json));
  UPWELL_TRY(grouping.field_orientations, orientations_of(json));
  UPWELL_CHECK(read_fields(json, grouping));
  UPWELL_CHECK(rename(json, grouping));
  return grouping;
}

bool names_type(std::string name, ProductType type) {
  auto lower = [](std::string text) {
    for (char& c : text) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    return text;
  };
  if (const size_t slash = name.rfind('/'); slash != std::string::npos) name.erase(0, slash + 1);
  name = lower(std::move(name));
  return name.find("groupings") != std::string::npos && name.ends_with(".json") &&
         name.find("_" + lower(to_string(type)) + "_") != std::string::npos;
}

Result<std::string> find_groupings(const std::vector<std::string>& names, ProductType type,
                                   const std::string& metadata_loc) {
  std::string found;
  for (const std::string& name : names) {
    if (!names_type(name, type)) continue;
    if (!found.empty())
      return fail(Code::kInvalidData, fmt::format("{}: two groupings for '{}': {} and {}",
                                                  metadata_loc, to_string(type), found, name));
    found = name;
  }
  if (found.empty())
    return fail(Code::kNotFound, fmt::format("{}: no groupings for '{}': *groupings*_{}_*.json",
                                             metadata_loc, to_string(type), to_string(type)));
  return found;
}

}  // namespace

Result<std::vector<Grouping>> parse_groupings(const std::string& text, const std::string& name) {
  std::vector<Grouping> groupings;
  try {
    const Json document = Json::parse(text);
    if (!document.is_array())
      return fail(Code::kInvalidData, name + ": not a JSON array of groupings");
    for (const Json& json : document) {
      auto grouping = grouping_of(json);
      if (!grouping)
        return fail(std::move(grouping).error().with(
            fmt::format("{}: grouping {}", name, groupings.size())));
      groupings.push_back(std::move(*grouping));
    }
  } catch (const Json::exception& error) {
    return fail(Code::kInvalidData, name + ": " + error.what());
  }
  return groupings;
}

Result<std::map<ProductType, std::vector<Grouping>>> read_groupings(
    io::Session& session, const std::string& metadata_loc, const std::vector<ProductType>& types) {
  std::map<ProductType, std::vector<Grouping>> groupings;
  if (types.empty()) return groupings;
  const std::string directory =
      io::normal_url(metadata_loc) + (metadata_loc.ends_with('/') ? "" : "/");
  auto names = session.list_directory(directory);
  if (!names) return fail(std::move(names).error().with("groupings metadata"));
  for (ProductType type : types) {
    if (groupings.contains(type)) continue;
    UPWELL_TRY(const std::string file, find_groupings(*names, type, metadata_loc));
    UPWELL_TRY(const SharedBytes bytes, session.read_one(directory + file));
    UPWELL_TRY(groupings[type],
               parse_groupings(std::string(as_text(bytes.span())),
                               metadata_loc + (metadata_loc.ends_with('/') ? "" : "/") + file));
  }
  return groupings;
}

}  // namespace upwell::produce
