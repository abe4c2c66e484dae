#include "serve/html.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "serve/picture.hpp"

namespace upwell::serve {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#f6f7f9;--card:#fff;--ink:#1c2430;--soft:#5c6775;--line:#dfe3e8;--accent:#12648c;--code:#eef1f4}
@media (prefers-color-scheme:dark){:root{--bg:#12161c;--card:#1b2129;--ink:#e7ebf0;--soft:#9aa6b4;--line:#2c343f;--accent:#67b8dc;--code:#232a34}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
header,main,footer{max-width:76rem;margin:0 auto;padding:1rem 1.25rem}
header{padding-top:2rem}
h1{font-size:1.75rem;line-height:1.25;margin:0 0 .35rem}
h2{font-size:1.2rem;margin:2.2rem 0 .8rem}
h3{font-size:1rem;margin:0;overflow-wrap:anywhere}
a{color:var(--accent);text-decoration:none}a:hover{text-decoration:underline}
.soft{color:var(--soft)}.small{font-size:.875rem}
.grid{display:grid;gap:1.1rem;grid-template-columns:repeat(auto-fill,minmax(min(100%,24rem),1fr))}
.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;overflow:hidden}
.card .text{padding:.8rem 1rem 1rem}
.card img{display:block;width:100%;height:auto;background:#fff;border-bottom:1px solid var(--line)}
pre{background:var(--code);border-radius:.6rem;padding:.9rem 1.1rem;overflow:auto;font:.875rem/1.55 ui-monospace,monospace;margin:0}
code{font-family:ui-monospace,monospace;font-size:.9em}
table{border-collapse:collapse;width:100%;font-size:.9rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem}
.wide{overflow-x:auto}
th,td{text-align:left;vertical-align:top;padding:.4rem .8rem;border-top:1px solid var(--line)}
tr:first-child>*{border-top:0}
th{font-weight:600;white-space:nowrap}td{overflow-wrap:anywhere}
details{margin-top:.5rem}summary{cursor:pointer;color:var(--soft);font-size:.875rem}
details table{margin-top:.5rem;font-size:.8125rem}
.dims{display:flex;flex-wrap:wrap;gap:.5rem;padding:0;margin:0;list-style:none}
.dims li{background:var(--card);border:1px solid var(--line);border-radius:2rem;padding:.15rem .8rem;font-size:.9rem}
.warn{border-left:4px solid #c0552d;padding:.5rem 1rem;background:var(--card);border-radius:.4rem}
)";

std::string page(const std::string& title, const std::string& body) {
  return "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
         "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
         "<link rel=\"icon\" href=\"data:,\">\n<title>" +
         escape_html(title) + "</title>\n<style>" + std::string(kStyle) +
         "</style>\n</head>\n<body>\n" + body + "</body>\n</html>\n";
}

std::string dimensions_text(const Array& array) {
  std::string text;
  for (size_t d = 0; d < array.shape.size(); ++d) {
    const std::string name = d < array.dimensions.size() ? array.dimensions[d] : "";
    text +=
        (d == 0 ? "" : ", ") + (name.empty() ? "" : name + ": ") + std::to_string(array.shape[d]);
  }
  return "(" + text + ")";
}

std::string chunks_text(const Array& array) {
  std::string text;
  for (uint64_t extent : array.chunk_shape)
    text += (text.empty() ? "" : " × ") + std::to_string(extent);
  return text;
}

std::string attributes_table(const Attributes& attributes) {
  const auto json = nlohmann::ordered_json::parse(attributes_json(attributes), nullptr, false);
  if (!json.is_object() || json.empty()) return "";
  std::string rows;
  for (const auto& [name, value] : json.items()) {
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    rows += "<tr><th scope=\"row\">" + escape_html(name) + "</th><td>" + escape_html(text) +
            "</td></tr>\n";
  }
  return "<div class=\"wide\"><table>" + rows + "</table></div>\n";
}

/// Names that other variables use for their coordinates and cell bounds: shown after the data.
std::set<std::string> helper_names(const ServedDataset& dataset) {
  std::set<std::string> names;
  for (const ServedArray& served : dataset.arrays()) {
    for (const char* key : {"bounds", "climatology", "coordinates", "grid_mapping", "cell_measures",
                            "formula_terms", "ancillary_variables"}) {
      std::string text = text_attribute(served.array->attributes, key).value_or("");
      std::replace(text.begin(), text.end(), ',', ' ');
      size_t start = 0;
      while (start < text.size()) {
        const size_t end = std::min(text.find(' ', start), text.size());
        if (end > start) names.insert(text.substr(start, end - start));
        start = end + 1;
      }
    }
  }
  return names;
}

bool is_helper(const ServedArray& served, const std::set<std::string>& names) {
  const Array& array = *served.array;
  if (names.contains(array.name) || array.shape.empty()) return true;
  if (array.shape.size() == 1 && array.dimensions.size() == 1 &&
      array.dimensions[0] == array.name) {
    return true;
  }
  const auto kind = axis_kind(array);
  return kind != draw::AxisKind::kPlain;
}

std::string picture_url(const ServedDataset& dataset, const ServedArray& served) {
  return "/datasets/" + escape_path(dataset.id()) + "/picture/" + escape_path(served.path) + ".png";
}

std::string picture_tag(const ServedDataset& dataset, const ServedArray& served) {
  const std::string url = picture_url(dataset, served);
  return "<a href=\"" + url + "\"><img loading=\"lazy\" src=\"" + url + "\" alt=\"Picture of " +
         escape_html(served.path) + "\" width=\"900\" height=\"480\"></a>\n";
}

std::string title_of(const Array& array) {
  for (const char* key : {"long_name", "standard_name"}) {
    const auto text = text_attribute(array.attributes, key);
    if (text && !text->empty()) return *text;
  }
  return "";
}

std::string variable_card(const ServedDataset& dataset, const ServedArray& served) {
  const Array& array = *served.array;
  std::string out = "<article class=\"card\">\n";
  if (can_draw(array)) out += picture_tag(dataset, served);
  out += "<div class=\"text\">\n<h3><code>" + escape_html(served.path) + "</code></h3>\n";
  const std::string title = title_of(array);
  if (!title.empty()) out += "<div>" + escape_html(title) + "</div>\n";
  out += "<div class=\"soft small\">" + escape_html(describe(array.type)) + " " +
         escape_html(dimensions_text(array));
  const std::string chunks = chunks_text(array);
  if (!chunks.empty()) out += ", chunks " + escape_html(chunks);
  out += "</div>\n";
  const std::string table = attributes_table(array.attributes);
  if (!table.empty()) out += "<details><summary>Attributes</summary>" + table + "</details>\n";
  return out + "</div>\n</article>\n";
}

/// Whether the array stands for the bounds of cells, also where no attribute says so.
bool looks_like_bounds(const Array& array) {
  return array.name.ends_with("_bnds") || array.name.ends_with("_bounds");
}

/// The variable that shows best what the cube is: one that holds data rather than describes it,
/// over most dimensions, on a map; no flags.
const ServedArray* face_of(const ServedDataset& dataset) {
  const auto names = helper_names(dataset);
  const ServedArray* best = nullptr;
  size_t best_score = 0;
  for (const ServedArray& served : dataset.arrays()) {
    const Array& array = *served.array;
    if (!can_draw(array)) continue;
    size_t score = 1 + 4 * std::min<size_t>(array.shape.size(), 5);
    if (!is_helper(served, names) && !looks_like_bounds(array)) score += 100;
    if (find_attribute(array.attributes, "flag_meanings") == nullptr) score += 50;
    bool lat = false;
    bool lon = false;
    for (const std::string& name : array.dimensions) {
      const Array* coordinate =
          name.empty() ? nullptr : coordinate_of(dataset.dataset(), served.path, name);
      if (coordinate == nullptr) continue;
      lat = lat || axis_kind(*coordinate) == draw::AxisKind::kLatitude;
      lon = lon || axis_kind(*coordinate) == draw::AxisKind::kLongitude;
    }
    if (lat && lon) score += 5;
    if (score > best_score) {
      best_score = score;
      best = &served;
    }
  }
  return best;
}

/// A Python string literal.
std::string python_text(const std::string& text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

std::string code_block(const ServedDataset& dataset, const std::string& base) {
  const bool tree = !dataset.dataset().root.groups.empty();
  const ServedArray* face = face_of(dataset);
  std::string code = "import xarray as xr\n\nurl = " +
                     python_text(base + "/datasets/" + escape_path(dataset.id()) + "/zarr") + "\n";
  code += tree ? "cube = xr.open_datatree(url, engine=\"zarr\", zarr_format=2)\n"
               : "cube = xr.open_zarr(url, zarr_format=2)\n";
  code += "print(cube)\n";
  if (face != nullptr) {
    code += "print(cube[" + python_text((tree ? "/" : "") + face->path) + "].mean().values)\n";
  }
  return "<pre>" + escape_html(code) + "</pre>\n";
}

std::string dimension_list(const Group& group, const std::string& prefix) {
  std::string items;
  for (const Dimension& dimension : group.dimensions) {
    items += "<li><code>" + escape_html(prefix + dimension.name) + "</code> " +
             std::to_string(dimension.size) + "</li>\n";
  }
  for (const Group& child : group.groups) items += dimension_list(child, prefix + child.name + "/");
  return items;
}

/// Formats without declared dimensions have those of their arrays.
std::string used_dimensions(const ServedDataset& dataset) {
  std::string items;
  std::set<std::string> seen;
  for (const ServedArray& served : dataset.arrays()) {
    const Array& array = *served.array;
    for (size_t d = 0; d < array.dimensions.size() && d < array.shape.size(); ++d) {
      if (array.dimensions[d].empty() || !seen.insert(array.dimensions[d]).second) continue;
      items += "<li><code>" + escape_html(array.dimensions[d]) + "</code> " +
               std::to_string(array.shape[d]) + "</li>\n";
    }
  }
  return items;
}

std::string problems_block(const ServedDataset& dataset) {
  std::string rows;
  for (const Problem& problem : dataset.dataset().problems) {
    rows += "<li><code>" + escape_html(problem.path) +
            "</code>: " + escape_html(problem.error.to_string()) + "</li>\n";
  }
  for (const ServedArray& served : dataset.arrays()) {
    const std::string& reason = served.reasons[static_cast<size_t>(Target::kZarr2)];
    if (reason.empty()) continue;
    rows += "<li><code>" + escape_html(served.path) +
            "</code> is not in the Zarr view: " + escape_html(reason) + "</li>\n";
  }
  if (rows.empty()) return "";
  return "<div class=\"warn\"><strong>Left out</strong><ul>" + rows + "</ul></div>\n";
}

std::string links(const ServedDataset& dataset) {
  const std::string base = "/datasets/" + escape_path(dataset.id());
  std::string out = "<p class=\"small\">";
  for (const auto& [path, name] : {std::pair<const char*, const char*>{"/info", "info"},
                                   {"/keys", "keys"},
                                   {"/zarr/.zmetadata", "Zarr v2"},
                                   {"/zarr/zarr.json", "Zarr v3"},
                                   {"/kerchunk/.zmetadata", "stored chunks"},
                                   {"/refs.json", "kerchunk references"}}) {
    out += "<a href=\"" + base + path + "\">" + name + "</a> &nbsp; ";
  }
  return out + "</p>\n";
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += static_cast<uint8_t>(c) < 0x20 && c != '\n' && c != '\t' ? ' ' : c;
    }
  }
  return out;
}

std::string escape_path(std::string_view text) {
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || c == '/';
    if (plain) {
      out += c;
    } else {
      out += '%';
      out += kHex[static_cast<uint8_t>(c) >> 4];
      out += kHex[static_cast<uint8_t>(c) & 15];
    }
  }
  return out;
}

std::string index_page(const std::vector<std::shared_ptr<const ServedDataset>>& datasets) {
  std::string body = "<header><h1>Upwell</h1><div class=\"soft\">" +
                     std::to_string(datasets.size()) + (datasets.size() == 1 ? " cube" : " cubes") +
                     " on this server</div></header>\n<main><div class=\"grid\">\n";
  for (const auto& dataset : datasets) {
    const std::string href = "/datasets/" + escape_path(dataset->id()) + "/";
    body += "<article class=\"card\">\n";
    if (const ServedArray* face = face_of(*dataset)) {
      body += "<a href=\"" + href + "\"><img loading=\"lazy\" src=\"" +
              picture_url(*dataset, *face) + "\" alt=\"Picture of " + escape_html(face->path) +
              "\" width=\"900\" height=\"480\"></a>\n";
    }
    body += "<div class=\"text\"><h3><a href=\"" + href + "\">" + escape_html(dataset->title()) +
            "</a></h3>\n<div class=\"soft small\"><code>" + escape_html(dataset->id()) +
            "</code>, " + std::to_string(dataset->arrays().size()) + " variables, " +
            escape_html(dataset->dataset().format) + "</div></div>\n</article>\n";
  }
  body += "</div></main>\n";
  return page("Upwell", body);
}

std::string dataset_page(const ServedDataset& dataset, const std::string& base) {
  const Group& root = dataset.dataset().root;
  std::string body = "<header><div class=\"small\"><a href=\"/\">All cubes</a></div><h1>" +
                     escape_html(dataset.title()) + "</h1>\n<div class=\"soft\"><code>" +
                     escape_html(dataset.id()) + "</code>, " +
                     escape_html(dataset.dataset().format) + "</div></header>\n<main>\n";
  body += problems_block(dataset);
  body += "<h2>Open it</h2>\n" + code_block(dataset, base) + links(dataset);
  std::string dimensions = dimension_list(root, "");
  if (dimensions.empty()) dimensions = used_dimensions(dataset);
  if (!dimensions.empty())
    body += "<h2>Dimensions</h2>\n<ul class=\"dims\">" + dimensions + "</ul>\n";

  const auto names = helper_names(dataset);
  std::string data;
  std::string helpers;
  for (const ServedArray& served : dataset.arrays()) {
    (is_helper(served, names) ? helpers : data) += variable_card(dataset, served);
  }
  if (!data.empty()) body += "<h2>Variables</h2>\n<div class=\"grid\">\n" + data + "</div>\n";
  if (!helpers.empty())
    body += "<h2>Coordinates</h2>\n<div class=\"grid\">\n" + helpers + "</div>\n";
  const std::string attributes = attributes_table(root.attributes);
  if (!attributes.empty()) body += "<h2>Attributes</h2>\n" + attributes;
  body += "</main>\n";
  return page(dataset.title(), body);
}

}  // namespace upwell::serve
