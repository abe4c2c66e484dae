#include "cli/csv.hpp"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>

namespace upwell::cli {

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

Result<std::string> csv_value(const Values& values, size_t i,
                              const std::optional<cf::TimeUnits>& time) {
  const bool floating = values.type.kind == Kind::kFloat;
  if (!time || (floating && std::isnan(values.number(i))))
    return csv_field(element_text(values, i));
  UPWELL_TRY(const cf::DateTime date, floating ? cf::decode_time(*time, values.number(i))
                                               : cf::decode_time(*time, values.integer(i)));
  return cf::format_time(date);
}

Result<> write_csv(const Shape& grid, const std::vector<CsvColumn>& columns, const TextSink& sink) {
  constexpr size_t kPiece = 1 << 20;
  std::string text;
  for (const CsvColumn& column : columns) text += csv_field(column.header) + ",";
  text.back() = '\n';
  Shape at(grid.size(), 0);
  const uint64_t cells = element_count(grid);
  for (uint64_t i = 0; i < cells; ++i) {
    for (const CsvColumn& column : columns) {
      uint64_t element = 0;
      for (size_t d = 0; d < at.size(); ++d) element += at[d] * column.stride[d];
      UPWELL_CHECK(column.append(element, text));
      text += ',';
    }
    text.back() = '\n';
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < grid[d]) break;
      at[d] = 0;
    }
    if (text.size() > kPiece) {
      UPWELL_CHECK(sink(text));
      text.clear();
    }
  }
  return sink(text);
}

Result<> write_text(const std::string& target, const std::function<Result<>(const TextSink&)>& make,
                    Sync sync) {
  if (target == "-") {
    UPWELL_CHECK(make([](const std::string& text) -> Result<> {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        return fail(Code::kCannotWrite, "standard output");
      return {};
    }));
    return {};
  }
  UPWELL_TRY(AtomicFile file, AtomicFile::create(target));
  UPWELL_CHECK(make([&](const std::string& text) { return file.write(as_bytes(text)); }));
  return file.commit(sync);
}

std::string element_text(const Values& values, size_t i) {
  switch (values.type.kind) {
    case Kind::kString:
    case Kind::kUnicode:
    case Kind::kVlenString:
      return values.text(i);
    case Kind::kFloat: {
      double v = values.number(i);
      if (std::isnan(v)) return "";
      return values.type.size == 4 ? fmt::format("{}", static_cast<float>(v))
                                   : fmt::format("{}", v);
    }
    case Kind::kUint:
    case Kind::kBitfield:
      return fmt::format("{}", static_cast<uint64_t>(values.integer(i)));
    case Kind::kInt:
    case Kind::kBool:
    case Kind::kEnum:
    case Kind::kDatetime:
    case Kind::kTimedelta:
      return fmt::format("{}", values.integer(i));
    default: {
      std::string hex;
      for (uint8_t b : ByteSpan(values.data).subspan(i * values.type.size, values.type.size))
        hex += fmt::format("{:02x}", b);
      return hex;
    }
  }
}

}  // namespace upwell::cli
