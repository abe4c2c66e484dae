#include "produce/granules/netcdf_input.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "cube/cf.hpp"
#include "cube/read.hpp"
#include "io/digest.hpp"
#include "refs/open.hpp"

namespace upwell::produce {
namespace {

/// Of an array too large for any memory, so that sums of such do not overflow.
constexpr uint64_t kEndless = uint64_t{1} << 56;
const ReadOptions kReading{.memory_budget = 32 << 20};

uint64_t count_of(const Array& array) {
  uint64_t count = 1;
  for (const uint64_t extent : array.shape) {
    if (__builtin_mul_overflow(count, extent, &count) || count > kEndless / 64) return kEndless;
  }
  return count;
}

/// Adds the names in an attribute of several.
void add_names(const Attributes& attributes, const char* attribute, std::set<std::string>& names) {
  const std::string text = text_attribute(attributes, attribute).value_or("");
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find_first_of(" \t\n", begin), text.size());
    if (end > begin) names.insert(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

bool is_axis(const Array& array) {
  return array.dimensions.size() == 1 && array.dimensions[0] == array.name;
}

/// Whether an integer is the same as a float of this size.
bool is_held(double number, uint32_t float_size) {
  if (std::isnan(number)) return true;  // missing
  return std::abs(number) < 0x1p53 &&
         (float_size == 8 || static_cast<double>(static_cast<float>(number)) == number);
}

}  // namespace

Result<NetcdfInput> NetcdfInput::open(io::Session& session, const std::string& location) {
  NetcdfInput input;
  input.session_ = &session;
  input.url_ = io::normal_url(location);
  auto dataset = refs::open_source(session, input.url_);
  if (!dataset) return fail(std::move(dataset).error().with("input_netcdf"));
  if (!dataset->problems.empty()) {
    const Problem& problem = dataset->problems.front();
    return fail(Error(problem.error).with(input.url_ + ": " + problem.path));
  }
  if (!dataset->root.groups.empty())
    return fail(Code::kUnsupported,
                input.url_ + ": has groups, of which granules are not made here");
  input.dataset_ = std::make_shared<const Dataset>(std::move(*dataset));
  std::set<std::string> coordinates;
  add_names(input.attributes(), "coordinates", coordinates);
  for (const Array& array : input.dataset_->root.arrays) {
    add_names(array.attributes, "coordinates", coordinates);
    add_names(array.attributes, "bounds", coordinates);
  }
  for (const Array& array : input.dataset_->root.arrays) {
    if (!is_axis(array) && !coordinates.contains(array.name)) input.variables_.push_back(&array);
  }
  return input;
}

Result<std::vector<double>> NetcdfInput::numbers(const Array& array, uint32_t float_size) const {
  const auto named = [&](Error error) { return fail(std::move(error).with(url_)); };
  auto raw = read_raw(*session_, *dataset_, array, {}, kReading);
  if (!raw) return named(std::move(raw).error());
  const cf::Decoding decoding = cf::decoding_of(array);
  const bool whole = (raw->type.kind == Kind::kInt || raw->type.kind == Kind::kUint) &&
                     !decoding.scale_factor && !decoding.add_offset;
  auto values = cf::decode(decoding, std::move(*raw));
  if (!values) return named(std::move(values).error());
  const Kind kind = values->type.kind;
  if (kind != Kind::kInt && kind != Kind::kUint && kind != Kind::kFloat && kind != Kind::kBool)
    return fail(Code::kUnsupported, url_ + ": " + array.name + " has no numbers");
  std::vector<double> numbers(values->count());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = values->number(i);
  if (!whole) return numbers;
  for (const double number : numbers) {
    if (is_held(number, float_size)) continue;
    return fail(
        Code::kUnsupported,
        fmt::format(
            "{}: {} has integers, and float{} does not hold its {:.0f} exactly{}", url_, array.name,
            8 * float_size, number,
            float_size == 4 ? "; with array_precision: float64 it holds those below 2^53" : ""));
  }
  return numbers;
}

uint64_t NetcdfInput::memory(uint64_t kept) const {
  constexpr uint64_t kDecoded = sizeof(double) + sizeof(double);  // by CF, and as numbers
  uint64_t largest = 0, all = 0;
  for (const Array& array : dataset_->root.arrays) {
    const uint64_t count = count_of(array);
    if (count >= kEndless) return kEndless;
    largest = std::max(
        largest, memory_to_read(array, array.shape, count, kReading) + count * (kDecoded + kept));
  }
  for (const Array* array : variables_) all = std::min(kEndless, all + count_of(*array) * kept);
  return std::min(kEndless, largest + all);
}

Attributes NetcdfInput::described(const Array& array) {
  Attributes attributes = cf::decoded_attributes(array.attributes, cf::decoding_of(array));
  std::erase_if(attributes, [](const Attribute& a) {
    return a.name == "coordinates" || a.name == "valid_min" || a.name == "valid_max" ||
           a.name == "_FillValue" || a.name == "missing_value";
  });
  return attributes;
}

Result<FileRecord> NetcdfInput::record() const {
  UPWELL_TRY(const SharedBytes bytes, session_->read_one(url_));
  UPWELL_TRY(const io::ObjectInfo info, session_->stat(url_));
  return FileRecord{url_, info.size, info.mtime_ns, info.etag,
                    io::hex_digest(io::DigestKind::kSha256, bytes.span())};
}

}  // namespace upwell::produce
