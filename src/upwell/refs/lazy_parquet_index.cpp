#include "refs/lazy_parquet_index.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/parallel.hpp"
#include "refs/parquet/reader.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxPartitionBytes = uint64_t{2} << 30;
constexpr int64_t kMaxReferenceOffset = int64_t{1} << 62;

/// Columns of one partition, whichever the writer left out.
struct ReferenceColumns {
  const parquet::Column* path = nullptr;
  const parquet::Column* offset = nullptr;
  const parquet::Column* size = nullptr;
  const parquet::Column* raw = nullptr;
  uint64_t rows = 0;
};

Result<ReferenceColumns> reference_columns(const std::vector<parquet::Column>& columns) {
  ReferenceColumns out;
  for (const parquet::Column& column : columns) {
    const bool bytes = column.name == "path" || column.name == "raw";
    const bool right =
        bytes ? column.values.size() == column.rows
              : column.integers.size() == column.rows || column.floats.size() == column.rows;
    const bool all_null =
        !column.valid.empty() &&
        std::find(column.valid.begin(), column.valid.end(), 1) == column.valid.end();
    out.rows = column.rows;
    if (all_null) continue;
    if (!right) return fail(Code::kInvalidData, "column " + column.name + " has the wrong type");
    if (column.name == "path") out.path = &column;
    if (column.name == "offset") out.offset = &column;
    if (column.name == "size") out.size = &column;
    if (column.name == "raw") out.raw = &column;
  }
  for (const parquet::Column& column : columns) {
    if (column.rows != out.rows) return fail(Code::kInvalidData, "columns of different lengths");
  }
  return out;
}

Result<uint64_t> range_value(const parquet::Column* column, uint64_t row) {
  if (!column || column->is_null(row)) return 0;
  int64_t value = 0;
  if (column->integers.empty()) {
    const double number = column->floats[row];
    if (!(number >= 0 && number < 0x1p53) || number != std::floor(number)) {
      return fail(Code::kInvalidData, fmt::format("row {}: {} is {}", row, column->name, number));
    }
    value = static_cast<int64_t>(number);
  } else {
    value = column->integers[row];
  }
  if (value < 0 || value > kMaxReferenceOffset) {
    return fail(Code::kInvalidData, fmt::format("row {}: {} is {}", row, column->name, value));
  }
  return static_cast<uint64_t>(value);
}

}  // namespace

Result<PartitionStore::Partition> PartitionStore::decode(ByteSpan file) const {
  parquet::ReadLimits limits;
  limits.max_rows = record_size_;
  limits.max_bytes = kMaxPartitionBytes;
  UPWELL_TRY(const auto columns,
             parquet::read_columns(file, {"path", "offset", "size", "raw"}, limits));
  UPWELL_TRY(const ReferenceColumns c, reference_columns(columns));
  // Number in the granule table of each distinct path.
  constexpr uint32_t kUnknown = ~uint32_t{0};
  std::vector<uint32_t> granules(c.path ? c.path->ends.size() : 0, kUnknown);
  std::shared_ptr<DenseChunkIndex> index;
  const auto prepared = [&](uint32_t granule) -> DenseChunkIndex& {
    if (!index) index = std::make_shared<DenseChunkIndex>(record_size_, granule);
    return *index;
  };
  for (uint64_t row = 0; row < c.rows; ++row) {
    if (c.raw && c.raw->values[row] != parquet::Column::kNoValue) {
      prepared(0).set_inline(row, to_bytes(c.raw->value(c.raw->values[row])));
      continue;
    }
    const uint32_t number = c.path ? c.path->values[row] : parquet::Column::kNoValue;
    if (number == parquet::Column::kNoValue || c.path->value(number).empty()) continue;
    if (granules[number] == kUnknown) {
      UPWELL_TRY(const std::string url, urls_.resolve(std::string(as_text(c.path->value(number)))));
      granules[number] = granules_->intern(Granule{url, {}, urls_.reach});
    }
    UPWELL_TRY(const uint64_t offset, range_value(c.offset, row));
    UPWELL_TRY(const uint64_t size, range_value(c.size, row));
    const bool whole = offset == 0 && size == 0;
    prepared(granules[number]).set(row, granules[number], offset, whole ? io::kToEnd : size);
  }
  prepared(0);
  return Partition(std::move(index));
}

PartitionStore::Partition PartitionStore::find(const Key& key) {
  const std::lock_guard lock(mutex_);
  const auto it = kept_.find(key);
  if (it == kept_.end()) return nullptr;
  ages_.splice(ages_.begin(), ages_, it->second.age);
  return it->second.partition;
}

void PartitionStore::keep(const Key& key, const Partition& partition) {
  const std::lock_guard lock(mutex_);
  if (kept_.contains(key)) return;
  ages_.push_front(key);
  kept_[key] = {partition, ages_.begin()};
  while (kept_.size() > capacity_) {
    kept_.erase(ages_.back());
    ages_.pop_back();
  }
}

size_t PartitionStore::memory() const {
  const std::lock_guard lock(mutex_);
  size_t bytes = 0;
  for (const auto& [key, kept] : kept_) bytes += kept.partition->memory();
  return bytes;
}

Result<std::map<uint64_t, PartitionStore::Partition>> PartitionStore::get(
    const std::string& array, const std::vector<uint64_t>& numbers) {
  std::map<uint64_t, Partition> out;
  std::vector<uint64_t> missing;
  std::vector<io::ReadRequest> requests;
  for (const uint64_t n : numbers) {
    out[n] = find({array, n});
    if (out[n]) continue;
    missing.push_back(n);
    requests.push_back({fmt::format("{}{}/refs.{}.parq", base_, array, n), {}});
  }
  if (missing.empty()) return out;
  auto answers = session_.read(requests);
  std::vector<Partition> decoded(missing.size());
  UPWELL_CHECK(parallel_for(missing.size(), [&](size_t i) -> Result<> {
    if (!answers[i]) {
      if (answers[i].error().code != Code::kNotFound) return fail(std::move(answers[i]).error());
      decoded[i] = std::make_shared<const DenseChunkIndex>(record_size_);
      return {};
    }
    auto partition = decode(answers[i]->span());
    if (!partition) return fail(std::move(partition).error().with(requests[i].url));
    decoded[i] = std::move(*partition);
    return {};
  }));
  for (size_t i = 0; i < missing.size(); ++i) {
    keep({array, missing[i]}, decoded[i]);
    out[missing[i]] = std::move(decoded[i]);
  }
  return out;
}

Result<> LazyParquetIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  const uint64_t record_size = store_->record_size();
  for (const uint64_t position : positions) {
    if (position >= size_) {
      return fail(Code::kInternal, fmt::format("chunk {} of {} looked up", position, size_));
    }
  }
  std::vector<size_t> order(positions.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!std::is_sorted(positions.begin(), positions.end())) {
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return positions[a] < positions[b]; });
  }
  // No more partitions at a time than are kept: memory stays bounded for any batch.
  for (size_t begin = 0; begin < order.size();) {
    std::vector<uint64_t> numbers;
    size_t end = begin;
    for (; end < order.size(); ++end) {
      const uint64_t number = positions[order[end]] / record_size;
      if (!numbers.empty() && numbers.back() == number) continue;
      if (numbers.size() == store_->capacity()) break;
      numbers.push_back(number);
    }
    UPWELL_TRY(const auto partitions, store_->get(array_, numbers));
    for (; begin < end; ++begin) {
      const uint64_t position = positions[order[begin]];
      out[order[begin]] = partitions.at(position / record_size)->get(position % record_size);
    }
  }
  return {};
}

}  // namespace upwell::refs
