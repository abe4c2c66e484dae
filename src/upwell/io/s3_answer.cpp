#include "io/s3_answer.hpp"

#include <algorithm>
#include <charconv>

namespace upwell::io {
namespace {

/// Content of the first <name ...>content</name> at or after `from`; `from` moves behind it. Names
/// that S3 nests are not nested in themselves, so the first end tag is the right one.
std::optional<std::string_view> next_element(std::string_view document, std::string_view name,
                                             size_t& from) {
  const std::string open = "<" + std::string(name);
  const std::string close = "</" + std::string(name) + ">";
  size_t at = from;
  while (true) {
    at = document.find(open, at);
    if (at == std::string_view::npos) return {};
    at += open.size();
    if (at >= document.size()) return {};
    char c = document[at];
    if (c == '>' || c == ' ' || c == '/' || c == '\n' || c == '\r' || c == '\t') break;
  }
  size_t start = document.find('>', at);
  if (start == std::string_view::npos) return {};
  if (document[start - 1] == '/') {
    from = start + 1;
    return std::string_view();
  }
  size_t end = document.find(close, start + 1);
  if (end == std::string_view::npos) return {};
  from = end + close.size();
  return document.substr(start + 1, end - start - 1);
}

void append_utf8(std::string& out, uint32_t code) {
  auto put = [&](uint32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xc0 | (code >> 6));
    put(0x80 | (code & 63));
  } else if (code < 0x10000) {
    put(0xe0 | (code >> 12));
    put(0x80 | ((code >> 6) & 63));
    put(0x80 | (code & 63));
  } else {
    put(0xf0 | (code >> 18));
    put(0x80 | ((code >> 12) & 63));
    put(0x80 | ((code >> 6) & 63));
    put(0x80 | (code & 63));
  }
}

std::string entities_resolved(std::string_view text) {
  struct Entity {
    std::string_view name, text;
  };
  static constexpr Entity kEntities[] = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}};
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    size_t end = text[at] == '&' ? text.substr(0, at + 12).find(';', at) : std::string_view::npos;
    if (end == std::string_view::npos) {
      out += text[at];
      continue;
    }
    std::string_view name = text.substr(at + 1, end - at - 1);
    if (name.starts_with('#')) {
      bool hex = name.substr(1, 1) == "x" || name.substr(1, 1) == "X";
      std::string_view digits = name.substr(hex ? 2 : 1);
      uint32_t code = 0;
      auto [stop, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, hex ? 16 : 10);
      if (error == std::errc{} && stop == digits.data() + digits.size() && code <= 0x10ffff) {
        append_utf8(out, code);
        at = end;
        continue;
      }
    } else {
      const Entity* found = std::find_if(std::begin(kEntities), std::end(kEntities),
                                         [&](const Entity& e) { return e.name == name; });
      if (found != std::end(kEntities)) {
        out += found->text;
        at = end;
        continue;
      }
    }
    out += '&';
  }
  return out;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

std::optional<std::string> xml_text(std::string_view document, std::string_view element) {
  size_t from = 0;
  auto content = next_element(document, element, from);
  if (!content) return {};
  return entities_resolved(*content);
}

std::optional<S3Error> parse_s3_error(std::string_view document) {
  size_t from = 0;
  auto error = next_element(document, "Error", from);
  if (!error) return {};
  auto code = xml_text(*error, "Code");
  if (!code || code->empty()) return {};
  return S3Error{code->substr(0, 100), xml_text(*error, "Message").value_or("").substr(0, 500),
                 xml_text(*error, "Region").value_or("")};
}

Result<S3ListPage> parse_s3_list(std::string_view document) {
  size_t from = 0;
  auto list = next_element(document, "ListBucketResult", from);
  if (!list) return fail(Code::kInvalidData, "an answer that is no S3 listing");
  const bool encoded = xml_text(*list, "EncodingType").value_or("") == "url";
  auto name_of = [&](std::string_view text) {
    std::string name = entities_resolved(text);
    return encoded ? url_decoded(name) : name;
  };
  S3ListPage page;
  size_t at = 0;
  while (auto object = next_element(*list, "Contents", at)) {
    size_t inside = 0;
    auto key = next_element(*object, "Key", inside);
    if (!key) return fail(Code::kInvalidData, "an S3 listing with an object that has no key");
    page.keys.push_back(name_of(*key));
  }
  at = 0;
  while (auto prefixes = next_element(*list, "CommonPrefixes", at)) {
    size_t inside = 0;
    if (auto prefix = next_element(*prefixes, "Prefix", inside)) {
      page.prefixes.push_back(name_of(*prefix));
    }
  }
  if (xml_text(*list, "IsTruncated").value_or("false") == "true") {
    page.next = xml_text(*list, "NextContinuationToken").value_or("");
    if (page.next.empty()) {
      return fail(Code::kInvalidData, "an S3 listing that goes on, but does not say where");
    }
  }
  return page;
}

std::string url_decoded(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size(); ++at) {
    int high = at + 2 < text.size() ? hex_digit(text[at + 1]) : -1;
    int low = at + 2 < text.size() ? hex_digit(text[at + 2]) : -1;
    if (text[at] == '%' && high >= 0 && low >= 0) {
      out += static_cast<char>(high * 16 + low);
      at += 2;
    } else {
      out += text[at] == '+' ? ' ' : text[at];
    }
  }
  return out;
}

}  // namespace upwell::io
