// upwell info

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "base/url_secrets.hpp"
#include "cli/command.hpp"
#include "cli/csv.hpp"
#include "cli/granule_search.hpp"
#include "io/url.hpp"
#include "refs/open.hpp"
#include "refs/zarr_metadata.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::cli {
namespace {

using Json = nlohmann::ordered_json;

struct StoredTotals {
  uint64_t chunks = 0, present = 0, inlined = 0, bytes = 0;
  bool counted = true;
};

/// Chunks and bytes of an array. Lazy indexes of huge reference sets are not pulled in just to
/// count.
Result<StoredTotals> stored_totals(const Array& array) {
  constexpr uint64_t kMaxCounted = 20'000'000;
  constexpr uint64_t kMaxAsked = 1000;
  constexpr uint64_t kBatch = 4096;
  StoredTotals totals;
  for (const Segment& segment : array.segments) totals.chunks += segment.chunks->size();
  totals.counted = totals.chunks <= kMaxCounted;
  for (const Segment& segment : array.segments) {
    if (segment.chunks->size() > kMaxAsked && segment.chunks->asks_for_each())
      totals.counted = false;
  }
  if (!totals.counted) return totals;
  std::vector<uint64_t> positions(kBatch);
  std::vector<ChunkRef> refs(kBatch);
  for (const Segment& segment : array.segments) {
    for (uint64_t first = 0; first < segment.chunks->size(); first += kBatch) {
      uint64_t n = std::min(kBatch, segment.chunks->size() - first);
      for (uint64_t i = 0; i < n; ++i) positions[i] = first + i;
      UPWELL_CHECK(segment.chunks->lookup({positions.data(), n}, refs.data()));
      for (uint64_t i = 0; i < n; ++i) {
        if (refs[i].state == ChunkRef::State::kMissing) continue;
        ++totals.present;
        if (refs[i].state == ChunkRef::State::kInline) ++totals.inlined;
        bool sized = refs[i].state == ChunkRef::State::kInline || refs[i].length != io::kToEnd;
        if (sized)
          totals.bytes +=
              refs[i].state == ChunkRef::State::kInline ? refs[i].bytes.size() : refs[i].length;
      }
    }
  }
  return totals;
}

std::string byte_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit < 5) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

std::string codec_text(const codec::CodecSpec& spec) {
  Json config = Json::parse(spec.config, nullptr, false);
  std::string parameters;
  if (config.is_object()) {
    for (const auto& [key, value] : config.items())
      parameters += (parameters.empty() ? "" : ", ") + key + "=" + value.dump();
  }
  return parameters.empty() ? spec.id : fmt::format("{}({})", spec.id, parameters);
}

/// An attribute on one line, cut when it is long.
std::string attribute_text(const Attribute& attribute) {
  constexpr size_t kWidth = 90;
  std::string text;
  if (attribute.null_space) return "(none)";
  bool is_text =
      attribute.value.type.kind == Kind::kString || attribute.value.type.kind == Kind::kVlenString;
  for (size_t i = 0; i < attribute.value.count() && text.size() <= kWidth; ++i) {
    std::string element = element_text(attribute.value, i);
    bool nan = !is_text && element.empty();
    text += (i > 0 ? ", " : "") + (nan ? std::string("NaN") : element);
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text.size() <= kWidth ? text : text.substr(0, kWidth - 3) + "...";
}

struct Layouts {
  const SegmentLayout* first = nullptr;
  bool differ = false;
};

Layouts layouts_of(const Array& array) {
  Layouts layouts;
  for (const Segment& segment : array.segments) {
    if (layouts.first == nullptr) layouts.first = segment.layout.get();
    layouts.differ = layouts.differ || !(*segment.layout == *layouts.first);
  }
  return layouts;
}

Result<> print_array(const std::string& path, const Array& array) {
  std::string dims;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    std::string name = d < array.dimensions.size() ? array.dimensions[d] : "";
    dims +=
        (d > 0 ? ", " : "") + (name.empty() ? "" : name + ": ") + std::to_string(array.shape[d]);
  }
  fmt::print("  {}  {}  ({})\n", path.substr(1), describe(array.type), dims);
  Layouts layouts = layouts_of(array);
  if (layouts.first != nullptr) {
    UPWELL_TRY(StoredTotals totals, stored_totals(array));
    std::string codecs;
    for (const auto& spec : layouts.first->codecs)
      codecs += (codecs.empty() ? "" : " + ") + codec_text(spec);
    std::string chunks = fmt::format("{}", fmt::join(layouts.first->chunk_shape, " x "));
    std::string count = totals.counted ? fmt::format("{} of {}", totals.present, totals.chunks)
                                       : fmt::format("unknown of {}", totals.chunks);
    fmt::print("      chunks {} ({} stored{}), {}{}\n", chunks.empty() ? "scalar" : chunks, count,
               totals.inlined > 0 ? fmt::format(", {} inline", totals.inlined) : "",
               codecs.empty() ? "no codecs" : codecs,
               layouts.differ ? ", other parts are stored in other ways" : "");
    uint64_t full = element_count(array.shape) * array.type.size;
    if (totals.counted && totals.bytes > 0 && full > 0) {
      fmt::print("      {} stored of {} (ratio {:.2f})\n", byte_text(totals.bytes), byte_text(full),
                 static_cast<double>(full) / static_cast<double>(totals.bytes));
    }
  }
  for (const Attribute& attribute : array.attributes)
    fmt::print("      :{} = {}\n", attribute.name, attribute_text(attribute));
  return {};
}

Result<> print_group(const std::string& path, const Group& group) {
  if (!path.empty()) fmt::print("group {}\n", path);
  if (!group.dimensions.empty()) {
    std::string text;
    for (const Dimension& d : group.dimensions)
      text += fmt::format("{}{} {}{}", text.empty() ? "" : ", ", d.name, d.size,
                          d.unlimited ? " (unlimited)" : "");
    fmt::print("dimensions: {}\n", text);
  }
  if (!group.arrays.empty()) fmt::print("arrays:\n");
  for (const Array& array : group.arrays) UPWELL_CHECK(print_array(path + "/" + array.name, array));
  if (!group.attributes.empty()) fmt::print("attributes:\n");
  for (const Attribute& attribute : group.attributes)
    fmt::print("  :{} = {}\n", attribute.name, attribute_text(attribute));
  for (const Group& child : group.groups) UPWELL_CHECK(print_group(path + "/" + child.name, child));
  return {};
}

Result<Json> array_json(const Array& array) {
  Json json{{"name", array.name},
            {"type", describe(array.type)},
            {"shape", array.shape},
            {"dimensions", array.dimensions}};
  Layouts layouts = layouts_of(array);
  if (layouts.first != nullptr) {
    UPWELL_TRY(StoredTotals totals, stored_totals(array));
    Json codecs = Json::array();
    for (const auto& spec : layouts.first->codecs) {
      Json codec{{"id", spec.id}};
      codec.update(Json::parse(spec.config, nullptr, false));
      codecs.push_back(std::move(codec));
    }
    json["chunk_shape"] = layouts.first->chunk_shape;
    json["codecs"] = std::move(codecs);
    json["segments"] = array.segments.size();
    json["uniform"] = !layouts.differ;
    json["chunks"] = totals.chunks;
    if (totals.counted) {
      json["chunks_stored"] = totals.present;
      json["chunks_inline"] = totals.inlined;
      json["stored_bytes"] = totals.bytes;
    }
  }
  if (auto dtype = to_numpy(array.type)) json["dtype"] = std::move(*dtype);
  if (array.type.kind == Kind::kEnum) {
    for (const EnumValue& value : array.type.values) {
      Values number;
      number.type = memory_type(*array.type.base);
      number.data.resize(number.type.size);
      UPWELL_CHECK(to_memory(*array.type.base, value.value, 1, number.data));
      json["enum"][value.name] = number.integer(0);
    }
  }
  if (array.fill) {
    auto fill = refs::fill_json(array.type, *array.fill);
    if (fill) json["fill_value"] = Json::parse(*fill, nullptr, false);
  }
  json["bytes"] = element_count(array.shape) * array.type.size;
  UPWELL_TRY(std::string attributes, refs::zarr2_attributes_json(array, refs::stored_view(array)));
  Json parsed = Json::parse(attributes, nullptr, false);
  parsed.erase("_ARRAY_DIMENSIONS");
  // In a Zarr v2 document this one is not among the attributes.
  const Attribute* fill = find_attribute(array.attributes, "_FillValue");
  if (fill != nullptr && !parsed.contains("_FillValue")) {
    const bool number = fill->value.type.is_number() && fill->value.count() == 1;
    auto text = number ? refs::fill_json(fill->value.type, fill->value.data)
                       : refs::value_json(fill->value);
    if (text) parsed["_FillValue"] = Json::parse(*text, nullptr, false);
  }
  json["attributes"] = std::move(parsed);
  return json;
}

Result<Json> group_json(const Group& group) {
  Json json{{"name", group.name}};
  Json dimensions = Json::object();
  for (const Dimension& d : group.dimensions)
    dimensions[d.name] = {{"size", d.size}, {"unlimited", d.unlimited}};
  json["dimensions"] = std::move(dimensions);
  json["arrays"] = Json::array();
  for (const Array& array : group.arrays) {
    UPWELL_TRY(Json child, array_json(array));
    json["arrays"].push_back(std::move(child));
  }
  UPWELL_TRY(std::string attributes, refs::zarr2_attributes_json(group));
  json["attributes"] = Json::parse(attributes, nullptr, false);
  json["groups"] = Json::array();
  for (const Group& child : group.groups) {
    UPWELL_TRY(Json nested, group_json(child));
    json["groups"].push_back(std::move(nested));
  }
  return json;
}

/// nullopt where granules are met only as chunks are looked up, and no record counts them.
std::optional<uint64_t> granule_count(const Dataset& dataset) {
  const uint64_t count = std::max<uint64_t>(dataset.granule_count, dataset.granules->size());
  if (dataset.granule_count == 0 && dataset.format == "kerchunk-parquet") return std::nullopt;
  return count;
}

Result<> run_info(Context& context, const GranuleSearch& search, const std::string& named,
                  bool as_json, const std::vector<std::string>& drop) {
  UPWELL_TRY(const std::string source, find_one_source(context, search, named));
  UPWELL_TRY(Dataset dataset,
             refs::open_source_with(context.session(), source, context.open_options(drop)));
  context.print_notes(source, dataset);
  if (as_json) {
    UPWELL_TRY(Json root, group_json(dataset.root));
    Json problems = Json::array();
    for (const Problem& p : dataset.problems)
      problems.push_back({{"path", p.path}, {"error", p.error.to_string()}});
    const auto granules = granule_count(dataset);
    Json json{{"source", without_url_secrets(source)},
              {"format", dataset.format},
              {"granules", granules ? Json(*granules) : Json()},
              {"root", std::move(root)},
              {"problems", std::move(problems)},
              {"notes", dataset.notes}};
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
  } else {
    const auto granules = granule_count(dataset);
    fmt::print("{}  {}{}\n", io::shown_url(source), dataset.format,
               !granules        ? ""
               : *granules == 1 ? "  1 granule"
                                : fmt::format("  {} granules", *granules));
    UPWELL_CHECK(print_group("", dataset.root));
    for (const Problem& p : dataset.problems)
      fmt::print("cannot be read: {}: {}\n", p.path, p.error.to_string());
  }
  if (dataset.problems.empty()) return {};
  return fail(dataset.problems.front().error.code,
              fmt::format("{}: {} of its objects cannot be read (leave them out with --drop PATH)",
                          source, dataset.problems.size()));
}

}  // namespace

void add_info_command(Program& program) {
  auto source = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  auto drop = std::make_shared<std::vector<std::string>>();
  auto search = std::make_shared<GranuleSearch>();
  CLI::App* command = program.add(
      "info",
      "Show what is in a granule, a Zarr store or a reference set: structure, chunks, "
      "codecs, sizes",
      "Examples:\n"
      "  upwell info granule.nc\n"
      "  upwell info https://host/granule.h5 --stats    and what looking cost\n"
      "  upwell info --short-name MUR-JPL-L4-GLOB-v4.1 --limit 1   of a collection, its "
      "first granule\n"
      "  upwell info cube.json --json | jq .root.arrays[].name",
      [=](Context& context) {
        return with_search_advice(*search, run_info(context, *search, *source, *as_json, *drop));
      });
  command->add_option(
      "SOURCE", *source,
      "A granule, a DMR++, a Zarr store, a reference set (.json, .parq), or a URL of one. Or "
      "search for a granule, see below");
  command->add_flag("--json", *as_json, "Everything, as JSON");
  command->add_option("--drop", *drop, "Leave out this array, which cannot be read")
      ->type_name("PATH");
  add_granule_search(command, *search);
}

}  // namespace upwell::cli
