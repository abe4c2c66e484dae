#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <set>

#include "produce/granules/content.hpp"
#include "produce/granules/netcdf_input.hpp"
#include "produce/granules/place.hpp"

namespace upwell::produce {
namespace {

/// Granules have depth, tile, j, i, or depth, latitude, longitude: puts what comes otherwise so.
void put_in_order(std::vector<std::string>& dimensions, Shape& shape,
                  std::vector<double>& numbers) {
  constexpr std::string_view kOrder = "kZtlji";  // by first letters, latitude before longitude
  const size_t rank = shape.size();
  std::vector<size_t> from(rank);
  std::iota(from.begin(), from.end(), 0);
  std::stable_sort(from.begin(), from.end(), [&](size_t a, size_t b) {
    const std::string &x = dimensions[a], &y = dimensions[b];
    return x[0] == y[0] ? x < y : kOrder.find(x[0]) < kOrder.find(y[0]);
  });
  if (std::is_sorted(from.begin(), from.end())) return;
  Shape strides(rank, 1);
  for (size_t d = rank; d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  std::vector<std::string> names;
  Shape sizes, steps;
  for (const size_t d : from) {
    names.push_back(dimensions[d]);
    sizes.push_back(shape[d]);
    steps.push_back(strides[d]);
  }
  std::vector<double> ordered(numbers.size());
  for (uint64_t i = 0; i < ordered.size(); ++i) {
    uint64_t rest = i, source = 0;
    for (size_t d = rank; d-- > 0; rest /= sizes[d]) source += rest % sizes[d] * steps[d];
    ordered[i] = numbers[source];
  }
  dimensions = std::move(names);
  shape = std::move(sizes);
  numbers = std::move(ordered);
}

/// Lengths of the axes that granules of a kind have.
std::map<std::string, uint64_t> axes_of(const Frame& frame) {
  std::map<std::string, uint64_t> axes;
  for (const auto& variable : frame.before) {
    if (variable.dimensions.size() == 1 && variable.dimensions[0] == variable.name)
      axes[variable.name] = variable.data().count();
  }
  return axes;
}

class InvariantReader {
 public:
  InvariantReader(const Task& task, const VariableForm& form, Resources& resources,
                  ChunkEncoder& encoder)
      : task_(task), form_(form), resources_(resources), encoder_(encoder) {}

  Result<Content> read() {
    UPWELL_TRY(input_, NetcdfInput::open(resources_.session(), *task_.input_netcdf));
    Content content;
    UPWELL_TRY(content.frame, frame());
    axes_ = axes_of(content.frame);
    UPWELL_CHECK(check_coordinates(content.frame.before));
    UPWELL_CHECK(check_coordinates(content.frame.after));
    for (const Array* array : input_.variables()) {
      if (coordinates_.contains(array->name)) continue;
      auto made = variable(*array);
      if (!made)
        return fail(std::move(made).error().with(input_.url() + ": variable " + array->name));
      content.variables.push_back(std::move(*made));
    }
    if (content.variables.empty())
      return fail(Code::kInvalidData, input_.url() + ": has no variables but coordinates");
    if (!task_.strip_attributes) {
      content.attributes = input_.attributes();
      std::erase_if(content.attributes, [](const Attribute& a) { return a.name == "coordinates"; });
    }
    UPWELL_TRY(FileRecord record, input_.record());
    content.files.push_back(std::move(record));
    return content;
  }

 private:
  Result<Frame> frame() {
    const std::string grid = task_.grid_loc.value_or("");
    const std::string metadata = task_.metadata_loc.value_or("");
    UPWELL_TRY(grid_, resources_.native_grid(grid));
    if (form_.grid == GridType::kLatLon) {
      UPWELL_TRY(mapper_, resources_.mapper(task_.mapping_factors_loc.value_or("")));
    }
    UPWELL_TRY(std::shared_ptr<const Frame> shared,
               form_.grid == GridType::kNative
                   ? resources_.native_frame(grid, metadata, form_.is_3d, TimeAxis::kNone)
                   : resources_.latlon_frame(grid, task_.mapping_factors_loc.value_or(""), metadata,
                                             form_.is_3d, TimeAxis::kNone));
    return *shared;
  }

  /// Those of the granule are the grid's; where the file has them, they must be the same places.
  Result<> check_coordinates(const std::vector<format::netcdf4::Variable>& variables) {
    constexpr double kNear = 1e-3;  // degrees and metres
    for (const auto& variable : variables) {
      coordinates_.insert(variable.name);
      const Array* array = input_.find(variable.name);
      const Values& ours = variable.data();
      if (array == nullptr) continue;
      if (array->shape != ours.shape)
        return fail(Code::kInvalidData, fmt::format("{}: {} is of another size than in the grid",
                                                    input_.url(), variable.name));
      UPWELL_TRY(const std::vector<double> theirs, input_.numbers(*array));
      for (size_t i = 0; i < theirs.size(); ++i) {
        const double mine = ours.number(i);
        if (!(std::abs(theirs[i] - mine) <= kNear * std::max(1.0, std::abs(mine))))
          return fail(Code::kInvalidData,
                      fmt::format("{}: {} has {} where the grid has {}: it is on another grid",
                                  input_.url(), variable.name, theirs[i], mine));
      }
    }
    return {};
  }

  Result<MadeVariable> variable(const Array& array) {
    MadeVariable made;
    made.variable.name = array.name;
    for (size_t d = 0; d < array.shape.size(); ++d) {
      const std::string& axis = array.dimensions[d];
      const auto found = axes_.find(axis);
      if (found == axes_.end())
        return fail(Code::kInvalidData,
                    fmt::format("dimension '{}', which {} granules that are {} do not have", axis,
                                form_.grid == GridType::kNative ? "native" : "lat-lon",
                                form_.is_3d ? "3D" : "2D"));
      if (found->second != array.shape[d])
        return fail(Code::kInvalidData, fmt::format("dimension '{}' of {}, where the grid has {}",
                                                    axis, array.shape[d], found->second));
      made.variable.dimensions.push_back(axis);
    }
    if (!task_.strip_attributes) made.variable.attributes = NetcdfInput::described(array);
    UPWELL_TRY(std::vector<double> numbers, input_.numbers(array, form_.element_size));
    Shape shape = array.shape;
    put_in_order(made.variable.dimensions, shape, numbers);
    const auto place = [&](uint64_t index) {
      return place_text(index, made.variable.dimensions, shape, *grid_,
                        mapper_ ? &mapper_->factors().head().grid : nullptr);
    };
    UPWELL_CHECK(encode_numbers(numbers, shape, form_, resources_, encoder_, place, made));
    return made;
  }

  const Task& task_;
  const VariableForm& form_;
  Resources& resources_;
  ChunkEncoder& encoder_;
  NetcdfInput input_;
  std::shared_ptr<const ModelGrid> grid_;
  std::shared_ptr<const Mapper> mapper_;  ///< of lat-lon granules
  std::map<std::string, uint64_t> axes_;
  std::set<std::string> coordinates_;
};

}  // namespace

Result<Content> read_invariant_netcdf(const Task& task, const VariableForm& form,
                                      Resources& resources, ChunkEncoder& encoder) {
  return InvariantReader(task, form, resources, encoder).read();
}

Result<uint64_t> memory_of_netcdf(const std::string& input_netcdf, io::Session& session,
                                  uint64_t kept) {
  UPWELL_TRY(const NetcdfInput input, NetcdfInput::open(session, input_netcdf));
  UPWELL_TRY(const io::ObjectInfo info, session.stat(input.url()));
  return input.memory(kept) + info.size;  // it is read whole for its checksum
}

Result<> encode_numbers(const std::vector<double>& numbers, const Shape& shape,
                        const VariableForm& form, Resources& resources, ChunkEncoder& encoder,
                        const std::function<std::string(uint64_t)>& place, MadeVariable& made) {
  const uint32_t size = form.element_size;
  Bytes values(numbers.size() * size), fill(size);
  const auto everywhere = [](uint64_t) { return true; };
  if (size == 8) {
    made.range = mask_values(numbers.data(), numbers.size(), everywhere,
                             reinterpret_cast<double*>(values.data()));
    store_le(fill.data(), kFillValue<double>);
  } else {
    made.range = mask_values(numbers.data(), numbers.size(), everywhere,
                             reinterpret_cast<float*>(values.data()));
    store_le(fill.data(), kFillValue<float>);
  }
  const auto is_infinite = [size](double number) {
    return size == 4 ? std::isinf(static_cast<float>(number)) : std::isinf(number);
  };
  const auto infinite = std::count_if(numbers.begin(), numbers.end(), is_infinite);
  if (infinite > 0 && form.not_finite == NotFinite::kFail) {
    const auto first = std::find_if(numbers.begin(), numbers.end(), is_infinite) - numbers.begin();
    return fail(Code::kInvalidData,
                fmt::format("{} values are infinite, the first at {}; --not-finite keep takes them "
                            "as they are",
                            infinite, place(static_cast<uint64_t>(first))));
  }
  if (shape.empty()) {
    made.variable.values = Values{DataType::floating(size), shape, std::move(values), {}};
    made.variable.deflate = false;
    return {};
  }
  UPWELL_TRY(std::shared_ptr<const Shape> chunk, resources.chunk_shape(shape, size));
  UPWELL_TRY(made.variable.encoded, encoder.encode(values, shape, *chunk, fill, form.level));
  made.variable.values = Values{DataType::floating(size), shape, {}, {}};
  return {};
}

}  // namespace upwell::produce
