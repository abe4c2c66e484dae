#include "cli/read_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "base/files.hpp"
#include "format/netcdf4/writer.hpp"

namespace upwell::cli {
namespace {

/// Variable-length strings as fixed bytes of the longest, which .npy can hold.
Values fixed_text(const Values& values) {
  Values fixed;
  fixed.shape = values.shape;
  size_t longest = 1;
  for (size_t i = 0; i < values.count(); ++i) longest = std::max(longest, values.text(i).size());
  fixed.type = DataType::fixed_string(static_cast<uint32_t>(longest));
  fixed.data.resize(values.count() * longest);
  std::fill(fixed.data.begin(), fixed.data.end(), uint8_t{0});
  for (size_t i = 0; i < values.count(); ++i) {
    std::string text = values.text(i);
    std::memcpy(fixed.data.data() + i * longest, text.data(), text.size());
  }
  return fixed;
}

/// NumPy format 1.0 (numpy.lib.format): magic, version, header length, a Python dict padded to 64
/// bytes, the data.
Result<> write_npy(const std::string& target, const Values& values) {
  if (values.type.kind == Kind::kVlenString) return write_npy(target, fixed_text(values));
  UPWELL_TRY(std::string dtype, to_numpy(values.type));
  std::string shape;
  for (uint64_t n : values.shape) shape += fmt::format("{},", n);
  if (values.type.kind != Kind::kCompound) dtype = "'" + dtype + "'";
  std::string header =
      fmt::format("{{'descr': {}, 'fortran_order': False, 'shape': ({}), }}", dtype, shape);
  header.append(64 - (10 + header.size() + 1) % 64, ' ');
  header += '\n';
  std::string head = "\x93NUMPY";
  head += '\x01';
  head += '\x00';
  head += static_cast<char>(header.size() & 0xFF);
  head += static_cast<char>(header.size() >> 8);
  UPWELL_TRY(AtomicFile file, AtomicFile::create(target));
  UPWELL_CHECK(file.write(as_bytes(head + header)));
  UPWELL_CHECK(file.write(values.data));
  return file.commit();
}

std::string csv_field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

Result<std::string> csv_value(const Column& column, size_t i) {
  if (!column.time ||
      (column.values.type.kind == Kind::kFloat && std::isnan(column.values.number(i))))
    return csv_field(element_text(column.values, i));
  auto time = column.ticks ? cf::decode_time(*column.time, column.ticks->integer(i))
                           : cf::decode_time(*column.time, column.values.number(i));
  if (!time)
    return fail(
        Error(time.error())
            .with(fmt::format("{}[{}] is no time; --raw writes the number", column.name, i)));
  return cf::format_time(*time);
}

/// A column of the CSV that is not the data: which of its elements belongs to an element of them.
struct Companion {
  const Column* column;          ///< null: the index along the axis itself
  std::vector<uint64_t> stride;  ///< by axis of the data
};

/// Per axis its coordinate or index, then the other coordinates.
std::vector<Companion> companions_of(const Table& table) {
  const std::vector<std::string>& dimensions = table.data.dimensions;
  std::vector<Companion> companions;
  for (size_t d = 0; d < dimensions.size(); ++d) {
    Companion index{nullptr, std::vector<uint64_t>(dimensions.size(), 0)};
    index.stride[d] = 1;
    for (const Column& c : table.others)
      if (c.name == dimensions[d] && c.dimensions.size() == 1) index.column = &c;
    if (table.data.name == dimensions[d] && dimensions.size() == 1) index.column = &table.data;
    companions.push_back(std::move(index));
  }
  for (const Column& c : table.others) {
    auto is_listed = [&](const Companion& l) { return l.column == &c; };
    if (std::any_of(companions.begin(), companions.end(), is_listed)) continue;
    Companion companion{&c, std::vector<uint64_t>(dimensions.size(), 0)};
    uint64_t stride = 1;
    for (size_t e = c.dimensions.size(); e-- > 0; stride *= c.values.shape[e]) {
      auto at = std::find(dimensions.begin(), dimensions.end(), c.dimensions[e]);
      companion.stride[static_cast<size_t>(at - dimensions.begin())] += stride;
    }
    companions.push_back(std::move(companion));
  }
  return companions;
}

/// One line per element: coordinates, then the value. Handed to `emit` in pieces.
Result<> write_csv(const Table& table, const std::function<Result<>(const std::string&)>& emit) {
  const Column& data = table.data;
  const std::vector<Companion> companions = companions_of(table);
  std::string text;
  for (size_t i = 0; i < companions.size(); ++i)
    text += csv_field(companions[i].column != nullptr ? companions[i].column->name
                                                      : data.dimensions[i]) +
            ",";
  text += csv_field(data.name) + "\n";
  const Shape& shape = data.values.shape;
  Shape at(shape.size(), 0);
  for (size_t i = 0; i < data.values.count(); ++i) {
    for (const Companion& companion : companions) {
      uint64_t element = 0;
      for (size_t d = 0; d < at.size(); ++d) element += at[d] * companion.stride[d];
      std::string value = std::to_string(element);
      if (companion.column != nullptr) {
        UPWELL_TRY(value, csv_value(*companion.column, element));
      }
      text += value + ",";
    }
    UPWELL_TRY(std::string value, csv_value(data, i));
    text += value + "\n";
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
    if (text.size() > (1U << 20)) {
      UPWELL_CHECK(emit(text));
      text.clear();
    }
  }
  return emit(text);
}

Result<> write_netcdf(const std::string& target, Table table) {
  format::netcdf4::File file;
  file.attributes = table.global_attributes;
  table.others.push_back(std::move(table.data));
  for (Column& c : table.others)
    file.variables.push_back({c.name, c.dimensions, c.attributes, std::move(c.values)});
  return format::netcdf4::write(target, file);
}

bool ends_with(const std::string& text, std::string_view end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

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

Result<Company> company_of(const std::string& target) {
  if (target == "-" || ends_with(target, ".csv")) return Company::kCoordinates;
  if (ends_with(target, ".npy")) return Company::kNone;
  if (ends_with(target, ".nc") || ends_with(target, ".nc4")) return Company::kDescribed;
  return fail(
      Code::kInvalidArgument,
      fmt::format("'{}': the output ends in .npy, .nc or .csv, or is - for CSV on standard output",
                  target));
}

Result<> write_table(const std::string& target, Table table) {
  UPWELL_TRY(Company company, company_of(target));
  const DataType& type = table.data.values.type;
  bool strings = type.kind == Kind::kVlenString;
  if ((type.has_vlen() && !strings) || type.kind == Kind::kCompound) {
    if (company != Company::kNone || type.has_vlen())
      return fail(Code::kUnsupported, fmt::format("{}: {} cannot be written to {}", table.data.name,
                                                  describe(type), target));
  }
  if (company == Company::kNone) return write_npy(target, table.data.values);
  if (company == Company::kDescribed) return write_netcdf(target, std::move(table));
  if (target == "-") {
    return write_csv(table, [](const std::string& text) -> Result<> {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        return fail(Code::kCannotWrite, "standard output");
      return {};
    });
  }
  UPWELL_TRY(AtomicFile file, AtomicFile::create(target));
  UPWELL_CHECK(
      write_csv(table, [&](const std::string& text) { return file.write(as_bytes(text)); }));
  return file.commit();
}

}  // namespace upwell::cli
