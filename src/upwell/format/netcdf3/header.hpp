#pragma once
// The header of a netCDF classic file. Internal.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/window.hpp"

namespace upwell::format::netcdf3 {

struct Variable {
  std::string name;
  std::vector<uint32_t> dimensions;  ///< numbers
  Attributes attributes;
  DataType type;
  uint64_t begin = 0;
  bool is_record = false;
  Shape shape;              ///< with the number of records, once that is known
  uint64_t part_bytes = 0;  ///< of one record, or of the whole fixed variable; without padding
  uint64_t header_offset = 0;
};

struct Header {
  int version = 1;
  uint64_t records = 0;
  bool streaming = false;  ///< numrecs was all ones
  std::vector<Dimension> dimensions;
  std::optional<uint32_t> record_dimension;
  Attributes attributes;
  std::vector<Variable> variables;
  uint64_t record_stride = 0;  ///< bytes from one record to the next
};

/// kNeedBytes while the window holds too little.
Result<Header> parse_header(Window& window);

}  // namespace upwell::format::netcdf3
