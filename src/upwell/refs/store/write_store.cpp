#include <algorithm>
#include <unordered_map>

#include "base/files.hpp"
#include "cube/cf.hpp"
#include "refs/store/part_columns.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;
using arrow::Type;

constexpr uint64_t kRowsAtOnce = 8192;  // of a column, in memory

class PartWriter {
 public:
  PartWriter(fs::path directory, const StoreManifest& manifest, const PartInput& input)
      : directory_(std::move(directory)),
        manifest_(manifest),
        input_(input),
        row_of_granule_(input.cubes.size()) {}

  /// A segment of a cube and the rows that it gets.
  struct Source {
    size_t cube = 0;
    const Segment* segment = nullptr;
    SegmentRows rows;
  };

  Result<StorePart> write(const std::string& name) {
    part_.name = name;
    part_.length = input_.length;
    part_.sources = input_.granules.size();
    std::error_code error;
    fs::create_directories(directory_, error);
    if (error) return fail(Code::kCannotWrite, directory_.string() + ": " + error.message());
    for (const GranuleRecord& granule : input_.granules) {
      lengths_[row_of({granule.url, granule.info})] = granule.length;
    }
    UPWELL_CHECK(collect());
    UPWELL_CHECK(write_chunks());
    UPWELL_CHECK(write_inline());
    UPWELL_CHECK(write_granules());
    UPWELL_TRY(const std::string text, part_json(document_));
    UPWELL_CHECK(write_file_atomically(directory_ / kPartFile, as_bytes(text)));
    UPWELL_CHECK(finish_file(kPartFile));
    return std::move(part_);
  }

 private:
  std::optional<size_t> axis_of(const Array& array) const {
    const auto& names = array.dimensions;
    const auto it = std::find(names.begin(), names.end(), manifest_.concat);
    if (manifest_.concat.empty() || it == names.end()) return {};
    return static_cast<size_t>(it - names.begin());
  }

  /// The segments, and what their columns need. Array by array, so that what follows one another in
  /// the cube does so in the rows.
  Result<> collect() {
    Result<> result;
    for_each_array(input_.cubes.back().dataset->root, [&](const std::string& path, const Array&) {
      if (result) result = add_array(path);
      if (!result) result = fail(std::move(result).error().with(path));
    });
    return result;
  }

  Result<> add_array(const std::string& path) {
    for (size_t k = 0; k < input_.cubes.size(); ++k) {
      const auto& [cube, begin] = input_.cubes[k];
      const Array* array = cube->root.find_array(path);
      if (array == nullptr) return fail(Code::kInternal, "it is not in all cubes");
      const auto axis = axis_of(*array);
      if (!axis && (k > 0 || begin > 0)) return {};
      for (const Segment& segment : array->segments)
        if (element_count(segment.shape) > 0 && (!axis || segment.origin[*axis] >= begin))
          UPWELL_CHECK(add_segment(path, *array, {k, &segment, {}}, axis));
    }
    return {};
  }

  Result<> add_segment(const std::string& path, const Array& array, Source source,
                       std::optional<size_t> axis) {
    const Segment& segment = *source.segment;
    PartDocument::OneSegment one{path, layout_number(array, segment), segment, {}};
    one.segment.layout.reset();
    one.segment.chunks.reset();
    if (axis) one.segment.origin[*axis] -= input_.cubes[0].begin;
    if (one.segment.source_origin.empty())
      one.segment.source_origin.assign(segment.shape.size(), 0);
    uint64_t stored = 0;
    UPWELL_CHECK(visit_chunks(segment, [&](uint64_t, std::vector<ChunkRef>& refs) -> Result<> {
      for (ChunkRef& ref : refs) {
        if (ref.state == ChunkRef::State::kMissing) continue;
        ++stored;
        one.rows.masks = one.rows.masks || ref.filter_mask != 0;
        if (ref.state == ChunkRef::State::kStored) row_of_granule(source.cube, ref.granule);
      }
      return {};
    }));
    const uint64_t places = element_count(segment.grid);
    one.rows.sparse = stored < places / 2;
    one.rows.first = rows_;
    one.rows.count = one.rows.sparse ? stored : places;
    rows_ += one.rows.count;
    part_.counts.missing += places - stored;
    masks_ = masks_ || one.rows.masks;
    sparse_ = sparse_ || one.rows.sparse;
    source.rows = one.rows;
    sources_.push_back(source);
    if (axis && !document_.segments.empty() && goes_on(document_.segments.back(), one, *axis)) {
      PartDocument::OneSegment& last = document_.segments.back();
      last.segment.shape[*axis] += one.segment.shape[*axis];
      last.segment.grid[*axis] += one.segment.grid[*axis];
      last.rows.count += one.rows.count;
      last.rows.masks = last.rows.masks || one.rows.masks;
    } else {
      document_.segments.push_back(std::move(one));
    }
    return {};
  }

  /// Whether the rows of both are those of one segment.
  bool goes_on(const PartDocument::OneSegment& a, const PartDocument::OneSegment& b,
               size_t axis) const {
    if (a.array != b.array || a.layout != b.layout || a.rows.sparse || b.rows.sparse) return false;
    for (size_t d = 0; d < b.segment.shape.size(); ++d) {
      if (a.segment.source_origin[d] != 0 || b.segment.source_origin[d] != 0) return false;
      if (d < axis && b.segment.grid[d] != 1) return false;
      if (d != axis &&
          (a.segment.origin[d] != b.segment.origin[d] || a.segment.shape[d] != b.segment.shape[d] ||
           a.segment.grid[d] != b.segment.grid[d]))
        return false;
    }
    const uint64_t chunk = document_.layouts[a.layout]->chunk_shape[axis];
    return a.segment.shape[axis] % chunk == 0 &&
           a.segment.shape[axis] / chunk == a.segment.grid[axis] &&
           a.segment.origin[axis] + a.segment.shape[axis] == b.segment.origin[axis];
  }

  uint64_t layout_number(const Array& array, const Segment& segment) {
    const auto [it, added] = layout_of_.emplace(segment.layout.get(), document_.layouts.size());
    if (!added) return it->second;
    // How values are decoded stands with each layout, whether the array holds decoded ones or not:
    // what is added later may make it so.
    auto layout = std::make_shared<SegmentLayout>(*segment.layout);
    if (!layout->packing && array.type.is_number())
      layout->packing = cf::packing_of(array.attributes);
    for (size_t i = document_.layouts.size(); i-- > 0 && document_.layouts.size() - i <= 64;)
      if (*document_.layouts[i] == *layout) return it->second = i;
    document_.layouts.push_back(std::move(layout));
    return it->second;
  }

  uint32_t row_of(const Granule& granule) {
    const auto [it, added] =
        row_of_url_.try_emplace(granule.url, static_cast<uint32_t>(granules_.size()));
    if (added) {
      granules_.push_back(granule);
      lengths_.push_back(kNoSource);
    }
    return it->second;
  }

  uint32_t row_of_granule(size_t cube, uint32_t granule) {
    std::vector<uint32_t>& rows = row_of_granule_[cube];
    if (granule >= rows.size()) rows.resize(granule + 1, kNeverWritten);
    uint32_t& row = rows[granule];
    if (row == kNeverWritten) {
      Granule out = input_.cubes[cube].dataset->granules->at(granule);
      if (cube + 1 == input_.cubes.size()) out.url = output_url(input_.output, out.url);
      row = row_of(out);
    }
    return row;
  }

  Result<> write_chunks() {
    std::vector<arrow::Field> fields{
        {"granule", Type::kUint32}, {"offset", Type::kUint64}, {"length", Type::kUint64}};
    if (masks_) fields.push_back({"filter_mask", Type::kUint32});
    if (sparse_) fields.push_back({"position", Type::kUint64});
    UPWELL_TRY(auto out, arrow::TableWriter::create(directory_ / kChunksFile, fields, rows_));
    for (const Source& source : sources_) UPWELL_CHECK(write_rows(source, fields, out));
    UPWELL_CHECK(out.finish());
    return finish_file(kChunksFile);
  }

  Result<> write_rows(const Source& source, const std::vector<arrow::Field>& fields,
                      arrow::TableWriter& out) {
    const SegmentRows& rows = source.rows;
    std::vector<arrow::Column> columns;
    for (const arrow::Field& field : fields) columns.push_back({field, {}, {}});
    uint64_t row = rows.first, held = 0, next = 0;  // next: place that is to be written
    auto flush = [&]() -> Result<> {
      for (size_t c = 0; c < columns.size(); ++c) {
        UPWELL_CHECK(out.put(c, row, columns[c].values));
        columns[c].values.clear();
      }
      row += held;
      held = 0;
      return {};
    };
    auto add = [&](const ChunkRef& ref, uint64_t place) -> Result<> {
      const bool stored = ref.state == ChunkRef::State::kStored;
      const bool in_line = ref.state == ChunkRef::State::kInline;
      columns[0].add(uint64_t{stored    ? row_of_granule(source.cube, ref.granule)
                              : in_line ? kInInlineFile
                                        : kNeverWritten});
      columns[1].add(stored ? ref.offset : in_line ? inline_.size() : 0);
      columns[2].add(stored ? ref.length : 0);
      size_t c = 3;
      if (masks_) columns[c++].add(uint64_t{ref.filter_mask});
      if (sparse_) columns[c].add(place);
      if (in_line) inline_.push_back(ref.bytes);
      part_.counts.stored += stored;
      part_.counts.inlined += in_line;
      if (stored && ref.length != io::kToEnd) part_.counts.stored_bytes += ref.length;
      return ++held == kRowsAtOnce ? flush() : Result<>();
    };
    UPWELL_CHECK(visit_chunks(*source.segment, [&](uint64_t first, auto& refs) -> Result<> {
      for (; !rows.sparse && next < first; ++next) UPWELL_CHECK(add({}, next));
      for (const ChunkRef& ref : refs) {
        if (!rows.sparse || ref.state != ChunkRef::State::kMissing) UPWELL_CHECK(add(ref, first));
        next = ++first;
      }
      return {};
    }));
    for (; !rows.sparse && next < rows.count; ++next) UPWELL_CHECK(add({}, next));
    UPWELL_CHECK(flush());
    if (row != rows.first + rows.count)
      return fail(Code::kChanged, "references changed while they were written");
    return {};
  }

  Result<> write_inline() {
    if (inline_.empty()) return {};
    std::vector<arrow::Column> columns{{{"bytes", Type::kBinary}, {}}};
    for (const SharedBytes& bytes : inline_) columns[0].add(as_text(bytes.span()));
    UPWELL_CHECK(arrow::write_table(directory_ / kInlineFile, columns, inline_.size()));
    return finish_file(kInlineFile);
  }

  Result<> write_granules() {
    if (granules_.size() >= kInInlineFile)
      return fail(Code::kUnsupported, "more granules than a part can number");
    part_.granules = granules_.size();
    std::vector<arrow::Column> columns{{{"url", Type::kText}, {}},
                                       {{"size", Type::kUint64}, {}},
                                       {{"etag", Type::kText}, {}},
                                       {{"mtime_ns", Type::kInt64}, {}},
                                       {{"length", Type::kUint64}, {}}};
    for (size_t i = 0; i < granules_.size(); ++i) {
      const io::ObjectInfo& info = granules_[i].info;
      columns[0].add(std::string_view(granules_[i].url));
      columns[1].add(info.size);
      columns[2].add(std::string_view(info.etag));
      columns[3].add(static_cast<uint64_t>(info.mtime_ns.value_or(kNoTime)));
      columns[4].add(lengths_[i]);
    }
    UPWELL_CHECK(arrow::write_table(directory_ / kGranulesFile, columns, granules_.size()));
    return finish_file(kGranulesFile);
  }

  Result<> finish_file(const char* name) {
    std::error_code error;
    const uint64_t size = fs::file_size(directory_ / name, error);
    if (error)
      return fail(Code::kCannotWrite, (directory_ / name).string() + ": " + error.message());
    part_.files.emplace_back(name, size);
    return {};
  }

  fs::path directory_;
  const StoreManifest& manifest_;
  const PartInput& input_;
  StorePart part_;
  PartDocument document_;
  std::vector<Source> sources_;
  std::unordered_map<const SegmentLayout*, uint64_t> layout_of_;
  uint64_t rows_ = 0;
  bool masks_ = false, sparse_ = false;
  std::vector<Granule> granules_;
  std::vector<uint64_t> lengths_;
  std::unordered_map<std::string, uint32_t> row_of_url_;
  std::vector<std::vector<uint32_t>> row_of_granule_;  // by cube
  std::vector<SharedBytes> inline_;
};

}  // namespace

StoreManifest plan_store(const Dataset& cube, const StoreRecord& record,
                         const std::vector<std::string>& decoded,
                         const ReferenceOutputOptions& output) {
  StoreManifest manifest;
  manifest.concat = record.concat;
  manifest.coordinate = record.coordinate;
  manifest.loaded = record.loaded;
  manifest.decoded = decoded;
  manifest.mds = record.mds;
  manifest.locations = locations_member(output.locations);
  manifest.root = without_segments(cube.root);
  return manifest;
}

Result<StorePart> write_part(const fs::path& directory, const std::string& name,
                             const StoreManifest& manifest, const PartInput& input) {
  return PartWriter(directory, manifest, input).write(name);
}

Result<uint64_t> write_manifest(const fs::path& directory, const StoreManifest& manifest) {
  UPWELL_TRY(const std::string text, manifest_json(manifest));
  UPWELL_CHECK(write_file_atomically(directory / kManifest, as_bytes(text)));
  return text.size();
}

}  // namespace upwell::refs
