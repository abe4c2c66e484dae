#include "refs/store/part_columns.hpp"

#include <algorithm>
#include <set>

namespace upwell::refs {
namespace {

using arrow::Type;

constexpr uint64_t kBlockRows = 4096;  // fetched at once from a remote file
// Of a mapped file the kernel brings in 64 KiB around each place of each column, if it has them.
constexpr uint64_t kTouchedBytes = 3 * (64 << 10);
constexpr uint64_t kMostTouched = 32 << 20;

/// The file of a part; nullptr when it has none of that name.
Result<std::shared_ptr<const StoreFile>> open_file(io::Session& session, const std::string& base,
                                                   const StorePart& part, const char* name) {
  for (const auto& [known, size] : part.files)
    if (known == name) return StoreFile::open(session, base + part.name + "/" + name, size);
  return std::shared_ptr<const StoreFile>();
}

Result<std::shared_ptr<const StoreFile>> need_file(io::Session& session, const std::string& base,
                                                   const StorePart& part, const char* name) {
  UPWELL_TRY(auto file, open_file(session, base, part, name));
  if (!file) return fail(Code::kInvalidData, base + part.name + " has no " + name);
  return file;
}

}  // namespace

void prefetch_parts(io::Session& session, const std::string& base,
                    const std::vector<StorePart>& parts) {
  if (io::scheme_of(base) == "file") return;
  std::vector<io::ReadRequest> requests;
  for (const StorePart& part : parts) {
    for (const auto& [name, size] : part.files) {
      const std::string url = base + part.name + "/" + name;
      if (name == kPartFile) requests.push_back({url, {}});
      if (name != kGranulesFile && name != kChunksFile && name != kInlineFile) continue;
      for (const io::Range& end : StoreFile::ends(size)) requests.push_back({url, end});
    }
  }
  (void)session.read(requests);  // what failed fails again when it is read
}

Result<std::shared_ptr<PartColumns>> PartColumns::open(io::Session& session,
                                                       const std::string& base,
                                                       const StorePart& part, UrlPolicy urls,
                                                       std::shared_ptr<GranuleTable> table) {
  auto out = std::make_shared<PartColumns>();
  UPWELL_TRY(const auto document, need_file(session, base, part, kPartFile));
  UPWELL_TRY(const SharedBytes text, document->read({0, document->size()}));
  auto parsed = parse_part(as_text(text.span()));
  if (!parsed) return fail(std::move(parsed).error().with(base + part.name));
  out->document_ = std::move(*parsed);
  UPWELL_TRY(auto granules, need_file(session, base, part, kGranulesFile));
  UPWELL_TRY(out->granules_, arrow::open_table(std::move(granules)));
  UPWELL_TRY(auto chunks, need_file(session, base, part, kChunksFile));
  UPWELL_TRY(out->chunks_, arrow::open_table(std::move(chunks)));
  UPWELL_TRY(auto inlined, open_file(session, base, part, kInlineFile));
  if (inlined) {
    UPWELL_TRY(out->inlined_, arrow::open_table(std::move(inlined)));
  }
  out->masks_ = out->chunks_.find("filter_mask") != nullptr;
  out->urls_ = std::move(urls);
  out->table_ = std::move(table);
  out->numbers_ = std::vector<std::atomic<uint32_t>>(out->granules_.rows);
  if (io::scheme_of(base) == "file") {
    UPWELL_TRY(out->all_, out->block(0, out->chunks_.rows));
  } else {
    UPWELL_CHECK(out->block(0, 0));  // the columns are there
  }
  for (const PartDocument::OneSegment& one : out->document_.segments)
    if (one.rows.first > out->rows() || one.rows.count > out->rows() - one.rows.first)
      return fail(Code::kInvalidData,
                  base + part.name + ": a segment with rows that are not there");
  return out;
}

Result<PartColumns::Block> PartColumns::block(uint64_t first, uint64_t count) const {
  Block out;
  UPWELL_TRY(out.granule, arrow::read_rows(chunks_, "granule", Type::kUint32, first, count));
  UPWELL_TRY(out.offset, arrow::read_rows(chunks_, "offset", Type::kUint64, first, count));
  UPWELL_TRY(out.length, arrow::read_rows(chunks_, "length", Type::kUint64, first, count));
  if (!masks_) return out;
  UPWELL_TRY(out.mask, arrow::read_rows(chunks_, "filter_mask", Type::kUint32, first, count));
  return out;
}

/// The blocks that a lookup needs, as one batch.
void PartColumns::prefetch(std::span<const uint64_t> rows) const {
  std::vector<io::Range> ranges;
  std::set<uint64_t> blocks;
  for (const uint64_t row : rows) {
    const uint64_t first = row / kBlockRows * kBlockRows;
    if (row >= chunks_.rows || !blocks.insert(first).second) continue;
    const uint64_t count = std::min(kBlockRows, chunks_.rows - first);
    for (const char* name : {"granule", "offset", "length", "filter_mask"}) {
      const arrow::ColumnPlace* column = chunks_.find(name);
      if (column == nullptr) continue;
      const uint64_t width = arrow::width_of(column->field.type);
      ranges.push_back({column->values + first * width, count * width});
    }
  }
  chunks_.file->prefetch(ranges);
}

Result<> PartColumns::lookup(std::span<const uint64_t> rows, ChunkRef* out) const {
  uint64_t known = UINT64_MAX, touched = 0;
  Block near;
  if (!all_) prefetch(rows);
  for (const uint64_t row : rows) {
    ChunkRef& ref = *out++;
    ref = ChunkRef{};
    if (row == kNoRow) continue;
    if (row >= chunks_.rows) return fail(Code::kInternal, "a row that is not there");
    if (all_) {
      if (row / kBlockRows != known) touched += kTouchedBytes;
      known = row / kBlockRows;
      UPWELL_CHECK(answer(*all_, row, ref));
      continue;
    }
    const uint64_t number = row / kBlockRows, first = number * kBlockRows;
    if (number != known) {
      UPWELL_TRY(near, block(first, std::min(kBlockRows, chunks_.rows - first)));
      known = number;
    }
    UPWELL_CHECK(answer(near, row - first, ref));
  }
  if ((touched_ += touched) > kMostTouched && chunks_.file->size() > kMostTouched) {
    touched_ = 0;
    chunks_.file->release();
  }
  return {};
}

Result<> PartColumns::answer(const Block& block, uint64_t row, ChunkRef& out) const {
  const auto granule = static_cast<uint32_t>(block.granule.number(row));
  if (granule == kNeverWritten) return {};
  if (masks_) out.filter_mask = static_cast<uint32_t>(block.mask.number(row));
  if (granule == kInInlineFile) {
    if (!inlined_.file) return fail(Code::kInvalidData, chunks_.file->url() + ": no inline.arrow");
    UPWELL_TRY(const arrow::Rows bytes,
               arrow::read_rows(inlined_, "bytes", Type::kBinary, block.offset.number(row), 1));
    out.state = ChunkRef::State::kInline;
    out.bytes = bytes.shared(0);
    return {};
  }
  UPWELL_TRY(out.granule, number_of(granule));
  out.state = ChunkRef::State::kStored;
  out.offset = block.offset.number(row);
  out.length = block.length.number(row);
  if (out.length != io::kToEnd && out.length > io::kToEnd - out.offset)
    return fail(Code::kInvalidData, chunks_.file->url() + ": row " + std::to_string(row) +
                                        " ends where no object does");
  return {};
}

Result<uint32_t> PartColumns::number_of(uint64_t granule) const {
  if (granule >= granules_.rows)
    return fail(Code::kInvalidData, chunks_.file->url() + ": a granule that is not there");
  std::atomic<uint32_t>& known = numbers_[granule];
  if (const uint32_t number = known.load(std::memory_order_relaxed); number > 0) return number - 1;
  UPWELL_TRY(const arrow::Rows url, arrow::read_rows(granules_, "url", Type::kText, granule, 1));
  UPWELL_TRY(const arrow::Rows etag, arrow::read_rows(granules_, "etag", Type::kText, granule, 1));
  UPWELL_TRY(const arrow::Rows size,
             arrow::read_rows(granules_, "size", Type::kUint64, granule, 1));
  UPWELL_TRY(const arrow::Rows mtime,
             arrow::read_rows(granules_, "mtime_ns", Type::kInt64, granule, 1));
  Granule found;
  UPWELL_TRY(found.url, urls_.resolve(std::string(url.text(0))));
  found.info.etag = etag.text(0);
  found.info.size = size.number(0);
  if (const auto ns = static_cast<int64_t>(mtime.number(0)); ns != kNoTime)
    found.info.mtime_ns = ns;
  found.reach = urls_.reach;
  if (held_to_ != nullptr && urls_.locations == nullptr)
    expect_granule(*held_to_, found.url, found.info);
  const uint32_t number = table_->intern(found);
  known.store(number + 1, std::memory_order_relaxed);
  return number;
}

Result<arrow::Rows> PartColumns::positions(const SegmentRows& rows) const {
  return arrow::read_rows(chunks_, "position", Type::kUint64, rows.first, rows.count);
}

Result<std::vector<GranuleRecord>> PartColumns::granules() const {
  const uint64_t n = granules_.rows;
  std::vector<io::Range> ranges;
  for (const arrow::ColumnPlace& column : granules_.columns) {
    ranges.push_back({column.values, column.bytes});
    if (arrow::width_of(column.field.type) == 0) ranges.push_back({column.ends, 8 * (n + 1)});
  }
  granules_.file->prefetch(ranges);
  UPWELL_TRY(const arrow::Rows url, arrow::read_rows(granules_, "url", Type::kText, 0, n));
  UPWELL_TRY(const arrow::Rows etag, arrow::read_rows(granules_, "etag", Type::kText, 0, n));
  UPWELL_TRY(const arrow::Rows size, arrow::read_rows(granules_, "size", Type::kUint64, 0, n));
  UPWELL_TRY(const arrow::Rows mtime, arrow::read_rows(granules_, "mtime_ns", Type::kInt64, 0, n));
  UPWELL_TRY(const arrow::Rows length, arrow::read_rows(granules_, "length", Type::kUint64, 0, n));
  std::vector<GranuleRecord> out;
  for (uint64_t i = 0; i < n; ++i) {
    if (length.number(i) == kNoSource) continue;
    GranuleRecord record{std::string(url.text(i)), {}, length.number(i)};
    record.info.etag = etag.text(i);
    record.info.size = size.number(i);
    if (const auto ns = static_cast<int64_t>(mtime.number(i)); ns != kNoTime)
      record.info.mtime_ns = ns;
    out.push_back(std::move(record));
  }
  return out;
}

Result<uint64_t> PartIndex::find(uint64_t position) const {
  const std::lock_guard lock(mutex_);
  if (!positions_) {
    UPWELL_TRY(positions_, columns_->positions(rows_));
  }
  uint64_t low = 0, high = rows_.count;
  while (low < high) {
    const uint64_t middle = low + (high - low) / 2;
    if (positions_->number(middle) < position)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

Result<> PartIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  std::vector<uint64_t> rows(positions.size());
  for (size_t i = 0; i < positions.size(); ++i) {
    if (positions[i] >= size_)
      return fail(Code::kInternal, "chunk " + std::to_string(positions[i]) + " of " +
                                       std::to_string(size_) + " was looked up");
    rows[i] = rows_.first + positions[i];
    if (!rows_.sparse) continue;
    UPWELL_TRY(const uint64_t row, find(positions[i]));
    const bool there = row < rows_.count && positions_->number(row) == positions[i];
    rows[i] = there ? rows_.first + row : PartColumns::kNoRow;
  }
  return columns_->lookup(rows, out);
}

uint64_t PartIndex::next_stored(uint64_t position) const {
  if (!rows_.sparse || position >= size_) return std::min(position, size_);
  const auto row = find(position);
  if (!row) return position;  // the lookup will say why
  return *row < rows_.count ? std::min(positions_->number(*row), size_) : size_;
}

}  // namespace upwell::refs
