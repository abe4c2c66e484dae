#include "cli/read_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/files.hpp"
#include "cli/csv.hpp"
#include "cli/result_output.hpp"
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

/// Times that integers hold are as exact as those.
Result<std::string> column_field(const Column& column, size_t i) {
  const bool missing =
      column.values.type.kind == Kind::kFloat && std::isnan(column.values.number(i));
  auto text = csv_value(column.ticks && !missing ? *column.ticks : column.values, i, column.time);
  if (text) return text;
  return fail(std::move(text).error().with(
      fmt::format("{}[{}] is no time; --raw writes the number", column.name, i)));
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

/// One line per element: coordinates, then the value.
Result<> write_lines(const Table& table, const TextSink& sink) {
  const Column& data = table.data;
  std::vector<CsvColumn> columns;
  auto add = [&](const std::string& header, const Column* column, std::vector<uint64_t> stride) {
    columns.push_back(
        {header, std::move(stride), [column](uint64_t element, std::string& text) -> Result<> {
           std::string value = std::to_string(element);
           if (column != nullptr) {
             UPWELL_TRY(value, column_field(*column, element));
           }
           text += value;
           return {};
         }});
  };
  const std::vector<Companion> companions = companions_of(table);
  for (size_t i = 0; i < companions.size(); ++i)
    add(companions[i].column != nullptr ? companions[i].column->name : data.dimensions[i],
        companions[i].column, companions[i].stride);
  std::vector<uint64_t> own(data.values.shape.size(), 1);
  for (size_t d = own.size(); d-- > 1;) own[d - 1] = own[d] * data.values.shape[d];
  add(data.name, &data, own);
  return write_csv(data.values.shape, columns, sink);
}

Result<> write_described(const std::string& target, Table table) {
  format::netcdf4::File file;
  file.attributes = table.global_attributes;
  table.others.push_back(std::move(table.data));
  for (Column& c : table.others)
    file.variables.push_back({c.name, c.dimensions, c.attributes, std::move(c.values)});
  if (!target.ends_with(".zarr")) return format::netcdf4::write(target, file);
  UPWELL_TRY(const auto store, create_zarr_output(target, file));
  return store->commit(Sync::kYes);
}

}  // namespace

Result<Company> company_of(const std::string& target) {
  if (target == "-" || target.ends_with(".csv")) return Company::kCoordinates;
  if (target.ends_with(".npy")) return Company::kNone;
  for (const char* end : {".nc", ".nc4", ".zarr"})
    if (target.ends_with(end)) return Company::kDescribed;
  return fail(Code::kInvalidArgument,
              fmt::format("'{}': the output ends in .npy, .nc, .zarr or .csv, or is - for CSV on "
                          "standard output",
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
  if (company == Company::kDescribed) return write_described(target, std::move(table));
  return write_text(target, [&](const TextSink& sink) { return write_lines(table, sink); });
}

}  // namespace upwell::cli
