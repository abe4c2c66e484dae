#include "access/umm_page.hpp"

#include <simdjson.h>

#include <algorithm>

#include "access/secrets.hpp"
#include "access/stac_records.hpp"
#include "access/umm_records.hpp"

namespace upwell::access {
namespace {

namespace page_json = simdjson::ondemand;

/// Ends each page with what simdjson may read beyond it.
simdjson::padded_string_view pad(Bytes& page) {
  const size_t size = page.size();
  page.resize(size + simdjson::SIMDJSON_PADDING, 0);
  return simdjson::padded_string_view(reinterpret_cast<const char*>(page.data()), size,
                                      page.size());
}

tl::unexpected<Error> no_page(simdjson::error_code error) {
  return fail(Code::kInvalidData,
              std::string("not a page of results: ") + simdjson::error_message(error));
}

/// Calls visit(key, value) for each member of the object that a page is.
template <typename Visit>
Result<> each_member(Bytes page, const Visit& visit) {
  page_json::parser parser;
  page_json::document document;
  page_json::object root;
  auto error = parser.iterate(pad(page)).get(document);
  if (!error) error = document.get_object().get(root);
  if (error) return no_page(error);
  for (auto field : root) {
    std::string_view key;
    page_json::value value;
    error = field.unescaped_key().get(key);
    if (!error) error = field.value().get(value);
    if (error) return no_page(error);
    UPWELL_CHECK(visit(key, value));
  }
  return {};
}

/// A value as it stands in the page.
Result<std::string_view> member_text(page_json::value value) {
  std::string_view text;
  page_json::json_type type{};
  auto error = value.type().get(type);
  if (!error && type == page_json::json_type::object) {
    page_json::object object;
    error = value.get_object().get(object);
    if (!error) error = object.raw_json().get(text);
  } else if (!error && type == page_json::json_type::array) {
    page_json::array array;
    error = value.get_array().get(array);
    if (!error) error = array.raw_json().get(text);
  } else if (!error) {
    text = value.raw_json_token();
  }
  if (error) return no_page(error);
  return text;
}

/// Calls visit(text) for each element of an array of objects.
Result<> each_item(page_json::value list, const std::function<Result<>(std::string_view)>& visit) {
  page_json::array items;
  if (const auto error = list.get_array().get(items)) return no_page(error);
  size_t n = 0;
  for (auto item : items) {
    page_json::object object;
    std::string_view text;
    auto error = item.get_object().get(object);
    if (!error) error = object.raw_json().get(text);
    if (error) return no_page(error);
    text = text.substr(0, text.rfind('}') + 1);  // without the space behind it
    if (auto visited = visit(text); !visited)
      return fail(std::move(visited).error().with("item " + std::to_string(n)));
    ++n;
  }
  return {};
}

/// A page with "hits" and "items".
Result<PageSummary> read_items(Bytes page, const std::function<Result<>(std::string_view)>& visit) {
  PageSummary summary;
  bool found = false;
  UPWELL_CHECK(
      each_member(std::move(page), [&](std::string_view key, page_json::value value) -> Result<> {
        if (key == "hits") {
          uint64_t hits = 0;
          if (const auto error = value.get_uint64().get(hits)) return no_page(error);
          summary.hits = hits;
        } else if (key == "items") {
          found = true;
          return each_item(value, [&](std::string_view text) {
            ++summary.items;
            return visit(text);
          });
        }
        return {};
      }));
  if (!found) return fail(Code::kInvalidData, "not a page of results: it has no \"items\"");
  return summary;
}

}  // namespace

Result<PageSummary> read_granule_page(Bytes page, const GranuleVisitor& visit) {
  return read_items(std::move(page), [&](std::string_view text) -> Result<> {
    UPWELL_TRY(Granule granule, parse_umm_granule(text));
    return visit(std::move(granule), text);
  });
}

Result<PageSummary> read_collection_page(Bytes page, const CollectionVisitor& visit) {
  return read_items(std::move(page), [&](std::string_view text) -> Result<> {
    UPWELL_TRY(Collection collection, parse_umm_collection(text));
    return visit(std::move(collection), text);
  });
}

Result<StacPage> read_stac_page(Bytes page, const GranuleVisitor& visit) {
  StacPage out;
  bool found = false;
  UPWELL_CHECK(
      each_member(std::move(page), [&](std::string_view key, page_json::value value) -> Result<> {
        if (key == "features") {
          found = true;
          return each_item(value, [&](std::string_view text) -> Result<> {
            ++out.summary.items;
            UPWELL_TRY(Granule granule, parse_stac_item(text));
            return visit(std::move(granule), text);
          });
        }
        if (key == "links") {
          UPWELL_TRY(const std::string_view text, member_text(value));
          return read_stac_links(text, out);
        }
        if (key == "numberMatched" || key == "context") {
          UPWELL_TRY(const std::string_view text, member_text(value));
          read_stac_matched(text, out.summary);
        }
        return {};
      }));
  if (!found) return fail(Code::kInvalidData, "not a page of STAC items: it has no \"features\"");
  return out;
}

Result<std::string> one_line(std::string_view json) {
  std::string out(json.size() + simdjson::SIMDJSON_PADDING, '\0');
  size_t size = 0;
  if (const auto error = simdjson::minify(json.data(), json.size(), out.data(), size))
    return fail(Code::kInvalidData, std::string("not JSON: ") + simdjson::error_message(error));
  out.resize(size);
  return out;
}

std::string error_text(std::string_view body, const std::vector<std::string>& secrets) {
  constexpr size_t kMost = 2000;
  std::string all;
  const auto add = [&](std::string_view text) {
    if (all.size() > kMost || text.empty()) return;
    if (!all.empty()) all += "; ";
    all += without_secrets(std::string(text), secrets).substr(0, kMost);
  };
  simdjson::dom::parser parser;
  simdjson::dom::element root;
  if (parser.parse(simdjson::padded_string(body)).get(root) == simdjson::SUCCESS) {
    simdjson::dom::array errors;
    std::string_view text;
    if (root["errors"].get(errors) == simdjson::SUCCESS) {
      for (const auto error : errors) {
        if (error.get(text) == simdjson::SUCCESS) add(text);
        simdjson::dom::array nested;  // {"path": [...], "errors": [...]}
        if (error["errors"].get(nested) != simdjson::SUCCESS) continue;
        for (const auto inner : nested)
          if (inner.get(text) == simdjson::SUCCESS) add(text);
      }
    }
    for (const char* key : {"description", "detail", "message"})
      if (all.empty() && root[key].get(text) == simdjson::SUCCESS) add(text);
    return all;
  }
  constexpr std::string_view kOpen = "<error>", kClose = "</error>";
  for (size_t at = body.find(kOpen); at != std::string_view::npos; at = body.find(kOpen, at)) {
    at += kOpen.size();
    const size_t end = body.find(kClose, at);
    if (end == std::string_view::npos) break;
    add(body.substr(at, end - at));
  }
  return all;
}

}  // namespace upwell::access
