#include "refs/dmrpp_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "base/text.hpp"
#include "refs/base64.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxInlineBytes = uint64_t{1} << 30;
constexpr uint64_t kMaxTextBytes = uint64_t{1} << 28;
constexpr int kMaxContainerDepth = 16;

struct Dap4Name {
  const char* name;
  Kind kind;
  uint32_t size;
};
constexpr Dap4Name kDap4Names[] = {
    {"Byte", Kind::kUint, 1},   {"UInt8", Kind::kUint, 1},    {"Char", Kind::kUint, 1},
    {"Int8", Kind::kInt, 1},    {"Int16", Kind::kInt, 2},     {"UInt16", Kind::kUint, 2},
    {"Int32", Kind::kInt, 4},   {"UInt32", Kind::kUint, 4},   {"Int64", Kind::kInt, 8},
    {"UInt64", Kind::kUint, 8}, {"Float32", Kind::kFloat, 4}, {"Float64", Kind::kFloat, 8},
};

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// A number as it stands in the document, as JSON.
std::string number_json_of(std::string_view text) {
  const std::string lower = lower_case(text);
  if (lower == "nan" || lower == "-nan" || lower == "nanf") return "\"NaN\"";
  if (lower == "inf" || lower == "infinity") return "\"Infinity\"";
  if (lower == "-inf" || lower == "-infinity") return "\"-Infinity\"";
  std::string out(text);
  if (out.starts_with('+')) out.erase(0, 1);
  if (out.ends_with('.')) out += '0';
  if (const size_t point = out.find(".e"); point != std::string::npos) out.insert(point + 1, "0");
  if (out.starts_with('.')) out.insert(0, "0");
  if (out.starts_with("-.")) out.insert(1, "0");
  return out;
}

Result<Bytes> number_bytes(const DataType& type, std::string_view text) {
  // The document has six digits of netCDF's own fill value, which has more.
  if (type.kind == Kind::kFloat && text == "9.96921e+36") text = "9.9692099683868690e+36";
  auto bytes = parse_fill(type, number_json_of(text));
  if (!bytes || !*bytes) {
    return fail(Code::kInvalidData,
                fmt::format("\"{}\" is not a value of {}", text.substr(0, 40), describe(type)));
  }
  return std::move(**bytes);
}

Result<> append_fill(const DataType& type, const std::vector<std::string_view>& texts, size_t& next,
                     MutableByteSpan out) {
  if (type.kind == Kind::kCompound) {
    for (const Member& member : type.members) {
      UPWELL_CHECK(
          append_fill(*member.type, texts, next, out.subspan(member.offset, member.type->size)));
    }
    return {};
  }
  if (type.kind == Kind::kArray) {
    const uint32_t size = type.base->size;
    for (uint32_t at = 0; size > 0 && at + size <= type.size; at += size) {
      UPWELL_CHECK(append_fill(*type.base, texts, next, out.subspan(at, size)));
    }
    return {};
  }
  if (next == texts.size()) return fail(Code::kInvalidData, "a fill value with too few members");
  const DataType& plain = type.kind == Kind::kEnum ? *type.base : type;
  UPWELL_TRY(const Bytes bytes, number_bytes(plain, texts[next++]));
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return {};
}

// --- Attributes ---------------------------------------------------------------------------------

/// About the making of the document, not of the granule.
bool is_about_document(std::string_view name) {
  return name == "build_dmrpp_metadata" || name == "DODS_EXTRA" || name == "DAP4_Checksum_CRC32";
}

Result<Values> attribute_values(const XmlElement& attribute, std::string_view type_name) {
  std::vector<std::string> texts;
  for (XmlElement value = attribute.first_child(); value; value = value.next()) {
    if (value.name() != "Value") continue;
    const auto short_form = value.attribute("value");
    texts.push_back(short_form ? std::string(*short_form) : value.text());
  }
  if (const auto value = attribute.attribute("value"); value && texts.empty()) {
    texts.emplace_back(*value);
  }
  const std::optional<DataType> type = dap4_type(type_name);
  if (!type || !type->is_number()) {
    if (texts.size() == 1) return make_text(texts[0]);
    return make_texts(texts);
  }
  Values values;
  values.type = memory_type(*type);
  if (texts.size() != 1) values.shape = {texts.size()};
  for (const std::string& text : texts) {
    UPWELL_TRY(const Bytes one, number_bytes(values.type, trim(text)));
    values.data.insert(values.data.end(), one.begin(), one.end());
  }
  return values;
}

Result<> add_attributes(const XmlElement& owner, const std::string& prefix, int depth,
                        Attributes& out) {
  if (depth > kMaxContainerDepth) return fail(Code::kInvalidData, "attributes are nested too deep");
  for (XmlElement child = owner.first_child(); child; child = child.next()) {
    if (child.name() != "Attribute") continue;
    const std::string name(child.attribute("name").value_or(""));
    const std::string_view type = child.attribute("type").value_or("String");
    if (name.empty() || is_about_document(name)) continue;
    if (type == "Container") {
      UPWELL_CHECK(add_attributes(child, prefix + name + ".", depth + 1, out));
      continue;
    }
    auto values = attribute_values(child, type);
    if (!values) return fail(std::move(values).error().with("attribute " + prefix + name));
    out.push_back({prefix + name, std::move(*values), false});
  }
  return {};
}

// --- Whole variables ----------------------------------------------------------------------------

/// Values in memory form whose texts lie in a heap of their own.
class DocumentHeap : public HeapResolver {
 public:
  explicit DocumentHeap(Bytes texts) : texts_(std::move(texts)) {}

  Result<> resolve(io::Session&, const Granule&, const DataType& type, ByteSpan stored,
                   uint64_t count, Values& out) const override {
    const uint64_t base = out.heap.size();
    out.heap.insert(out.heap.end(), texts_.begin(), texts_.end());
    const size_t start = out.data.size();
    out.data.insert(out.data.end(), stored.begin(), stored.end());
    for (uint64_t i = 0; i < count; ++i) shift(type, out.data.data() + start + i * type.size, base);
    return {};
  }

 private:
  static void shift(const DataType& type, uint8_t* p, uint64_t base) {
    if (type.kind == Kind::kVlenString) {
      VlenHandle handle;
      std::memcpy(&handle, p, sizeof(handle));
      handle.offset += base;
      std::memcpy(p, &handle, sizeof(handle));
    }
    for (const Member& member : type.members) shift(*member.type, p + member.offset, base);
    if (type.kind != Kind::kArray) return;
    for (uint32_t at = 0; at + type.base->size <= type.size; at += type.base->size) {
      shift(*type.base, p + at, base);
    }
  }
  Bytes texts_;
};

/// The packed values of structures: numbers in little-endian order, each text as base64 and ';'.
class StructureValues {
 public:
  explicit StructureValues(ByteSpan in) : in_(in) {}

  Result<> append(const DataType& type, Bytes& out) {
    switch (type.kind) {
      case Kind::kCompound:
        for (const Member& member : type.members) UPWELL_CHECK(append(*member.type, out));
        return {};
      case Kind::kArray:
        for (uint32_t at = 0; type.base->size > 0 && at < type.size; at += type.base->size) {
          UPWELL_CHECK(append(*type.base, out));
        }
        return {};
      case Kind::kVlenString:
        return append_text(out);
      default:
        if (in_.size() < type.size) return fail(Code::kInvalidData, "too few values");
        out.insert(out.end(), in_.begin(), in_.begin() + type.size);
        in_ = in_.subspan(type.size);
        return {};
    }
  }
  bool empty() const { return in_.empty(); }
  Bytes take_heap() { return std::move(heap_); }

 private:
  Result<> append_text(Bytes& out) {
    const auto end = std::find(in_.begin(), in_.end(), uint8_t{';'});
    if (end == in_.end()) return fail(Code::kInvalidData, "a text without its end");
    const ByteSpan encoded(in_.begin(), end);
    UPWELL_TRY(const Bytes text, base64_decode(as_text(encoded)));
    const VlenHandle handle{heap_.size(), text.size()};
    heap_.insert(heap_.end(), text.begin(), text.end());
    const auto* p = reinterpret_cast<const uint8_t*>(&handle);
    out.insert(out.end(), p, p + sizeof(handle));
    in_ = in_.subspan(encoded.size() + 1);
    return {};
  }
  ByteSpan in_;
  Bytes heap_;
};

/// Texts as one chunk of the codec vlen-utf8.
DmrppInline text_chunk(const std::vector<std::string>& texts) {
  DmrppInline out;
  out.type = DataType::vlen_string();
  out.codecs.push_back({"vlen-utf8", "{}"});
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  out.chunk = codec::join_vlen(views);
  return out;
}

Result<Bytes> inflate_text(ByteSpan stored, std::string_view size_text) {
  UPWELL_TRY(const uint64_t size, dmrpp_number(size_text, "size of a text"));
  if (size > kMaxTextBytes) return fail(Code::kInvalidData, "a text of more than 256 MiB");
  const codec::CodecSpec zlib{"zlib", "{}"};
  UPWELL_TRY(const codec::Pipeline pipeline, codec::Pipeline::make({&zlib, 1}, 1));
  UPWELL_TRY(Bytes text, pipeline.decode_unsized(stored, 0, size));
  if (text.size() != size) return fail(Code::kInvalidData, "a text of another size than it says");
  return text;
}

/// <v>text</v>; attribute c: so many times; s: its size, and it is deflated, in base64. Older: one
/// list of base64 texts, each ending in ';'.
Result<DmrppInline> text_list(const XmlElement& vlsa, uint64_t count) {
  std::vector<std::string> texts;
  uint64_t bytes = 0;
  for (XmlElement v = vlsa.first_child(); v; v = v.next()) {
    if (v.name() != "v") continue;
    std::string text = v.text();
    if (const auto size = v.attribute("s")) {
      UPWELL_TRY(const Bytes stored, base64_decode(text));
      UPWELL_TRY(const Bytes inflated, inflate_text(stored, *size));
      text = as_text(inflated);
    }
    uint64_t times = 1;
    if (const auto c = v.attribute("c")) {
      UPWELL_TRY(times, dmrpp_number(*c, "count of a text"));
    }
    if (times > count - std::min<uint64_t>(count, texts.size())) {
      return fail(Code::kInvalidData, fmt::format("more than {} texts", count));
    }
    const uint64_t each = text.size() + sizeof(std::string);
    if (times > (kMaxTextBytes - bytes) / each) {
      return fail(Code::kInvalidData, "texts of more than 256 MiB");
    }
    bytes += times * each;
    texts.insert(texts.end(), times, text);
  }
  if (!vlsa.first_child()) {
    const std::string all = vlsa.text();
    std::string_view rest = trim(all);
    for (size_t end = rest.find(';'); end != std::string_view::npos; end = rest.find(';')) {
      UPWELL_TRY(const Bytes text, base64_decode(rest.substr(0, end)));
      texts.emplace_back(as_text(text));
      rest.remove_prefix(end + 1);
    }
  }
  if (texts.size() != count) {
    return fail(Code::kInvalidData,
                fmt::format("{} texts where {} are needed", texts.size(), count));
  }
  return text_chunk(texts);
}

DataType with_handles(DataType type) {
  if (type.kind == Kind::kVlenString) type.size = sizeof(VlenHandle);
  if (type.base) {
    type.base = std::make_shared<const DataType>(with_handles(*type.base));
    uint64_t n = 1;
    for (const uint64_t d : type.dims) n *= d;
    type.size = static_cast<uint32_t>(type.base->size * n);
  }
  if (type.kind != Kind::kCompound) return type;
  type.size = 0;
  for (Member& member : type.members) {
    member.type = std::make_shared<const DataType>(with_handles(*member.type));
    member.offset = type.size;
    type.size += member.type->size;
  }
  return type;
}

Result<DmrppInline> structures(const Bytes& bytes, const DataType& type, uint64_t count) {
  DmrppInline out;
  out.type = with_handles(type);
  if (out.type.size == 0 || count > bytes.size()) {
    return fail(Code::kInvalidData, fmt::format("{} structures in {} bytes", count, bytes.size()));
  }
  StructureValues values(bytes);
  for (uint64_t i = 0; i < count; ++i) UPWELL_CHECK(values.append(out.type, out.chunk));
  if (!values.empty()) return fail(Code::kInvalidData, "more values than elements");
  if (out.type.has_vlen()) out.heap = std::make_shared<DocumentHeap>(values.take_heap());
  return out;
}

}  // namespace

Result<uint64_t> dmrpp_number(std::string_view text, const char* what) {
  uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) {
    return fail(Code::kInvalidData,
                fmt::format("{} \"{}\" is no number", what, text.substr(0, 40)));
  }
  return number;
}

std::vector<std::string_view> dmrpp_words(std::string_view text) {
  std::vector<std::string_view> out;
  constexpr std::string_view kBetween = " \t\r\n\v\f,[]";
  while (true) {
    const size_t begin = text.find_first_not_of(kBetween);
    if (begin == std::string_view::npos) return out;
    const size_t end = std::min(text.find_first_of(kBetween, begin), text.size());
    out.push_back(text.substr(begin, end - begin));
    text.remove_prefix(end);
  }
}

std::optional<DataType> dap4_type(std::string_view name) {
  if (name == "String" || name == "URL" || name == "Url") return DataType::vlen_string();
  for (const Dap4Name& row : kDap4Names) {
    if (name != row.name) continue;
    DataType type;
    type.kind = row.kind;
    type.size = row.size;
    return type;
  }
  return std::nullopt;
}

Result<std::optional<Bytes>> dmrpp_fill(const DataType& type, std::string_view text) {
  if (text.starts_with("unsupported")) return std::optional<Bytes>();
  if (type.kind == Kind::kVlenString) {
    return text.empty() ? std::optional<Bytes>() : std::optional<Bytes>(to_bytes(text));
  }
  if (type.kind == Kind::kString) {
    if (text.size() > type.size) return fail(Code::kInvalidData, "a fill value that is too long");
    Bytes out(type.size, type.padding == StringPadding::kSpacePadded ? ' ' : 0);
    std::copy(text.begin(), text.end(), out.begin());
    return std::optional<Bytes>(std::move(out));
  }
  if (type.has_vlen() || type.kind == Kind::kOpaque) return std::optional<Bytes>();
  const auto texts = dmrpp_words(text);
  Bytes out(type.size, 0);
  const bool zero = texts.empty() || (texts.size() == 1 && texts[0] == "0");
  if (zero) return std::optional<Bytes>(std::move(out));
  size_t next = 0;
  UPWELL_CHECK(append_fill(type, texts, next, out));
  if (next != texts.size()) return fail(Code::kInvalidData, "a fill value with too many members");
  return std::optional<Bytes>(std::move(out));
}

Result<Attributes> dmrpp_attributes(const XmlElement& owner) {
  Attributes out;
  UPWELL_CHECK(add_attributes(owner, "", 0, out));
  return out;
}

Result<DmrppInline> dmrpp_inline(const XmlElement& data, const DataType& type, uint64_t count) {
  if (data.name() == "vlsa") {
    if (type.kind != Kind::kVlenString)
      return fail(Code::kInvalidData, "texts for " + describe(type));
    return text_list(data, count);
  }
  UPWELL_TRY(Bytes bytes, base64_decode(data.text()));
  if (data.name() == "specialstructuredata") return structures(bytes, type, count);
  if (type.kind == Kind::kVlenString) {
    if (data.name() != "compact" || count != 1) {
      return fail(Code::kUnsupported, "texts of unknown length are not read");
    }
    return text_chunk({std::string(as_text(bytes))});
  }
  DmrppInline out;
  out.type = type;
  if (count > kMaxInlineBytes / std::max<uint32_t>(type.size, 1)) {
    return fail(Code::kInvalidData, "more than 1 GiB in the document");
  }
  // A single value is not deflated.
  if (data.name() == "missingdata" && count != 1) {
    out.codecs.push_back({"zlib", "{}"});
  } else if (bytes.size() != count * type.size) {
    return fail(Code::kInvalidData, fmt::format("{} bytes of values where {} are needed",
                                                bytes.size(), count * type.size));
  }
  out.chunk = std::move(bytes);
  return out;
}

}  // namespace upwell::refs
