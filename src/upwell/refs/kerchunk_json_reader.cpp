#include "refs/kerchunk_json_reader.hpp"

#include <fmt/format.h>
#include <simdjson.h>

#include <charconv>
#include <functional>

#include "refs/base64.hpp"
#include "refs/kerchunk_templates.hpp"
#include "refs/reference_tree.hpp"

namespace upwell::refs {
namespace {

namespace od = simdjson::ondemand;

constexpr uint64_t kMaxOffset = uint64_t{1} << 62;
constexpr std::string_view kBase64Prefix = "base64:";

tl::unexpected<Error> json_error(simdjson::error_code error, const std::string& what) {
  return fail(Code::kInvalidData, what + ": " + simdjson::error_message(error));
}

/// The bytes of an inline value.
Result<Bytes> inline_bytes(std::string_view text) {
  if (text.starts_with(kBase64Prefix)) return base64_decode(text.substr(kBase64Prefix.size()));
  return to_bytes(text);
}

/// Fills one array's chunks. The index comes with the first chunk, so that it knows the granule
/// that most of them share.
class ChunkFiller {
 public:
  ChunkFiller(uint64_t size, bool dense) : size_(size), dense_wanted_(dense) {}

  void set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length) {
    prepare(granule);
    if (dense_) {
      dense_->set(position, granule, offset, length);
    } else {
      sparse_->set(position, granule, offset, length);
    }
  }
  void set_inline(uint64_t position, Bytes bytes) {
    prepare(0);
    if (dense_) {
      dense_->set_inline(position, std::move(bytes));
    } else {
      sparse_->set_inline(position, std::move(bytes));
    }
  }
  std::shared_ptr<const ChunkIndex> finish() {
    prepare(0);
    if (dense_) return std::move(dense_);
    sparse_->finish();
    return std::move(sparse_);
  }

 private:
  void prepare(uint32_t granule) {
    if (dense_ || sparse_) return;
    if (dense_wanted_) {
      dense_ = std::make_shared<DenseChunkIndex>(size_, granule);
    } else {
      sparse_ = std::make_shared<SparseChunkIndex>(size_);
    }
  }
  uint64_t size_;
  bool dense_wanted_;
  std::shared_ptr<DenseChunkIndex> dense_;
  std::shared_ptr<SparseChunkIndex> sparse_;
};

/// One dimension of a "gen" entry.
struct GenDimension {
  std::string name;
  std::vector<int64_t> values;  // or, when empty, the range
  int64_t start = 0, step = 1;
  uint64_t count = 0;

  int64_t at(uint64_t i) const {
    return values.empty() ? start + static_cast<int64_t>(i) * step : values[i];
  }
};

struct GenEntry {
  std::string key, url, offset, length;
  bool ranged = false;
  std::vector<GenDimension> dimensions;
};

class KerchunkJsonReader {
 public:
  KerchunkJsonReader(const KerchunkJsonOptions& options, size_t document_size)
      : options_(options), dense_budget_(document_size / 4 + (uint64_t{64} << 10)) {}

  Result<Dataset> read(simdjson::padded_string_view text);

 private:
  using Visit = std::function<Result<>(std::string_view key, od::value value)>;

  Result<> first_pass(od::object root);
  Result<> second_pass(od::object root);
  Result<> each(od::object object, const Visit& visit);
  Result<> add_document(std::string_view key, od::value value);
  Result<> add_reference(std::string_view key, od::value value);
  Result<> add_list(ChunkFiller& filler, uint64_t position, od::array list);
  Result<> read_templates(od::value value);
  Result<> read_gen(od::value value);
  Result<GenEntry> read_gen_entry(od::object object);
  Result<GenDimension> read_gen_dimension(std::string name, od::value value);
  Result<> generate(const GenEntry& entry);
  Result<> generate_one(const GenEntry& entry,
                        const std::map<std::string, TemplateValue>& variables);
  Result<int64_t> rendered_number(const std::string& text,
                                  const std::map<std::string, TemplateValue>& variables);
  void prepare_fillers();
  Result<uint32_t> granule_of(std::string_view url);
  Result<uint32_t> intern(const std::string& url);

  const KerchunkJsonOptions& options_;
  uint64_t dense_budget_;
  bool version1_ = false;
  Templates templates_;
  std::vector<GenEntry> gen_;
  uint64_t generated_ = 0;
  ReferenceTree tree_;
  std::vector<ChunkFiller> fillers_;
  std::shared_ptr<GranuleTable> granules_ = std::make_shared<GranuleTable>();
  // References of one object follow each other mostly.
  std::string last_url_;
  uint32_t last_granule_ = 0;
  std::map<std::string, uint32_t, std::less<>> known_urls_;
};

Result<> KerchunkJsonReader::each(od::object object, const Visit& visit) {
  for (auto field : object) {
    std::string_view key;
    if (auto error = field.unescaped_key().get(key)) return json_error(error, "a key");
    od::value value;
    if (auto error = field.value().get(value)) {
      return json_error(error, "value of \"" + std::string(key.substr(0, 200)) + "\"");
    }
    UPWELL_CHECK(visit(key, value));
  }
  return {};
}

/// Text of a document: a string, or an object as it stands.
Result<> KerchunkJsonReader::add_document(std::string_view key, od::value value) {
  const std::string name = "reference \"" + std::string(key.substr(0, 200)) + "\"";
  od::json_type type;
  if (auto error = value.type().get(type)) return json_error(error, name);
  if (type == od::json_type::string) {
    std::string_view text;
    if (auto error = value.get_string().get(text)) return json_error(error, name);
    UPWELL_TRY(const Bytes bytes, inline_bytes(text));
    return tree_.add(key, std::string(as_text(bytes)));
  }
  if (type == od::json_type::object) {
    od::object object;
    std::string_view raw;
    if (auto error = value.get_object().get(object)) return json_error(error, name);
    if (auto error = object.raw_json().get(raw)) return json_error(error, name);
    return tree_.add(key, std::string(raw));
  }
  return fail(Code::kUnsupported, name + " is a metadata document that is not inline");
}

Result<> KerchunkJsonReader::first_pass(od::object root) {
  bool any = false;
  const Visit documents = [&](std::string_view key, od::value value) -> Result<> {
    any = true;
    if (!ReferenceTree::is_metadata(key)) return {};
    return add_document(key, value);
  };
  UPWELL_CHECK(each(root, [&](std::string_view key, od::value value) -> Result<> {
    if (key == "version") {
      int64_t version = 0;
      if (value.get_int64().get(version) != simdjson::SUCCESS || version != 1) {
        return fail(Code::kUnsupported, "kerchunk references of a version other than 1");
      }
      version1_ = true;
      return {};
    }
    if (key == "templates") return read_templates(value);
    if (key == "gen") return read_gen(value);
    if (key != "refs") return documents(key, value);
    version1_ = any = true;
    od::object refs;
    if (auto error = value.get_object().get(refs)) return json_error(error, "\"refs\"");
    return each(refs, documents);
  }));
  if (!any && gen_.empty()) return fail(Code::kInvalidData, "no references in it");
  return {};
}

Result<> KerchunkJsonReader::second_pass(od::object root) {
  const Visit references = [&](std::string_view key, od::value value) -> Result<> {
    if (ReferenceTree::is_metadata(key)) return {};
    auto done = add_reference(key, value);
    if (!done) {
      return fail(
          std::move(done).error().with("reference \"" + std::string(key.substr(0, 200)) + "\""));
    }
    return {};
  };
  return each(root, [&](std::string_view key, od::value value) -> Result<> {
    if (!version1_) return references(key, value);
    if (key != "refs") return {};
    od::object refs;
    if (auto error = value.get_object().get(refs)) return json_error(error, "\"refs\"");
    return each(refs, references);
  });
}

Result<uint32_t> KerchunkJsonReader::intern(const std::string& url) {
  UPWELL_TRY(const std::string resolved, options_.urls.resolve(url));
  return granules_->intern(Granule{resolved, {}, options_.urls.reach});
}

Result<uint32_t> KerchunkJsonReader::granule_of(std::string_view url) {
  if (!last_url_.empty() && url == last_url_) return last_granule_;
  const auto known = known_urls_.find(url);
  if (known != known_urls_.end()) {
    last_granule_ = known->second;
  } else if (!templates_.empty()) {
    UPWELL_TRY(const std::string rendered, templates_.render(url));
    UPWELL_TRY(last_granule_, intern(rendered));
    known_urls_.emplace(url, last_granule_);
  } else {
    UPWELL_TRY(last_granule_, intern(std::string(url)));
    known_urls_.emplace(url, last_granule_);
  }
  last_url_ = url;
  return last_granule_;
}

/// [url] or [url, offset, length].
Result<> KerchunkJsonReader::add_list(ChunkFiller& filler, uint64_t position, od::array list) {
  std::string_view url;
  uint64_t range[2] = {0, io::kToEnd};
  size_t n = 0;
  for (auto item : list) {
    od::value value;
    if (auto error = item.get(value)) return json_error(error, "value");
    if (n == 0) {
      if (value.is_null()) {
        return fail(Code::kUnsupported, "URL null stands for a target that the set does not name");
      }
      if (auto error = value.get_string().get(url)) return json_error(error, "URL");
    } else if (n <= 2) {
      if (auto error = value.get_uint64().get(range[n - 1])) {
        return json_error(error, n == 1 ? "offset" : "length");
      }
      if (range[n - 1] > kMaxOffset) return fail(Code::kInvalidData, "a range beyond 2^62");
    }
    ++n;
  }
  if (n != 1 && n != 3) {
    return fail(Code::kInvalidData, fmt::format("a list of {} items is no reference", n));
  }
  UPWELL_TRY(const uint32_t granule, granule_of(url));
  filler.set(position, granule, range[0], range[1]);
  return {};
}

Result<> KerchunkJsonReader::add_reference(std::string_view key, od::value value) {
  std::string_view chunk;
  const ReferenceArray* array = tree_.find(key, chunk);
  if (!array) return {};
  const auto position = chunk_position(array->zarr.keys, array->grid, chunk);
  if (!position) return {};
  ChunkFiller& filler = fillers_[static_cast<size_t>(array - tree_.arrays().data())];
  od::json_type type;
  if (auto error = value.type().get(type)) return json_error(error, "value");
  if (type == od::json_type::array) {
    od::array list;
    if (auto error = value.get_array().get(list)) return json_error(error, "value");
    return add_list(filler, *position, list);
  }
  if (type != od::json_type::string) {
    return fail(Code::kInvalidData, "neither text nor a list");
  }
  std::string_view text;
  if (auto error = value.get_string().get(text)) return json_error(error, "value");
  UPWELL_TRY(Bytes bytes, inline_bytes(text));
  filler.set_inline(*position, std::move(bytes));
  return {};
}

Result<> KerchunkJsonReader::read_templates(od::value value) {
  version1_ = true;
  od::object object;
  if (auto error = value.get_object().get(object)) return json_error(error, "\"templates\"");
  return each(object, [&](std::string_view name, od::value text) -> Result<> {
    std::string_view body;
    std::string owned(name);
    if (auto error = text.get_string().get(body)) return json_error(error, "template " + owned);
    templates_.define(std::move(owned), std::string(body));
    return {};
  });
}

Result<> KerchunkJsonReader::read_gen(od::value value) {
  version1_ = true;
  od::array list;
  if (auto error = value.get_array().get(list)) return json_error(error, "\"gen\"");
  for (auto item : list) {
    od::object object;
    if (auto error = item.get_object().get(object)) return json_error(error, "\"gen\" entry");
    UPWELL_TRY(GenEntry entry, read_gen_entry(object));
    gen_.push_back(std::move(entry));
  }
  return {};
}

Result<GenEntry> KerchunkJsonReader::read_gen_entry(od::object object) {
  GenEntry entry;
  bool has_offset = false;
  bool has_length = false;
  UPWELL_CHECK(each(object, [&](std::string_view name, od::value value) -> Result<> {
    if (name == "dimensions") {
      od::object dimensions;
      if (auto error = value.get_object().get(dimensions)) return json_error(error, "dimensions");
      return each(dimensions, [&](std::string_view dimension, od::value extent) -> Result<> {
        UPWELL_TRY(GenDimension read, read_gen_dimension(std::string(dimension), extent));
        entry.dimensions.push_back(std::move(read));
        return {};
      });
    }
    std::string* target = name == "key"      ? &entry.key
                          : name == "url"    ? &entry.url
                          : name == "offset" ? &entry.offset
                          : name == "length" ? &entry.length
                                             : nullptr;
    if (!target) return {};
    has_offset = has_offset || name == "offset";
    has_length = has_length || name == "length";
    const std::string what = "\"gen\": " + std::string(name);
    od::json_type type;
    if (auto error = value.type().get(type)) return json_error(error, what);
    if (type == od::json_type::number) {
      int64_t number = 0;
      if (auto error = value.get_int64().get(number)) return json_error(error, what);
      *target = std::to_string(number);
      return {};
    }
    std::string_view text;
    if (auto error = value.get_string().get(text)) return json_error(error, what);
    *target = std::string(text);
    return {};
  }));
  if (entry.key.empty() || entry.url.empty() || has_offset != has_length) {
    return fail(Code::kInvalidData,
                "a \"gen\" entry needs key and url, and offset and length both or neither");
  }
  entry.ranged = has_offset;
  return entry;
}

Result<GenDimension> KerchunkJsonReader::read_gen_dimension(std::string name, od::value value) {
  GenDimension out;
  out.name = std::move(name);
  const std::string what = "\"gen\": dimension " + out.name;
  od::json_type type;
  if (auto error = value.type().get(type)) return json_error(error, what);
  if (type == od::json_type::array) {
    od::array list;
    if (auto error = value.get_array().get(list)) return json_error(error, what);
    for (auto item : list) {
      int64_t number = 0;
      if (auto error = item.get_int64().get(number)) return json_error(error, what);
      out.values.push_back(number);
    }
    out.count = out.values.size();
    return out;
  }
  od::object range;
  if (auto error = value.get_object().get(range)) return json_error(error, what);
  int64_t stop = 0;
  UPWELL_CHECK(each(range, [&](std::string_view key, od::value bound) -> Result<> {
    int64_t* target = key == "start"  ? &out.start
                      : key == "stop" ? &stop
                      : key == "step" ? &out.step
                                      : nullptr;
    if (!target) return {};
    if (auto error = bound.get_int64().get(*target)) return json_error(error, what);
    return {};
  }));
  constexpr int64_t kBound = int64_t{1} << 60;
  if (out.step <= 0 || std::abs(out.start) > kBound || std::abs(stop) > kBound) {
    return fail(Code::kInvalidData, what + " has a range that makes no sense");
  }
  if (stop > out.start) out.count = static_cast<uint64_t>((stop - out.start - 1) / out.step) + 1;
  return out;
}

Result<int64_t> KerchunkJsonReader::rendered_number(
    const std::string& text, const std::map<std::string, TemplateValue>& variables) {
  UPWELL_TRY(const std::string rendered, templates_.render(text, variables));
  int64_t number = 0;
  const char* end = rendered.data() + rendered.size();
  const auto [p, error] = std::from_chars(rendered.data(), end, number);
  if (error != std::errc() || p != end || number < 0) {
    return fail(Code::kInvalidData, "\"gen\": \"" + text + "\" gives \"" + rendered.substr(0, 100) +
                                        "\", which is no length");
  }
  return number;
}

Result<> KerchunkJsonReader::generate_one(const GenEntry& entry,
                                          const std::map<std::string, TemplateValue>& variables) {
  UPWELL_TRY(const std::string key, templates_.render(entry.key, variables));
  std::string_view chunk;
  const ReferenceArray* array = tree_.find(key, chunk);
  const auto position = array ? chunk_position(array->zarr.keys, array->grid, chunk) : std::nullopt;
  if (!position) return {};
  UPWELL_TRY(const std::string url, templates_.render(entry.url, variables));
  UPWELL_TRY(const uint32_t granule, intern(url));
  int64_t offset = 0;
  uint64_t length = io::kToEnd;
  if (entry.ranged) {
    UPWELL_TRY(offset, rendered_number(entry.offset, variables));
    UPWELL_TRY(length, rendered_number(entry.length, variables));
  }
  fillers_[static_cast<size_t>(array - tree_.arrays().data())].set(
      *position, granule, static_cast<uint64_t>(offset), length);
  return {};
}

/// The Cartesian product of the dimensions, the last one fastest.
Result<> KerchunkJsonReader::generate(const GenEntry& entry) {
  uint64_t total = 1;
  for (const GenDimension& d : entry.dimensions) {
    if (d.count == 0) return {};
    if (d.count > options_.max_generated || total > options_.max_generated / d.count) {
      return fail(Code::kInvalidData, "\"gen\" makes too many references");
    }
    total *= d.count;
  }
  generated_ += total;
  if (generated_ > options_.max_generated) {
    return fail(Code::kInvalidData, "\"gen\" makes too many references");
  }
  std::map<std::string, TemplateValue> variables;
  for (uint64_t i = 0; i < total; ++i) {
    uint64_t rest = i;
    for (size_t d = entry.dimensions.size(); d > 0; --d) {
      const GenDimension& dimension = entry.dimensions[d - 1];
      variables[dimension.name] = dimension.at(rest % dimension.count);
      rest /= dimension.count;
    }
    UPWELL_CHECK(generate_one(entry, variables));
  }
  return {};
}

void KerchunkJsonReader::prepare_fillers() {
  for (const ReferenceArray& array : tree_.arrays()) {
    const bool dense = array.chunk_count <= dense_budget_;
    if (dense) dense_budget_ -= array.chunk_count;
    fillers_.emplace_back(array.chunk_count, dense);
  }
}

Result<Dataset> KerchunkJsonReader::read(simdjson::padded_string_view text) {
  od::parser parser;
  od::document document;
  od::object root;
  if (auto error = parser.iterate(text).get(document)) return json_error(error, "not JSON");
  if (auto error = document.get_object().get(root)) return json_error(error, "not JSON");
  UPWELL_CHECK(first_pass(root));
  UPWELL_CHECK(tree_.parse(options_.drop, /*shards=*/false, options_.arrays));
  for (const GenEntry& entry : gen_) {
    uint64_t n = 1;
    for (const GenDimension& d : entry.dimensions) {
      const bool much = d.count > 0 && n > options_.max_generated / d.count;
      n = much ? options_.max_generated : n * d.count;
    }
    dense_budget_ += n;
  }
  prepare_fillers();
  document.rewind();
  if (auto error = document.get_object().get(root)) return json_error(error, "not JSON");
  UPWELL_CHECK(second_pass(root));
  for (const GenEntry& entry : gen_) UPWELL_CHECK(generate(entry));
  auto& arrays = tree_.arrays();
  for (size_t i = 0; i < arrays.size(); ++i) arrays[i].chunks = fillers_[i].finish();
  if (tree_.empty()) {
    return fail(Code::kInvalidData, "JSON, but no reference set: it has no Zarr metadata");
  }
  return tree_.build(granules_, "kerchunk-json");
}

}  // namespace

bool looks_like_json(ByteSpan head) {
  size_t i = 0;
  if (head.size() >= 3 && head[0] == 0xEF && head[1] == 0xBB && head[2] == 0xBF) i = 3;
  while (i < head.size() &&
         (head[i] == ' ' || head[i] == '\n' || head[i] == '\r' || head[i] == '\t')) {
    ++i;
  }
  return i < head.size() && head[i] == '{';
}

Result<Dataset> read_kerchunk_json(ByteSpan text, const KerchunkJsonOptions& options) {
  if (text.size() >= simdjson::SIMDJSON_MAXSIZE_BYTES) {
    return fail(Code::kUnsupported, "a reference document of 4 GiB or more; use Parquet");
  }
  constexpr uint8_t kByteOrderMark[] = {0xEF, 0xBB, 0xBF};
  if (text.size() >= 3 && std::equal(kByteOrderMark, kByteOrderMark + 3, text.begin())) {
    text = text.subspan(3);
  }
  try {
    const simdjson::padded_string padded(reinterpret_cast<const char*>(text.data()), text.size());
    return KerchunkJsonReader(options, text.size()).read(padded);
  } catch (const std::bad_alloc&) {
    return fail(Code::kResourceExhausted, "no memory for the reference document");
  }
}

}  // namespace upwell::refs
