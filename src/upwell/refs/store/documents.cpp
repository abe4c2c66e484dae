#include "refs/store/documents.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "cube/cf.hpp"
#include "refs/base64.hpp"
#include "refs/reference_tree.hpp"
#include "refs/zarr_consolidated.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

using StoreJson = nlohmann::ordered_json;

constexpr uint64_t kStoreVersion = 1;
constexpr size_t kMaxRank = 64;

/// Ends in the one place below that catches it.
[[noreturn]] void wrong(const std::string& what) { throw std::runtime_error(what); }

/// The library's own conversion takes 1e99 for an integer, too.
uint64_t whole_number(const StoreJson& json) {
  if (!json.is_number_unsigned()) wrong(json.dump() + " is not a whole number");
  return json.get<uint64_t>();
}

Shape whole_numbers(const StoreJson& json) {
  Shape out;
  for (const StoreJson& item : json) out.push_back(whole_number(item));
  return out;
}

template <typename T>
T value_or_throw(Result<T> result) {
  if (!result) wrong(result.error().message);
  return std::move(*result);
}

template <typename T, typename Make>
Result<T> guarded(const std::string& what, const Make& make) {
  try {
    return make();
  } catch (const std::exception& error) {
    return fail(Code::kInvalidData, what + ": " + error.what());
  }
}

// --- Packing: attributes with their types, which decide how values are rounded -------------------

StoreJson number_json(const Values& value, size_t i) {
  if (value.type.kind == Kind::kInt) return value.integer(i);
  if (value.type.kind == Kind::kUint) return static_cast<uint64_t>(value.integer(i));
  const double v = value.number(i);
  if (std::isnan(v)) return "NaN";
  if (std::isinf(v)) return v > 0 ? "Infinity" : "-Infinity";
  return v;
}

StoreJson packing_json(const Attributes& packing) {
  StoreJson out = StoreJson::object();
  for (const Attribute& attribute : packing) {
    const Values& value = attribute.value;
    if (attribute.null_space) continue;
    if (auto text = text_attribute(packing, attribute.name)) {
      out[attribute.name] = StoreJson::array({"text", *text});
    } else if (value.type.is_number()) {
      StoreJson& list = out[attribute.name];
      // Half precision has no C++ type to be read into: its values are single ones exactly.
      const bool half = value.type.kind == Kind::kFloat && value.type.size == 2;
      list.push_back(value_or_throw(to_numpy(half ? DataType::floating(4) : value.type)));
      for (size_t i = 0; i < value.count(); ++i) list.push_back(number_json(value, i));
    }  // anything else decodes nothing
  }
  return out;
}

double real_number(const StoreJson& json) {
  if (!json.is_string()) return json.get<double>();
  const std::string text = json;
  if (text == "NaN") return std::nan("");
  if (text != "Infinity" && text != "-Infinity") wrong("'" + text + "' is not a number");
  return text[0] == '-' ? -INFINITY : INFINITY;
}

Values packing_value(const StoreJson& json) {
  const std::string type = json.at(0);
  if (type == "text") return make_text(json.at(1).get<std::string>());
  Values out;
  out.type = value_or_throw(from_numpy(type));
  if (!out.type.is_number() || out.type.order != ByteOrder::kLittle) wrong("a type of attribute");
  const size_t count = json.size() - 1;
  if (count != 1) out.shape = {count};
  out.data.resize(count * out.type.size);
  for (size_t i = 0; i < count; ++i) {
    const StoreJson& item = json[i + 1];
    uint8_t* at = out.data.data() + i * out.type.size;
    if (out.type.kind == Kind::kFloat) {
      const double v = real_number(item);
      const auto narrow = static_cast<float>(v);
      if (out.type.size == 8) std::memcpy(at, &v, 8);
      if (out.type.size == 4) std::memcpy(at, &narrow, 4);
      if (out.type.size < 4) wrong("half precision");
    } else {
      if (!item.is_number_integer()) wrong(item.dump() + " is not a whole number");
      const uint64_t v = item.is_number_unsigned() ? item.get<uint64_t>()
                                                   : static_cast<uint64_t>(item.get<int64_t>());
      std::memcpy(at, &v, out.type.size);
    }
  }
  return out;
}

Attributes parse_packing(const StoreJson& json) {
  Attributes out;
  for (const auto& [name, value] : json.items()) out.push_back({name, packing_value(value), false});
  return out;
}

// --- Layouts and segments ------------------------------------------------------------------------

StoreJson layout_json(const SegmentLayout& layout) {
  StoreJson out{{"type", value_or_throw(to_numpy(layout.type))},
                {"chunk_shape", layout.chunk_shape},
                {"codecs", StoreJson::array()}};
  for (const codec::CodecSpec& spec : layout.codecs)
    out["codecs"].push_back({{"id", spec.id}, {"config", StoreJson::parse(spec.config)}});
  if (layout.fortran_order) out["order"] = "F";
  if (layout.fill) out["fill"] = base64_encode(*layout.fill);
  if (layout.packing) out["packing"] = packing_json(*layout.packing);
  return out;
}

Shape parse_shape(const StoreJson& json) {
  Shape shape = whole_numbers(json);
  if (shape.size() > kMaxRank) wrong("more than 64 axes");
  uint64_t n = 1;
  for (const uint64_t extent : shape)
    if (extent != 0 && __builtin_mul_overflow(n, extent, &n)) wrong("a shape that is too large");
  return shape;
}

std::shared_ptr<const SegmentLayout> parse_layout(const StoreJson& json) {
  auto out = std::make_shared<SegmentLayout>();
  out->type = value_or_throw(from_numpy(json.at("type")));
  out->chunk_shape = parse_shape(json.at("chunk_shape"));
  for (const uint64_t extent : out->chunk_shape)
    if (extent == 0) wrong("a chunk extent of zero");
  for (const StoreJson& codec : json.at("codecs")) {
    // Sorted keys, no white space: equal text is an equal codec.
    const auto config = nlohmann::json::parse(codec.at("config").dump());
    if (!config.is_object()) wrong("a codec without configuration");
    out->codecs.push_back({codec.at("id"), config.dump()});
  }
  if (out->codecs.size() > 32) wrong("more than 32 codecs");
  out->fortran_order = json.value("order", "C") == "F";
  if (json.contains("fill")) {
    out->fill = value_or_throw(base64_decode(json["fill"].get<std::string>()));
    if (out->fill->size() != out->type.size && !out->type.has_vlen()) wrong("a fill value's size");
  }
  if (json.contains("packing")) out->packing = parse_packing(json["packing"]);
  return out;
}

void check_segment(const Segment& s, const SegmentLayout& layout, const SegmentRows& rows) {
  const size_t rank = s.shape.size();
  if (s.origin.size() != rank || s.grid.size() != rank || s.source_origin.size() != rank ||
      layout.chunk_shape.size() != rank)
    wrong("a segment with shapes of different rank");
  for (size_t d = 0; d < rank; ++d) {
    uint64_t covered = 0, end = 0;
    if (__builtin_mul_overflow(s.grid[d], layout.chunk_shape[d], &covered)) covered = UINT64_MAX;
    if (__builtin_add_overflow(s.source_origin[d], s.shape[d], &end) || end > covered ||
        __builtin_add_overflow(s.origin[d], s.shape[d], &end))
      wrong("a segment larger than its grid");
  }
  if (!rows.sparse && rows.count != element_count(s.grid)) wrong("a segment without all its rows");
}

StoreJson segment_json(const PartDocument::OneSegment& one) {
  StoreJson out{{"array", one.array},
                {"layout", one.layout},
                {"origin", one.segment.origin},
                {"shape", one.segment.shape},
                {"source_origin", one.segment.source_origin},
                {"grid", one.segment.grid},
                {"first_row", one.rows.first},
                {"rows", one.rows.count}};
  if (one.rows.masks) out["masks"] = true;
  if (one.rows.sparse) out["sparse"] = true;
  return out;
}

PartDocument::OneSegment parse_segment(const StoreJson& json, const PartDocument& part) {
  PartDocument::OneSegment out;
  out.array = json.at("array");
  out.layout = whole_number(json.at("layout"));
  if (out.layout >= part.layouts.size()) wrong("a segment of a layout that is not there");
  out.segment.origin = whole_numbers(json.at("origin"));
  out.segment.shape = parse_shape(json.at("shape"));
  out.segment.source_origin = whole_numbers(json.at("source_origin"));
  out.segment.grid = parse_shape(json.at("grid"));
  out.rows.first = whole_number(json.at("first_row"));
  out.rows.count = whole_number(json.at("rows"));
  out.rows.masks = json.value("masks", false);
  out.rows.sparse = json.value("sparse", false);
  check_segment(out.segment, *part.layouts[out.layout], out.rows);
  return out;
}

// --- The manifest --------------------------------------------------------------------------------

StoreJson part_entry(const StorePart& part) {
  StoreJson out{{"name", part.name},
                {"length", part.length},
                {"objects", part.granules},
                {"granules", part.sources},
                {"references", part.counts.stored},
                {"referenced_bytes", part.counts.stored_bytes},
                {"inlined", part.counts.inlined},
                {"missing", part.counts.missing},
                {"files", StoreJson::object()}};
  for (const auto& [name, size] : part.files) out["files"][name] = size;
  return out;
}

std::string part_name(const StoreJson& json) {
  std::string name = json;
  const std::string_view plain = "abcdefghijklmnopqrstuvwxyz0123456789-";
  if (name.empty() || name.find_first_not_of(plain) != std::string::npos)
    wrong("a part with the name '" + name + "'");
  return name;
}

StorePart parse_part_entry(const StoreJson& json) {
  StorePart out;
  out.name = part_name(json.at("name"));
  out.length = whole_number(json.at("length"));
  out.granules = whole_number(json.at("objects"));
  out.sources = whole_number(json.at("granules"));
  out.counts = {whole_number(json.at("references")), whole_number(json.at("referenced_bytes")),
                whole_number(json.at("inlined")), whole_number(json.at("missing"))};
  for (const auto& [name, size] : json.at("files").items())
    out.files.emplace_back(name, whole_number(size));
  return out;
}

ZarrView plain_view(const std::string& /*path*/, const Array& array) {
  ZarrView view{array.type, array.chunk_shape, {}, false, {}};
  if (array.type.kind == Kind::kVlenString) view.codecs = {{"vlen-utf8", "{}"}};
  return view;
}

/// Types of the attributes that decode stored values, which Zarr's JSON does not keep.
StoreJson all_packing(const Group& root) {
  StoreJson out = StoreJson::object();
  for_each_array(root, [&](const std::string& path, const Array& array) {
    const StoreJson packing = packing_json(cf::packing_of(array.attributes));
    if (array.type.is_number() && !packing.empty()) out[path] = packing;
  });
  return out;
}

void restore_packing(Group& group, const std::string& path, const StoreJson& packing) {
  for (Array& array : group.arrays) {
    const auto found = packing.find(path + array.name);
    if (found == packing.end()) continue;
    for (Attribute& attribute : parse_packing(*found)) {
      std::erase_if(array.attributes, [&](const Attribute& a) { return a.name == attribute.name; });
      array.attributes.push_back(std::move(attribute));
    }
  }
  for (Group& child : group.groups) restore_packing(child, path + child.name + "/", packing);
}

void drop_segments(Group& group, const std::string& concat) {
  for (Array& array : group.arrays) array.segments.clear();
  for (Dimension& d : group.dimensions) d.unlimited = d.name == concat;
  for (Group& child : group.groups) drop_segments(child, concat);
}

}  // namespace

uint64_t StoreManifest::length() const {
  uint64_t total = 0;
  for (const StorePart& part : parts) total += part.length;
  return total;
}

bool names_store(std::string_view name) {
  name = name.substr(0, name.find('?'));
  return name.ends_with(".upwell") || name.ends_with(".upwell/");
}

Result<std::string> manifest_json(const StoreManifest& m) {
  UPWELL_TRY(const auto documents, zarr2_documents(m.root, plain_view));
  return guarded<std::string>("manifest", [&]() -> Result<std::string> {
    const auto list = [](const auto& value) { return StoreJson(value).dump(); };
    std::string out = "{\"upwell\":" + std::to_string(kStoreVersion) + "," + m.locations +
                      "\n\"concat\":" + list(m.concat) + ",\"coordinate\":" + list(m.coordinate) +
                      ",\n\"loaded\":" + list(m.loaded) + ",\n\"decoded\":" + list(m.decoded) +
                      (m.mds ? ",\n\"mds\":" + mds_json(*m.mds) : "") + ",\n\"metadata\":{";
    bool first = true;
    for (const auto& [key, document] : documents) {
      out += (first ? "\n" : ",\n") + json_text(key) + ":" + document;
      first = false;
    }
    out += "},\n\"packing\":" + all_packing(m.root).dump() +
           ",\n\"next_part\":" + std::to_string(m.next_part) + ",\"parts\":[";
    for (size_t i = 0; i < m.parts.size(); ++i)
      out += (i == 0 ? "\n" : ",\n") + part_entry(m.parts[i]).dump();
    out += "]";
    for (size_t i = 0; i < m.superseded.size(); ++i)
      out += (i == 0 ? ",\n\"superseded\":[" : ",") +
             StoreJson::array({m.superseded[i].name, m.superseded[i].since_unix_s}).dump();
    return out + (m.superseded.empty() ? "}\n" : "]}\n");
  });
}

Result<StoreManifest> parse_manifest(ByteSpan text, const std::vector<std::string>& drop,
                                     std::vector<Problem>& problems,
                                     std::vector<std::string>& dropped) {
  return guarded<StoreManifest>(kManifest, [&]() -> Result<StoreManifest> {
    const StoreJson in = StoreJson::parse(as_text(text));
    if (whole_number(in.at("upwell")) != kStoreVersion)
      return fail(Code::kUnsupported,
                  "a store of version " + in["upwell"].dump() + "; this program reads version 1");
    StoreManifest out;
    out.concat = in.at("concat");
    out.coordinate = in.at("coordinate");
    out.loaded = in.at("loaded").get<std::vector<std::string>>();
    out.decoded = in.at("decoded").get<std::vector<std::string>>();
    out.next_part = whole_number(in.at("next_part"));
    if (in.contains("mds")) {
      UPWELL_TRY(out.mds, parse_mds(in["mds"].dump()));
    }
    UPWELL_TRY(const LocationPairs locations, read_locations(as_text(text)));
    out.locations = locations_member(locations);
    uint64_t length = 0;
    for (const StoreJson& part : in.at("parts")) {
      out.parts.push_back(parse_part_entry(part));
      if (__builtin_add_overflow(length, out.parts.back().length, &length))
        wrong("parts that are too long");
    }
    for (const StoreJson& part : in.value("superseded", StoreJson::array()))
      out.superseded.push_back(
          {part_name(part.at(0)), static_cast<int64_t>(whole_number(part.at(1)))});
    ReferenceTree tree;
    UPWELL_CHECK(add_zmetadata(tree, text));
    UPWELL_CHECK(tree.parse(drop));
    UPWELL_TRY(Dataset heads, tree.build(std::make_shared<GranuleTable>(), ""));
    problems = std::move(heads.problems);
    dropped = std::move(heads.dropped);
    out.root = std::move(heads.root);
    drop_segments(out.root, out.concat);
    restore_packing(out.root, "/", in.at("packing"));
    return out;
  });
}

Result<std::string> part_json(const PartDocument& part) {
  for (const auto& layout : part.layouts)
    if (layout->heap)
      return fail(Code::kUnsupported, "values that lie in the heap of their granule");
  return guarded<std::string>("part", [&]() -> Result<std::string> {
    std::string out = "{\"layouts\":[";
    for (size_t i = 0; i < part.layouts.size(); ++i)
      out += (i == 0 ? "\n" : ",\n") + layout_json(*part.layouts[i]).dump();
    out += "],\n\"segments\":[";
    for (size_t i = 0; i < part.segments.size(); ++i)
      out += (i == 0 ? "\n" : ",\n") + segment_json(part.segments[i]).dump();
    return out + "]}\n";
  });
}

Result<PartDocument> parse_part(std::string_view json) {
  return guarded<PartDocument>("part.json", [&]() -> Result<PartDocument> {
    const StoreJson in = StoreJson::parse(json);
    PartDocument out;
    for (const StoreJson& layout : in.at("layouts")) out.layouts.push_back(parse_layout(layout));
    for (const StoreJson& segment : in.at("segments"))
      out.segments.push_back(parse_segment(segment, out));
    return out;
  });
}

}  // namespace upwell::refs
