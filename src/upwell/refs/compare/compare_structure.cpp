#include "refs/compare/compare_structure.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "refs/align_values.hpp"
#include "refs/compare/compare_attributes.hpp"

namespace upwell::refs {
namespace {

std::string dimensions_shown(const Array& array) {
  std::string text;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    const std::string name = d < array.dimensions.size() ? array.dimensions[d] : "";
    text +=
        (d > 0 ? ", " : "") + (name.empty() ? "" : name + ": ") + std::to_string(array.shape[d]);
  }
  return "(" + text + ")";
}

/// How the values are cut. All of them in one piece, without codecs, are contiguous.
std::string chunks_shown(const Shape& shape, const SegmentLayout& layout) {
  if (layout.codecs.empty() && layout.chunk_shape == shape) return "contiguous";
  return fmt::format("chunks of {}{}", fmt::join(layout.chunk_shape, " x "),
                     layout.fortran_order ? " in Fortran order" : "");
}

std::string segment_shown(const Segment& segment) {
  return fmt::format("a segment of {} at [{}]", fmt::join(segment.shape, " x "),
                     fmt::join(segment.origin, ", "));
}

std::string codecs_shown(const SegmentLayout& layout) {
  std::string text;
  for (const codec::CodecSpec& codec : layout.codecs)
    text += (text.empty() ? "" : " + ") + codec.id + (codec.config == "{}" ? "" : codec.config);
  return text.empty() ? "no codecs" : text;
}

/// Of text and sequences of variable length it may lie in the granule's heap: there it is compared
/// where it counts, among the values.
std::string fill_shown(const Array& array) {
  if (array.type.has_vlen()) return "";
  if (!array.fill) return "no fill value";
  const DataType memory = memory_type(array.type);
  Values value{memory, {}, Bytes(memory.size), {}};
  if (!to_memory(array.type, *array.fill, 1, value.data)) return "a fill value";
  return "fill " + element_shown(value, 0, false);
}

class StructureComparison {
 public:
  StructureComparison(const Dataset& first, const Dataset& second, const CompareOptions& options,
                      PairReport& report)
      : first_(first),
        second_(second),
        options_(options),
        abilities_(shared_abilities(first, second)),
        differences_(report.differences) {}

  std::vector<ArrayPair> run() {
    note_problems(first_, "in the first: ");
    note_problems(second_, "in the second: ");
    compare_groups("", first_.root, second_.root);
    return std::move(pairs_);
  }

 private:
  void note(const std::string& path, const char* kind, std::string message) {
    const std::string shown = path.starts_with('/') ? path.substr(1) : path;
    differences_.push_back({shown, kind, std::move(message), {}});
  }

  void note_problems(const Dataset& dataset, const char* side) {
    for (const Problem& problem : dataset.problems)
      note(problem.path, "unreadable", side + problem.error.to_string());
  }

  bool is_problem(const std::string& path) const {
    const auto has = [&](const Dataset& dataset) {
      return std::any_of(dataset.problems.begin(), dataset.problems.end(),
                         [&](const Problem& problem) { return problem.path == path; });
    };
    return has(first_) || has(second_);
  }

  /// `path`: "" for the root, else "/a/b".
  void compare_groups(const std::string& path, const Group& a, const Group& b) {
    const std::string owner = path.empty() ? "" : path.substr(1);
    compare_attributes(owner, a.attributes, b.attributes, abilities_, options_, differences_);
    compare_dimensions(path, a, b);
    each_of_both(
        path, "variable", a.arrays, b.arrays,
        [&](const std::string& at, const Array& x, const Array& y) { compare_array(at, x, y); });
    each_of_both(
        path, "group", a.groups, b.groups,
        [&](const std::string& at, const Group& x, const Group& y) { compare_groups(at, x, y); });
  }

  template <typename Object, typename Compare>
  void each_of_both(const std::string& path, const char* kind, const std::vector<Object>& a,
                    const std::vector<Object>& b, const Compare& compare) {
    std::vector<std::string> ours, theirs;
    for (const Object& object : a) ours.push_back(object.name);
    for (const Object& object : b) theirs.push_back(object.name);
    const auto find = [](const std::vector<Object>& in, const std::string& name) {
      return std::find_if(in.begin(), in.end(), [&](const Object& o) { return o.name == name; });
    };
    for (const Object& object : a) {
      const auto other = find(b, object.name);
      const std::string at = path + "/" + object.name;
      if (other != b.end())
        compare(at, object, *other);
      else if (!is_problem(at))
        note(at, kind, "only in the first");
    }
    for (const Object& object : b)
      if (find(a, object.name) == a.end() && !is_problem(path + "/" + object.name))
        note(path + "/" + object.name, kind, "only in the second");
    if (abilities_.order && !options_.ignore_order)
      compare_order(path.empty() ? "" : path.substr(1), fmt::format("{}s", kind).c_str(), ours,
                    theirs, differences_);
  }

  void compare_dimensions(const std::string& path, const Group& a, const Group& b) {
    each_of_both(
        path, "dimension", a.dimensions, b.dimensions,
        [&](const std::string& at, const Dimension& x, const Dimension& y) {
          if (x.size != y.size)
            note(at, "dimension", fmt::format("{} elements, {} in the second", x.size, y.size));
          if (abilities_.unlimited && x.unlimited != y.unlimited)
            note(at, "dimension",
                 x.unlimited ? "unlimited, not in the second" : "not unlimited, but in the second");
        });
  }

  void compare_array(const std::string& path, const Array& a, const Array& b) {
    if (a.shape != b.shape || a.dimensions != b.dimensions)
      note(path, "dimensions", dimensions_shown(a) + ", " + dimensions_shown(b) + " in the second");
    const std::string type = describe(memory_type(a.type)), other = describe(memory_type(b.type));
    if (type != other) note(path, "type", type + ", " + other + " in the second");
    compare_attributes(path.substr(1), a.attributes, b.attributes, abilities_, options_,
                       differences_);
    if (!options_.ignore_encoding) compare_encoding(path, a, b, type == other);
    const bool empty = a.null_space || b.null_space;
    if (empty && a.null_space != b.null_space)
      note(path, "dimensions", "one of the two has no values at all (a null dataspace)");
    if (a.shape == b.shape && !empty) pairs_.push_back({path, {&first_, &a}, {&second_, &b}});
  }

  void compare_encoding(const std::string& path, const Array& a, const Array& b, bool one_type) {
    std::string at;
    bool same = true;
    const auto part = [&](const std::string& ours, const std::string& theirs) {
      if (ours == theirs) return;
      note(path, "encoding", at + ours + ", " + theirs + " in the second");
      same = false;
    };
    part(fill_shown(a), fill_shown(b));
    if (a.segments.size() != b.segments.size()) {
      part(fmt::format("{} segments", a.segments.size()), fmt::format("{}", b.segments.size()));
      return;
    }
    same = true;
    for (size_t i = 0; i < a.segments.size() && same; ++i) {  // what follows is likely to be alike
      const Segment& x = a.segments[i];
      const Segment& y = b.segments[i];
      if (a.segments.size() > 1) at = fmt::format("from [{}] on: ", fmt::join(x.origin, ", "));
      if (a.shape == b.shape) part(segment_shown(x), segment_shown(y));
      if (one_type) part(describe(x.layout->type), describe(y.layout->type));
      part(chunks_shown(x.shape, *x.layout), chunks_shown(y.shape, *y.layout));
      part(codecs_shown(*x.layout), codecs_shown(*y.layout));
    }
  }

  const Dataset& first_;
  const Dataset& second_;
  const CompareOptions& options_;
  const SharedAbilities abilities_;
  std::vector<Difference>& differences_;
  std::vector<ArrayPair> pairs_;
};

}  // namespace

std::vector<ArrayPair> compare_structure(const Dataset& first, const Dataset& second,
                                         const CompareOptions& options, PairReport& report) {
  return StructureComparison(first, second, options, report).run();
}

}  // namespace upwell::refs
