#include "format/hdf5/virtual_overlaps.hpp"

#include <algorithm>
#include <set>

#include "format/hdf5/virtual_runs.hpp"

namespace upwell::format::hdf5 {
namespace {

bool boxes_meet(const Segment& a, const Segment& b) {
  for (size_t d = 0; d < a.shape.size(); ++d) {
    if (a.origin[d] >= b.origin[d] + b.shape[d] || b.origin[d] >= a.origin[d] + a.shape[d]) {
      return false;
    }
  }
  return true;
}
// What is left of a segment beside a box that it meets: at most two pieces an axis.
void cut_out(const Segment& from, const Segment& box, std::vector<Segment>& out) {
  Segment rest = from;
  if (rest.source_origin.empty()) rest.source_origin.assign(rest.shape.size(), 0);
  auto keep = [](Segment part, size_t d, uint64_t begin, uint64_t end) {
    part.source_origin[d] += begin - part.origin[d];
    part.origin[d] = begin;
    part.shape[d] = end - begin;
    return part;
  };
  for (size_t d = 0; d < rest.shape.size(); ++d) {
    uint64_t begin = rest.origin[d], end = begin + rest.shape[d];
    uint64_t from_box = std::max(begin, box.origin[d]);
    uint64_t to_box = std::min(end, box.origin[d] + box.shape[d]);
    if (begin < from_box) out.push_back(keep(rest, d, begin, from_box));
    if (to_box < end) out.push_back(keep(rest, d, to_box, end));
    rest = keep(rest, d, from_box, to_box);
  }
}

// For each segment those after it that it meets.
Result<std::vector<std::vector<size_t>>> find_overlaps(const Array& array) {
  const auto& segments = array.segments;
  // Sweeps along the axis with most different origins, so that few pairs are compared.
  size_t axis = 0, most = 0;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    std::set<uint64_t> origins;
    for (const Segment& s : segments) origins.insert(s.origin[d]);
    if (origins.size() > most) most = origins.size(), axis = d;
  }
  std::vector<size_t> order(segments.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return segments[a].origin[axis] < segments[b].origin[axis];
  });
  std::vector<std::vector<size_t>> later(segments.size());
  uint64_t compared = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const Segment& a = segments[order[i]];
    for (size_t j = i + 1; j < order.size(); ++j) {
      const Segment& b = segments[order[j]];
      if (b.origin[axis] >= a.origin[axis] + a.shape[axis]) break;
      if (++compared > kMaxBoxes * 64)
        return fail(Code::kUnsupported, "a virtual dataset of too many pieces side by side");
      if (boxes_meet(a, b))
        later[std::min(order[i], order[j])].push_back(std::max(order[i], order[j]));
    }
  }
  return later;
}

}  // namespace

Result<> settle_overlaps(Array& array) {
  auto& segments = array.segments;
  if (array.shape.empty()) {
    if (segments.size() > 1) segments.erase(segments.begin(), segments.end() - 1);
    return {};
  }
  UPWELL_TRY(auto later, find_overlaps(array));
  std::vector<Segment> kept;
  for (size_t i = 0; i < segments.size(); ++i) {
    std::vector<Segment> parts{segments[i]};
    for (size_t over : later[i]) {
      std::vector<Segment> rest;
      for (Segment& part : parts) {
        if (boxes_meet(part, segments[over]))
          cut_out(part, segments[over], rest);
        else
          rest.push_back(std::move(part));
      }
      parts = std::move(rest);
      if (kept.size() + parts.size() > kMaxBoxes)
        return fail(Code::kUnsupported, "a virtual dataset of too many pieces");
    }
    kept.insert(kept.end(), std::make_move_iterator(parts.begin()),
                std::make_move_iterator(parts.end()));
  }
  segments = std::move(kept);
  return {};
}

}  // namespace upwell::format::hdf5
