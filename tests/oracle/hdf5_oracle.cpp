// Prints what libhdf5 finds in a file, one JSON line per object (see canonical.hpp).
// hdf5_oracle FILE

#include <hdf5.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <set>
#include <vector>

#include "canonical.hpp"

namespace {

using namespace upwell::oracle;

constexpr int kMaxObjects = 50000;
constexpr hsize_t kMostListed = 400;  // asking for chunk n walks over all before it
int printed = 0;

// An identifier that is closed at the end of its scope.
class Id {
 public:
  Id(hid_t id, herr_t (*close)(hid_t)) : id_(id), close_(close) {}
  Id(const Id&) = delete;
  Id& operator=(const Id&) = delete;
  ~Id() {
    if (id_ >= 0) close_(id_);
  }
  operator hid_t() const { return id_; }

 private:
  hid_t id_;
  herr_t (*close_)(hid_t);
};

bool is_ieee(hid_t type) {
  size_t size = H5Tget_size(type), spos, epos, esize, mpos, msize;
  H5Tget_fields(type, &spos, &epos, &esize, &mpos, &msize);
  if (H5Tget_offset(type) != 0 || H5Tget_precision(type) != 8 * size ||
      H5Tget_norm(type) != H5T_NORM_IMPLIED) {
    return false;
  }
  H5T_order_t order = H5Tget_order(type);
  if (order != H5T_ORDER_LE && order != H5T_ORDER_BE) return false;
  size_t bias = H5Tget_ebias(type);
  if (size == 2) return spos == 15 && epos == 10 && esize == 5 && msize == 10 && bias == 15;
  if (size == 4) return spos == 31 && epos == 23 && esize == 8 && msize == 23 && bias == 127;
  if (size == 8) return spos == 63 && epos == 52 && esize == 11 && msize == 52 && bias == 1023;
  return false;
}

size_t widened(size_t size) {
  for (size_t n : {1, 2, 4, 8}) {
    if (size <= n) return n;
  }
  return size;
}

std::string order_text(hid_t type) {
  if (H5Tget_size(type) == 1) return "";
  switch (H5Tget_order(type)) {
    case H5T_ORDER_BE:
      return "be";
    case H5T_ORDER_VAX:
      return "vax";
    default:
      return "le";
  }
}

std::string bits_text(hid_t type) {
  size_t precision = H5Tget_precision(type);
  auto offset = static_cast<size_t>(H5Tget_offset(type));
  if (offset == 0 && precision == 8 * H5Tget_size(type)) return "";
  return "{" + std::to_string(precision) + "@" + std::to_string(offset) + "}";
}

std::string type_text(hid_t type) {
  std::string size = std::to_string(H5Tget_size(type));
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return (H5Tget_sign(type) == H5T_SGN_2 ? "i" : "u") + size + order_text(type) +
             bits_text(type);
    case H5T_BITFIELD:
      return "b" + size + order_text(type) + bits_text(type);
    case H5T_TIME:
      return "t" + size;
    case H5T_FLOAT: {
      std::string text = "f" + size + order_text(type);
      if (is_ieee(type)) return text;
      size_t spos, epos, esize, mpos, msize;
      H5Tget_fields(type, &spos, &epos, &esize, &mpos, &msize);
      char more[160];
      snprintf(more, sizeof(more), "{%zu@%d s%zu e%zu:%zu m%zu:%zu b%zu n%d}",
               H5Tget_precision(type), H5Tget_offset(type), spos, epos, esize, mpos, msize,
               H5Tget_ebias(type),
               H5Tget_norm(type) == H5T_NORM_IMPLIED  ? 2
               : H5Tget_norm(type) == H5T_NORM_MSBSET ? 1
                                                      : 0);
      return text + more;
    }
    case H5T_STRING: {
      std::string utf8 = H5Tget_cset(type) == H5T_CSET_UTF8 ? "utf8" : "";
      if (H5Tis_variable_str(type) > 0) return "vs" + utf8;
      H5T_str_t pad = H5Tget_strpad(type);
      return "s" + size +
             (pad == H5T_STR_NULLTERM  ? "nt"
              : pad == H5T_STR_NULLPAD ? "np"
                                       : "sp") +
             utf8;
    }
    case H5T_OPAQUE: {
      char* tag = H5Tget_tag(type);
      std::string text = "o" + size + "(" + (tag ? tag : "") + ")";
      H5free_memory(tag);
      return text;
    }
    case H5T_COMPOUND: {
      // With variable-length parts libhdf5 tells sizes in memory, not in the file.
      std::string placed, plain;
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        auto n = static_cast<unsigned>(i);
        Id member(H5Tget_member_type(type, n), H5Tclose);
        char* name = H5Tget_member_name(type, n);
        std::string text = type_text(member);
        placed += std::string(name) + "@" + std::to_string(H5Tget_member_offset(type, n)) + ":" +
                  text + ";";
        plain += std::string(name) + ":" + text + ";";
        H5free_memory(name);
      }
      return has_vlen_text(plain) ? "c{" + plain + "}" : "c" + size + "{" + placed + "}";
    }
    case H5T_ENUM: {
      Id base(H5Tget_super(type), H5Tclose);
      std::string text = "e(" + type_text(base) + "){";
      size_t bytes = H5Tget_size(type);
      std::vector<uint8_t> value(std::max<size_t>(bytes, 8));
      std::set<std::string> entries;  // libhdf5 may have sorted them
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        auto n = static_cast<unsigned>(i);
        char* name = H5Tget_member_name(type, n);
        H5Tget_member_value(type, n, value.data());
        std::string entry = std::string(name) + "=";
        for (size_t k = 0; k < bytes; ++k) {
          char hex[3];
          snprintf(hex, sizeof(hex), "%02x", value[k]);
          entry += hex;
        }
        entries.insert(entry + ";");
        H5free_memory(name);
      }
      for (const std::string& entry : entries) text += entry;
      return text + "}";
    }
    case H5T_VLEN: {
      Id base(H5Tget_super(type), H5Tclose);
      return "v(" + type_text(base) + ")";
    }
    case H5T_ARRAY: {
      Id base(H5Tget_super(type), H5Tclose);
      std::vector<hsize_t> dims(static_cast<size_t>(H5Tget_array_ndims(type)));
      H5Tget_array_dims2(type, dims.data());
      return "a" + json_list(dims) + "(" + type_text(base) + ")";
    }
    case H5T_REFERENCE:
      return H5Tequal(type, H5T_STD_REF_DSETREG) > 0 ? "rref" : "ref";
    default:
      return "unknown";
  }
}

// The type to read into, of which `add_value` knows the layout: native order, widened, packed.
hid_t memory_type(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER: {
      hid_t m = H5Tcopy(H5Tget_sign(type) == H5T_SGN_2 ? H5T_STD_I64LE : H5T_STD_U64LE);
      size_t size = widened(H5Tget_size(type));
      H5Tset_precision(m, 8 * size);
      H5Tset_size(m, size);
      return m;
    }
    case H5T_BITFIELD: {
      hid_t m = H5Tcopy(H5T_STD_B64LE);
      size_t size = widened(H5Tget_size(type));
      H5Tset_precision(m, 8 * size);
      H5Tset_size(m, size);
      return m;
    }
    case H5T_FLOAT: {
      size_t spos, epos, esize, mpos, msize;
      H5Tget_fields(type, &spos, &epos, &esize, &mpos, &msize);
      if (is_ieee(type) && H5Tget_size(type) == 2) {
        hid_t m = H5Tcopy(type);
        H5Tset_order(m, H5T_ORDER_LE);
        return m;
      }
      if (is_ieee(type)) return H5Tcopy(H5Tget_size(type) == 4 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE);
      return H5Tcopy(esize <= 8 && msize <= 23 ? H5T_IEEE_F32LE : H5T_IEEE_F64LE);
    }
    case H5T_COMPOUND: {
      std::vector<std::pair<std::string, hid_t>> members;
      size_t size = 0;
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        auto n = static_cast<unsigned>(i);
        Id member(H5Tget_member_type(type, n), H5Tclose);
        char* name = H5Tget_member_name(type, n);
        members.emplace_back(name, memory_type(member));
        H5free_memory(name);
        size += H5Tget_size(members.back().second);
      }
      hid_t m = H5Tcreate(H5T_COMPOUND, std::max<size_t>(size, 1));
      size_t at = 0;
      for (auto& [name, member] : members) {
        H5Tinsert(m, name.c_str(), at, member);
        at += H5Tget_size(member);
        H5Tclose(member);
      }
      return m;
    }
    case H5T_VLEN: {
      Id base(H5Tget_super(type), H5Tclose);
      Id memory(memory_type(base), H5Tclose);
      return H5Tvlen_create(memory);
    }
    case H5T_ARRAY: {
      Id base(H5Tget_super(type), H5Tclose);
      Id memory(memory_type(base), H5Tclose);
      std::vector<hsize_t> dims(static_cast<size_t>(H5Tget_array_ndims(type)));
      H5Tget_array_dims2(type, dims.data());
      return H5Tarray_create2(memory, static_cast<unsigned>(dims.size()), dims.data());
    }
    case H5T_ENUM: {
      // An enum of the widened base, members converted with it.
      Id base(H5Tget_super(type), H5Tclose);
      Id wide(memory_type(base), H5Tclose);
      hid_t m = H5Tenum_create(wide);
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        auto n = static_cast<unsigned>(i);
        uint8_t value[16] = {};
        char* name = H5Tget_member_name(type, n);
        H5Tget_member_value(type, n, value);
        H5Tconvert(base, wide, 1, value, nullptr, H5P_DEFAULT);
        H5Tenum_insert(m, name, value);
        H5free_memory(name);
      }
      return m;
    }
    default:
      return H5Tcopy(type);
  }
}

void add_value(Hash& hash, hid_t type, const uint8_t* p) {
  size_t size = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_FLOAT:
      return hash.add_float(p, size);
    case H5T_STRING: {
      if (H5Tis_variable_str(type) > 0) {
        const char* text;
        std::memcpy(&text, p, sizeof(text));
        return hash.add_text(text ? text : "");
      }
      H5T_str_t pad = H5Tget_strpad(type);
      std::string_view text(reinterpret_cast<const char*>(p), size);
      return hash.add_text(trimmed(text, pad == H5T_STR_NULLTERM  ? Pad::kNullTerminated
                                         : pad == H5T_STR_NULLPAD ? Pad::kNullPadded
                                                                  : Pad::kSpacePadded));
    }
    case H5T_COMPOUND:
      for (int i = 0; i < H5Tget_nmembers(type); ++i) {
        auto n = static_cast<unsigned>(i);
        Id member(H5Tget_member_type(type, n), H5Tclose);
        add_value(hash, member, p + H5Tget_member_offset(type, n));
      }
      return;
    case H5T_VLEN: {
      Id base(H5Tget_super(type), H5Tclose);
      hvl_t v;
      std::memcpy(&v, p, sizeof(v));
      hash.add_u64(v.p ? v.len : 0);
      size_t step = H5Tget_size(base);
      for (size_t i = 0; v.p && i < v.len; ++i) {
        add_value(hash, base, static_cast<const uint8_t*>(v.p) + i * step);
      }
      return;
    }
    case H5T_ARRAY: {
      Id base(H5Tget_super(type), H5Tclose);
      size_t step = H5Tget_size(base);
      for (size_t i = 0; step > 0 && i < size / step; ++i) add_value(hash, base, p + i * step);
      return;
    }
    case H5T_REFERENCE: {
      uint64_t address = 0;
      if (H5Tequal(type, H5T_STD_REF_DSETREG) > 0) return hash.add(p, size);
      std::memcpy(&address, p, std::min<size_t>(size, 8));
      return hash.add_u64(address);
    }
    default:
      hash.add(p, size);
  }
}

std::string hash_values(hid_t memory, const std::vector<uint8_t>& data, size_t count) {
  Hash hash;
  size_t size = H5Tget_size(memory);
  for (size_t i = 0; i < count; ++i) add_value(hash, memory, data.data() + i * size);
  return hash.hex();
}

std::string last_error() {
  std::string text = "libhdf5 failed";
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_UPWARD,
      [](unsigned n, const H5E_error2_t* e, void* out) -> herr_t {
        if (n == 0 && e->desc) *static_cast<std::string*>(out) = e->desc;
        return 0;
      },
      &text);
  return text;
}

std::vector<hsize_t> extents(hid_t space, std::vector<hsize_t>* most = nullptr) {
  int rank = H5Sget_simple_extent_ndims(space);
  std::vector<hsize_t> dims(static_cast<size_t>(std::max(rank, 0))), max(dims.size());
  if (rank > 0) H5Sget_simple_extent_dims(space, dims.data(), max.data());
  if (most) *most = max;
  return dims;
}

std::string attribute_json(hid_t attribute) {
  Id type(H5Aget_type(attribute), H5Tclose);
  Id space(H5Aget_space(attribute), H5Sclose);
  if (type < 0 || space < 0) return "{\"error\":" + json_text(last_error()) + "}";
  Id memory(memory_type(type), H5Tclose);
  // Datasets keep attributes in memory form, so that is what can be compared.
  std::string out = "{\"type\":" + json_text(type_text(memory));
  if (H5Sget_simple_extent_type(space) == H5S_NULL) return out + ",\"null\":true}";
  out += ",\"shape\":" + json_list(extents(space));
  auto count = static_cast<size_t>(H5Sget_simple_extent_npoints(space));
  std::vector<uint8_t> data(count * H5Tget_size(memory) + 1);
  if (H5Aread(attribute, memory, data.data()) < 0) {
    return out + ",\"error\":" + json_text(last_error()) + "}";
  }
  out += ",\"hash\":\"" + hash_values(memory, data, count) + "\"";
  if (count > 0) H5Dvlen_reclaim(memory, space, H5P_DEFAULT, data.data());
  return out + "}";
}

std::string attributes_json(hid_t object) {
  std::string out;
  herr_t status = H5Aiterate2(
      object, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
      [](hid_t where, const char* name, const H5A_info_t*, void* text) -> herr_t {
        auto& json = *static_cast<std::string*>(text);
        Id attribute(H5Aopen(where, name, H5P_DEFAULT), H5Aclose);
        if (!json.empty()) json += ",";
        json += json_text(name) + ":" +
                (attribute < 0 ? "{\"error\":" + json_text(last_error()) + "}"
                               : attribute_json(attribute));
        return 0;
      },
      &out);
  return status < 0 ? "null" : "{" + out + "}";
}

// Positions of all chunks that were written, in the order of their coordinates.
std::string chunks_json(hid_t dataset, hid_t space, size_t rank) {
  hsize_t count = 0;
  if (H5Dget_num_chunks(dataset, space, &count) < 0 || count > kMostListed) return "";
  std::vector<std::vector<uint64_t>> all;
  for (hsize_t i = 0; i < count; ++i) {
    std::vector<hsize_t> offset(rank);
    unsigned mask = 0;
    haddr_t address = 0;
    hsize_t size = 0;
    if (H5Dget_chunk_info(dataset, space, i, offset.data(), &mask, &address, &size) < 0) return "";
    std::vector<uint64_t> row(offset.begin(), offset.end());
    row.insert(row.end(), {mask, address, size});
    all.push_back(row);
  }
  std::sort(all.begin(), all.end());
  Hash hash;
  for (const auto& row : all) {
    for (uint64_t v : row) hash.add_u64(v);
  }
  return ",\"chunks\":" + std::to_string(count) + ",\"chunks_hash\":\"" + hash.hex() + "\"";
}

std::string layout_json(hid_t dataset, hid_t space, hid_t plist, size_t rank) {
  static const char* const kNames[] = {"compact", "contiguous", "chunked", "virtual"};
  H5D_layout_t layout = H5Pget_layout(plist);
  std::string out;
  if (layout >= 0 && layout < 4) out = ",\"layout\":\"" + std::string(kNames[layout]) + "\"";
  if (layout == H5D_CHUNKED) {
    std::vector<hsize_t> chunk(rank);
    H5Pget_chunk(plist, static_cast<int>(rank), chunk.data());
    out += ",\"chunk\":" + json_list(chunk) + chunks_json(dataset, space, rank);
  }
  out += ",\"filters\":[";
  bool available = true;
  for (int i = 0; i < H5Pget_nfilters(plist); ++i) {
    unsigned flags = 0, config = 0;
    size_t values = 0;
    H5Z_filter_t id = H5Pget_filter2(plist, static_cast<unsigned>(i), &flags, &values, nullptr, 0,
                                     nullptr, &config);
    out += (i > 0 ? "," : "") + std::to_string(id);
    available = available && H5Zfilter_avail(id) > 0;
  }
  out += "]";
  if (!available) out += ",\"no_filter\":true";
  return out;
}

std::string fill_json(hid_t plist, hid_t type, hid_t memory) {
  H5D_fill_value_t defined = H5D_FILL_VALUE_UNDEFINED;
  if (H5Pfill_value_defined(plist, &defined) < 0 || defined != H5D_FILL_VALUE_USER_DEFINED ||
      has_vlen_text(type_text(type))) {
    return "";
  }
  std::vector<uint8_t> value(H5Tget_size(memory) + 1);
  if (H5Pget_fill_value(plist, memory, value.data()) < 0) return "";
  return ",\"fill\":\"" + hash_values(memory, value, 1) + "\"";
}

std::string values_json(hid_t dataset, hid_t space, hid_t type, hid_t memory,
                        const std::vector<hsize_t>& shape, bool never_filled) {
  uint64_t rows = rows_compared(shape, H5Tget_size(type));
  std::vector<hsize_t> start(shape.size()), count(shape);
  if (!shape.empty()) count[0] = rows;
  uint64_t elements = 1;
  for (hsize_t n : count) elements *= n;
  if (rows == 0 && (shape.empty() || shape[0] != 0)) return ",\"too_big\":true";
  std::vector<uint8_t> data(elements * H5Tget_size(memory) + 1);
  if (elements > 0) {
    Id box(shape.empty() ? H5Scopy(space)
                         : H5Screate_simple(static_cast<int>(shape.size()), count.data(), nullptr),
           H5Sclose);
    if (!shape.empty()) {
      H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr);
    }
    if (H5Dread(dataset, memory, box, space, H5P_DEFAULT, data.data()) < 0) {
      return ",\"error\":" + json_text(last_error());
    }
    std::string hash = hash_values(memory, data, elements);
    std::string out = ",\"hash\":\"" + hash + "\"";
    // Elements that were never written and never filled stay what the buffer held before.
    if (never_filled && H5Tdetect_class(memory, H5T_VLEN) == 0 && !has_vlen_text(type_text(type))) {
      std::fill(data.begin(), data.end(), uint8_t{0xa5});
      H5Dread(dataset, memory, box, space, H5P_DEFAULT, data.data());
      if (hash_values(memory, data, elements) != hash) return ",\"undefined\":true";
    }
    H5Dvlen_reclaim(memory, box, H5P_DEFAULT, data.data());
    return out;
  }
  return ",\"hash\":\"" + hash_values(memory, data, 0) + "\"";
}

void print_dataset(const std::string& path, hid_t dataset, haddr_t address) {
  Id space(H5Dget_space(dataset), H5Sclose);
  Id type(H5Dget_type(dataset), H5Tclose);
  Id plist(H5Dget_create_plist(dataset), H5Pclose);
  std::string out = "{\"path\":" + json_text(path) +
                    ",\"kind\":\"array\",\"addr\":" + std::to_string(address) +
                    ",\"attrs\":" + attributes_json(dataset);
  if (space < 0 || type < 0 || plist < 0) {
    printf("%s,\"error\":%s}\n", out.c_str(), json_text(last_error()).c_str());
    return;
  }
  out += ",\"type\":" + json_text(type_text(type));
  std::vector<hsize_t> most;
  std::vector<hsize_t> shape = extents(space, &most);
  bool null = H5Sget_simple_extent_type(space) == H5S_NULL;
  if (null) {
    out += ",\"null\":true";
  } else {
    out += ",\"shape\":" + json_list(shape) + ",\"max\":" + json_list(most);
  }
  Id memory(memory_type(type), H5Tclose);
  out += layout_json(dataset, space, plist, shape.size());
  out += fill_json(plist, type, memory);
  H5D_fill_time_t fill_time = H5D_FILL_TIME_IFSET;
  H5Pget_fill_time(plist, &fill_time);
  if (!null) {
    out += values_json(dataset, space, type, memory, shape, fill_time == H5D_FILL_TIME_NEVER);
  }
  printf("%s}\n", out.c_str());
  fflush(stdout);
}

struct Walk {
  std::set<std::pair<unsigned long, haddr_t>> ancestors;
};

void visit(hid_t where, const std::string& name, const std::string& path, Walk& walk);

void print_group(const std::string& path, hid_t group, const H5O_info_t& info, Walk& walk) {
  printf("{\"path\":%s,\"kind\":\"group\",\"addr\":%llu,\"attrs\":%s}\n",
         json_text(path.empty() ? "/" : path).c_str(), static_cast<unsigned long long>(info.addr),
         attributes_json(group).c_str());
  fflush(stdout);
  std::vector<std::string> names;
  if (H5Literate(
          group, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
          [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
            static_cast<std::vector<std::string>*>(out)->push_back(name);
            return 0;
          },
          &names) < 0) {
    if (path.empty()) {  // nothing can be reached
      printf("{\"kind\":\"file\",\"error\":%s}\n", json_text(last_error()).c_str());
    } else {
      printf("{\"path\":%s,\"kind\":\"error\",\"error\":%s}\n", json_text(path).c_str(),
             json_text(last_error()).c_str());
    }
    return;
  }
  if (!walk.ancestors.insert({info.fileno, info.addr}).second) return;
  for (const std::string& name : names) visit(group, name, path + "/" + name, walk);
  walk.ancestors.erase({info.fileno, info.addr});
}

void visit(hid_t where, const std::string& name, const std::string& path, Walk& walk) {
  if (++printed > kMaxObjects) return;
  H5L_info_t link;
  bool have_link = name == "/" || H5Lget_info(where, name.c_str(), &link, H5P_DEFAULT) >= 0;
  const char* link_kind = name == "/" || !have_link        ? "hard"
                          : link.type == H5L_TYPE_HARD     ? "hard"
                          : link.type == H5L_TYPE_SOFT     ? "soft"
                          : link.type == H5L_TYPE_EXTERNAL ? "external"
                                                           : "user";
  Id object(H5Oopen(where, name.c_str(), H5P_DEFAULT), H5Oclose);
  if (object < 0) {
    printf("{\"path\":%s,\"kind\":\"error\",\"link\":\"%s\",\"error\":%s}\n",
           json_text(path).c_str(), link_kind, json_text(last_error()).c_str());
    return;
  }
  H5O_info_t info;
  if (H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0) return;
  if (info.type == H5O_TYPE_GROUP) {
    if (walk.ancestors.count({info.fileno, info.addr}) > 0) return;
    print_group(path, object, info, walk);
  } else if (info.type == H5O_TYPE_DATASET) {
    print_dataset(path, object, info.addr);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: hdf5_oracle FILE\n");
    return 64;
  }
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  Id access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  Id file(H5Fopen(argv[1], H5F_ACC_RDONLY, access), H5Fclose);
  if (file < 0) {
    printf("{\"kind\":\"file\",\"error\":%s}\n", json_text(last_error()).c_str());
    return 65;
  }
  hsize_t user_block = 0;
  Id create(H5Fget_create_plist(file), H5Pclose);
  H5Pget_userblock(create, &user_block);
  printf("{\"kind\":\"file\",\"user_block\":%llu}\n", static_cast<unsigned long long>(user_block));
  Walk walk;
  visit(file, "/", "", walk);
  fflush(stdout);
  _Exit(0);  // closing a damaged file may crash the library
}
