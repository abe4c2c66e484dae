#include "format/mds/meta.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

namespace upwell::format::mds {
namespace {

constexpr uint64_t kMaxExtent = uint64_t{1} << 40;
constexpr uint64_t kMaxBytes = uint64_t{1} << 60;
constexpr size_t kMaxRank = 8;

tl::unexpected<Error> bad_line(uint32_t line, std::string_view what) {
  return fail(Code::kInvalidData, fmt::format("line {}: {}", line, what));
}

/// Foreign text as messages show it.
std::string shown(std::string_view text) {
  constexpr size_t kWidth = 40;
  std::string out;
  for (const char c : text.substr(0, kWidth))
    out += std::isprint(static_cast<unsigned char>(c)) ? c : '?';
  return out + (text.size() > kWidth ? "..." : "");
}

struct Word {
  std::string text;
  bool quoted = false;
  uint32_t line = 0;
};

struct Item {
  std::string key;
  uint32_t line = 0;
  std::vector<Word> words;
};

/// Cuts the text into items.
class ItemReader {
 public:
  explicit ItemReader(std::string_view text) : text_(text) {}

  /// False at the end of the text.
  Result<bool> next(Item& item) {
    UPWELL_CHECK(skip_blanks());
    if (at_end()) return false;
    item = {};
    item.line = line_;
    while (!at_end() && is_name(text_[at_])) item.key += text_[at_++];
    if (item.key.empty())
      return bad_line(line_, fmt::format("a name is expected, not '{}'", shown(rest_of_line())));
    UPWELL_CHECK(skip_blanks());
    UPWELL_CHECK(take('=', item.key));
    UPWELL_CHECK(skip_blanks());
    const bool square = !at_end() && text_[at_] == '[';
    UPWELL_CHECK(take(square ? '[' : '{', item.key));
    const char close = square ? ']' : '}';
    UPWELL_CHECK(read_words(item, close));
    UPWELL_CHECK(skip_blanks());
    UPWELL_CHECK(take(';', item.key));
    return true;
  }

 private:
  static bool is_name(char c) { return std::isalnum(static_cast<unsigned char>(c)) || c == '_'; }
  bool at_end() const { return at_ >= text_.size(); }
  std::string_view rest_of_line() const {
    const std::string_view rest = text_.substr(at_);
    return rest.substr(0, rest.find('\n'));
  }

  Result<> skip_blanks() {
    while (!at_end()) {
      const char c = text_[at_];
      if (c == '\n') ++line_;
      if (std::isspace(static_cast<unsigned char>(c))) {
        ++at_;
      } else if (text_.substr(at_, 2) == "/*") {
        const size_t end = text_.find("*/", at_ + 2);
        if (end == std::string_view::npos) return bad_line(line_, "a comment without its end");
        line_ +=
            static_cast<uint32_t>(std::count(text_.begin() + static_cast<ptrdiff_t>(at_),
                                             text_.begin() + static_cast<ptrdiff_t>(end), '\n'));
        at_ = end + 2;
      } else {
        break;
      }
    }
    return {};
  }

  Result<> take(char wanted, const std::string& key) {
    if (!at_end() && text_[at_] == wanted) {
      ++at_;
      return {};
    }
    const std::string there =
        at_end() ? "the file ends" : fmt::format("there is '{}'", shown(rest_of_line()));
    return bad_line(line_, fmt::format("{}: '{}' is expected, {}", shown(key), wanted, there));
  }

  Result<> read_words(Item& item, char close) {
    for (;;) {
      UPWELL_CHECK(skip_blanks());
      if (at_end())
        return bad_line(item.line,
                        fmt::format("{}: '{}' is missing, the file ends", shown(item.key), close));
      const char c = text_[at_];
      if (c == close) {
        ++at_;
        return {};
      }
      if (c == ',') {
        ++at_;
      } else if (c == '\'' || c == '"') {
        UPWELL_CHECK(read_quoted(item, c));
      } else if (c == '=' || c == ';' || c == '[' || c == ']' || c == '{' || c == '}') {
        return bad_line(line_, fmt::format("{}: '{}' is expected, there is '{}'", shown(item.key),
                                           close, shown(rest_of_line())));
      } else {
        read_bare(item);
      }
    }
  }

  /// A quote inside is written twice, as in Fortran.
  Result<> read_quoted(Item& item, char quote) {
    Word word{{}, true, line_};
    for (++at_; !at_end() && text_[at_] != '\n'; ++at_) {
      if (text_[at_] == quote && text_.substr(at_ + 1, 1) != std::string_view(&quote, 1)) {
        ++at_;
        item.words.push_back(std::move(word));
        return {};
      }
      if (text_[at_] == quote) ++at_;
      word.text += text_[at_];
    }
    return bad_line(word.line, fmt::format("{}: a text without its end", shown(item.key)));
  }

  void read_bare(Item& item) {
    Word word{{}, false, line_};
    while (!at_end() && !std::isspace(static_cast<unsigned char>(text_[at_])) &&
           std::string_view(",;=[]{}'\"").find(text_[at_]) == std::string_view::npos)
      word.text += text_[at_++];
    item.words.push_back(std::move(word));
  }

  std::string_view text_;
  size_t at_ = 0;
  uint32_t line_ = 1;
};

tl::unexpected<Error> bad_item(const Item& item, std::string_view what) {
  return bad_line(item.line, fmt::format("{}: {}", shown(item.key), what));
}

Result<double> number_of(const Item& item, const Word& word) {
  std::string text = word.text.substr(word.text.starts_with('+') ? 1 : 0);
  for (char& c : text)
    if (c == 'd' || c == 'D') c = 'E';  // Fortran's double precision
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool good = !word.quoted && error == std::errc{} && end == text.data() + text.size() &&
                    !text.empty() && std::isfinite(value);
  if (!good)
    return bad_line(word.line,
                    fmt::format("{}: '{}' is not a number", shown(item.key), shown(word.text)));
  return value;
}

Result<int64_t> integer_of(const Item& item, const Word& word) {
  const std::string text = word.text.substr(word.text.starts_with('+') ? 1 : 0);
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (word.quoted || text.empty() || error != std::errc{} || end != text.data() + text.size())
    return bad_line(word.line,
                    fmt::format("{}: '{}' is not an integer", shown(item.key), shown(word.text)));
  return value;
}

Result<> check_count(const Item& item, size_t least, size_t most) {
  const size_t n = item.words.size();
  if (n >= least && n <= most) return {};
  const std::string wanted =
      least == most ? std::to_string(least) : fmt::format("{} to {}", least, most);
  return bad_item(item, fmt::format("{} values are expected, there are {}", wanted, n));
}

Result<int64_t> one_integer(const Item& item, int64_t least) {
  UPWELL_CHECK(check_count(item, 1, 1));
  UPWELL_TRY(const int64_t value, integer_of(item, item.words[0]));
  if (value < least) return bad_item(item, fmt::format("{} is less than {}", value, least));
  return value;
}

Result<std::string> one_text(const Item& item) {
  UPWELL_CHECK(check_count(item, 1, 1));
  if (!item.words[0].quoted) return bad_item(item, "a text in quotes is expected");
  return item.words[0].text;
}

std::string trimmed(std::string text) {
  text.erase(text.find_last_not_of(' ') + 1);
  text.erase(0, text.find_first_not_of(' '));
  return text;
}

Result<std::vector<MetaDimension>> read_dimensions(const Item& item, uint64_t rank) {
  UPWELL_CHECK(check_count(item, 3 * rank, 3 * rank));
  std::vector<MetaDimension> out;
  for (size_t d = 0; d < rank; ++d) {
    uint64_t numbers[3];
    for (size_t k = 0; k < 3; ++k) {
      const Word& word = item.words[3 * d + k];
      UPWELL_TRY(const int64_t value, integer_of(item, word));
      if (value < 1 || static_cast<uint64_t>(value) > kMaxExtent)
        return bad_line(word.line, fmt::format("dimList: {} cannot be", value));
      numbers[k] = static_cast<uint64_t>(value);
    }
    const MetaDimension one{numbers[0], numbers[1], numbers[2]};
    if (one.start > one.end || one.end > one.size)
      return bad_line(item.words[3 * d].line, fmt::format("dimList: elements {} to {} of {}",
                                                          one.start, one.end, one.size));
    out.push_back(one);
  }
  return out;
}

/// fldList: names that can be those of arrays, none twice.
Result<std::vector<std::string>> read_fields(const Item& item) {
  std::vector<std::string> out;
  for (const Word& word : item.words) {
    std::string name = trimmed(word.text);
    const bool plain = std::all_of(name.begin(), name.end(),
                                   [](unsigned char c) { return std::isgraph(c) && c != '/'; });
    if (!word.quoted || name.empty() || !plain || name == "." || name == "..")
      return bad_line(word.line,
                      fmt::format("fldList: '{}' cannot be the name of a field", shown(word.text)));
    if (std::find(out.begin(), out.end(), name) != out.end())
      return bad_line(word.line, fmt::format("fldList: {} is there twice", name));
    out.push_back(std::move(name));
  }
  return out;
}

Result<MetaItem> read_other(const Item& item) {
  MetaItem out{item.key, {}, {}};
  const bool texts = std::any_of(item.words.begin(), item.words.end(),
                                 [](const Word& word) { return word.quoted; });
  for (const Word& word : item.words) {
    if (texts) {
      out.texts.push_back(word.text);
      continue;
    }
    UPWELL_TRY(const double value, number_of(item, word));
    out.numbers.push_back(value);
  }
  return out;
}

/// Gives the items their meaning; what depends on another item is settled in `finish`.
class MetaBuilder {
 public:
  Result<> add(const Item& item) {
    if (!meta_.lines.emplace(item.key, item.line).second)
      return bad_item(item, fmt::format("is there twice, first in line {}", meta_.lines[item.key]));
    const std::string& key = item.key;
    if (key == "nDims") {
      UPWELL_TRY(const int64_t rank, one_integer(item, 1));
      if (static_cast<uint64_t>(rank) > kMaxRank)
        return bad_item(item, fmt::format("{} dimensions cannot be", rank));
      rank_ = static_cast<uint64_t>(rank);
    } else if (key == "dimList") {
      dimensions_ = item;
    } else if (key == "dataprec" || key == "format") {
      return add_precision(item);
    } else if (key == "nrecords") {
      UPWELL_TRY(const int64_t records, one_integer(item, 1));
      meta_.records = static_cast<uint64_t>(records);
    } else if (key == "timeStepNumber") {
      UPWELL_TRY(meta_.step, one_integer(item, 0));
    } else if (key == "timeStepDate") {
      UPWELL_TRY(meta_.date, one_text(item));
      meta_.date = trimmed(std::move(meta_.date));
    } else if (key == "timeInterval") {
      return add_interval(item);
    } else if (key == "missingValue") {
      UPWELL_CHECK(check_count(item, 1, 1));
      UPWELL_TRY(meta_.missing, number_of(item, item.words[0]));
    } else if (key == "nFlds") {
      UPWELL_TRY(field_count_, one_integer(item, 0));
    } else if (key == "fldList") {
      UPWELL_TRY(meta_.fields, read_fields(item));
    } else {
      UPWELL_TRY(MetaItem other, read_other(item));
      meta_.others.push_back(std::move(other));
    }
    return {};
  }

  Result<Meta> finish() {
    if (rank_ == 0) return lacks("nDims");
    if (dimensions_.key.empty()) return lacks("dimList");
    if (meta_.item_size == 0) return lacks("dataprec");
    if (meta_.records == 0) return lacks("nrecords");
    UPWELL_TRY(meta_.dimensions, read_dimensions(dimensions_, rank_));
    uint64_t bytes = meta_.item_size;
    bool too_many = __builtin_mul_overflow(bytes, meta_.records, &bytes);
    for (const MetaDimension& d : meta_.dimensions)
      too_many = too_many || __builtin_mul_overflow(bytes, d.extent(), &bytes);
    if (too_many || bytes > kMaxBytes) return bad_item(dimensions_, "more bytes than can be");
    if (field_count_ && static_cast<uint64_t>(*field_count_) != meta_.fields.size())
      return fail(Code::kInvalidData,
                  fmt::format("{}nFlds is {}, but fldList names {}", meta_.at("nFlds"),
                              *field_count_, meta_.fields.size()));
    return std::move(meta_);
  }

 private:
  static tl::unexpected<Error> lacks(std::string_view key) {
    return fail(Code::kInvalidData, fmt::format("{} is missing", key));
  }

  Result<> add_precision(const Item& item) {
    UPWELL_TRY(const std::string text, one_text(item));
    const uint32_t size = trimmed(text) == "float32" ? 4 : trimmed(text) == "float64" ? 8 : 0;
    if (size == 0)
      return bad_item(item, fmt::format("'{}' is neither float32 nor float64", shown(text)));
    if (meta_.item_size != 0 && meta_.item_size != size)
      return bad_item(item, "dataprec and format disagree");
    meta_.item_size = size;
    return {};
  }

  Result<> add_interval(const Item& item) {
    UPWELL_CHECK(check_count(item, 1, 2));
    for (const Word& word : item.words) {
      UPWELL_TRY(const double value, number_of(item, word));
      meta_.interval.push_back(value);
    }
    if (meta_.interval.size() == 2 && meta_.interval[0] > meta_.interval[1])
      return bad_item(item, fmt::format("it begins at {} s, after its end at {} s",
                                        meta_.interval[0], meta_.interval[1]));
    return {};
  }

  Meta meta_;
  uint64_t rank_ = 0;
  Item dimensions_;
  std::optional<int64_t> field_count_;
};

}  // namespace

std::string Meta::at(std::string_view key) const {
  const auto found = lines.find(key);
  return found == lines.end() ? std::string() : fmt::format("line {}: ", found->second);
}

uint64_t Meta::record_elements() const {
  uint64_t n = 1;
  for (const MetaDimension& d : dimensions) n *= d.extent();
  return n;
}

uint64_t Meta::data_bytes() const { return record_elements() * records * item_size; }

Result<Meta> parse_meta(std::string_view text) {
  ItemReader reader(text);
  MetaBuilder builder;
  Item item;
  for (;;) {
    UPWELL_TRY(const bool more, reader.next(item));
    if (!more) return builder.finish();
    UPWELL_CHECK(builder.add(item));
  }
}

}  // namespace upwell::format::mds
