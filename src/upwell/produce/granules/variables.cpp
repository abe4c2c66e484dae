#include "produce/granules/variables.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "produce/granules/place.hpp"
#include "produce/granules/raw.hpp"

namespace upwell::produce {
namespace {

/// Names the pair of axes on which a variable lies horizontally.
std::vector<std::string> native_dimensions(const Staggering& where) {
  std::vector<std::string> dimensions;
  if (where.vertical != Vertical::kNone) dimensions.emplace_back(dimension_of(where.vertical));
  dimensions.emplace_back("tile");
  dimensions.emplace_back(where.point == Point::kSouth ? "j_g" : "j");
  dimensions.emplace_back(where.point == Point::kWest ? "i_g" : "i");
  return dimensions;
}

/// The value that `map` has for `key` in a list of pairs.
const std::string* find_pair(const std::vector<std::pair<std::string, std::string>>& pairs,
                             const std::string& key) {
  const auto found =
      std::find_if(pairs.begin(), pairs.end(), [&](const auto& pair) { return pair.first == key; });
  return found == pairs.end() ? nullptr : &found->second;
}

}  // namespace

Result<VariableMaker> VariableMaker::create(const Task& task, const VariableForm& form,
                                            Resources& resources, ChunkEncoder& encoder) {
  VariableMaker maker(task, form, resources, encoder);
  const std::string grid = task.grid_loc.value_or("");
  UPWELL_TRY(maker.grid_, resources.native_grid(grid));
  UPWELL_TRY(maker.diagnostics_, resources.diagnostics(grid));
  UPWELL_TRY(maker.metadata_, resources.metadata(task.metadata_loc.value_or("")));
  if (form.grid == GridType::kLatLon) {
    UPWELL_TRY(maker.mapper_, resources.mapper(task.mapping_factors_loc.value_or("")));
    const FactorsHead& head = maker.mapper_->factors().head();
    if (head.sources() != level_values(maker.grid_->n) || head.levels() < maker.grid_->levels)
      return fail(Code::kInvalidData, "the mapping factors are for another model grid");
    UPWELL_CHECK(maker.check_wet_points(task));
  }
  return maker;
}

Result<> VariableMaker::check_wet_points(const Task& task) const {
  const uint64_t n = grid_->n, points = level_values(grid_->n);
  const uint32_t levels = form_.is_3d ? grid_->levels : 1;
  for (uint32_t level = 0; level < levels; ++level) {
    const std::span<const uint8_t> bits = mapper_->factors().wet(level);
    const uint8_t* here = grid_->wet_centre.data() + level * points;
    for (uint64_t i = 0; i < points; ++i) {
      if (bit_at(bits, i) == (here[i] != 0)) continue;
      return fail(Code::kInvalidData,
                  fmt::format("the mapping factors {} are for another grid than {}: at level {}, "
                              "tile {}, j {}, i {} one has water and the other land",
                              task.mapping_factors_loc.value_or(""), task.grid_loc.value_or(""),
                              level, i / (n * n), i / n % n, i % n));
    }
  }
  return {};
}

Result<RawName> VariableMaker::name_of(const MdsPair& pair) const {
  return form_.timed ? parse_raw_name(pair.data) : parse_invariant_name(pair.data);
}

Result<VariableMaker::Source> VariableMaker::read(const MdsPair& pair) {
  UPWELL_TRY(const RawName name, name_of(pair));
  const auto found = diagnostics_->find(name.variable);
  const bool known = found != diagnostics_->end();
  if (!known && form_.timed) {
    return fail(Code::kNotFound, pair.data + ": " + name.variable +
                                     " is not in the grid's available_diagnostics.log, or on axes "
                                     "that granules do not have");
  }
  Staggering where = known ? found->second : Staggering{};
  std::vector<uint32_t> levels{1, grid_->levels};
  if (known) levels = {where.vertical == Vertical::kNone ? 1 : grid_->levels};
  UPWELL_TRY(RawField raw, read_raw_field(resources_->session(), pair, name, grid_->n, levels));
  if (!known) {
    // Parameters of the model are no diagnostics; xmitgcm too takes them to lie there.
    if (raw.field.levels > 1) where.vertical = Vertical::kCentres;
    notes_.push_back(name.variable +
                     " is not in available_diagnostics.log: taken to lie at the centres of cells");
  }
  if (form_.timed) UPWELL_CHECK(check_interval(pair, raw.interval));
  files_.insert(files_.end(), raw.files.begin(), raw.files.end());
  return Source{std::make_shared<const Field>(std::move(raw.field)), where};
}

/// The .meta says when its averages end, which the task knows from the step alone.
Result<> VariableMaker::check_interval(const MdsPair& pair,
                                       const std::vector<double>& interval) const {
  if (interval.empty() || std::abs(interval.back() - static_cast<double>(form_.end_s)) <= 1)
    return {};
  return fail(
      Code::kInvalidData,
      fmt::format("{}: timeInterval ends {} s after the model's start, the task's period "
                  "({}) {} s",
                  pair.meta, interval.back(), task_->metadata.end.value_or(""), form_.end_s));
}

/// By what the task says (2026), or by the variable's standard name.
Result<bool> VariableMaker::is_zonal(const TaskVariable& variable) const {
  if (const std::string* said = find_pair(task_->metadata.field_orientations, variable.name)) {
    if (*said == "zonal") return true;
    if (*said == "meridional") return false;
    return fail(Code::kInvalidData, "field_orientations: '" + *said + "' of " + variable.name +
                                        " is neither zonal nor meridional");
  }
  Attributes attributes;
  std::set<std::string> keywords;
  metadata_->add_variable(variable.name, GridType::kLatLon, attributes, keywords);
  const std::string name = text_attribute(attributes, "standard_name").value_or("");
  if (name.find("eastward") != std::string::npos) return true;
  if (name.find("northward") != std::string::npos) return false;
  return fail(Code::kInvalidData,
              "neither field_orientations nor its standard_name says which way it points");
}

Result<VariableMaker::Source> VariableMaker::turned(const TaskVariable& variable) {
  UPWELL_TRY(bool zonal, is_zonal(variable));
  if (vector_files_ != variable.components) {
    east_.reset();
    north_.reset();
    UPWELL_TRY(Source x, read(variable.components[0]));
    UPWELL_TRY(Source y, read(variable.components[1]));
    // A task may name them in either order.
    for (const VectorField& vector : task_->metadata.field_components) {
      const std::string* first =
          vector.name == variable.name ? find_pair(vector.components, "y") : nullptr;
      UPWELL_TRY(const RawName name, name_of(variable.components[0]));
      if (first != nullptr && *first == name.variable) std::swap(x, y);
    }
    const bool centres = x.where.point == Point::kCentre && y.where.point == Point::kCentre;
    if (!centres && (x.where.point != Point::kWest || y.where.point != Point::kSouth))
      return fail(Code::kInvalidData,
                  "its components lie neither on the faces of cells nor both at their centres");
    UPWELL_TRY(
        EastNorth turned,
        to_east_north(*x.field, *y.field, centres ? VectorPoints::kCentres : VectorPoints::kFaces,
                      grid_->cs, grid_->sn));
    east_ = std::make_shared<const Field>(std::move(turned.east));
    north_ = std::make_shared<const Field>(std::move(turned.north));
    vector_files_ = variable.components;
    vector_vertical_ = x.where.vertical;
  }
  return Source{zonal ? east_ : north_, {Point::kCentre, vector_vertical_}};
}

Result<VariableMaker::Source> VariableMaker::source_of(const TaskVariable& variable) {
  if (variable.components.size() == 1) return read(variable.components[0]);
  return turned(variable);
}

template <typename In, typename Out>
Result<ValueRange> VariableMaker::native_values(const FieldValues<In>& in, const Source& source,
                                                Out* out) const {
  const std::vector<uint8_t>& wet = grid_->wet(source.where.point);
  if (wet.empty())
    return fail(Code::kUnsupported, "it lies at the corners of cells, where the grid has no mask");
  const uint64_t size = level_values(grid_->n);
  std::vector<ValueRange> ranges(source.field->levels);
  UPWELL_CHECK(parallel_for(ranges.size(), [&](size_t level) -> Result<> {
    const uint8_t* mask = wet.data() + level * size;
    ranges[level] = mask_values(
        in.data() + level * size, size, [mask](uint64_t i) { return mask[i] != 0; },
        out + level * size);
    return {};
  }));
  ValueRange all;
  for (size_t level = 0; level < ranges.size(); ++level) all.join(ranges[level], level * size);
  return all;
}

template <typename In, typename Out>
Result<ValueRange> VariableMaker::latlon_values(const FieldValues<In>& in, Out* out) const {
  const uint64_t cells = mapper_->factors().cells();
  const uint64_t levels = in.size() / level_values(grid_->n);
  std::vector<MapTask> tasks(levels);
  for (uint64_t level = 0; level < levels; ++level) {
    tasks[level].level = level;
    tasks[level].field = in.data() + level * level_values(grid_->n);
    if constexpr (sizeof(Out) == 4) {
      tasks[level].out32 = out + level * cells;
    } else {
      tasks[level].out64 = out + level * cells;
    }
  }
  UPWELL_CHECK(mapper_->map(tasks, sizeof(In) == 4 ? FieldType::kFloat32 : FieldType::kFloat64));
  std::vector<ValueRange> ranges(levels);
  UPWELL_CHECK(parallel_for(levels, [&](size_t level) -> Result<> {
    const std::span<const uint8_t> ocean = mapper_->factors().ocean(level);
    Out* values = out + level * cells;
    ranges[level] =
        mask_values(values, cells, [ocean](uint64_t i) { return bit_at(ocean, i); }, values);
    return {};
  }));
  ValueRange all;
  for (size_t level = 0; level < levels; ++level) all.join(ranges[level], level * cells);
  return all;
}

template <typename Out>
Result<ValueRange> VariableMaker::fill_values(const Source& source, Out* out) const {
  return std::visit(
      [&](const auto& in) {
        return form_.grid == GridType::kNative ? native_values(in, source, out)
                                               : latlon_values(in, out);
      },
      source.field->values);
}

Result<> VariableMaker::form_shape(const Source& source, MadeVariable& made, Shape& shape) const {
  made.is_3d = source.where.vertical != Vertical::kNone;
  std::vector<std::string>& dimensions = made.variable.dimensions;
  if (form_.timed) {
    dimensions = {"time"};
    shape = {1};
  }
  if (made.is_3d) shape.push_back(grid_->levels);
  if (form_.grid == GridType::kNative) {
    const std::vector<std::string> own = native_dimensions(source.where);
    dimensions.insert(dimensions.end(), own.begin(), own.end());
    shape.insert(shape.end(), {kLlcTiles, grid_->n, grid_->n});
    if (made.is_3d && !form_.is_3d)
      return fail(Code::kInvalidData, "it has depths in a granule that is 2D");
    return {};
  }
  if (made.is_3d != form_.is_3d)
    return fail(Code::kInvalidData, made.is_3d ? "it has depths in a granule that is 2D"
                                               : "it has no depths in a granule that is 3D");
  if (made.is_3d) dimensions.emplace_back("Z");
  dimensions.insert(dimensions.end(), {"latitude", "longitude"});
  const FactorsHead& head = mapper_->factors().head();
  shape.insert(shape.end(), {head.grid.rows(), head.grid.columns()});
  return {};
}

/// Cells of latitude and longitude have what the points have that they are made of: these are told,
/// too.
std::string VariableMaker::not_finite_text(const MadeVariable& made, const Source& source,
                                           const Shape& shape) const {
  constexpr const char* kHint = "--not-finite keep takes them as they are";
  const bool native = form_.grid == GridType::kNative;
  const LatLonGrid* target = native ? nullptr : &mapper_->factors().head().grid;
  const std::string where =
      place_text(made.range.first_not_finite, made.variable.dimensions, shape, *grid_, target);
  if (native)
    return fmt::format("{} values at points of water are NaN or infinite, the first at {}; {}",
                       made.range.not_finite, where, kHint);
  const uint64_t points = level_values(grid_->n);
  ValueRange raw;
  std::visit(
      [&](const auto& in) {
        FieldValues<double> ignored(points);
        for (uint64_t level = 0; level < in.size() / points; ++level) {
          const uint8_t* wet = grid_->wet_centre.data() + level * points;
          raw.join(mask_values(
                       in.data() + level * points, points,
                       [wet](uint64_t i) { return wet[i] != 0; }, ignored.data()),
                   level * points);
        }
      },
      source.field->values);
  std::string text =
      fmt::format("{} cells are NaN or infinite, the first at {}", made.range.not_finite, where);
  if (raw.not_finite > 0) {
    std::vector<std::string> axes{"tile", "j", "i"};
    Shape tiles{kLlcTiles, grid_->n, grid_->n};
    if (made.is_3d) {
      axes.insert(axes.begin(), "k");
      tiles.insert(tiles.begin(), grid_->levels);
    }
    text += fmt::format(", as are {} values at points of water, the first at {}", raw.not_finite,
                        place_text(raw.first_not_finite, axes, tiles, *grid_, nullptr));
  }
  return fmt::format("{}; {}", text, kHint);
}

Result<MadeVariable> VariableMaker::finish(const TaskVariable& variable, const Source& source) {
  MadeVariable made;
  made.variable.name = variable.name;
  Shape shape;
  UPWELL_CHECK(form_shape(source, made, shape));
  const uint32_t size = form_.element_size;
  Bytes values(upwell::element_count(shape) * size);
  Bytes fill(size);
  if (size == 8) {
    UPWELL_TRY(made.range, fill_values(source, reinterpret_cast<double*>(values.data())));
    store_le(fill.data(), kFillValue<double>);
  } else {
    UPWELL_TRY(made.range, fill_values(source, reinterpret_cast<float*>(values.data())));
    store_le(fill.data(), kFillValue<float>);
  }
  if (made.range.not_finite > 0 && form_.not_finite == NotFinite::kFail)
    return fail(Code::kInvalidData, not_finite_text(made, source, shape));
  UPWELL_TRY(std::shared_ptr<const Shape> chunk, resources_->chunk_shape(shape, size));
  UPWELL_TRY(made.variable.encoded, encoder_->encode(values, shape, *chunk, fill, form_.level));
  made.variable.values = Values{DataType::floating(size), std::move(shape), {}, {}};
  return made;
}

Result<MadeVariable> VariableMaker::make(size_t index) {
  const TaskVariable& variable = task_->variables[index];
  const auto named = [&](Error error) {
    // What is wrong with a vector is wrong with one of its components.
    const std::string said = error.to_string();
    std::string files;
    for (const MdsPair& pair : variable.components) {
      if (said.find(pair.data) != std::string::npos || said.find(pair.meta) != std::string::npos)
        return fail(std::move(error).with("variable " + variable.name));
      files += (files.empty() ? "" : ", ") + pair.data;
    }
    if (!files.empty()) error.context.push_back(files);
    return fail(std::move(error).with("variable " + variable.name));
  };
  auto source = source_of(variable);
  if (!source) return named(std::move(source).error());
  auto made = finish(variable, *source);
  if (!made) return named(std::move(made).error());
  return made;
}

}  // namespace upwell::produce
