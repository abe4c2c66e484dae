#include "produce/factors/npy.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>

namespace upwell::produce {
namespace {

constexpr uint64_t kMaxDimensions = 32;
constexpr uint64_t kMaxBytes = uint64_t{1} << 46;

tl::unexpected<Error> bad_header(const std::string& what) {
  return fail(Code::kInvalidData, "npy header: " + what);
}

/// The one Python literal that a header is: a dictionary of three members.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : text_(text) {}

  Result<> parse() {
    if (!take('{')) return bad_header("does not begin with '{'");
    while (!take('}')) {
      UPWELL_TRY(const std::string_view key, quoted());
      if (!take(':')) return bad_header("no ':' after a key");
      if (key == "descr") {
        UPWELL_TRY(descr, quoted());
        has_descr_ = true;
      } else if (key == "fortran_order") {
        UPWELL_TRY(fortran, boolean());
      } else if (key == "shape") {
        UPWELL_CHECK(tuple());
        has_shape_ = true;
      } else {
        return bad_header(fmt::format("unknown member '{}'", key));
      }
      if (!take(',') && peek() != '}') return bad_header("no ',' between members");
    }
    if (!has_descr_ || !has_shape_) return bad_header("'descr' or 'shape' is missing");
    return {};
  }

  std::string_view descr;
  bool fortran = false;
  std::vector<uint64_t> shape;

 private:
  char peek() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }
  Result<std::string_view> quoted() {
    const char quote = peek();
    if (quote != '\'' && quote != '"')
      return fail(Code::kUnsupported, "npy header: a structured or unknown type");
    const size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return bad_header("text without an end");
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  Result<bool> boolean() {
    peek();
    for (const bool value : {true, false}) {
      const std::string_view word = value ? "True" : "False";
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      return value;
    }
    return bad_header("'fortran_order' is neither True nor False");
  }
  Result<> tuple() {
    if (!take('(')) return bad_header("'shape' is no tuple");
    while (!take(')')) {
      uint64_t n = 0;
      if (peek() < '0' || peek() > '9') return bad_header("'shape' has something else than sizes");
      while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
        n = n * 10 + static_cast<uint64_t>(text_[at_++] - '0');
        if (n > kMaxBytes) return bad_header("a size in 'shape' is too large");
      }
      if (at_ < text_.size() && text_[at_] == 'L') ++at_;  // Python 2
      shape.push_back(n);
      if (shape.size() > kMaxDimensions) return bad_header("too many dimensions");
      if (!take(',') && peek() != ')') return bad_header("no ',' between sizes");
    }
    return {};
  }

  std::string_view text_;
  size_t at_ = 0;
  bool has_descr_ = false;
  bool has_shape_ = false;
};

template <typename T>
T load_element(const uint8_t* p, bool big) {
  return big ? load_be<T>(p) : load_le<T>(p);
}

/// Calls use(i, value) with each element as int64_t, uint64_t or double.
template <typename Use>
Result<> each_element(const NpyArray& array, Use use) {
  const uint64_t n = array.size();
  auto all = [&]<typename Stored, typename Given>(Stored, Given) -> Result<> {
    for (uint64_t i = 0; i < n; ++i) {
      const auto v = load_element<Stored>(array.data.data() + i * sizeof(Stored), array.type.big);
      UPWELL_CHECK(use(i, static_cast<Given>(v)));
    }
    return {};
  };
  switch (array.type.kind == 'b' ? 'u' * 16 + 1
                                 : array.type.kind * 16 + static_cast<int>(array.type.size)) {
    case 'i' * 16 + 1:
      return all(int8_t{}, int64_t{});
    case 'i' * 16 + 2:
      return all(int16_t{}, int64_t{});
    case 'i' * 16 + 4:
      return all(int32_t{}, int64_t{});
    case 'i' * 16 + 8:
      return all(int64_t{}, int64_t{});
    case 'u' * 16 + 1:
      return all(uint8_t{}, uint64_t{});
    case 'u' * 16 + 2:
      return all(uint16_t{}, uint64_t{});
    case 'u' * 16 + 4:
      return all(uint32_t{}, uint64_t{});
    case 'u' * 16 + 8:
      return all(uint64_t{}, uint64_t{});
    case 'f' * 16 + 4:
      return all(float{}, double{});
    case 'f' * 16 + 8:
      return all(double{}, double{});
    default:
      return fail(Code::kUnsupported, "an array of something else than numbers");
  }
}

}  // namespace

Result<ElementType> parse_element_type(std::string_view text) {
  const std::string shown(text.substr(0, 40));
  ElementType type;
  if (!text.empty() && (text[0] == '<' || text[0] == '>' || text[0] == '|' || text[0] == '=')) {
    type.big = text[0] == '>';
    text.remove_prefix(1);
  }
  if (text.size() >= 2 && text.size() <= 7) {
    type.kind = text[0];
    for (const char c : text.substr(1)) {
      if (c < '0' || c > '9') return fail(Code::kUnsupported, "element type '" + shown + "'");
      type.size = type.size * 10 + static_cast<size_t>(c - '0');
    }
  }
  const size_t n = type.size;
  const bool integer = n == 1 || n == 2 || n == 4 || n == 8;
  const bool known = (type.kind == 'b' && n == 1) ||
                     ((type.kind == 'i' || type.kind == 'u') && integer) ||
                     (type.kind == 'f' && (n == 4 || n == 8)) || (type.kind == 'S' && n > 0);
  if (!known) return fail(Code::kUnsupported, "element type '" + shown + "'");
  return type;
}

uint64_t NpyArray::size() const { return type.size == 0 ? 0 : data.size() / type.size; }

Result<std::vector<double>> NpyArray::as_doubles() const {
  std::vector<double> out(size());
  UPWELL_CHECK(each_element(*this, [&](uint64_t i, auto v) -> Result<> {
    out[i] = static_cast<double>(v);
    return {};
  }));
  return out;
}

Result<std::vector<uint32_t>> NpyArray::as_uint32() const {
  std::vector<uint32_t> out(size());
  UPWELL_CHECK(each_element(*this, [&](uint64_t i, auto v) -> Result<> {
    constexpr auto kMost = std::numeric_limits<uint32_t>::max();
    bool fits = v >= 0 && v <= static_cast<decltype(v)>(kMost);
    if constexpr (std::is_floating_point_v<decltype(v)>) fits = fits && v == std::floor(v);
    if (!fits) return fail(Code::kInvalidData, fmt::format("element {} is {}, not an index", i, v));
    out[i] = static_cast<uint32_t>(v);
    return {};
  }));
  return out;
}

Result<uint64_t> element_count(std::span<const uint64_t> shape, uint64_t limit) {
  uint64_t n = 1;
  for (const uint64_t size : shape) {
    if (size != 0 && n > limit / size)
      return fail(Code::kInvalidData, "an array of more elements than there can be");
    n *= size;
  }
  return n;
}

Result<NpyArray> parse_npy(ByteSpan file) {
  constexpr std::string_view kMagic = "\x93NUMPY";
  if (file.size() < 10 || as_text(file.first(6)) != kMagic) return bad_header("no npy file");
  const uint8_t major = file[6];
  if (major < 1 || major > 3)
    return fail(Code::kUnsupported, fmt::format("npy format version {}", major));
  const size_t begin = major == 1 ? 10 : 12;
  if (file.size() < begin) return bad_header("truncated");
  const size_t length =
      major == 1 ? load_le<uint16_t>(file.data() + 8) : load_le<uint32_t>(file.data() + 8);
  if (length > file.size() - begin) return bad_header("longer than the file");

  HeaderParser header(as_text(file.subspan(begin, length)));
  UPWELL_CHECK(header.parse());
  NpyArray array;
  UPWELL_TRY(array.type, parse_element_type(header.descr));
  if (header.fortran && header.shape.size() > 1)
    return fail(Code::kUnsupported, "npy: Fortran order");
  array.shape = header.shape;
  array.data = file.subspan(begin + length);
  UPWELL_TRY(const uint64_t n, element_count(array.shape, kMaxBytes));
  if (n * array.type.size != array.data.size())
    return fail(Code::kInvalidData, fmt::format("npy: {} bytes of data, the header says {} × {}",
                                                array.data.size(), n, array.type.size));
  return array;
}

std::string npy_header(std::string_view type, std::span<const uint64_t> shape) {
  std::string sizes;
  for (const uint64_t n : shape) sizes += fmt::format("{}, ", n);
  if (shape.size() > 1) sizes.resize(sizes.size() - 2);
  if (shape.size() == 1) sizes.pop_back();
  std::string text =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, sizes);
  text.append(63 - (10 + text.size()) % 64, ' ');
  text += '\n';
  std::string out("\x93NUMPY\x01\x00", 8);
  out += static_cast<char>(text.size() & 0xff);
  out += static_cast<char>(text.size() >> 8);
  return out + text;
}

}  // namespace upwell::produce
