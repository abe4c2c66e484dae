#include <algorithm>
#include <set>
#include <sstream>

#include "refs/combine.hpp"
#include "refs/reference_output.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxCoordinateBytes = 16 << 20;
constexpr uint64_t kMaxVlenElements = 1 << 20;

std::string without_slash(const std::string& path) {
  return path.starts_with('/') ? path.substr(1) : path;
}

std::string leaf_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

uint64_t logical_bytes(const Array& array) {
  uint64_t bytes = std::max<uint64_t>(array.type.size, 1);
  for (uint64_t n : array.shape)
    if (__builtin_mul_overflow(bytes, n, &bytes)) return UINT64_MAX;
  return bytes;
}

bool is_coordinate_variable(const Array& array) {
  return array.shape.size() == 1 && array.dimensions.size() == 1 &&
         array.dimensions[0] == array.name;
}

bool is_cf_time(const Array& array) {
  auto units = text_attribute(array.attributes, "units");
  return units && units->find(" since ") != std::string::npos;
}

void visit_groups(const Group& group, const std::string& prefix,
                  const std::function<void(const std::string&, const Group&)>& visit) {
  visit(prefix, group);
  for (const Group& child : group.groups) visit_groups(child, prefix + child.name + "/", visit);
}

std::string list_of(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

/// Whether an array can be kept as it is stored.
Result<> check_kept(const Array& array) {
  if (array.null_space) return fail(Code::kUnsupported, "it has a null dataspace, Zarr has none");
  if (array.type.has_vlen() && array.type.kind != Kind::kVlenString)
    return fail(Code::kUnsupported, "type " + describe(array.type) + " is of variable length");
  for (const Segment& segment : array.segments)
    if (segment.layout->heap)
      return fail(Code::kUnsupported, "its values lie in the heap of their granule");
  UPWELL_TRY(const std::string name, to_numpy(array.type));
  UPWELL_TRY(const DataType same, from_numpy(name));
  if (!(same == array.type))
    return fail(Code::kUnsupported, "Zarr has no name for type " + describe(array.type));
  return check_clients(array.type);
}

}  // namespace

const Array* bounds_parent(const Group& root, const std::string& path, const Array& array) {
  std::string scope = path;
  for (size_t slash = scope.rfind('/'); slash != std::string::npos; slash = scope.rfind('/')) {
    scope.resize(slash);
    const Group* group = root.find_group(scope);
    if (group == nullptr) continue;
    for (const Array& candidate : group->arrays)
      for (const char* role : {"bounds", "climatology"})
        if (&candidate != &array && text_attribute(candidate.attributes, role) == array.name)
          return &candidate;
  }
  return nullptr;
}

bool names_array(const std::vector<std::string>& names, const std::string& path) {
  const std::string full = without_slash(path), leaf = leaf_of(path);
  return std::any_of(names.begin(), names.end(), [&](const std::string& name) {
    return name == leaf || without_slash(name) == full;
  });
}

Combiner::Combiner(io::Session& session, std::vector<std::string> sources, CombineOptions options)
    : session_(session), sources_(std::move(sources)), options_(std::move(options)) {
  report_.sources.resize(sources_.size());
  for (size_t i = 0; i < sources_.size(); ++i) report_.sources[i].url = sources_[i];
}

Result<std::unique_ptr<Combiner>> Combiner::make(io::Session& session,
                                                 std::vector<std::string> sources,
                                                 const Dataset& first, CombineOptions options,
                                                 std::vector<Reason>& refused) {
  std::unique_ptr<Combiner> out(new Combiner(session, std::move(sources), std::move(options)));
  out->first_root_ = without_segments(first.root);
  out->first_format_ = first.format;
  UPWELL_CHECK(out->choose_concat(first));
  auto planned = out->plan_arrays(first);
  refused = out->report_.refused;
  UPWELL_CHECK(planned);
  UPWELL_CHECK(out->add(0, first));
  return out;
}

/// The coordinate that orders the granules: the one asked for, else the one nearest to the root.
Result<> Combiner::choose_order(const Dataset& first) {
  const std::string& concat = options_.concat;
  const std::string& wanted = options_.order_by;
  auto depth = [](const std::string& p) { return std::count(p.begin(), p.end(), '/'); };
  for_each_array(first.root, [&](const std::string& path, const Array& array) {
    if (!array.type.is_number() || array.shape.size() != 1 ||
        array.dimensions != std::vector{concat})
      return;
    if (wanted.empty() ? array.name != concat : !names_array({wanted}, path)) return;
    if (report_.coordinate.empty() || depth(path) < depth(report_.coordinate))
      report_.coordinate = path;
  });
  if (!wanted.empty() && (report_.coordinate.empty() || !names_array({wanted}, report_.coordinate)))
    return fail(Code::kInvalidArgument, "--order-by " + wanted +
                                            ": the first granule has no such " +
                                            "variable of numbers along " + concat + " alone");
  return {};
}

Result<std::string> infer_concat(const Dataset& first) {
  std::set<std::string> unlimited, timelike, all;
  visit_groups(first.root, "/", [&](const std::string&, const Group& group) {
    for (const Dimension& d : group.dimensions)
      if (d.unlimited) unlimited.insert(d.name);
  });
  for_each_array(first.root, [&](const std::string&, const Array& array) {
    all.insert(array.dimensions.begin(), array.dimensions.end());
    if (is_cf_time(array) && is_coordinate_variable(array)) timelike.insert(array.name);
  });
  std::set<std::string> both;
  std::set_intersection(unlimited.begin(), unlimited.end(), timelike.begin(), timelike.end(),
                        std::inserter(both, both.end()));
  const std::set<std::string>& choice = both.size() == 1        ? both
                                        : unlimited.size() == 1 ? unlimited
                                                                : timelike;
  if (choice.size() == 1) return *choice.begin();
  return fail(Code::kInvalidArgument,
              "say with --concat along which dimension the granules follow each other; the "
              "first has " +
                  (all.empty() ? std::string("no dimensions") : list_of(all)));
}

Result<> Combiner::choose_concat(const Dataset& first) {
  std::set<std::string> all;
  std::string scalar_time;
  std::string& concat = options_.concat;
  for_each_array(first.root, [&](const std::string& path, const Array& array) {
    all.insert(array.dimensions.begin(), array.dimensions.end());
    if (array.shape.empty() && !concat.empty() && array.name == concat && scalar_time.empty())
      scalar_time = path;
  });
  if (concat.empty()) {
    if (sources_.size() == 1) {
      if (options_.keep_segments) likely_concat_ = infer_concat(first).value_or("");
      return {};
    }
    UPWELL_TRY(concat, infer_concat(first));
  }
  report_.concat = concat;
  if (!all.contains(concat)) {
    if (scalar_time.empty())
      return fail(Code::kInvalidArgument,
                  "--concat " + concat +
                      ": no array of the first granule has this dimension, "
                      "nor is there a scalar variable of that name; it has " +
                      list_of(all));
    prepend_mode_ = true;
    report_.coordinate = scalar_time;
  }
  UPWELL_CHECK(choose_order(first));
  if (report_.coordinate.empty() && sources_.size() > 1)
    report_.warnings.push_back("dimension " + concat +
                               " has no numeric coordinate variable: granules are in the order in "
                               "which they were given, gaps and duplicates cannot be seen");
  return {};
}

bool Combiner::should_prepend(const std::string& path, const Array& array) const {
  if (!prepend_mode_) return false;
  if (path == report_.coordinate) return true;
  const bool named = names_array(not_prepended_, path);
  // A scalar beside the time, like the forecast's reference time, goes along when it is named as a
  // coordinate; a scalar that is not (a grid mapping) belongs to all granules.
  if (array.shape.empty()) return false;
  if (is_coordinate_variable(array)) return false;
  const Array* coordinate = first_root_.find_array(report_.coordinate);
  if (coordinate != nullptr)
    for (const char* role : {"bounds", "climatology"})
      if (text_attribute(coordinate->attributes, role) == array.name) return true;
  return !named;
}

Result<> Combiner::plan_arrays(const Dataset& first) {
  for_each_array(first.root, [&](const std::string&, const Array& array) {
    for (const char* role : {"coordinates", "bounds", "grid_mapping", "cell_measures"}) {
      auto text = text_attribute(array.attributes, role);
      if (!text) continue;
      std::istringstream words(*text);
      for (std::string word; words >> word;) not_prepended_.push_back(word);
    }
  });
  Result<> result;
  for_each_array(first.root, [&](const std::string& path, const Array& array) {
    if (!result || names_array(options_.drop, path)) return;
    result = plan_array(first, path, array);
  });
  UPWELL_CHECK(result);
  for (const std::string& name : options_.load) {
    bool found = std::any_of(plans_.begin(), plans_.end(), [&](const ArrayPlan& plan) {
      return names_array({name}, plan.facts.path);
    });
    if (!found)
      return fail(Code::kInvalidArgument,
                  "--load " + name + ": the first granule has no such variable");
  }
  if (report_.refused.empty()) return {};
  std::string text;
  for (const Reason& reason : report_.refused)
    text += (text.empty() ? "" : "; ") + reason.path + ": " + reason.message;
  return fail(Code::kUnsupported, text);
}

bool Combiner::wants_load(const std::string& path, const Array& array, const ArrayPlan& plan,
                          bool along) const {
  if (plan.is_coordinate || names_array(options_.load, path)) return true;
  if (options_.load_exactly) return false;
  const uint64_t bytes = logical_bytes(array);
  // Values that are copied must be stored alike; references need not.
  const bool may_differ = options_.keep_segments && along;
  if (bytes <= options_.inline_bytes && !may_differ) return true;
  if (array.type.kind == Kind::kVlenString) return element_count(array.shape) <= kMaxVlenElements;
  if (plan.facts.converts_time && along && bytes <= kMaxCoordinateBytes) return true;
  return !options_.load_given && is_coordinate_variable(array) && bytes <= kMaxCoordinateBytes;
}

/// Granules follow each other by the length of the dimension: an array of another length has no
/// place there.
Result<> Combiner::check_length(const Group& root, const ArrayFacts& facts) const {
  const uint64_t length = facts.head.shape[*facts.axis];
  std::optional<uint64_t> size;
  std::string scope = facts.path;
  for (size_t slash = scope.rfind('/'); slash != std::string::npos && !size;
       slash = scope.rfind('/')) {
    scope.resize(slash);
    const Group* group = root.find_group(scope);
    for (const Dimension& d : group != nullptr ? group->dimensions : std::vector<Dimension>{})
      if (d.name == options_.concat) size = d.size;
  }
  if (!size || *size <= length) return {};
  return fail(Code::kUnsupported, "it has " + std::to_string(length) + " of the " +
                                      std::to_string(*size) + " elements along " + options_.concat);
}

Result<ArrayFacts> Combiner::facts_of(const Dataset& dataset, const std::string& path,
                                      const Array& array, bool load, bool prepend,
                                      std::optional<ExpressibleArray>& express) {
  ArrayFacts facts;
  facts.path = path;
  facts.head = array;
  facts.head.segments.clear();
  facts.referenced = !load;
  if (!load && options_.keep_segments) {
    UPWELL_CHECK(check_kept(array));
    if (!array.segments.empty()) facts.layout = *array.segments[0].layout;
    if (array.segments.empty()) facts.layout.type = array.type;
    if (array.segments.empty()) facts.layout.chunk_shape = array.shape;
  } else if (!load && existing_ > 0 && !resumed_ && !array.segments.empty()) {
    facts.layout = *array.segments[0].layout;  // of the store: no chunk is looked up for it
  } else if (!load) {
    UPWELL_TRY(express, ExpressibleArray::make(session_, dataset, array, options_.express));
    facts.layout = express->layout();
    facts.contiguous = express->contiguous();
    // What the set will say. Chunks never written that would mean something else are stored.
    const ZarrView view{
        array.type, facts.layout.chunk_shape, facts.layout.codecs, facts.layout.fortran_order, {}};
    facts.head.fill = facts.layout.fill = zarr2_fill(array, view).fill;
  }
  if (prepend) {
    facts.head.shape.insert(facts.head.shape.begin(), 1);
    facts.head.dimensions.insert(facts.head.dimensions.begin(), options_.concat);
    facts.layout.chunk_shape.insert(facts.layout.chunk_shape.begin(), 1);
  }
  if (resumed_) UPWELL_CHECK(as_stores_say(facts));
  if (!options_.concat.empty()) {
    const auto& names = facts.head.dimensions;
    auto it = std::find(names.begin(), names.end(), options_.concat);
    if (it != names.end()) {
      facts.axis = static_cast<size_t>(it - names.begin());
      if (std::find(it + 1, names.end(), options_.concat) != names.end())
        return fail(Code::kUnsupported, "it has dimension " + options_.concat + " twice");
      if (!prepend) UPWELL_CHECK(check_length(dataset.root, facts));
    }
  }
  return facts;
}

Result<> Combiner::plan_array(const Dataset& first, const std::string& path, const Array& array) {
  ArrayPlan plan;
  plan.is_coordinate = path == report_.coordinate;
  plan.prepend = should_prepend(path, array);
  // Bounds have no units of their own: they count in those of their coordinate (CF 7.1).
  const Array* parent = bounds_parent(first.root, path, array);
  const bool own_units = text_attribute(array.attributes, "units").has_value();
  const Array& unit_source = parent != nullptr && !own_units ? *parent : array;
  if (auto units = cf::time_units_of(unit_source); units && *units && array.type.is_number())
    plan.time = **units;
  plan.facts.converts_time = plan.time.has_value();
  const auto is_along = [&](const std::string& dimension) {
    const auto& names = array.dimensions;
    return !dimension.empty() && std::find(names.begin(), names.end(), dimension) != names.end();
  };
  plan.load = wants_load(path, array, plan,
                         plan.prepend || is_along(options_.concat) || is_along(likely_concat_));
  auto refuse = [&](const std::string& why) {
    const std::string name = without_slash(path);
    report_.refused.push_back({"unsupported", path,
                               why + "; leave it out with --drop " + name +
                                   (plan.load ? "" : ", or copy its values with --load " + name)});
  };
  std::optional<ExpressibleArray> express;
  auto facts = facts_of(first, path, array, plan.load, plan.prepend, express);
  if (!facts) {
    if (facts.error().code != Code::kUnsupported) return fail(std::move(facts).error());
    refuse(facts.error().message);
    return {};
  }
  if (plan.load) {
    const DataType memory = memory_type(array.type);
    const bool text = memory.kind == Kind::kVlenString;
    auto numpy = text ? Result<std::string>("|O") : to_numpy(memory);
    if (array.null_space || (memory.has_vlen() && !text) || !numpy) {
      refuse(array.null_space ? "it has a null dataspace, Zarr has none"
                              : "Zarr has no type for " + describe(array.type));
      return {};
    }
    plan.loaded_type = memory;
    plan.loaded.resize(facts->axis ? sources_.size() : 1);
    report_.loaded.push_back(path);
  } else {
    plan.store = std::make_shared<ReferenceStore>();
    // Units of a referenced time must agree: its values are not touched.
    if (parent != nullptr && !own_units) plan.parent_units = plan.time;
    plan.time.reset();
  }
  facts->converts_time = plan.time.has_value();
  plan.facts = std::move(*facts);
  plan.pieces.resize(plan.facts.axis ? sources_.size() : 1);
  plan.kept = std::make_unique<KeptSegments>(plan.pieces.size());
  plan_of_.emplace(path, plans_.size());
  plans_.push_back(std::move(plan));
  return {};
}

}  // namespace upwell::refs
