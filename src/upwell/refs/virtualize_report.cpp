#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/url.hpp"
#include "refs/virtualize.hpp"

namespace upwell::refs {
namespace {

using Json = nlohmann::ordered_json;

template <typename T, typename ToJson>
Json list_json(const std::vector<T>& items, const ToJson& json) {
  Json out = Json::array();
  for (const T& item : items) out.push_back(json(item));
  return out;
}

Json reason_json(const Reason& reason) {
  return {{"kind", reason.kind}, {"path", reason.path}, {"message", reason.message}};
}

Json gap_json(const GapReport& gap) {
  return {{"after", gap.after},
          {"before", gap.before},
          {"from", gap.from},
          {"to", gap.to},
          {"steps", gap.steps}};
}

Json difference_json(const AttributeDifference& d) {
  return {{"path", d.path},   {"attribute", d.name},  {"kept", d.first},
          {"other", d.other}, {"example", d.example}, {"granules", d.granules}};
}

Json drift_json(const DriftReport& d) {
  return {{"path", d.path},
          {"kind", d.kind},
          {"granules", d.granules},
          {"example", d.granule},
          {"message", d.message}};
}

Json source_json(const SourceReport& source) {
  Json out{{"url", source.url}, {"used", source.used}, {"size", source.info.size}};
  if (!source.info.etag.empty()) out["etag"] = source.info.etag;
  if (source.info.mtime_ns) out["mtime_ns"] = *source.info.mtime_ns;
  out["length"] = source.length;
  if (!source.first.empty()) out["first"] = source.first;
  if (!source.last.empty()) out["last"] = source.last;
  if (source.fate == "missing") out["missing"] = true;
  if (!source.notes.empty()) out["notes"] = source.notes;
  if (!source.reasons.empty()) out["reasons"] = list_json(source.reasons, reason_json);
  return out;
}

}  // namespace

std::string notes_line(const CombineReport& report) {
  const std::vector<SourceReport>& sources = report.sources;
  const auto noted = [](const SourceReport& source) { return !source.notes.empty(); };
  const auto first = std::find_if(sources.begin(), sources.end(), noted);
  if (first == sources.end()) return "";
  const auto others = std::count_if(first + 1, sources.end(), noted);
  return io::shown_url(first->url) + ": " + first->notes[0] +
         (others == 0 ? "" : "; so " + std::to_string(others) + " more (--report)");
}

std::string VirtualizeReport::to_json() const {
  Json out{{"output", output}, {"format", format}, {"written", error.empty()}};
  if (!error.empty()) out["error"] = error;
  out["concat"] = combine.concat;
  out["coordinate"] = combine.coordinate;
  out["counts"] = {{"granules", combine.sources.size()}, {"granules_used", combine.order.size()},
                   {"references", counts.stored},        {"referenced_bytes", counts.stored_bytes},
                   {"inlined_chunks", counts.inlined},   {"missing_chunks", counts.missing},
                   {"output_bytes", output_bytes}};
  out["loaded"] = combine.loaded;
  out["refused"] = list_json(combine.refused, reason_json);
  out["skipped"] = Json::array();
  for (const SourceReport& source : combine.sources)
    if (!source.reasons.empty()) out["skipped"].push_back(source.url);
  out["gaps"] = list_json(combine.gaps, gap_json);
  out["attributes_that_differ"] = list_json(combine.attributes, difference_json);
  out["kept_drift"] = list_json(combine.kept, drift_json);
  out["decoded"] = combine.decoded;
  out["warnings"] = combine.warnings;
  out["order"] = combine.order;
  out["granules"] = list_json(combine.sources, source_json);
  return out.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace upwell::refs
