// Prints what netCDF-C finds in a classic file (CDF-1, 2, 5), one JSON line per variable (see
// canonical.hpp).
// netcdf_oracle FILE

#include <netcdf.h>

#include <cstdio>
#include <vector>

#include "canonical.hpp"

namespace {

using namespace upwell::oracle;

std::string type_text(nc_type type) {
  switch (type) {
    case NC_BYTE:
      return "i1";
    case NC_UBYTE:
      return "u1";
    case NC_CHAR:
      return "char";
    case NC_SHORT:
      return "i2be";
    case NC_USHORT:
      return "u2be";
    case NC_INT:
      return "i4be";
    case NC_UINT:
      return "u4be";
    case NC_INT64:
      return "i8be";
    case NC_UINT64:
      return "u8be";
    case NC_FLOAT:
      return "f4be";
    case NC_DOUBLE:
      return "f8be";
    default:
      return "unknown";
  }
}

std::string hash_values(nc_type type, size_t size, const std::vector<uint8_t>& data, size_t count) {
  Hash hash;
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* p = data.data() + i * size;
    if (type == NC_CHAR) {
      hash.add_text(
          trimmed(std::string_view(reinterpret_cast<const char*>(p), 1), Pad::kNullPadded));
    } else if (type == NC_FLOAT || type == NC_DOUBLE) {
      hash.add_float(p, size);
    } else {
      hash.add(p, size);
    }
  }
  return hash.hex();
}

std::string attribute_json(int file, int variable, const char* name) {
  nc_type type = NC_NAT;
  size_t count = 0;
  if (int status = nc_inq_att(file, variable, name, &type, &count); status != NC_NOERR) {
    return "{\"error\":" + json_text(nc_strerror(status)) + "}";
  }
  size_t size = 0;
  nc_inq_type(file, type, nullptr, &size);
  std::vector<uint8_t> data(count * size + 1);
  if (int status = nc_get_att(file, variable, name, data.data()); status != NC_NOERR) {
    return "{\"error\":" + json_text(nc_strerror(status)) + "}";
  }
  if (type == NC_CHAR) {
    Hash hash;
    std::string_view text(reinterpret_cast<const char*>(data.data()), count);
    hash.add_text(trimmed(text, Pad::kNullPadded));
    return "{\"hash\":\"" + hash.hex() + "\"}";
  }
  return "{\"hash\":\"" + hash_values(type, size, data, count) + "\"}";
}

std::string attributes_json(int file, int variable) {
  int count = 0;
  if (variable == NC_GLOBAL) {
    nc_inq_natts(file, &count);
  } else {
    nc_inq_varnatts(file, variable, &count);
  }
  std::string out = "{";
  for (int i = 0; i < count; ++i) {
    char name[NC_MAX_NAME + 1] = {};
    if (nc_inq_attname(file, variable, i, name) != NC_NOERR) continue;
    out += (i > 0 ? "," : "") + json_text(name) + ":" + attribute_json(file, variable, name);
  }
  return out + "}";
}

std::string values_json(int file, int variable, nc_type type, const std::vector<size_t>& shape) {
  size_t size = 0;
  nc_inq_type(file, type, nullptr, &size);
  uint64_t rows = rows_compared(shape, size);
  if (rows == 0 && (shape.empty() || shape[0] != 0)) return ",\"too_big\":true";
  std::vector<size_t> start(shape.size() + 1), count(shape);
  if (!shape.empty()) count[0] = rows;
  size_t elements = 1;
  for (size_t n : count) elements *= n;
  count.push_back(1);
  std::vector<uint8_t> data(elements * size + 1);
  if (elements > 0) {
    int status = nc_get_vara(file, variable, start.data(), count.data(), data.data());
    if (status != NC_NOERR) return ",\"error\":" + json_text(nc_strerror(status));
  }
  return ",\"hash\":\"" + hash_values(type, size, data, elements) + "\"";
}

void print_variable(int file, int variable) {
  char name[NC_MAX_NAME + 1] = {};
  nc_type type = NC_NAT;
  int rank = 0;
  std::vector<int> dims(NC_MAX_VAR_DIMS);
  if (nc_inq_var(file, variable, name, &type, &rank, dims.data(), nullptr) != NC_NOERR) return;
  std::vector<size_t> shape;
  std::string names = "[";
  for (int d = 0; d < rank; ++d) {
    char dim[NC_MAX_NAME + 1] = {};
    size_t length = 0;
    nc_inq_dim(file, dims[static_cast<size_t>(d)], dim, &length);
    shape.push_back(length);
    names += (d > 0 ? "," : "") + json_text(dim);
  }
  std::string out = "{\"path\":" + json_text(std::string("/") + name) +
                    ",\"kind\":\"array\",\"attrs\":" + attributes_json(file, variable) +
                    ",\"type\":" + json_text(type_text(type)) + ",\"shape\":" + json_list(shape) +
                    ",\"dims\":" + names + "]" + values_json(file, variable, type, shape);
  printf("%s}\n", out.c_str());
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: netcdf_oracle FILE\n");
    return 64;
  }
  int file = 0;
  if (int status = nc_open(argv[1], NC_NOWRITE, &file); status != NC_NOERR) {
    printf("{\"kind\":\"file\",\"error\":%s}\n", json_text(nc_strerror(status)).c_str());
    return 65;
  }
  int format = 0, variables = 0;
  nc_inq_format(file, &format);
  nc_inq_nvars(file, &variables);
  printf("{\"kind\":\"file\",\"cdf\":%d}\n", format);
  printf("{\"path\":\"/\",\"kind\":\"group\",\"attrs\":%s}\n",
         attributes_json(file, NC_GLOBAL).c_str());
  for (int v = 0; v < variables; ++v) print_variable(file, v);
  nc_close(file);
  return 0;
}
