#include "refs/dmrpp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "format/hdf5/heap_resolver.hpp"
#include "refs/combine.hpp"
#include "refs/dmrpp_chunks.hpp"
#include "refs/dmrpp_values.hpp"
#include "refs/dmrpp_xml.hpp"

namespace upwell::refs {
namespace {

constexpr int kMaxDmrDepth = 64;
constexpr uint64_t kMaxDmrElements = uint64_t{1} << 62;
constexpr uint32_t kMaxDmrItem = 1U << 26;
// Of an HDF5 string of variable length, with addresses of 8 bytes.
constexpr uint32_t kHandleBytes = 16;
constexpr std::string_view kDmrSuffix = ".dmrpp";
constexpr std::string_view kDataTemplate = "OPeNDAP_DMRpp_DATA_ACCESS_URL";
constexpr std::string_view kSideTemplate = "OPeNDAP_DMRpp_SC_DATA_ACCESS_URL";

std::string attribute_text(const XmlElement& element, std::string_view name) {
  return std::string(element.attribute(name).value_or(""));
}

std::string last_part(std::string_view path) {
  return std::string(path.substr(path.rfind('/') + 1));
}

/// The URL up to its query, and the query.
std::pair<std::string, std::string> split_query(const std::string& url) {
  const size_t query = url.starts_with("http") ? std::min(url.find('?'), url.size()) : url.size();
  return {url.substr(0, query), url.substr(query)};
}

/// Where the document says its granule is.
Result<std::string> granule_url_of(const XmlElement& root, const DmrppOptions& options) {
  auto [path, query] = split_query(options.document_url);
  const std::string href = attribute_text(root, "href");
  if (!options.granule_url.empty()) {
    const std::string name = last_part(split_query(options.granule_url).first);
    const std::string told = last_part(split_query(href).first);
    if (told.empty() || told == kDataTemplate || told == name) return options.granule_url;
    return fail(Code::kInvalidData, "it describes " + told);
  }
  if (href.find("://") != std::string::npos) return options.urls.resolve(href);
  const bool suffixed = path.ends_with(kDmrSuffix);
  const std::string sibling = suffixed ? path.substr(0, path.size() - kDmrSuffix.size()) : "";
  const bool named = !href.empty() && href != kDataTemplate;
  if (suffixed && (!named || last_part(href) == last_part(sibling))) return sibling + query;
  if (!named) {
    return fail(Code::kInvalidData,
                "the document does not say which granule it describes, and its name does not end "
                "in .dmrpp");
  }
  return path.substr(0, path.rfind('/') + 1) + last_part(href) + query;
}

class DmrReader {
 public:
  DmrReader(io::Session& session, const XmlElement& root, const DmrppOptions& options)
      : root_(root),
        options_(options),
        place_{session, dataset_.granules, 0, {}, !root.attribute("version")} {
    place_.resolve = [this](std::string_view href) { return resolve(href); };
  }

  Result<Dataset> read() {
    UPWELL_TRY(const std::string url, granule_url_of(root_, options_));
    const bool beside = url == options_.granule_url;
    Granule granule{url, {}, beside ? options_.granule_reach : options_.urls.reach};
    // Where the granule cannot be asked for, reading its chunks will say why.
    if (auto info = place_.session.stat(url, granule.reach)) granule.info = *info;
    place_.granule = dataset_.granules->intern(granule);
    dataset_.format = "dmrpp";
    UPWELL_CHECK(define(root_, "", 0));
    UPWELL_CHECK(read_group(root_, "", dataset_.root, 0));
    return std::move(dataset_);
  }

 private:
  struct Defined {
    uint64_t size = 0;
    bool unlimited = false;
  };

  /// The object that an href of a chunk names. Containers of values that build_dmrpp put beside the
  /// granule have a placeholder that only OPeNDAP's server can fill.
  Result<uint32_t> resolve(std::string_view href) {
    if (href == kDataTemplate) return place_.granule;
    if (href == kSideTemplate) {
      return fail(
          Code::kUnsupported,
          "its values lie in a side file of OPeNDAP's, of which the document says not where");
    }
    UPWELL_TRY(const std::string url, options_.urls.resolve(std::string(href)));
    return place_.granules->intern(Granule{url, {}, options_.urls.reach});
  }

  // --- Dimensions and enumerations, before anything uses them ----------------------------------

  Result<> define(const XmlElement& group, const std::string& path, int depth) {
    if (depth > kMaxDmrDepth) return fail(Code::kInvalidData, "groups are nested too deep");
    for (XmlElement child = group.first_child(); child; child = child.next()) {
      const std::string name = attribute_text(child, "name");
      if (child.name() == "Dimension") {
        UPWELL_TRY(const uint64_t size, dmrpp_number(attribute_text(child, "size"), "size"));
        dimensions_[path + "/" + name] = {size, false};
      } else if (child.name() == "Enumeration") {
        auto type = enumeration(child);
        if (!type) {
          dataset_.problems.push_back({path + "/" + name, std::move(type).error()});
          continue;
        }
        enumerations_[path + "/" + name] = std::move(*type);
      } else if (child.name() == "Group") {
        UPWELL_CHECK(define(child, path + "/" + name, depth + 1));
      }
    }
    mark_unlimited(group, path);
    return {};
  }

  static Result<DataType> enumeration(const XmlElement& element) {
    const std::string base = attribute_text(element, "basetype");
    const auto type = dap4_type(base);
    if (!type || !type->is_number() || type->kind == Kind::kFloat) {
      return fail(Code::kInvalidData, "an enumeration of " + base);
    }
    DataType out;
    out.kind = Kind::kEnum;
    out.size = type->size;
    for (XmlElement value = element.first_child(); value; value = value.next()) {
      if (value.name() != "EnumConst") continue;
      UPWELL_TRY(const auto bytes, dmrpp_fill(*type, value.attribute("value").value_or("")));
      if (!bytes) return fail(Code::kInvalidData, "an enumeration value that is no number");
      out.values.push_back({attribute_text(value, "name"), *bytes});
    }
    out.base = std::make_shared<const DataType>(*type);
    return out;
  }

  /// <Attribute name="DODS_EXTRA" type="Container"> with one named Unlimited_Dimension.
  void mark_unlimited(const XmlElement& group, const std::string& path) {
    for (XmlElement extra = group.first_child(); extra; extra = extra.next()) {
      if (extra.name() != "Attribute" || attribute_text(extra, "name") != "DODS_EXTRA") continue;
      for (XmlElement named = extra.first_child(); named; named = named.next()) {
        if (attribute_text(named, "name") != "Unlimited_Dimension") continue;
        for (XmlElement value = named.first_child(); value; value = value.next()) {
          const auto it = dimensions_.find(path + "/" + last_part(value.text()));
          if (it != dimensions_.end()) it->second.unlimited = true;
        }
      }
    }
  }

  // --- Groups ----------------------------------------------------------------------------------

  Result<> read_group(const XmlElement& element, const std::string& path, Group& group, int depth) {
    if (depth > kMaxDmrDepth) return fail(Code::kInvalidData, "groups are nested too deep");
    auto attributes = dmrpp_attributes(element);
    if (attributes) {
      group.attributes = std::move(*attributes);
    } else {
      dataset_.problems.push_back({path.empty() ? "/" : path, std::move(attributes).error()});
    }
    for (XmlElement child = element.first_child(); child; child = child.next()) {
      const std::string name = attribute_text(child, "name");
      if (child.name() == "Dimension") {
        const Defined& defined = dimensions_[path + "/" + name];
        group.dimensions.push_back({name, defined.size, defined.unlimited});
      } else if (child.name() == "Group") {
        Group below;
        below.name = name;
        UPWELL_CHECK(read_group(child, path + "/" + name, below, depth + 1));
        group.groups.push_back(std::move(below));
      } else if (is_variable(child)) {
        read_variable(child, path, group);
      }
    }
    return {};
  }

  static bool is_variable(const XmlElement& element) {
    const std::string_view name = element.name();
    return name != "Attribute" && name != "Enumeration" && name != "Dimension" && name != "Group" &&
           element.attribute("name");
  }

  void read_variable(const XmlElement& element, const std::string& path, Group& group) {
    const std::string full = path + "/" + attribute_text(element, "name");
    if (names_array(options_.drop, full)) {
      dataset_.dropped.push_back(full);
      return;
    }
    auto array = variable(element, path);
    if (array) {
      group.arrays.push_back(std::move(*array));
    } else {
      dataset_.problems.push_back({full, std::move(array).error()});
    }
  }

  // --- Variables -------------------------------------------------------------------------------

  Result<Array> variable(const XmlElement& element, const std::string& path) {
    Array array;
    array.name = attribute_text(element, "name");
    UPWELL_CHECK(read_dims(element, path, array));
    UPWELL_TRY(array.attributes, dmrpp_attributes(element));
    UPWELL_TRY(array.type, type_of(element, path, 0));
    const XmlElement chunks = element.child("chunks");
    if (chunks && attribute_text(chunks, "byteOrder") == "BE") {
      set_big_endian(array.type);
    }
    UPWELL_TRY(const bool is_inline, read_inline(element, array));
    if (!is_inline) UPWELL_CHECK(read_chunks(element, array));
    return array;
  }

  Result<> read_dims(const XmlElement& element, const std::string& path, Array& array) {
    uint64_t count = 1;
    bool unlimited = false;
    for (XmlElement dim = element.first_child(); dim; dim = dim.next()) {
      if (dim.name() != "Dim") continue;
      const std::string name = attribute_text(dim, "name");
      uint64_t size = 0;
      bool grows = false;
      if (name.empty()) {
        UPWELL_TRY(size, dmrpp_number(attribute_text(dim, "size"), "size"));
        array.dimensions.emplace_back();
      } else {
        UPWELL_TRY(const auto* defined, find_dimension(name, path));
        size = defined->second.size;
        grows = defined->second.unlimited;
        array.dimensions.push_back(name_in_scope(defined->first, path));
      }
      if (size != 0 && count > kMaxDmrElements / size) {
        return fail(Code::kInvalidData, "more than 2^62 elements");
      }
      count *= std::max<uint64_t>(size, 1);
      array.shape.push_back(size);
      array.max_shape.push_back(grows ? io::kToEnd : size);
      unlimited = unlimited || grows;
      if (array.shape.size() > 64) return fail(Code::kInvalidData, "more than 64 dimensions");
    }
    if (!unlimited) array.max_shape.clear();
    return {};
  }

  using DefinedDimension = std::pair<const std::string, Defined>;

  Result<const DefinedDimension*> find_dimension(const std::string& name, const std::string& path) {
    if (name.starts_with('/')) {
      const auto it = dimensions_.find(name);
      if (it != dimensions_.end()) return &*it;
    } else {
      for (std::string at = path;; at.resize(at.rfind('/'))) {
        const auto it = dimensions_.find(at + "/" + name);
        if (it != dimensions_.end()) return &*it;
        if (at.empty()) break;
      }
    }
    return fail(Code::kInvalidData, "dimension " + name + " is not defined");
  }

  /// The bare name where that finds the dimension from this group, else its path.
  std::string name_in_scope(const std::string& full, const std::string& path) {
    const std::string bare = last_part(full);
    auto found = find_dimension(bare, path);
    return found && (*found)->first == full ? bare : full.substr(1);
  }

  static void set_big_endian(DataType& type) {
    if (type.size > 1 || type.base || !type.members.empty()) type.order = ByteOrder::kBig;
    if (type.base) {
      DataType base = *type.base;
      set_big_endian(base);
      type.base = std::make_shared<const DataType>(std::move(base));
    }
    for (Member& member : type.members) {
      DataType part = *member.type;
      set_big_endian(part);
      member.type = std::make_shared<const DataType>(std::move(part));
    }
  }

  Result<DataType> type_of(const XmlElement& element, const std::string& path, int depth) {
    const std::string name(element.name());
    if (name == "Enum") {
      const std::string of = attribute_text(element, "enum");
      const auto it = enumerations_.find(of.starts_with('/') ? of : path + "/" + of);
      if (it == enumerations_.end()) {
        return fail(Code::kInvalidData, "enumeration " + of + " is not defined");
      }
      return it->second;
    }
    if (name == "Structure") return structure(element, path, depth);
    if (const auto type = dap4_type(name)) return *type;
    return fail(Code::kUnsupported, "variables of type " + name + " are not read");
  }

  /// Members follow each other without gaps, but for "structOffset": where the second one begins,
  /// the third, and so on, and how long the whole is.
  Result<DataType> structure(const XmlElement& element, const std::string& path, int depth) {
    if (depth > kMaxDmrDepth) return fail(Code::kInvalidData, "structures are nested too deep");
    DataType type;
    type.kind = Kind::kCompound;
    uint64_t offset = 0;
    for (XmlElement child = element.first_child(); child; child = child.next()) {
      const std::string_view kind = child.name();
      if (kind == "Dim" || kind == "Map" || kind == "chunks" || kind == "chunk" ||
          kind == "specialstructuredata" || kind == "compact" || !is_variable(child)) {
        continue;
      }
      UPWELL_TRY(DataType member, type_of(child, path, depth + 1));
      Array dims;
      UPWELL_CHECK(read_dims(child, path, dims));
      if (!dims.shape.empty()) {
        DataType block;
        block.kind = Kind::kArray;
        block.dims = dims.shape;
        const uint64_t size = element_count(dims.shape);
        if (size > kMaxDmrItem / std::max<uint32_t>(member.size, 1)) {
          return fail(Code::kInvalidData, "a structure of more than 64 MiB");
        }
        block.size = static_cast<uint32_t>(size * member.size);
        block.base = std::make_shared<const DataType>(std::move(member));
        member = std::move(block);
      }
      const uint32_t size = member.size;
      type.members.push_back({attribute_text(child, "name"), static_cast<uint32_t>(offset),
                              std::make_shared<const DataType>(std::move(member))});
      offset += size;
      if (offset > kMaxDmrItem) return fail(Code::kInvalidData, "a structure of more than 64 MiB");
    }
    if (type.members.empty()) return fail(Code::kInvalidData, "a structure without members");
    if (offset == 0 && !type.has_vlen())
      return fail(Code::kUnsupported, "a structure whose members have no elements");
    type.size = static_cast<uint32_t>(offset);
    UPWELL_CHECK(move_members(element, type));
    return type;
  }

  static Result<> move_members(const XmlElement& element, DataType& type) {
    const XmlElement chunks = element.child("chunks");
    const std::string offsets = chunks ? attribute_text(chunks, "structOffset") : "";
    std::string_view rest = offsets;
    if (rest.empty()) return {};
    uint64_t end = 0;
    for (size_t i = 0; i < type.members.size(); ++i) {
      rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
      const size_t length = std::min(rest.find(' '), rest.size());
      type.members[i].offset = static_cast<uint32_t>(end);
      UPWELL_TRY(const uint64_t next, dmrpp_number(rest.substr(0, length), "structOffset"));
      if (next < end + type.members[i].type->size || next > kMaxDmrItem) {
        return fail(Code::kInvalidData,
                    "structOffset \"" + offsets + "\" does not fit its members");
      }
      end = next;
      rest.remove_prefix(length);
    }
    type.size = static_cast<uint32_t>(end);
    return {};
  }

  /// True when the values are in the document.
  Result<bool> read_inline(const XmlElement& element, Array& array) {
    XmlElement data;
    for (const char* name : {"compact", "missingdata", "vlsa", "specialstructuredata"}) {
      if (!data) data = element.child(name);
    }
    if (!data) return false;
    const uint64_t count = element_count(array.shape);
    DataType type = array.type;
    if (element.child("FixedLengthStringArray")) {
      UPWELL_TRY(type, fixed_strings(element));
    }
    UPWELL_TRY(DmrppInline values, dmrpp_inline(data, type, count));
    auto layout = std::make_shared<SegmentLayout>();
    array.type = layout->type = values.type;
    if (array.type.is_number()) UPWELL_CHECK(read_fill(element.child("chunks"), array));
    layout->fill = array.fill;
    layout->codecs = std::move(values.codecs);
    layout->heap = std::move(values.heap);
    layout->chunk_shape = array.shape;
    for (uint64_t& extent : layout->chunk_shape) extent = std::max<uint64_t>(extent, 1);
    Shape grid = grid_shape(array.shape, layout->chunk_shape);
    auto index = std::make_shared<DenseChunkIndex>(element_count(grid), place_.granule);
    if (count > 0) index->set_inline(0, std::move(values.chunk));
    add_segment(array, std::move(layout), std::move(index), std::move(grid));
    return true;
  }

  static Result<DataType> fixed_strings(const XmlElement& element) {
    const XmlElement fixed = element.child("FixedLengthStringArray");
    UPWELL_TRY(const uint64_t length,
               dmrpp_number(attribute_text(fixed, "string_length"), "string_length"));
    if (length == 0 || length > kMaxDmrItem) {
      return fail(Code::kInvalidData, "a string_length that makes no sense");
    }
    DataType type = DataType::fixed_string(static_cast<uint32_t>(length));
    const std::string pad = attribute_text(fixed, "pad");
    if (pad == "space_pad") type.padding = StringPadding::kSpacePadded;
    if (pad == "null_term") type.padding = StringPadding::kNullTerminated;
    return type;
  }

  /// Strings in chunks are of fixed length: the one that is told, or else that of their bytes.
  Result<> settle_strings(const XmlElement& element, Array& array) {
    if (array.type.kind != Kind::kVlenString) return {};
    if (element.child("FixedLengthStringArray")) {
      UPWELL_TRY(array.type, fixed_strings(element));
      return {};
    }
    const XmlElement chunks = element.child("chunks");
    if (!(chunks ? chunks : element).child("chunk")) return {};  // all fill
    UPWELL_TRY(const auto length, dmrpp_element_bytes(element, array.shape));
    if (!length || *length == 0 || *length > kMaxDmrItem) {
      return fail(Code::kUnsupported, "the document does not say how long its strings are");
    }
    array.type = DataType::fixed_string(static_cast<uint32_t>(*length));
    return {};
  }

  /// Old documents give a string of variable length as the 16 bytes that HDF5 stores: 4 of its
  /// length, 8 of the address of a heap, of which no file needs the highest, and 4 that are not 0.
  /// A text has nothing behind a zero.
  Result<> tell_texts_from_handles(const ChunkIndex& chunks, Array& array, SegmentLayout& layout) {
    if (chunks.size() != 1) {
      return fail(
          Code::kUnsupported,
          "these 16 bytes may be texts or the addresses of some: the document does not say");
    }
    UPWELL_TRY(const ChunkRef ref, chunks.at(0));
    const Granule& granule = place_.granules->at(ref.granule);
    UPWELL_TRY(const SharedBytes bytes,
               place_.session.read_one(granule.url, {ref.offset, ref.length}, granule.reach));
    for (uint64_t at = 0; at + kHandleBytes <= bytes.size(); at += kHandleBytes) {
      const std::string_view text = as_text(bytes.span().subspan(at, kHandleBytes));
      const size_t zero = text.find('\0');
      if (zero == text.npos || text.find_first_not_of('\0', zero) == text.npos) continue;
      array.type = DataType::vlen_string();
      array.type.size = kHandleBytes;
      layout.heap = format::hdf5::make_heap_resolver({});
      return {};
    }
    return {};
  }

  static Result<> read_fill(const XmlElement& chunks, Array& array) {
    const auto text = chunks ? chunks.attribute("fillValue") : std::nullopt;
    if (!text) return {};
    if (array.type.kind == Kind::kVlenString && text->starts_with("unsupported")) {
      return fail(Code::kUnsupported,
                  "the document has no values of it (" + std::string(*text) + ")");
    }
    UPWELL_TRY(array.fill, dmrpp_fill(array.type, *text));
    return {};
  }

  Result<> read_chunks(const XmlElement& element, Array& array) {
    const XmlElement chunks = element.child("chunks");
    if (!chunks && !element.child("chunk")) {
      return fail(Code::kUnsupported, "the document does not say where its values are");
    }
    UPWELL_CHECK(settle_strings(element, array));
    UPWELL_CHECK(check_structure(element, array));
    UPWELL_TRY(DmrppChunks found, dmrpp_chunks(element, array.shape, array.type.size, place_));
    auto layout = std::make_shared<SegmentLayout>();
    if (array.type.kind == Kind::kString && array.type.size == kHandleBytes &&
        !element.child("FixedLengthStringArray")) {
      UPWELL_CHECK(tell_texts_from_handles(*found.chunks, array, *layout));
    }
    UPWELL_CHECK(read_fill(chunks, array));
    layout->type = array.type;
    layout->chunk_shape = std::move(found.chunk_shape);
    layout->codecs = std::move(found.codecs);
    layout->fill = array.fill;
    add_segment(array, std::move(layout), std::move(found.chunks), std::move(found.grid));
    return {};
  }

  /// Old documents do not say where members lie: then the bytes must be those of packed ones.
  static Result<> check_structure(const XmlElement& element, const Array& array) {
    if (array.type.kind != Kind::kCompound) return {};
    if (array.type.has_vlen()) {
      return fail(Code::kUnsupported, "the document does not say how long its strings are");
    }
    const XmlElement chunks = element.child("chunks");
    if (chunks && chunks.attribute("structOffset")) return {};
    UPWELL_TRY(const auto bytes, dmrpp_element_bytes(element, array.shape));
    if (bytes && *bytes != array.type.size) {
      return fail(Code::kUnsupported,
                  fmt::format("the document does not say where the members of its structures lie: "
                              "they have {} bytes, what is stored {}",
                              array.type.size, *bytes));
    }
    return {};
  }

  static void add_segment(Array& array, std::shared_ptr<SegmentLayout> layout,
                          std::shared_ptr<const ChunkIndex> chunks, Shape grid) {
    array.chunk_shape = layout->chunk_shape;
    Segment segment;
    segment.origin.assign(array.shape.size(), 0);
    segment.shape = array.shape;
    segment.layout = std::move(layout);
    segment.chunks = std::move(chunks);
    segment.grid = std::move(grid);
    array.segments.push_back(std::move(segment));
  }

  const XmlElement root_;
  const DmrppOptions& options_;
  Dataset dataset_;
  DmrppPlace place_;
  std::map<std::string, Defined> dimensions_;  // by path, "/a/x"
  std::map<std::string, DataType> enumerations_;
};

}  // namespace

bool looks_like_dmrpp(ByteSpan head) {
  const std::string_view text = as_text(head);
  const size_t dataset = text.find("<Dataset");
  const size_t first = text.find_first_not_of("\xef\xbb\xbf \t\r\n");
  return dataset != std::string_view::npos && first != std::string_view::npos &&
         text[first] == '<' && text.find("opendap.org/ns/DAP") != std::string_view::npos;
}

Result<Dataset> read_dmrpp(io::Session& session, ByteSpan text, const DmrppOptions& options) {
  UPWELL_TRY(const XmlDocument document, XmlDocument::parse(text));
  const XmlElement root = document.root();
  if (root.name() != "Dataset") {
    return fail(Code::kInvalidData,
                "not a DMR++: its element is " + std::string(root.name().substr(0, 60)));
  }
  return DmrReader(session, root, options).read();
}

}  // namespace upwell::refs
