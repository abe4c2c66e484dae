#include "refs/kerchunk_parquet_writer.hpp"

#include <limits>
#include <unordered_map>

#include "refs/parquet/writer.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

/// The rows of one refs.N.parq.
class RecordFile {
 public:
  explicit RecordFile(uint64_t rows) : rows_(rows) { clear(); }

  void clear() {
    path_ = parquet::OutColumn{"path", parquet::OutColumn::Kind::kText, {}, {}, {}};
    offset_ = parquet::OutColumn{"offset", parquet::OutColumn::Kind::kInt64, {}, {}, {}};
    size_ = parquet::OutColumn{"size", parquet::OutColumn::Kind::kInt64, {}, {}, {}};
    raw_ = parquet::OutColumn{"raw", parquet::OutColumn::Kind::kBytes, {}, {}, {}};
    numbers_.clear();
  }
  bool full() const { return offset_.integers.size() == rows_; }
  bool empty() const { return offset_.integers.empty(); }

  void add_missing() { add(parquet::OutColumn::kNull, 0, 0, parquet::OutColumn::kNull); }
  void add_inline(ByteSpan bytes) {
    raw_.values.emplace_back(as_text(bytes));
    add(parquet::OutColumn::kNull, 0, 0, static_cast<uint32_t>(raw_.values.size() - 1));
  }
  void add_stored(uint32_t granule, const OutputUrls& urls, int64_t offset, int64_t size) {
    auto [it, added] = numbers_.emplace(granule, static_cast<uint32_t>(path_.values.size()));
    if (added) path_.values.push_back(urls.url(granule));
    add(it->second, offset, size, parquet::OutColumn::kNull);
  }
  /// Readers count on full files.
  void pad() {
    while (!full()) add_missing();
  }
  Result<Bytes> bytes() const { return parquet::write_table({path_, offset_, size_, raw_}); }

 private:
  void add(uint32_t path, int64_t offset, int64_t size, uint32_t raw) {
    path_.rows.push_back(path);
    offset_.integers.push_back(offset);
    size_.integers.push_back(size);
    raw_.rows.push_back(raw);
  }

  uint64_t rows_;
  parquet::OutColumn path_, offset_, size_, raw_;
  std::unordered_map<uint32_t, uint32_t> numbers_;
};

class KerchunkParquet {
 public:
  KerchunkParquet(const Dataset& dataset, const ReferenceOutputOptions& options,
                  uint64_t record_size, const ObjectSink& sink, uint64_t& bytes_written)
      : dataset_(dataset),
        options_(options),
        urls_(*dataset.granules, options),
        record_size_(record_size),
        sink_(sink),
        bytes_written_(bytes_written) {}

  Result<ReferenceCounts> write() {
    Result<> result;
    for_each_array(dataset_.root, [&](const std::string& path, const Array& array) {
      if (result) result = chunks(path, array);
    });
    UPWELL_CHECK(result);
    UPWELL_CHECK(metadata());  // last: without it the directory is no reference set
    return counts_;
  }

  Result<> extend(const Dataset& store) {
    Result<> result;
    for_each_array(dataset_.root, [&](const std::string& path, const Array& array) {
      const Array* old = store.root.find_array(path);
      if (result && (old == nullptr || old->shape != array.shape))
        result = old == nullptr ? fail(Code::kInternal, path + " is new")
                                : grow(path, store, *old, array);
    });
    UPWELL_CHECK(result);
    return metadata();
  }
  const ReferenceCounts& counts() const { return counts_; }

 private:
  Result<> grow(const std::string& path, const Dataset& store, const Array& old,
                const Array& array) {
    if (array.segments.size() != 1 || old.segments.size() != 1 || array.shape.empty() ||
        array.chunk_shape != old.chunk_shape)
      return fail(Code::kInternal, path + " does not grow chunk by chunk");
    const Shape grid = grid_shape(array.shape, array.chunk_shape);
    const uint64_t total = element_count(grid);
    const uint64_t first = old.shape[0] / array.chunk_shape[0] * (total / grid[0]);
    RecordFile record(record_size_);
    uint64_t number = first / record_size_;
    for (uint64_t p = number * record_size_; p < total; ++p) {
      ChunkRef ref;
      const bool kept = p < first;
      UPWELL_CHECK((kept ? old : array).segments[0].chunks->lookup({&p, 1}, &ref));
      if (kept && ref.state == ChunkRef::State::kStored)
        ref.granule = dataset_.granules->intern(store.granules->at(ref.granule));
      if (ref.filter_mask != 0)
        return fail(Code::kUnsupported, path + ": a chunk has a filter mask");
      UPWELL_CHECK(add(ref, record));
      if (!record.full() && p + 1 < total) continue;
      record.pad();
      UPWELL_TRY(Bytes bytes, record.bytes());
      bytes_written_ += bytes.size();
      record.clear();
      UPWELL_CHECK(sink_(path.substr(1) + "/refs." + std::to_string(number++) + ".parq", bytes));
    }
    return {};
  }

  Result<> metadata() {
    UPWELL_TRY(auto documents, zarr2_documents(dataset_.root));
    std::string text = "{" + locations_member(options_.locations) + "\"metadata\":{";
    bool first = true;
    for (const auto& [key, document] : documents) {
      text += first ? "\n" : ",\n";
      first = false;
      text += json_text(key) + ":" + document;
    }
    text += "\n},\"record_size\":" + std::to_string(record_size_);
    if (!options_.record.empty()) text += ",\"upwell\":" + options_.record;
    text += "}\n";
    bytes_written_ += text.size();
    return sink_(".zmetadata", as_bytes(text));
  }

  Result<> chunks(const std::string& path, const Array& array) {
    if (array.segments.empty()) return {};
    RecordFile record(record_size_);
    uint64_t number = 0;
    auto flush = [&]() -> Result<> {
      record.pad();
      UPWELL_TRY(Bytes bytes, record.bytes());
      bytes_written_ += bytes.size();
      record.clear();
      return sink_(path.substr(1) + "/refs." + std::to_string(number++) + ".parq", bytes);
    };
    auto visited =
        visit_references(path, array, [&](uint64_t, const std::vector<ChunkRef>& refs) -> Result<> {
          for (const ChunkRef& ref : refs) {
            UPWELL_CHECK(add(ref, record));
            if (record.full()) UPWELL_CHECK(flush());
          }
          return {};
        });
    UPWELL_CHECK(visited);
    return record.empty() ? Result<>() : flush();
  }

  Result<> add(const ChunkRef& ref, RecordFile& record) {
    switch (ref.state) {
      case ChunkRef::State::kMissing:
        ++counts_.missing;
        record.add_missing();
        return {};
      case ChunkRef::State::kInline:
        ++counts_.inlined;
        record.add_inline(ref.bytes.span());
        return {};
      case ChunkRef::State::kStored:
        break;
    }
    ++counts_.stored;
    UPWELL_TRY(std::optional<uint64_t> length, urls_.length(ref));
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    if (ref.offset > kMax || (length && *length > kMax))
      return fail(Code::kUnsupported, "an offset that does not fit 63 bits");
    counts_.stored_bytes += length.value_or(0);
    // Offset and size 0 say: the whole object.
    record.add_stored(ref.granule, urls_, static_cast<int64_t>(length ? ref.offset : 0),
                      static_cast<int64_t>(length.value_or(0)));
    return {};
  }

  const Dataset& dataset_;
  const ReferenceOutputOptions& options_;
  OutputUrls urls_;
  uint64_t record_size_;
  const ObjectSink& sink_;
  uint64_t& bytes_written_;
  ReferenceCounts counts_;
};

}  // namespace

Result<ReferenceCounts> write_kerchunk_parquet(const Dataset& dataset,
                                               const ReferenceOutputOptions& options,
                                               uint64_t record_size, const ObjectSink& sink,
                                               uint64_t& bytes_written) {
  if (record_size == 0) return fail(Code::kInvalidArgument, "a record size of 0");
  return KerchunkParquet(dataset, options, record_size, sink, bytes_written).write();
}

Result<> extend_kerchunk_parquet(const Dataset& store, const Dataset& cube,
                                 const ReferenceOutputOptions& options, uint64_t record_size,
                                 const ObjectSink& sink, ReferenceCounts& counts,
                                 uint64_t& bytes_written) {
  if (record_size == 0) return fail(Code::kInvalidArgument, "a record size of 0");
  KerchunkParquet out(cube, options, record_size, sink, bytes_written);
  UPWELL_CHECK(out.extend(store));
  counts = out.counts();
  return {};
}

}  // namespace upwell::refs
