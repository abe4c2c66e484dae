// Prints what our scan and read path give for a file, in the lines of the oracles (canonical.hpp).
// upwell_dump FILE

#include <cstdio>
#include <set>
#include <string>
#include <vector>

#include "canonical.hpp"
#include "cube/read.hpp"
#include "format/format.hpp"
#include "refs/open.hpp"

namespace {

using namespace upwell;
using namespace upwell::oracle;

std::string order_text(const DataType& type) {
  if (type.size == 1) return "";
  return type.order == ByteOrder::kBig ? "be" : type.order == ByteOrder::kVax ? "vax" : "le";
}

std::string bits_text(const DataType& type) {
  if (!type.layout) return "";
  return "{" + std::to_string(type.layout->precision) + "@" + std::to_string(type.layout->offset) +
         "}";
}

std::string type_text(const DataType& type) {
  std::string size = std::to_string(type.size);
  switch (type.kind) {
    case Kind::kInt:
      return "i" + size + order_text(type) + bits_text(type);
    case Kind::kUint:
      return "u" + size + order_text(type) + bits_text(type);
    case Kind::kBitfield:
      return "b" + size + order_text(type) + bits_text(type);
    case Kind::kTime:
      return "t" + size;
    case Kind::kFloat: {
      std::string text = "f" + size + order_text(type);
      if (!type.layout) return text;
      const BitLayout& l = *type.layout;
      char more[160];
      snprintf(more, sizeof(more), "{%u@%u s%u e%u:%u m%u:%u b%u n%d}", l.precision, l.offset,
               l.sign_position, l.exponent_position, l.exponent_size, l.mantissa_position,
               l.mantissa_size, l.exponent_bias, l.mantissa_norm);
      return text + more;
    }
    case Kind::kString:
      return "s" + size +
             (type.padding == StringPadding::kNullTerminated ? "nt"
              : type.padding == StringPadding::kNullPadded   ? "np"
                                                             : "sp") +
             (type.utf8 ? "utf8" : "");
    case Kind::kVlenString:
      return std::string("vs") + (type.utf8 ? "utf8" : "");
    case Kind::kOpaque:
      return "o" + size + "(" + type.tag + ")";
    case Kind::kCompound: {
      std::string placed, plain;
      for (const Member& m : type.members) {
        std::string text = type_text(*m.type);
        placed += m.name + "@" + std::to_string(m.offset) + ":" + text + ";";
        plain += m.name + ":" + text + ";";
      }
      return has_vlen_text(plain) ? "c{" + plain + "}" : "c" + size + "{" + placed + "}";
    }
    case Kind::kEnum: {
      std::string text = "e(" + type_text(*type.base) + "){";
      std::set<std::string> entries;
      for (const EnumValue& v : type.values) {
        std::string entry = v.name + "=";
        for (uint8_t byte : v.value) {
          char hex[3];
          snprintf(hex, sizeof(hex), "%02x", byte);
          entry += hex;
        }
        entries.insert(entry + ";");
      }
      for (const std::string& entry : entries) text += entry;
      return text + "}";
    }
    case Kind::kVlen:
      return "v(" + type_text(*type.base) + ")";
    case Kind::kArray:
      return "a" + json_list(type.dims) + "(" + type_text(*type.base) + ")";
    case Kind::kReference:
      return "ref";
    case Kind::kRegionReference:
      return "rref";
    default:
      return describe(type);
  }
}

Pad pad_of(StringPadding padding) {
  return padding == StringPadding::kNullTerminated ? Pad::kNullTerminated
         : padding == StringPadding::kNullPadded   ? Pad::kNullPadded
                                                   : Pad::kSpacePadded;
}

void add_value(Hash& hash, const DataType& type, const uint8_t* p, const Bytes& heap) {
  switch (type.kind) {
    case Kind::kFloat:
      return hash.add_float(p, type.size);
    case Kind::kString: {
      std::string_view text(reinterpret_cast<const char*>(p), type.size);
      return hash.add_text(trimmed(text, pad_of(type.padding)));
    }
    case Kind::kVlenString: {
      VlenHandle h;
      std::memcpy(&h, p, sizeof(h));
      std::string_view text = as_text(ByteSpan(heap)).substr(h.offset, h.count);
      return hash.add_text(trimmed(text, Pad::kNullTerminated));  // libhdf5 gives C strings
    }
    case Kind::kVlen: {
      VlenHandle h;
      std::memcpy(&h, p, sizeof(h));
      hash.add_u64(h.count);
      for (uint64_t i = 0; i < h.count; ++i) {
        add_value(hash, *type.base, heap.data() + h.offset + i * type.base->size, heap);
      }
      return;
    }
    case Kind::kArray:
      for (uint64_t i = 0, n = element_count(type.dims); i < n; ++i) {
        add_value(hash, *type.base, p + i * type.base->size, heap);
      }
      return;
    case Kind::kCompound:
      for (const Member& m : type.members) add_value(hash, *m.type, p + m.offset, heap);
      return;
    case Kind::kReference: {
      uint64_t address = 0;
      std::memcpy(&address, p, std::min<size_t>(type.size, 8));
      return hash.add_u64(address);
    }
    default:
      hash.add(p, type.size);
  }
}

std::string hash_values(const Values& values) {
  Hash hash;
  for (uint64_t i = 0, n = values.count(); i < n; ++i) {
    add_value(hash, values.type, values.data.data() + i * values.type.size, values.heap);
  }
  return hash.hex();
}

std::string error_json(const Error& error) {
  return "\"code\":" + json_text(to_string(error.code)) +
         ",\"error\":" + json_text(error.to_string());
}

// The stored type of an attribute is not kept: its memory type is what can be compared.
std::string attributes_json(const Attributes& attributes) {
  std::string out;
  for (const Attribute& a : attributes) {
    if (!out.empty()) out += ",";
    out += json_text(a.name) + ":{\"type\":" + json_text(type_text(a.value.type));
    out += a.null_space ? ",\"null\":true}"
                        : ",\"shape\":" + json_list(a.value.shape) + ",\"hash\":\"" +
                              hash_values(a.value) + "\"}";
  }
  return "{" + out + "}";
}

bool list_chunks = false;

std::string chunks_json(const Segment& segment) {
  uint64_t places = segment.chunks->size();
  if (places > kMostChunks) return "";
  std::vector<uint64_t> positions(places);
  for (uint64_t i = 0; i < places; ++i) positions[i] = i;
  std::vector<ChunkRef> refs(places);
  if (Result<> found = segment.chunks->lookup(positions, refs.data()); !found) return "";
  Hash hash;
  std::string table;
  uint64_t count = 0;
  for (uint64_t i = 0; i < places; ++i) {
    if (refs[i].state != ChunkRef::State::kStored) continue;
    ++count;
    Shape at(segment.grid.size());
    uint64_t rest = i;
    for (size_t d = at.size(); d-- > 0; rest /= segment.grid[d]) {
      at[d] = rest % segment.grid[d] * segment.layout->chunk_shape[d];
    }
    for (uint64_t v : at) hash.add_u64(v);
    // Partial edge chunks that are never filtered have a mask of all ones here and none in libhdf5.
    hash.add_u64(refs[i].filter_mask == ~0U ? 0 : refs[i].filter_mask);
    hash.add_u64(refs[i].offset);
    hash.add_u64(refs[i].length);
    if (!list_chunks) continue;
    table += (table.empty() ? "" : ",") + ("[" + json_list(at)) + "," +
             std::to_string(refs[i].offset) + "," + std::to_string(refs[i].length) + "," +
             std::to_string(refs[i].filter_mask) + "," + std::to_string(refs[i].granule) + "]";
  }
  if (list_chunks) return ",\"table\":[" + table + "]";
  return ",\"chunks\":" + std::to_string(count) + ",\"chunks_hash\":\"" + hash.hex() + "\"";
}

std::string layout_json(const Array& array) {
  if (array.segments.empty()) return ",\"segments\":0";
  const Segment& segment = array.segments[0];
  std::string out = ",\"segments\":" + std::to_string(array.segments.size()) +
                    ",\"chunk\":" + json_list(segment.layout->chunk_shape) + ",\"codecs\":[";
  for (const auto& codec : segment.layout->codecs) {
    out += (out.back() == '[' ? "" : ",") + json_text(codec.id);
  }
  return out + "]" + chunks_json(segment);
}

std::string fill_json(const Array& array) {
  if (!array.fill || array.type.has_vlen()) return "";
  Values value;
  value.type = memory_type(array.type);
  value.data.resize(value.type.size);
  if (array.fill->size() != array.type.size || !to_memory(array.type, *array.fill, 1, value.data)) {
    return ",\"fill\":\"broken\"";
  }
  return ",\"fill\":\"" + hash_values(value) + "\"";
}

std::string values_json(io::Session& session, const Dataset& dataset, const Array& array) {
  uint64_t rows = rows_compared(array.shape, array.type.size);
  if (rows == 0 && (array.shape.empty() || array.shape[0] != 0)) return ",\"too_big\":true";
  Selection selection;
  if (!array.shape.empty()) {
    selection.origin = Shape(array.shape.size());
    selection.shape = array.shape;
    selection.shape[0] = rows;
  }
  ReadOptions options;
  options.memory_budget = 32 << 20;
  Result<Values> values = read_raw(session, dataset, array, selection, options);
  if (!values) return "," + error_json(values.error());
  return ",\"hash\":\"" + hash_values(*values) + "\"";
}

void print_group(io::Session& session, const Dataset& dataset, const Group& group,
                 const std::string& path) {
  std::string dims;
  for (const Dimension& d : group.dimensions) {
    dims += (dims.empty() ? "[" : ",[") + json_text(d.name) + "," + std::to_string(d.size) +
            (d.unlimited ? ",true]" : ",false]");
  }
  printf("{\"path\":%s,\"kind\":\"group\",\"attrs\":%s,\"dims\":[%s]}\n",
         json_text(path.empty() ? "/" : path).c_str(), attributes_json(group.attributes).c_str(),
         dims.c_str());
  for (const Array& array : group.arrays) {
    std::string out = "{\"path\":" + json_text(path + "/" + array.name) +
                      ",\"kind\":\"array\",\"attrs\":" + attributes_json(array.attributes) +
                      ",\"type\":" + json_text(type_text(array.type));
    if (array.null_space) {
      out += ",\"null\":true";
    } else {
      out += ",\"shape\":" + json_list(array.shape) +
             ",\"max\":" + json_list(array.max_shape.empty() ? array.shape : array.max_shape) +
             layout_json(array) + fill_json(array) + values_json(session, dataset, array);
    }
    out += ",\"dims\":[";
    for (const std::string& name : array.dimensions) {
      out += (out.back() == '[' ? "" : ",") + json_text(name);
    }
    printf("%s]}\n", out.c_str());
  }
  for (const Group& child : group.groups) {
    print_group(session, dataset, child, path + "/" + child.name);
  }
}

}  // namespace

int main(int argc, char** argv) {
  // --source: as the program opens it, reference sets and DMR++ too, with every chunk.
  const bool as_source = argc == 3 && std::string_view(argv[1]) == "--source";
  if (argc != 2 && !as_source) {
    fprintf(stderr, "usage: upwell_dump [--source] FILE\n");
    return 64;
  }
  list_chunks = as_source;
  io::SessionOptions options;
  options.cache_bytes = 16 << 20;
  io::Session session(options);
  // What netCDF-4 and dimension scales hide is compared too.
  format::ScanOptions scan_options;
  scan_options.all_attributes = true;
  Result<Dataset> dataset = as_source
                                ? refs::open_source(session, argv[2])
                                : format::scan(session, io::normal_url(argv[1]), scan_options);
  if (!dataset) {
    printf("{\"kind\":\"file\",%s}\n", error_json(dataset.error()).c_str());
    return exit_status(dataset.error().code);
  }
  printf("{\"kind\":\"file\",\"format\":%s}\n", json_text(dataset->format).c_str());
  for (const Problem& problem : dataset->problems) {
    printf("{\"kind\":\"problem\",\"path\":%s,%s}\n", json_text(problem.path).c_str(),
           error_json(problem.error).c_str());
  }
  print_group(session, *dataset, dataset->root, "");
  fflush(stdout);
  return 0;
}
