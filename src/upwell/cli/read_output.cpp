#include "cli/read_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>

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

/// One line per element: coordinates, then the value. Handed to `emit` in pieces.
Result<> write_csv(const Table& table, const std::function<Result<>(const std::string&)>& emit) {
  std::string text;
  for (const Axis& axis : table.axes) text += csv_field(axis.name) + ",";
  text += csv_field(table.name) + "\n";
  Shape at(table.values.shape.size(), 0);
  for (size_t i = 0; i < table.values.count(); ++i) {
    for (size_t d = 0; d < at.size(); ++d) {
      const Axis& axis = table.axes[d];
      text += axis.has_values ? csv_field(axis.labels[at[d]]) : std::to_string(at[d]);
      text += ',';
    }
    text += csv_field(element_text(table.values, i)) + "\n";
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d] < table.values.shape[d]) break;
      at[d] = 0;
    }
    if (text.size() > (1U << 20)) {
      UPWELL_CHECK(emit(text));
      text.clear();
    }
  }
  return emit(text);
}

format::netcdf4::Variable coordinate_variable(const Axis& axis, bool scalar) {
  format::netcdf4::Variable variable;
  variable.name = axis.name;
  if (!scalar) variable.dimensions = {axis.name};
  variable.attributes = axis.attributes;
  variable.values = axis.values;
  return variable;
}

Result<> write_netcdf(const std::string& target, const Table& table) {
  format::netcdf4::File file;
  file.attributes = table.global_attributes;
  format::netcdf4::Variable data;
  data.name = table.name;
  data.attributes = table.attributes;
  data.values = table.values;
  bool is_own_coordinate = false;
  for (const Axis& axis : table.axes) {
    data.dimensions.push_back(axis.name);
    is_own_coordinate = is_own_coordinate || axis.name == table.name;
    if (axis.has_values && axis.name != table.name)
      file.variables.push_back(coordinate_variable(axis, false));
  }
  for (const Axis& axis : table.scalars) file.variables.push_back(coordinate_variable(axis, true));
  file.variables.push_back(std::move(data));
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

Result<> write_table(const std::string& target, const Table& table) {
  const DataType& type = table.values.type;
  bool strings = type.kind == Kind::kVlenString;
  if ((type.has_vlen() && !strings) || type.kind == Kind::kCompound) {
    if (!ends_with(target, ".npy") || type.has_vlen())
      return fail(Code::kUnsupported, fmt::format("{}: {} cannot be written to {}", table.name,
                                                  describe(type), target));
  }
  if (target == "-") {
    return write_csv(table, [](const std::string& text) -> Result<> {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        return fail(Code::kCannotWrite, "standard output");
      return {};
    });
  }
  if (ends_with(target, ".npy")) return write_npy(target, table.values);
  if (ends_with(target, ".nc") || ends_with(target, ".nc4")) return write_netcdf(target, table);
  if (ends_with(target, ".csv")) {
    UPWELL_TRY(AtomicFile file, AtomicFile::create(target));
    UPWELL_CHECK(
        write_csv(table, [&](const std::string& text) { return file.write(as_bytes(text)); }));
    return file.commit();
  }
  return fail(
      Code::kInvalidArgument,
      fmt::format("'{}': the output ends in .npy, .nc or .csv, or is - for CSV on standard output",
                  target));
}

}  // namespace upwell::cli
