#include "refs/dmrpp_chunks.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "cube/chunk_index.hpp"
#include "refs/dmrpp_values.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxDenseGrid = uint64_t{1} << 20;
constexpr uint64_t kMaxBlockedChunk = uint64_t{1} << 32;

Result<Shape> numbers_of(std::string_view text, const char* what) {
  Shape out;
  for (const std::string_view word : dmrpp_words(text)) {
    UPWELL_TRY(const uint64_t number, dmrpp_number(word, what));
    out.push_back(number);
  }
  return out;
}

/// One run of bytes.
struct DmrppRun {
  uint32_t granule = 0;
  uint64_t offset = 0, length = 0;
};

/// Chunks of which some are made of several runs of bytes, as HDF4 stores in linked blocks. Those
/// are read and put together when they are looked up.
class BlockedChunkIndex : public ChunkIndex {
 public:
  BlockedChunkIndex(io::Session& session, std::shared_ptr<GranuleTable> granules,
                    std::shared_ptr<const ChunkIndex> plain,
                    std::map<uint64_t, std::vector<DmrppRun>> blocked)
      : session_(session),
        granules_(std::move(granules)),
        plain_(std::move(plain)),
        blocked_(std::move(blocked)) {}

  uint64_t size() const override { return plain_->size(); }
  uint64_t next_stored(uint64_t position) const override {
    const auto it = blocked_.lower_bound(position);
    const uint64_t next = plain_->next_stored(position);
    return it == blocked_.end() ? next : std::min(next, it->first);
  }
  bool has_filter_masks() const override { return plain_->has_filter_masks(); }
  bool asks_for_each() const override { return true; }
  size_t memory() const override {
    size_t bytes = plain_->memory();
    for (const auto& [position, runs] : blocked_) bytes += 64 + runs.size() * sizeof(DmrppRun);
    return bytes;
  }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override {
    UPWELL_CHECK(plain_->lookup(positions, out));
    std::vector<io::ReadRequest> requests;
    for (const uint64_t position : positions) {
      const auto it = blocked_.find(position);
      if (it == blocked_.end()) continue;
      for (const DmrppRun& run : it->second) {
        requests.push_back({granules_->at(run.granule).url, {run.offset, run.length}});
      }
    }
    if (requests.empty()) return {};
    auto answers = session_.read(requests);
    size_t next = 0;
    for (size_t k = 0; k < positions.size(); ++k) {
      const auto it = blocked_.find(positions[k]);
      if (it == blocked_.end()) continue;
      Bytes joined;
      for (size_t i = 0; i < it->second.size(); ++i) {
        UPWELL_TRY(const SharedBytes block, std::move(answers[next++]));
        joined.insert(joined.end(), block.data(), block.data() + block.size());
      }
      out[k] = {};
      out[k].state = ChunkRef::State::kInline;
      out[k].bytes = SharedBytes(std::move(joined));
    }
    return {};
  }

 private:
  io::Session& session_;
  std::shared_ptr<GranuleTable> granules_;
  std::shared_ptr<const ChunkIndex> plain_;
  std::map<uint64_t, std::vector<DmrppRun>> blocked_;
};

/// One chunk as it is listed.
struct ListedChunk {
  uint64_t position = 0;
  uint32_t mask = 0;
  std::vector<DmrppRun> runs;
};

class ChunkLister {
 public:
  ChunkLister(const Shape& shape, const DmrppPlace& place) : shape_(shape), place_(place) {}

  Result<DmrppChunks> list(const XmlElement& variable, uint32_t item_size) {
    const XmlElement chunks = variable.child("chunks");
    out_.chunk_shape = shape_;
    if (chunks) {
      UPWELL_CHECK(read_codecs(chunks, item_size));
      UPWELL_CHECK(read_chunk_shape(chunks));
    }
    for (uint64_t& extent : out_.chunk_shape) extent = std::max<uint64_t>(extent, 1);
    out_.grid = grid_shape(shape_, out_.chunk_shape);
    UPWELL_CHECK(read_list(chunks ? chunks : variable));
    return finish();
  }

 private:
  Result<> read_codecs(const XmlElement& chunks, uint32_t item_size) {
    std::vector<std::string> names;
    for (std::string_view name : dmrpp_words(chunks.attribute("compressionType").value_or(""))) {
      names.emplace_back(name);
    }
    if (place_.old_filter_order && names == std::vector<std::string>{"deflate", "shuffle"}) {
      std::reverse(names.begin(), names.end());
    }
    UPWELL_TRY(const Shape levels,
               numbers_of(chunks.attribute("deflateLevel").value_or(""), "deflateLevel"));
    size_t deflates = 0;
    for (const std::string& name : names) {
      if (name == "deflate") {
        const uint64_t level =
            deflates < levels.size() ? std::min<uint64_t>(levels[deflates], 9) : 6;
        ++deflates;
        out_.codecs.push_back({"zlib", fmt::format("{{\"level\":{}}}", level)});
      } else if (name == "shuffle") {
        out_.codecs.push_back({"shuffle", fmt::format("{{\"elementsize\":{}}}", item_size)});
      } else if (name == "fletcher32") {
        out_.codecs.push_back({"fletcher32", "{}"});
      } else {
        return fail(Code::kUnsupported, "compressionType \"" + name + "\" is not read");
      }
    }
    return {};
  }

  Result<> read_chunk_shape(const XmlElement& chunks) {
    const XmlElement sizes = chunks.child("chunkDimensionSizes");
    if (!sizes) return {};
    UPWELL_TRY(out_.chunk_shape, numbers_of(sizes.text(), "chunkDimensionSizes"));
    const bool zero = std::find(out_.chunk_shape.begin(), out_.chunk_shape.end(), uint64_t{0}) !=
                      out_.chunk_shape.end();
    if (out_.chunk_shape.size() != shape_.size() || zero) {
      return fail(Code::kInvalidData, fmt::format("chunkDimensionSizes \"{}\" for {} dimensions",
                                                  sizes.text().substr(0, 60), shape_.size()));
    }
    has_chunk_shape_ = true;
    return {};
  }

  /// "chunk" elements; or "block" elements, which are one chunk together.
  Result<> read_list(const XmlElement& list) {
    for (XmlElement child = list.first_child(); child; child = child.next()) {
      const bool block = child.name() == "block";
      if (!block && child.name() != "chunk") continue;
      UPWELL_TRY(const DmrppRun run, read_run(child));
      const std::string_view link = child.attribute("LinkedBlockIndex").value_or("");
      const bool continues = block ? !listed_.empty() : !link.empty() && link != "0";
      if (continues) {
        if (listed_.empty()) return fail(Code::kInvalidData, "a linked block without its first");
        listed_.back().runs.push_back(run);
        continue;
      }
      ListedChunk chunk;
      UPWELL_TRY(chunk.position, read_position(child));
      if (const auto mask = child.attribute("fm")) {
        UPWELL_TRY(const uint64_t bits, dmrpp_number(*mask, "fm"));
        if (bits > ~uint32_t{0}) return fail(Code::kInvalidData, "fm has more than 32 bits");
        chunk.mask = static_cast<uint32_t>(bits);
      }
      chunk.runs.push_back(run);
      listed_.push_back(std::move(chunk));
    }
    return {};
  }

  Result<DmrppRun> read_run(const XmlElement& chunk) {
    DmrppRun run;
    UPWELL_TRY(run.offset, dmrpp_number(chunk.attribute("offset").value_or(""), "offset"));
    UPWELL_TRY(run.length, dmrpp_number(chunk.attribute("nBytes").value_or(""), "nBytes"));
    run.granule = place_.granule;
    if (const auto href = chunk.attribute("href"); href && !href->empty()) {
      if (last_href_ != *href) {
        UPWELL_TRY(last_granule_, place_.resolve(*href));
        last_href_ = *href;
      }
      run.granule = last_granule_;
    }
    const io::ObjectInfo& info = place_.granules->at(run.granule).info;
    const bool fits = run.offset <= info.size && run.length <= info.size - run.offset;
    if (run.offset > io::kToEnd / 2 || run.length > kMaxBlockedChunk * 256) {
      return fail(Code::kInvalidData,
                  fmt::format("no object has {} bytes at {}", run.length, run.offset));
    }
    if (info.size > 0 && !fits) {
      return fail(
          Code::kChanged,
          fmt::format("{} bytes at {} lie beyond the {} bytes of {}: the document describes "
                      "another state of it",
                      run.length, run.offset, info.size, place_.granules->at(run.granule).url));
    }
    return run;
  }

  Result<uint64_t> read_position(const XmlElement& chunk) {
    const std::string_view text = chunk.attribute("chunkPositionInArray").value_or("");
    UPWELL_TRY(const Shape at, numbers_of(text, "chunkPositionInArray"));
    if (at.empty()) {
      if (element_count(out_.grid) != 1) {
        return fail(Code::kInvalidData, "one of several chunks without its place");
      }
      return uint64_t{0};
    }
    uint64_t position = 0;
    for (size_t d = 0; d < shape_.size(); ++d) {
      const bool on_grid = at.size() == shape_.size() && at[d] % out_.chunk_shape[d] == 0 &&
                           at[d] / out_.chunk_shape[d] < out_.grid[d];
      if (!on_grid) {
        return fail(Code::kInvalidData,
                    fmt::format("chunkPositionInArray \"{}\" is off the grid", text.substr(0, 60)));
      }
      position = position * out_.grid[d] + at[d] / out_.chunk_shape[d];
    }
    return position;
  }

  Result<DmrppChunks> finish() {
    std::map<uint64_t, std::vector<DmrppRun>> blocked;
    std::sort(listed_.begin(), listed_.end(),
              [](const ListedChunk& a, const ListedChunk& b) { return a.position < b.position; });
    for (size_t i = 0; i < listed_.size(); ++i) {
      if (i > 0 && listed_[i].position == listed_[i - 1].position) {
        return fail(Code::kInvalidData, has_chunk_shape_
                                            ? "two chunks at one place"
                                            : "several chunks without chunkDimensionSizes");
      }
      if (listed_[i].runs.size() == 1) continue;
      uint64_t bytes = 0;
      for (const DmrppRun& run : listed_[i].runs) bytes += std::min(run.length, kMaxBlockedChunk);
      if (bytes > kMaxBlockedChunk) return fail(Code::kInvalidData, "blocks of more than 4 GiB");
      if (listed_[i].mask != 0) return fail(Code::kUnsupported, "linked blocks with a filter mask");
      blocked[listed_[i].position] = std::move(listed_[i].runs);
    }
    const uint64_t grid = element_count(out_.grid);
    if (grid <= kMaxDenseGrid || grid / 64 <= listed_.size()) {
      auto index = std::make_shared<DenseChunkIndex>(grid, place_.granule);
      fill(*index);
      out_.chunks = std::move(index);
    } else {
      auto index = std::make_shared<SparseChunkIndex>(grid);
      fill(*index);
      index->finish();
      out_.chunks = std::move(index);
    }
    if (!blocked.empty()) {
      out_.chunks = std::make_shared<BlockedChunkIndex>(place_.session, place_.granules,
                                                        std::move(out_.chunks), std::move(blocked));
    }
    return std::move(out_);
  }

  template <typename Index>
  void fill(Index& index) const {
    for (const ListedChunk& chunk : listed_) {
      if (chunk.runs.size() != 1) continue;
      index.set(chunk.position, chunk.runs[0].granule, chunk.runs[0].offset, chunk.runs[0].length,
                chunk.mask);
    }
  }

  const Shape& shape_;
  const DmrppPlace& place_;
  DmrppChunks out_;
  bool has_chunk_shape_ = false;
  std::vector<ListedChunk> listed_;
  std::string last_href_;
  uint32_t last_granule_ = 0;
};

}  // namespace

Result<std::optional<uint64_t>> dmrpp_element_bytes(const XmlElement& variable,
                                                    const Shape& shape) {
  const XmlElement chunks = variable.child("chunks");
  const XmlElement list = chunks ? chunks : variable;
  const XmlElement chunk = list.child("chunk");
  if (!chunk || chunk.attribute("LinkedBlockIndex") || list.attribute("compressionType"))
    return std::optional<uint64_t>();
  Shape elements = shape;
  if (const XmlElement sizes = list.child("chunkDimensionSizes")) {
    UPWELL_TRY(elements, numbers_of(sizes.text(), "chunkDimensionSizes"));
  }
  uint64_t count = 1;
  for (const uint64_t extent : elements) {
    if (extent == 0 || count > kMaxBlockedChunk / extent) return std::optional<uint64_t>();
    count *= extent;
  }
  UPWELL_TRY(const uint64_t bytes, dmrpp_number(chunk.attribute("nBytes").value_or(""), "nBytes"));
  return std::optional<uint64_t>(bytes % count == 0 ? bytes / count : 0);
}

Result<DmrppChunks> dmrpp_chunks(const XmlElement& variable, const Shape& shape, uint32_t item_size,
                                 const DmrppPlace& place) {
  return ChunkLister(shape, place).list(variable, item_size);
}

}  // namespace upwell::refs
