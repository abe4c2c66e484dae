#include "refs/combine.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "cube/read.hpp"

namespace upwell::refs {
namespace {

/// Arrays without the concat dimension are compared in slabs of about this size.
constexpr uint64_t kSlabBytes = 64 << 20;

/// A mixing hash of 64 bits: equality of values that nobody forges.
uint64_t mix_bytes(ByteSpan bytes, uint64_t seed) {
  uint64_t h = seed ^ (bytes.size() * 0x9e3779b97f4a7c15ULL);
  size_t i = 0;
  auto take = [&](uint64_t word) {
    h = (h ^ word) * 0xff51afd7ed558ccdULL;
    h ^= h >> 32;
  };
  for (; i + 8 <= bytes.size(); i += 8) take(load_le<uint64_t>(bytes.data() + i));
  uint64_t tail = 0;
  for (; i < bytes.size(); ++i) tail = tail << 8 | bytes[i];
  take(tail);
  return h ^ (h >> 29);
}

bool same_values(const ArrayPlan::Loaded& loaded, const DataType& type, const Values& values) {
  if (type.kind != Kind::kVlenString) {
    return loaded.data.size() == values.data.size() &&
           std::equal(loaded.data.begin(), loaded.data.end(), values.data.begin());
  }
  Values first;
  first.type = type;
  first.shape = values.shape;
  first.data = loaded.data;
  first.heap = loaded.heap;
  if (first.data.size() != values.data.size()) return false;
  for (size_t i = 0; i < values.count(); ++i)
    if (first.text(i) != values.text(i)) return false;
  return true;
}

/// Everything that stands for nothing, beside NaN.
std::vector<double> fill_numbers(const Array& array) {
  std::vector<double> out = cf::decoding_of(array).missing;
  std::erase_if(out, [](double number) { return std::isnan(number); });
  return out;
}

bool holds_one_of(const Values& values, const std::vector<double>& numbers) {
  for (size_t i = 0; i < values.count() && !numbers.empty(); ++i)
    if (std::find(numbers.begin(), numbers.end(), values.number(i)) != numbers.end()) return true;
  return false;
}

}  // namespace

void Combiner::reject(size_t i, Reason reason) {
  std::lock_guard lock(mutex_);
  report_.sources[i].reasons.push_back(std::move(reason));
}

Result<bool> Combiner::audit(size_t i, const Dataset& dataset, std::vector<Pending>& pending) {
  std::vector<Reason> reasons;
  std::vector<bool> seen(plans_.size(), false);
  Result<> result;
  for (const Problem& problem : dataset.problems)
    if (!names_array(options_.drop, problem.path) &&
        (!options_.ignores || plan_of_.contains(problem.path)))
      reasons.push_back({"unreadable variable", problem.path, problem.error.to_string()});
  for_each_array(dataset.root, [&](const std::string& path, const Array& array) {
    if (!result || names_array(options_.drop, path)) return;
    auto found = plan_of_.find(path);
    if (found == plan_of_.end()) {
      if (options_.ignores && options_.ignores(dataset, path)) return;
      reasons.push_back({"extra variable", path, std::string(base()) + " does not have it"});
      return;
    }
    ArrayPlan& plan = plans_[found->second];
    seen[found->second] = true;
    Pending next{&plan, &array, {}, std::nullopt};
    auto facts = facts_of(dataset, path, array, plan.load, plan.prepend, next.express);
    if (!facts) {
      if (facts.error().code == Code::kUnsupported) {
        reasons.push_back({"unsupported", path, facts.error().message});
      } else {
        result = fail(std::move(facts).error().with(path));
      }
      return;
    }
    next.facts = std::move(*facts);
    std::vector<Reason> differences;
    compare_facts(plan.facts, next.facts, differences, base());
    for (Reason& reason : differences) {
      if (tolerates(plan, next, reason))
        note_drift(i, reason);
      else
        reasons.push_back(std::move(reason));
    }
    pending.push_back(std::move(next));
  });
  UPWELL_CHECK(result);
  for (size_t k = 0; k < plans_.size(); ++k)
    if (!seen[k])
      reasons.push_back({"missing variable", plans_[k].facts.path,
                         std::string("it is not here, but in ") + base()});
  if (reasons.empty()) return true;
  std::lock_guard lock(mutex_);
  auto& kept = report_.sources[i].reasons;
  kept.insert(kept.end(), reasons.begin(), reasons.end());
  return false;
}

bool Combiner::can_keep(const ArrayPlan& plan, const std::string& kind) {
  const auto is_one_of = [&](std::initializer_list<std::string_view> kinds) {
    return std::find(kinds.begin(), kinds.end(), kind) != kinds.end();
  };
  if (is_one_of({"byte order", "codecs", "order in a chunk", "chunk shape", "fill value"}))
    return true;
  if (!plan.facts.axis || !plan.facts.head.type.is_number()) return false;
  if (is_one_of({"type", "_FillValue", "missing_value"})) return true;
  return !plan.load && is_one_of({"scale_factor", "add_offset", "_Unsigned"});
}

/// Whether the difference does not keep the array from its place.
bool Combiner::tolerates(const ArrayPlan& plan, const Pending& pending,
                         const Reason& reason) const {
  const bool numbers = plan.facts.head.type.is_number() && pending.facts.head.type.is_number();
  // Of copied values each is looked at (load_array): an attribute that masks none is no drift.
  const bool fill = reason.kind == "_FillValue" || reason.kind == "missing_value";
  if (plan.load && numbers && fill) return true;
  if (!options_.keep_drift || !can_keep(plan, reason.kind)) return false;
  static constexpr std::array<std::string_view, 6> kOfNumbers = {
      "type", "_FillValue", "missing_value", "scale_factor", "add_offset", "_Unsigned"};
  return numbers ||
         std::find(kOfNumbers.begin(), kOfNumbers.end(), reason.kind) == kOfNumbers.end();
}

void Combiner::note_drift(size_t i, const Reason& reason) {
  std::lock_guard lock(mutex_);
  auto& list = report_.kept;
  auto it = std::find_if(list.begin(), list.end(), [&](const DriftReport& d) {
    return d.path == reason.path && d.kind == reason.kind;
  });
  if (it == list.end()) {
    list.push_back({reason.path, reason.kind, sources_[i], reason.message, 0});
    it = list.end() - 1;
  }
  ++it->granules;
}

Result<> Combiner::add(size_t i, const Dataset& dataset) {
  std::vector<Pending> pending;
  UPWELL_TRY(bool fits, audit(i, dataset, pending));
  if (!fits) return {};
  std::vector<Reason> reasons;
  for (Pending& one : pending) {
    auto added = add_array(i, dataset, one, reasons);
    if (added) continue;
    if (added.error().code != Code::kUnsupported)
      return fail(std::move(added).error().with(one.facts.path));
    reasons.push_back({"unsupported", one.facts.path, added.error().message});
  }
  note_attributes(i, dataset);
  std::lock_guard lock(mutex_);
  SourceReport& source = report_.sources[i];
  source.reasons.insert(source.reasons.end(), reasons.begin(), reasons.end());
  source.format = dataset.format;
  for (const Pending& one : pending)
    if (one.facts.axis && (one.plan->is_coordinate || source.length == 0))
      source.length = one.facts.head.shape[*one.facts.axis];
  return {};
}

Result<> Combiner::add_array(size_t i, const Dataset& dataset, Pending& pending,
                             std::vector<Reason>& reasons) {
  ArrayPlan& plan = *pending.plan;
  if (plan.facts.axis) plan.pieces[i].length = pending.facts.head.shape[*plan.facts.axis];
  if (plan.load) return load_array(i, dataset, pending, reasons);
  if (plan.parent_units) {
    const Array* parent = bounds_parent(dataset.root, plan.facts.path, *pending.array);
    auto units = parent != nullptr ? cf::time_units_of(*parent) : std::nullopt;
    const bool same = units && *units && (*units)->text == plan.parent_units->text &&
                      (*units)->calendar == plan.parent_units->calendar;
    if (!same) {
      reasons.push_back({"units", plan.facts.path,
                         std::string("bounds of a time in other units than those of ") + base() +
                             (existing_ > 0 ? "" : "; --load them")});
      return {};
    }
  }
  if (!plan.facts.axis && sources_.size() > 1)
    UPWELL_CHECK(check_static(dataset, pending, reasons));
  if (plan.facts.axis || i == 0) return store_references(i, dataset, pending);
  return {};
}

Result<> Combiner::load_array(size_t i, const Dataset& dataset, Pending& pending,
                              std::vector<Reason>& reasons) {
  ArrayPlan& plan = *pending.plan;
  if (!plan.facts.axis && i > 0 && !options_.check_values) return {};
  UPWELL_TRY(Values values, read_raw(session_, dataset, *pending.array));
  const std::vector<double> own_fills = fill_numbers(*pending.array);
  const std::vector<double> fills = fill_numbers(plan.facts.head);
  const bool differ = i > 0 && own_fills != fills;
  bool missing = differ && holds_one_of(values, own_fills);
  if (plan.time && i > 0) {
    // Bounds without units follow their coordinate, whose units are those of this granule.
    const Array* source = pending.array;
    if (!text_attribute(source->attributes, "units"))
      source = bounds_parent(dataset.root, plan.facts.path, *source);
    auto units = source != nullptr ? cf::time_units_of(*source) : std::nullopt;
    if (!units || !*units) {
      reasons.push_back({"units", plan.facts.path, "no time units that can be understood"});
      return {};
    }
    const cf::TimeUnits& own = **units;
    if (own.text != plan.time->text || own.calendar != plan.time->calendar) {
      if (find_attribute(pending.array->attributes, "scale_factor") != nullptr)
        return fail(Code::kUnsupported, "packed times in different units");
      UPWELL_TRY(values, convert_time(values, own, *plan.time, own_fills));
    }
  }
  missing = missing || (differ && holds_one_of(values, fills));
  if (missing) {
    reasons.push_back(
        {"_FillValue", plan.facts.path,
         std::string("values are missing, and ") + base() + " has another _FillValue"});
    return {};
  }
  if (!plan.facts.axis && i > 0) {
    if (!same_values(plan.loaded[0], plan.loaded_type, values))
      reasons.push_back({"values", plan.facts.path, other_values()});
    return {};
  }
  ArrayPlan::Loaded& loaded = plan.loaded[i];
  if (!(values.type == plan.loaded_type)) loaded.type = std::make_unique<DataType>(values.type);
  loaded.data = std::move(values.data);
  loaded.heap = std::move(values.heap);
  return {};
}

Result<> Combiner::check_static(const Dataset& dataset, Pending& pending,
                                std::vector<Reason>& reasons) {
  if (!options_.check_values) return {};
  ArrayPlan& plan = *pending.plan;
  const Array& array = *pending.array;
  uint64_t hash = 1;
  // Slabs along the first axis, cut the same in every granule whatever its chunks are.
  const uint64_t rows = array.shape.empty() ? 1 : array.shape[0];
  const uint64_t row_bytes = element_count(array.shape) / std::max<uint64_t>(rows, 1) *
                             std::max<uint32_t>(array.type.size, 1);
  const uint64_t step = std::max<uint64_t>(1, kSlabBytes / std::max<uint64_t>(row_bytes, 1));
  for (uint64_t first = 0; first < rows; first += step) {
    Selection slab;
    if (!array.shape.empty()) {
      slab.origin.assign(array.shape.size(), 0);
      slab.shape = array.shape;
      slab.origin[0] = first;
      slab.shape[0] = std::min(step, rows - first);
    }
    UPWELL_TRY(Values values, read_raw(session_, dataset, array, slab));
    hash = mix_bytes(values.data, hash);
  }
  if (!plan.values_hash) plan.values_hash = hash;  // source 0, before the others
  if (*plan.values_hash != hash) reasons.push_back({"values", plan.facts.path, other_values()});
  return {};
}

/// The number of a reference's granule here; `number` keeps those found.
void Combiner::renumber(const Dataset& dataset, std::vector<uint32_t>& number, ChunkRef& ref) {
  if (ref.state != ChunkRef::State::kStored) return;
  if (ref.granule >= number.size()) number.resize(dataset.granules->size(), UINT32_MAX);
  uint32_t& known = number[ref.granule];
  if (known == UINT32_MAX) known = granules_->intern(dataset.granules->at(ref.granule));
  ref.granule = known;
}

Result<> Combiner::store_references(size_t i, const Dataset& dataset, Pending& pending) {
  ArrayPlan& plan = *pending.plan;
  std::vector<uint32_t> number;  // grows: lazy indexes meet their granules as they are looked up
  if (options_.keep_segments) {
    return plan.kept->add(plan.facts.axis ? i : 0, *pending.array, plan.prepend, *plan.store,
                          [&](ChunkRef& ref) { renumber(dataset, number, ref); });
  }
  const ExpressibleArray& express = *pending.express;
  Piece& piece = plan.pieces[plan.facts.axis ? i : 0];
  piece.start = plan.store->reserve(express.chunk_count());
  if (plan.facts.axis)
    piece.chunks_along = pending.plan->prepend ? 1 : express.grid()[*plan.facts.axis];
  piece.whole = express.contiguous();
  if (!piece.whole && express.chunk_count() > 0) {
    std::lock_guard lock(mutex_);
    plan.chunked = true;
  }
  return express.for_each_block([&](uint64_t first, std::span<ChunkRef> refs) -> Result<> {
    for (ChunkRef& ref : refs) {
      renumber(dataset, number, ref);
    }
    plan.store->put(piece.start + first, refs);
    return {};
  });
}

void Combiner::note_attribute(size_t i, const std::string& path, const Attributes& first,
                              const Attributes& other) {
  for (const std::string& name : differing_attributes(first, other)) {
    std::lock_guard lock(mutex_);
    auto& list = report_.attributes;
    auto it = std::find_if(list.begin(), list.end(), [&](const AttributeDifference& d) {
      return d.path == path && d.name == name;
    });
    if (it == list.end()) {
      list.push_back(
          {path, name, attribute_json(first, name), attribute_json(other, name), sources_[i], 0});
      it = list.end() - 1;
    }
    ++it->granules;
  }
}

namespace {

void pair_groups(const Group& first, const Group& other, const std::string& path,
                 const std::function<void(const std::string&, const Group&, const Group&)>& visit) {
  visit(path, first, other);
  for (const Group& child : first.groups)
    for (const Group& match : other.groups)
      if (match.name == child.name) pair_groups(child, match, path + child.name + "/", visit);
}

}  // namespace

void Combiner::note_attributes(size_t i, const Dataset& dataset) {
  if (i == 0) return;
  pair_groups(first_root_, dataset.root, "/",
              [&](const std::string& path, const Group& first, const Group& other) {
                note_attribute(i, path, first.attributes, other.attributes);
                for (const Array& array : first.arrays)
                  if (const Array* match = other.find_array(array.name))
                    note_attribute(i, path + array.name, array.attributes, match->attributes);
              });
}

}  // namespace upwell::refs
