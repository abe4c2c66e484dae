#include "produce/tasks/task.hpp"

#include <fmt/core.h>

#include <nlohmann/json.hpp>

namespace upwell::produce {
namespace {

using Json = nlohmann::ordered_json;

Json or_null(const std::optional<std::string>& text) { return text ? Json(*text) : Json(nullptr); }

void put(Json& object, const char* key, const std::optional<std::string>& text) {
  if (text) object[key] = *text;
}

void put_vectors(Json& object, const DynamicMetadata& metadata) {
  if (!metadata.field_components.empty()) {
    Json& vectors = object["field_components"] = Json::object();
    for (const VectorField& vector : metadata.field_components) {
      Json& components = vectors[vector.name] = Json::object();
      for (const auto& [axis, field] : vector.components) components[axis] = field;
    }
  }
  if (!metadata.field_orientations.empty()) {
    Json& orientations = object["field_orientations"] = Json::object();
    for (const auto& [field, orientation] : metadata.field_orientations)
      orientations[field] = orientation;
  }
}

/// In the order in which each dialect sets them.
Json metadata_json(const DynamicMetadata& metadata, Dialect dialect) {
  Json json = Json::object();
  json["name"] = metadata.name;
  json["dimension"] = metadata.dimension;
  put(json, "time_coverage_start", metadata.start);
  put(json, "time_coverage_end", metadata.end);
  put(json, "time_coverage_center", metadata.center);
  if (dialect == Dialect::k2024) put(json, "comment", metadata.comment);
  put(json, "time_long_name", metadata.time_long_name);
  put(json, "time_coverage_duration", metadata.duration);
  put(json, "time_coverage_resolution", metadata.resolution);
  if (dialect == Dialect::k2026) {
    put(json, "comment", metadata.comment);
    put_vectors(json, metadata);
  }
  json["summary"] = metadata.summary;
  return json;
}

Json variables_json(const std::vector<TaskVariable>& variables) {
  Json json = Json::object();
  for (const TaskVariable& variable : variables) {
    Json& components = json[variable.name] = Json::array();
    for (const MdsPair& pair : variable.components)
      components.push_back(Json::array({pair.data, pair.meta}));
  }
  return json;
}

/// Reads members; the first that is wrong is kept.
class TaskReader {
 public:
  Result<Task> read(const Json& json) {
    Task task;
    if (!json.is_object()) return fail(Code::kInvalidData, "not an object");
    task.granule = text(json, "granule").value_or("");
    if (task.granule.empty()) wrong("no 'granule'");
    task.input_netcdf = text(json, "input_netcdf");
    task.strip_attributes = task.input_netcdf && truth(json, "strip_attributes");
    if (auto it = json.find("variables"); it != json.end()) {
      read_variables(*it, is_series(json), task.variables);
    } else if (!task.input_netcdf) {
      wrong("neither 'variables' nor 'input_netcdf'");
    }
    task.cfg_loc = text(json, "ecco_cfg_loc");
    task.grid_loc = text(json, "ecco_grid_loc");
    task.mapping_factors_loc = text(json, "ecco_mapping_factors_loc");
    task.metadata_loc = text(json, "ecco_metadata_loc");
    if (auto it = json.find("dynamic_metadata"); it != json.end() && it->is_object()) {
      read_metadata(*it, task.metadata);
    } else {
      wrong("no 'dynamic_metadata'");
    }
    if (error_) return fail(std::move(*error_));
    return task;
  }

 private:
  void wrong(std::string message) {
    if (!error_) error_ = Error{Code::kInvalidData, std::move(message), {}, {}};
  }
  /// Absent and null are the same.
  std::optional<std::string> text(const Json& object, const char* key) {
    auto it = object.find(key);
    if (it == object.end() || it->is_null()) return {};
    if (!it->is_string()) {
      wrong(fmt::format("'{}' is not text", key));
      return {};
    }
    return it->get<std::string>();
  }
  /// As Python takes it: "False" as text is true.
  bool truth(const Json& object, const char* key) {
    auto it = object.find(key);
    if (it == object.end() || it->is_null()) return false;
    if (it->is_string()) return !it->get_ref<const std::string&>().empty();
    if (it->is_boolean()) return it->get<bool>();
    wrong(fmt::format("'{}' is neither true nor false", key));
    return false;
  }
  static bool is_series(const Json& task) {
    const auto metadata = task.find("dynamic_metadata");
    return metadata != task.end() && metadata->is_object() &&
           metadata->value("dimension", Json()) == "1D";
  }
  void read_variables(const Json& json, bool series, std::vector<TaskVariable>& variables) {
    if (!json.is_object()) return wrong("'variables' is not an object");
    for (const auto& [name, components] : json.items()) {
      TaskVariable variable{name, {}};
      const bool list =
          components.is_array() && !components.empty() && (series || components.size() <= 2);
      if (!list)
        return wrong("'variables': " + name + " is not a list of one" +
                     (series ? " pair a step" : " or two pairs"));
      for (const Json& pair : components) {
        if (!pair.is_array() || pair.size() != 2 || !pair[0].is_string() || !pair[1].is_string())
          return wrong("'variables': " + name + " has something that is no pair of files");
        variable.components.push_back({pair[0].get<std::string>(), pair[1].get<std::string>()});
      }
      variables.push_back(std::move(variable));
    }
  }
  void read_metadata(const Json& json, DynamicMetadata& metadata) {
    metadata.name = text(json, "name").value_or("");
    metadata.dimension = text(json, "dimension").value_or("");
    if (metadata.dimension.empty()) wrong("'dynamic_metadata' has no 'dimension'");
    metadata.start = text(json, "time_coverage_start");
    metadata.end = text(json, "time_coverage_end");
    metadata.center = text(json, "time_coverage_center");
    metadata.comment = text(json, "comment");
    metadata.time_long_name = text(json, "time_long_name");
    metadata.duration = text(json, "time_coverage_duration");
    metadata.resolution = text(json, "time_coverage_resolution");
    metadata.summary = text(json, "summary").value_or("");
    if (auto it = json.find("field_components"); it != json.end() && it->is_object()) {
      for (const auto& [name, components] : it->items()) {
        VectorField vector{name, {}};
        for (const auto& [axis, field] : components.items())
          if (field.is_string()) vector.components.emplace_back(axis, field.get<std::string>());
        metadata.field_components.push_back(std::move(vector));
      }
    }
    if (auto it = json.find("field_orientations"); it != json.end() && it->is_object()) {
      for (const auto& [field, orientation] : it->items())
        if (orientation.is_string())
          metadata.field_orientations.emplace_back(field, orientation.get<std::string>());
    }
  }

  std::optional<Error> error_;
};

/// Finds where the elements of the outermost array begin and end: brackets and strings suffice, and
/// what is inside is checked where it is parsed.
class ElementScanner {
 public:
  explicit ElementScanner(std::string_view text) : text_(text) {}

  Result<std::vector<std::string_view>> scan() {
    std::vector<std::string_view> elements;
    blanks();
    if (!take('[')) return fault("not a JSON array");
    blanks();
    if (!take(']')) {
      do {
        blanks();
        const size_t begin = at_;
        if (at_ >= text_.size() || text_[at_] != '{') return fault("an element is not an object");
        if (!skip_object()) return fault("the text ends inside of a task");
        elements.push_back(text_.substr(begin, at_ - begin));
        blanks();
      } while (take(','));
      if (!take(']')) return fault("',' or ']' is missing after a task");
    }
    blanks();
    if (at_ != text_.size()) return fault("more follows after the list");
    return elements;
  }

 private:
  void blanks() {
    while (at_ < text_.size() &&
           std::string_view(" \t\r\n").find(text_[at_]) != std::string_view::npos)
      ++at_;
  }
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool skip_object() {
    int64_t depth = 0;
    for (bool quoted = false; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (quoted) {
        if (c == '\\') ++at_;
        if (c == '"') quoted = false;
      } else if (c == '"') {
        quoted = true;
      } else if (c == '{' || c == '[') {
        ++depth;
      } else if ((c == '}' || c == ']') && --depth == 0) {
        ++at_;
        return true;
      }
    }
    return false;
  }
  tl::unexpected<Error> fault(const std::string& message) const {
    const std::string_view before = text_.substr(0, std::min(at_, text_.size()));
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    return fail(Code::kInvalidData, fmt::format("line {}: {}", line, message));
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

std::string task_text(const Task& task, Dialect dialect) {
  Json json = Json::object();
  json["granule"] = task.granule;
  if (task.input_netcdf) {
    json["input_netcdf"] = *task.input_netcdf;
    if (task.strip_attributes) json["strip_attributes"] = "True";
  } else {
    json["variables"] = variables_json(task.variables);
  }
  if (dialect == Dialect::k2026) json["ecco_cfg_loc"] = or_null(task.cfg_loc);
  json["ecco_grid_loc"] = or_null(task.grid_loc);
  json["ecco_mapping_factors_loc"] = or_null(task.mapping_factors_loc);
  json["ecco_metadata_loc"] = or_null(task.metadata_loc);
  json["dynamic_metadata"] = metadata_json(task.metadata, dialect);
  const std::string flat = json.dump(4, ' ', true, Json::error_handler_t::replace);
  std::string text;
  text.reserve(flat.size() + flat.size() / 4);
  for (char c : flat) {
    text += c;
    if (c == '\n') text += "    ";
  }
  return text;
}

Result<Task> parse_task(std::string_view text) {
  try {
    return TaskReader().read(Json::parse(text));
  } catch (const Json::exception& error) {
    return fail(Code::kInvalidData, error.what());
  }
}

Result<std::vector<std::string_view>> task_texts(std::string_view document,
                                                 const std::string& name) {
  auto texts = ElementScanner(document).scan();
  if (!texts) return fail(std::move(texts).error().with(name));
  return texts;
}

Result<> TaskListWriter::add(std::string_view text) {
  UPWELL_CHECK(sink_(any_ ? ",\n    " : "[\n    "));
  any_ = true;
  return sink_(text);
}

Result<> TaskListWriter::finish() { return sink_(any_ ? "\n]" : "[]"); }

}  // namespace upwell::produce
