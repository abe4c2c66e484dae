#include "produce/factors/pickle.hpp"

#include <fmt/format.h>

#include <charconv>
#include <limits>

#include "produce/factors/pickle_machine.hpp"

namespace upwell::produce {
namespace {

// Opcodes, as pickletools names them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kFloatLine = 'F',
  kInt = 'I',
  kBinint = 'J',
  kBinint1 = 'K',
  kLong = 'L',
  kBinint2 = 'M',
  kNoneOp = 'N',
  kReduce = 'R',
  kString = 'S',
  kBinstring = 'T',
  kShortBinstring = 'U',
  kUnicode = 'V',
  kBinunicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobalOp = 'c',
  kDictOp = 'd',
  kEmptyDict = '}',
  kAppends = 'e',
  kGet = 'g',
  kBinget = 'h',
  kLongBinget = 'j',
  kListOp = 'l',
  kEmptyList = ']',
  kPut = 'p',
  kBinput = 'q',
  kLongBinput = 'r',
  kSetitem = 's',
  kTupleOp = 't',
  kEmptyTuple = ')',
  kSetitems = 'u',
  kBinfloat = 'G',
  kShortBinbytes = 'C',
  kBinbytes = 'B',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewtrue = 0x88,
  kNewfalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinunicode = 0x8c,
  kBinunicode8 = 0x8d,
  kBinbytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kBytearray8 = 0x96,
};

std::string opcode_name(uint8_t opcode) {
  return opcode > ' ' && opcode < 0x7f ? fmt::format("opcode '{}'", static_cast<char>(opcode))
                                       : fmt::format("opcode 0x{:02x}", opcode);
}

tl::unexpected<Error> bad_pickle(const std::string& what) { return fail(Code::kInvalidData, what); }

template <typename T>
Result<T> number_of(std::string_view text, const char* what) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    return bad_pickle(fmt::format("'{}' is not {}", text.substr(0, 40), what));
  return value;
}

/// Raw-unicode-escape of protocol 0 as UTF-8: Latin-1 bytes, \\uXXXX and \\UXXXXXXXX.
Result<Bytes> unescape_raw_unicode(std::string_view text) {
  constexpr uint8_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
  Bytes out;
  for (size_t i = 0; i < text.size(); ++i) {
    uint32_t code = static_cast<uint8_t>(text[i]);
    const char kind = i + 1 < text.size() ? text[i + 1] : '\0';
    if (code == '\\' && (kind == 'u' || kind == 'U')) {
      const std::string_view digits = text.substr(i + 2, kind == 'u' ? 4 : 8);
      const auto [end, error] =
          std::from_chars(digits.data(), digits.data() + digits.size(), code, 16);
      if (error != std::errc() || end != digits.data() + digits.size() || code > 0x10ffff ||
          digits.size() != (kind == 'u' ? 4 : 8))
        return bad_pickle("an escape that is none");
      i += 1 + digits.size();
    }
    if (code < 0x80) {
      out.push_back(static_cast<uint8_t>(code));
      continue;
    }
    const int more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    out.push_back(static_cast<uint8_t>(kLead[more] | code >> (6 * more)));
    for (int k = more - 1; k >= 0; --k)
      out.push_back(static_cast<uint8_t>(0x80 | (code >> (6 * k) & 0x3f)));
  }
  return out;
}

/// Two's complement, little endian, of any length (pickletools.decode_long).
Result<int64_t> long_of(ByteSpan bytes) {
  if (bytes.size() > 8) return fail(Code::kUnsupported, "an integer of more than 64 bits");
  uint64_t value = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~uint64_t{0} : 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | bytes[i];
  return static_cast<int64_t>(value);
}

}  // namespace

Result<ByteSpan> PickleMachine::take(uint64_t n) {
  if (n > bytes_.size() - at_) return bad_pickle("its argument goes beyond the end: truncated");
  const ByteSpan taken = bytes_.subspan(at_, n);
  at_ += n;
  return taken;
}

Result<uint64_t> PickleMachine::unsigned_argument(size_t size) {
  UPWELL_TRY(const ByteSpan bytes, take(size));
  uint64_t value = 0;
  for (size_t i = size; i-- > 0;) value = value << 8 | bytes[i];
  return value;
}

Result<ByteSpan> PickleMachine::sized(size_t size_of_length) {
  UPWELL_TRY(const uint64_t n, unsigned_argument(size_of_length));
  return take(n);
}

Result<std::string_view> PickleMachine::line() {
  const std::string_view rest = as_text(bytes_.subspan(at_));
  const size_t end = rest.find('\n');
  if (end == std::string_view::npos) return bad_pickle("its line has no end: truncated");
  at_ += end + 1;
  return rest.substr(0, end);
}

Result<uint32_t> PickleMachine::make(Kind kind) {
  if (result_.objects_.size() >= limits_.max_objects)
    return fail(Code::kResourceExhausted, fmt::format("more than {} objects", limits_.max_objects));
  result_.objects_.emplace_back().kind = kind;
  return static_cast<uint32_t>(result_.objects_.size() - 1);
}

Result<> PickleMachine::count_items(uint64_t n) {
  items_ += n;
  if (items_ > limits_.max_items)
    return fail(Code::kResourceExhausted, fmt::format("more than {} items", limits_.max_items));
  return {};
}

Result<> PickleMachine::push(uint32_t i) {
  if (stack_.size() >= limits_.max_items)
    return fail(Code::kResourceExhausted, "the stack grows beyond its limit");
  stack_.push_back(i);
  return {};
}

Result<> PickleMachine::push_integer(int64_t value, Kind kind) {
  UPWELL_TRY(const uint32_t i, make(kind));
  object(i).integer = value;
  return push(i);
}

Result<> PickleMachine::push_float(double value) {
  UPWELL_TRY(const uint32_t i, make(Kind::kFloat));
  object(i).number = value;
  return push(i);
}

Result<> PickleMachine::push_bytes(Kind kind, ByteSpan bytes) {
  UPWELL_TRY(const uint32_t i, make(kind));
  object(i).bytes = bytes;
  return push(i);
}

Result<uint32_t> PickleMachine::pop() {
  const size_t bottom = marks_.empty() ? 0 : marks_.back();
  if (stack_.size() <= bottom) return bad_pickle("nothing is on the stack");
  const uint32_t i = stack_.back();
  stack_.pop_back();
  return i;
}

Result<size_t> PickleMachine::pop_mark() {
  if (marks_.empty()) return bad_pickle("there is no mark");
  const size_t mark = marks_.back();
  marks_.pop_back();
  return mark;
}

/// Everything on the stack from `from` becomes one container.
Result<> PickleMachine::collect(Kind kind, size_t from) {
  if (kind == Kind::kDict && (stack_.size() - from) % 2 != 0)
    return bad_pickle("a key without a value");
  UPWELL_CHECK(count_items(stack_.size() - from));
  UPWELL_TRY(const uint32_t i, make(kind));
  object(i).items.assign(stack_.begin() + static_cast<ptrdiff_t>(from), stack_.end());
  stack_.resize(from);
  return push(i);
}

ByteSpan PickleMachine::keep(Bytes bytes) { return result_.owned_.emplace_back(std::move(bytes)); }

Result<bool> PickleMachine::step_number(uint8_t opcode) {
  switch (opcode) {
    case kNoneOp: {
      UPWELL_TRY(const uint32_t i, make(Kind::kNone));
      UPWELL_CHECK(push(i));
      return true;
    }
    case kNewtrue:
    case kNewfalse:
      UPWELL_CHECK(push_integer(opcode == kNewtrue ? 1 : 0, Kind::kBool));
      return true;
    case kBinint1:
    case kBinint2:
    case kBinint: {
      UPWELL_TRY(const uint64_t v, unsigned_argument(opcode == kBinint1   ? 1
                                                     : opcode == kBinint2 ? 2
                                                                          : 4));
      UPWELL_CHECK(
          push_integer(opcode == kBinint ? static_cast<int32_t>(v) : static_cast<int64_t>(v)));
      return true;
    }
    case kLong1:
    case kLong4: {
      UPWELL_TRY(const ByteSpan bytes, sized(opcode == kLong1 ? 1 : 4));
      UPWELL_TRY(const int64_t v, long_of(bytes));
      UPWELL_CHECK(push_integer(v));
      return true;
    }
    case kInt:
    case kLong: {
      UPWELL_TRY(std::string_view text, line());
      const bool boolean = opcode == kInt && (text == "00" || text == "01");
      if (opcode == kLong && text.ends_with('L')) text.remove_suffix(1);
      UPWELL_TRY(const int64_t v, number_of<int64_t>(text, "an integer of 64 bits"));
      UPWELL_CHECK(push_integer(v, boolean ? Kind::kBool : Kind::kInteger));
      return true;
    }
    case kFloatLine: {
      UPWELL_TRY(const std::string_view text, line());
      UPWELL_TRY(const double v, number_of<double>(text, "a number"));
      UPWELL_CHECK(push_float(v));
      return true;
    }
    case kBinfloat: {
      UPWELL_TRY(const ByteSpan bytes, take(8));
      UPWELL_CHECK(push_float(load_be<double>(bytes.data())));
      return true;
    }
    default:
      return false;
  }
}

Result<bool> PickleMachine::step_text(uint8_t opcode) {
  switch (opcode) {
    case kBinunicode:
    case kShortBinunicode:
    case kBinunicode8: {
      UPWELL_TRY(const ByteSpan text, sized(opcode == kShortBinunicode ? 1
                                            : opcode == kBinunicode    ? 4
                                                                       : 8));
      UPWELL_CHECK(push_bytes(Kind::kText, text));
      return true;
    }
    case kShortBinbytes:
    case kBinbytes:
    case kBinbytes8:
    case kBytearray8: {
      UPWELL_TRY(const ByteSpan data, sized(opcode == kShortBinbytes ? 1
                                            : opcode == kBinbytes    ? 4
                                                                     : 8));
      UPWELL_CHECK(push_bytes(Kind::kBytes, data));
      return true;
    }
    case kShortBinstring:
    case kBinstring: {
      UPWELL_TRY(const ByteSpan data, sized(opcode == kShortBinstring ? 1 : 4));
      UPWELL_CHECK(push_bytes(Kind::kBytes, data));
      return true;
    }
    case kUnicode: {
      UPWELL_TRY(const std::string_view text, line());
      UPWELL_TRY(Bytes unescaped, unescape_raw_unicode(text));
      UPWELL_CHECK(push_bytes(Kind::kText, keep(std::move(unescaped))));
      return true;
    }
    case kString: {
      UPWELL_TRY(const std::string_view text, line());
      const bool quoted =
          text.size() >= 2 && (text[0] == '\'' || text[0] == '"') && text.back() == text[0];
      if (!quoted) return bad_pickle("a string without quotes");
      if (text.find('\\') != std::string_view::npos)
        return fail(Code::kUnsupported, "escapes in a string of Python 2");
      UPWELL_CHECK(push_bytes(Kind::kText, as_bytes(text.substr(1, text.size() - 2))));
      return true;
    }
    default:
      return false;
  }
}

Result<bool> PickleMachine::step_container(uint8_t opcode) {
  switch (opcode) {
    case kMark:
      marks_.push_back(stack_.size());
      return count_items(1).map([] { return true; });
    case kEmptyTuple:
      UPWELL_CHECK(collect(Kind::kTuple, stack_.size()));
      return true;
    case kEmptyList:
      UPWELL_CHECK(collect(Kind::kList, stack_.size()));
      return true;
    case kEmptyDict:
      UPWELL_CHECK(collect(Kind::kDict, stack_.size()));
      return true;
    case kTuple1:
    case kTuple2:
    case kTuple3: {
      const size_t n = opcode - kTuple1 + 1;
      if (stack_.size() - (marks_.empty() ? 0 : marks_.back()) < n)
        return bad_pickle("too few items");
      UPWELL_CHECK(collect(Kind::kTuple, stack_.size() - n));
      return true;
    }
    case kTupleOp:
    case kListOp:
    case kDictOp: {
      UPWELL_TRY(const size_t mark, pop_mark());
      UPWELL_CHECK(collect(opcode == kTupleOp  ? Kind::kTuple
                           : opcode == kListOp ? Kind::kList
                                               : Kind::kDict,
                           mark));
      return true;
    }
    case kAppend:
    case kAppends:
    case kSetitem:
    case kSetitems: {
      size_t from = 0;
      if (opcode == kAppends || opcode == kSetitems) {
        UPWELL_TRY(from, pop_mark());
      } else {
        const size_t n = opcode == kAppend ? 1 : 2;
        if (stack_.size() < n) return bad_pickle("too few items");
        from = stack_.size() - n;
      }
      const size_t bottom = marks_.empty() ? 0 : marks_.back();
      const Kind wanted = opcode == kAppend || opcode == kAppends ? Kind::kList : Kind::kDict;
      if (from <= bottom || object(stack_[from - 1]).kind != wanted)
        return bad_pickle(wanted == Kind::kList ? "there is no list to append to"
                                                : "there is no dictionary");
      if (wanted == Kind::kDict && (stack_.size() - from) % 2 != 0)
        return bad_pickle("a key without a value");
      UPWELL_CHECK(count_items(stack_.size() - from));
      std::vector<uint32_t>& items = object(stack_[from - 1]).items;
      items.insert(items.end(), stack_.begin() + static_cast<ptrdiff_t>(from), stack_.end());
      stack_.resize(from);
      return true;
    }
    case kPop:
      if (!marks_.empty() && marks_.back() == stack_.size()) {
        marks_.pop_back();
      } else {
        UPWELL_CHECK(pop());
      }
      return true;
    case kPopMark: {
      UPWELL_TRY(const size_t mark, pop_mark());
      stack_.resize(mark);
      return true;
    }
    case kDup: {
      UPWELL_TRY(const uint32_t top, pop());
      UPWELL_CHECK(push(top));
      UPWELL_CHECK(push(top));
      return true;
    }
    default:
      return false;
  }
}

Result<bool> PickleMachine::step_memo(uint8_t opcode) {
  uint64_t key = memo_.size();
  switch (opcode) {
    case kGet:
    case kPut: {
      UPWELL_TRY(const std::string_view text, line());
      UPWELL_TRY(key, number_of<uint64_t>(text, "a number of the memo"));
      break;
    }
    case kBinget:
    case kBinput: {
      UPWELL_TRY(key, unsigned_argument(1));
      break;
    }
    case kLongBinget:
    case kLongBinput: {
      UPWELL_TRY(key, unsigned_argument(4));
      break;
    }
    case kMemoize:
      break;
    default:
      return false;
  }
  if (opcode == kGet || opcode == kBinget || opcode == kLongBinget) {
    const auto found = memo_.find(key);
    if (found == memo_.end()) return bad_pickle(fmt::format("nothing was remembered as {}", key));
    UPWELL_CHECK(push(found->second));
    return true;
  }
  if (stack_.empty()) return bad_pickle("nothing is on the stack");
  UPWELL_CHECK(count_items(1));
  memo_[key] = stack_.back();
  return true;
}

Result<bool> PickleMachine::step_global(uint8_t opcode) {
  switch (opcode) {
    case kGlobalOp: {
      UPWELL_TRY(const std::string_view module, line());
      UPWELL_TRY(const std::string_view name, line());
      UPWELL_CHECK(push_global(module, name));
      return true;
    }
    case kStackGlobal: {
      UPWELL_TRY(const uint32_t name, pop());
      UPWELL_TRY(const uint32_t module, pop());
      if (object(name).kind != Kind::kText || object(module).kind != Kind::kText)
        return bad_pickle("the name of a class or function is no text");
      UPWELL_CHECK(push_global(as_text(object(module).bytes), as_text(object(name).bytes)));
      return true;
    }
    case kReduce:
      UPWELL_CHECK(reduce());
      return true;
    case kBuild:
      UPWELL_CHECK(build());
      return true;
    default:
      return false;
  }
}

Result<bool> PickleMachine::step(uint8_t opcode) {
  if (opcode == kStop) return false;
  if (opcode == kProto) {
    UPWELL_TRY(const uint64_t protocol, unsigned_argument(1));
    if (protocol > 5) return fail(Code::kUnsupported, fmt::format("pickle protocol {}", protocol));
    return true;
  }
  // What the length of a frame says is said again by its opcodes.
  if (opcode == kFrame) return take(8).map([](ByteSpan) { return true; });
  using Step = Result<bool> (PickleMachine::*)(uint8_t);
  for (const Step family :
       {&PickleMachine::step_number, &PickleMachine::step_text, &PickleMachine::step_container,
        &PickleMachine::step_memo, &PickleMachine::step_global}) {
    UPWELL_TRY(const bool known, (this->*family)(opcode));
    if (known) return true;
  }
  return fail(Code::kUnsupported, "this opcode is not read");
}

Result<Pickle> PickleMachine::run() {
  while (true) {
    if (at_ >= bytes_.size())
      return fail(Code::kInvalidData,
                  fmt::format("pickle: offset {}: ends without STOP: truncated", at_));
    const size_t start = at_;
    const uint8_t opcode = bytes_[at_++];
    auto going_on = step(opcode);
    if (!going_on)
      return fail(std::move(going_on).error().with(
          fmt::format("pickle: offset {}, {}", start, opcode_name(opcode))));
    if (*going_on) continue;
    if (stack_.size() != 1 || !marks_.empty())
      return fail(Code::kInvalidData,
                  fmt::format("pickle: offset {}: STOP with {} objects on the stack", start,
                              stack_.size()));
    result_.root_ = stack_.back();
    return std::move(result_);
  }
}

Result<Pickle> Pickle::read(ByteSpan bytes, const PickleLimits& limits) {
  return PickleMachine(bytes, limits).run();
}

Result<const PickleObject*> Pickle::item(const PickleObject& sequence, size_t i) const {
  if (sequence.kind != PickleObject::Kind::kList && sequence.kind != PickleObject::Kind::kTuple)
    return bad_pickle("pickle: a list or tuple was expected");
  if (i >= sequence.items.size())
    return bad_pickle(fmt::format("pickle: item {} of {} was expected", i, sequence.items.size()));
  return &objects_[sequence.items[i]];
}

Result<const PickleObject*> Pickle::value(const PickleObject& dict, std::string_view key) const {
  if (dict.kind != PickleObject::Kind::kDict)
    return bad_pickle("pickle: a dictionary was expected");
  // A key that was set twice has its last value.
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const PickleObject& k = objects_[dict.items[i - 2]];
    if (k.kind == PickleObject::Kind::kText && as_text(k.bytes) == key)
      return &objects_[dict.items[i - 1]];
  }
  return bad_pickle(fmt::format("pickle: there is no key '{}'", key));
}

Result<const PickleObject*> Pickle::value(const PickleObject& dict, int64_t key) const {
  if (dict.kind != PickleObject::Kind::kDict)
    return bad_pickle("pickle: a dictionary was expected");
  for (size_t i = dict.items.size(); i >= 2; i -= 2) {
    const PickleObject& k = objects_[dict.items[i - 2]];
    if (k.kind == PickleObject::Kind::kInteger && k.integer == key)
      return &objects_[dict.items[i - 1]];
  }
  return bad_pickle(fmt::format("pickle: there is no key {}", key));
}

}  // namespace upwell::produce
