#include "produce/granules/granule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "produce/dates.hpp"
#include "produce/granules/content.hpp"
#include "produce/granules/global_attributes.hpp"
#include "produce/granules/uuid.hpp"

namespace upwell::produce {
namespace {

using format::netcdf4::Variable;

/// Which coordinates a variable may name in its attribute.
Result<std::vector<std::string>> named_coordinates(const Config& config, Profile profile) {
  std::vector<std::string> names{"XC", "YC", "XG", "YG", "Z", "Zp1", "Zu", "Zl", "time"};
  const ConfigValue* said = profile == Profile::k2026
                                ? config.find("variable_coordinates_as_encoded_attributes")
                                : nullptr;
  if (said == nullptr) return names;
  if (said->kind != ConfigValue::Kind::kList)
    return fail(config.wrong("variable_coordinates_as_encoded_attributes", "not a list"));
  names.clear();
  for (const ConfigValue& item : said->items) names.push_back(item.scalar);
  return names;
}

Values float_value(double value, uint32_t size) {
  Values values{DataType::floating(size), {}, Bytes(size), {}};
  if (size == 8) {
    store_le(values.data.data(), value);
  } else {
    store_le(values.data.data(), static_cast<float>(value));
  }
  return values;
}

Result<uint32_t> element_size(const Config& config) {
  if (config.find("array_precision") == nullptr) return 8;
  UPWELL_TRY(std::string precision, config.text("array_precision"));
  if (precision == "float32") return 4;
  if (precision == "float64") return 8;
  return fail(config.wrong("array_precision", "neither float32 nor float64"));
}

/// Of netcdf4_compression_encodings (2026).
Result<int> deflate_level(const Config& config) {
  constexpr KeyName kKey = "netcdf4_compression_encodings";
  if (config.find(kKey) == nullptr) return 5;
  for (const char* member : {"zlib", "shuffle"}) {
    UPWELL_TRY(std::optional<std::string> on, config.member(kKey, member));
    if (on && *on != "true" && *on != "True")
      return fail(config.wrong(kKey, std::string("only granules with ") + member + " are written"));
  }
  UPWELL_TRY(std::optional<std::string> level, config.member(kKey, "complevel"));
  if (!level) return 5;
  if (level->size() == 1 && (*level)[0] >= '1' && (*level)[0] <= '9') return (*level)[0] - '0';
  return fail(config.wrong(kKey, "complevel is not 1 to 9"));
}

Result<VariableForm> form_of(const Task& task, const GranuleName& name, const Config& config,
                             const GranuleOptions& options) {
  const std::string& dimension = task.metadata.dimension;
  const bool series = name.grid == GridType::k1D;
  if (series ? dimension != "1D" : dimension != "2D" && dimension != "3D") {
    return fail(Code::kUnsupported,
                fmt::format("dimension '{}': only {} granules are made of this name", dimension,
                            series ? "1D" : "2D and 3D"));
  }
  VariableForm form;
  form.grid = name.grid;
  form.is_3d = dimension == "3D";
  form.timed = !name.tag.empty();
  UPWELL_TRY(form.element_size, element_size(config));
  UPWELL_TRY(form.level, deflate_level(config));
  form.not_finite = options.not_finite;
  if (series) return form;
  if (!form.timed && task.metadata.end)
    return fail(Code::kInvalidData, "granule " + name.file +
                                        ": the task has times, and its name is that of a "
                                        "time-invariant granule, without day_mean, mon_mean or "
                                        "snap");
  if (!form.timed) return form;
  if (task.input_netcdf)
    return fail(Code::kUnsupported,
                "input_netcdf: only time-invariant granules and series are made of netCDF files");
  UPWELL_TRY(int64_t start, config.time("model_start_time"));
  const auto end = parse_time_span(task.metadata.end.value_or(""));
  if (!end) return fail(Code::kInvalidData, "time_coverage_end: " + end.error().message);
  form.end_s = end->begin - start;
  return form;
}

/// Puts a granule together in the order in which xarray writes it.
class GranuleMaker {
 public:
  GranuleMaker(const Task& task, const Config& config, Resources& resources,
               const GranuleOptions& options)
      : task_(task), config_(config), resources_(resources), options_(options) {}

  Result<MadeGranule> make(const std::set<std::string>& keywords, ChunkEncoder& encoder) {
    UPWELL_TRY(name_, parse_granule_name(task_.granule));
    UPWELL_TRY(form_, form_of(task_, name_, config_, options_));
    UPWELL_TRY(metadata_, resources_.metadata(task_.metadata_loc.value_or("")));
    UPWELL_TRY(Content content, read(encoder));
    frame_ = std::move(content.frame);
    std::vector<Variable> variables;
    std::set<std::string> words = keywords;
    for (MadeVariable& made : content.variables) {
      UPWELL_CHECK(describe(made, words));
      variables.push_back(std::move(made.variable));
    }
    MadeGranule made;
    made.inputs = std::move(content.files);
    made.notes = std::move(content.notes);
    Task described = task_;
    if (!content.first.empty()) {
      described.metadata.start = content.first;
      described.metadata.end = content.last;
    }
    UPWELL_TRY(made.file.attributes,
               global_attributes(std::move(content.attributes), described, name_, config_, words,
                                 uuid_of(made.inputs), resources_, options_, made.notes));
    put_together(std::move(variables), made.file);
    return made;
  }

 private:
  Result<Content> read(ChunkEncoder& encoder) {
    if (form_.grid == GridType::k1D) return read_series(task_, config_, form_, resources_, encoder);
    if (task_.input_netcdf) return read_invariant_netcdf(task_, form_, resources_, encoder);
    return read_fields(encoder);
  }

  Result<Content> read_fields(ChunkEncoder& encoder) {
    Content content;
    UPWELL_TRY(content.frame, frame());
    if (form_.timed) {
      UPWELL_TRY(const Times times, times_of(task_.metadata));
      UPWELL_CHECK(set_times(times, task_.metadata.time_long_name, content.frame));
    }
    UPWELL_TRY(VariableMaker maker, VariableMaker::create(task_, form_, resources_, encoder));
    if (task_.variables.empty()) return fail(Code::kInvalidData, "the task has no variables");
    for (size_t v = 0; v < task_.variables.size(); ++v) {
      UPWELL_TRY(MadeVariable variable, maker.make(v));
      content.variables.push_back(std::move(variable));
    }
    content.files = maker.files();
    content.notes = maker.notes();
    return content;
  }

  std::string uuid_of(const std::vector<FileRecord>& inputs) const {
    if (options_.identity.empty()) return random_uuid();
    std::string name = options_.identity;
    for (const FileRecord& input : inputs) name += input.sha256;
    return name_uuid(name);
  }

  Result<Frame> frame() {
    const std::string grid = task_.grid_loc.value_or("");
    const std::string metadata = task_.metadata_loc.value_or("");
    const TimeAxis time = form_.timed ? TimeAxis::kOne : TimeAxis::kNone;
    UPWELL_TRY(std::shared_ptr<const Frame> shared,
               form_.grid == GridType::kNative
                   ? resources_.native_frame(grid, metadata, form_.is_3d, time)
                   : resources_.latlon_frame(grid, task_.mapping_factors_loc.value_or(""), metadata,
                                             form_.is_3d, time));
    return *shared;
  }

  Result<> describe(MadeVariable& made, std::set<std::string>& keywords) const {
    Variable& variable = made.variable;
    Attributes& attributes = variable.attributes;
    const uint32_t size = form_.element_size;
    const double nothing = std::numeric_limits<double>::quiet_NaN();
    set_attribute(attributes, "_FillValue", float_value(9.9692099683868690e+36, size));
    set_attribute(attributes, "valid_min",
                  float_value(made.range.empty() ? nothing : made.range.min, size));
    set_attribute(attributes, "valid_max",
                  float_value(made.range.empty() ? nothing : made.range.max, size));
    std::set<std::string> own;
    metadata_->add_variable(variable.name, name_.grid, attributes, own);
    // The list of a run knows the variables of a task, but not those of a netCDF file.
    if (task_.input_netcdf) keywords.insert(own.begin(), own.end());
    UPWELL_TRY(std::vector<std::string> wanted, named_coordinates(config_, options_.profile));
    std::vector<std::string> coordinates = coordinates_on(frame_, variable.dimensions, wanted);
    // Python's order of a set in 2024; which one is open, so let it be that of their names.
    if (options_.profile == Profile::kV4r4) std::sort(coordinates.begin(), coordinates.end());
    if (!coordinates.empty())
      set_attribute(attributes, "coordinates", fmt::format("{}", fmt::join(coordinates, " ")));
    return {};
  }

  void put_together(std::vector<Variable> variables, format::netcdf4::File& file) {
    const bool time_bounds_early = name_.grid == GridType::kNative && !name_.is_snapshot();
    std::set<std::string> written, data;
    for (const Variable& variable : variables) {
      note_coordinates(variable, written);
      data.insert(variable.name);
    }
    file.variables = std::move(frame_.before);
    const auto add = [&](Variable variable) { file.variables.push_back(std::move(variable)); };
    const auto add_time_bounds = [&] {
      if (frame_.time_bounds) add(*frame_.time_bounds);
    };
    for (size_t v = 0; v < variables.size(); ++v) {
      add(std::move(variables[v]));
      if (v == 0 && time_bounds_early) add_time_bounds();
    }
    if (!time_bounds_early) add_time_bounds();
    for (Variable& bounds : frame_.after) add(std::move(bounds));
    add_global_coordinates(data, written, file);
  }

  static void note_coordinates(const Variable& variable, std::set<std::string>& written) {
    const std::string text = text_attribute(variable.attributes, "coordinates").value_or("");
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = std::min(text.find(' ', begin), text.size());
      written.insert(text.substr(begin, end - begin));
      begin = end + 1;
    }
  }

  /// Coordinates that are neither axes nor named by a variable.
  static void add_global_coordinates(const std::set<std::string>& data,
                                     const std::set<std::string>& written,
                                     format::netcdf4::File& file) {
    std::set<std::string> left;
    for (const Variable& variable : file.variables) {
      const bool axis = variable.dimensions.size() == 1 && variable.dimensions[0] == variable.name;
      if (!axis && !data.contains(variable.name) && !written.contains(variable.name))
        left.insert(variable.name);
    }
    if (!left.empty())
      set_attribute(file.attributes, "coordinates", fmt::format("{}", fmt::join(left, " ")));
  }

  const Task& task_;
  const Config& config_;
  Resources& resources_;
  const GranuleOptions& options_;
  GranuleName name_;
  VariableForm form_;
  Frame frame_;
  std::shared_ptr<const Metadata> metadata_;
};

}  // namespace

Result<std::set<std::string>> keywords_of(const Task& task, Resources& resources) {
  UPWELL_TRY(GranuleName name, parse_granule_name(task.granule));
  UPWELL_TRY(std::shared_ptr<const Metadata> metadata,
             resources.metadata(task.metadata_loc.value_or("")));
  std::set<std::string> keywords;
  for (const TaskVariable& variable : task.variables) {
    Attributes attributes;
    metadata->add_variable(variable.name, name.grid, attributes, keywords);
  }
  return keywords;
}

Result<MadeGranule> make_granule(const Task& task, const Config& config,
                                 const std::set<std::string>& keywords, Resources& resources,
                                 ChunkEncoder& encoder, const GranuleOptions& options) {
  return GranuleMaker(task, config, resources, options).make(keywords, encoder);
}

}  // namespace upwell::produce
