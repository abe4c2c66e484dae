#include "refs/zarr_chunks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/parallel.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kKeptShardBytes = size_t{64} << 20;
// Shards under codecs are decoded as a whole.
constexpr size_t kMaxWholeShard = size_t{1} << 30;
// Looked up at once: indexes of so many shards are in memory together.
constexpr size_t kShardsAtOnce = 1024;
constexpr uint64_t kNoChunk = ~uint64_t{0};

Result<> check_positions(std::span<const uint64_t> positions, uint64_t size) {
  for (const uint64_t position : positions) {
    if (position >= size) {
      return fail(Code::kInternal, fmt::format("chunk {} of {} looked up", position, size));
    }
  }
  return {};
}

bool is_web(const std::string& url) {
  return url.starts_with("http://") || url.starts_with("https://");
}

}  // namespace

std::string zarr_url(const std::string& base, std::string_view key) {
  if (!is_web(base)) return base + std::string(key);
  const size_t query = std::min(base.find('?'), base.size());
  std::string url = base.substr(0, query);
  for (const char c : key) {
    // A name may hold what means something else in a URL.
    if (c == '?' || c == '#' || c == '%') {
      url += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      url += c;
    }
  }
  return url + base.substr(query);
}

// --- One object a chunk -------------------------------------------------------------------------

ZarrObjectIndex::ZarrObjectIndex(io::Session& session, std::string base, ChunkKeys keys, Shape grid,
                                 std::shared_ptr<GranuleTable> granules)
    : session_(session),
      base_(std::move(base)),
      keys_(keys),
      grid_(std::move(grid)),
      size_(element_count(grid_)),
      granules_(std::move(granules)) {
  const auto traits = session_.traits(base_);
  far_ = !traits || traits->worth_caching;
}

Result<std::string> ZarrObjectIndex::url_of(uint64_t position) const {
  return zarr_url(base_, chunk_key(keys_, chunk_at(grid_, position)));
}

Result<> ZarrObjectIndex::locate(std::span<const uint64_t> positions, ChunkRef* out) const {
  UPWELL_CHECK(check_positions(positions, size_));
  for (size_t k = 0; k < positions.size(); ++k) {
    UPWELL_TRY(const std::string url, url_of(positions[k]));
    out[k] = {};
    out[k].state = ChunkRef::State::kStored;
    out[k].granule = granules_->intern(url);
    out[k].length = io::kToEnd;
    out[k].maybe_missing = true;
  }
  return {};
}

Result<> ZarrObjectIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  UPWELL_CHECK(check_positions(positions, size_));
  std::vector<std::string> urls(positions.size());
  for (size_t k = 0; k < positions.size(); ++k) {
    UPWELL_TRY(urls[k], url_of(positions[k]));
  }
  auto answers = session_.stat_many(urls);
  for (size_t k = 0; k < positions.size(); ++k) {
    out[k] = {};
    if (!answers[k]) {
      if (answers[k].error().code == Code::kNotFound) continue;
      return fail(std::move(answers[k]).error());
    }
    out[k].state = ChunkRef::State::kStored;
    out[k].granule = granules_->intern(Granule{urls[k], *answers[k]});
    out[k].length = answers[k]->size;
  }
  return {};
}

// --- Many chunks an object ----------------------------------------------------------------------

ShardedChunkIndex::ShardedChunkIndex(io::Session& session, std::shared_ptr<const ChunkIndex> shards,
                                     Shape shard_grid, Shape grid, ZarrShards level,
                                     std::shared_ptr<GranuleTable> granules)
    : session_(session),
      shards_(std::move(shards)),
      shard_grid_(std::move(shard_grid)),
      grid_(std::move(grid)),
      level_(std::move(level)),
      granules_(std::move(granules)),
      inside_(grid_.size()),
      size_(element_count(grid_)) {
  for (size_t d = 0; d < inside_.size(); ++d) inside_[d] = level_.shape[d] / level_.chunk_shape[d];
}

size_t ShardedChunkIndex::memory() const {
  const std::lock_guard lock(mutex_);
  return sizeof(*this) + kept_bytes_ + shards_->memory();
}

ShardedChunkIndex::Place ShardedChunkIndex::place_of(uint64_t position) const {
  const Shape chunk = chunk_at(grid_, position);
  Place place;
  for (size_t d = 0; d < chunk.size(); ++d) {
    place.shard = place.shard * shard_grid_[d] + chunk[d] / inside_[d];
  }
  for (const size_t axis : level_.axes) {
    place.entry = place.entry * inside_[axis] + chunk[axis] % inside_[axis];
  }
  return place;
}

io::Range ShardedChunkIndex::index_range(uint64_t shard_length) const {
  const uint64_t bytes = level_.index_bytes();
  return {level_.index_at_start ? 0 : shard_length - bytes, bytes};
}

tl::unexpected<Error> ShardedChunkIndex::explain(Error error, uint64_t shard,
                                                 const ChunkRef& ref) const {
  Error named =
      std::move(error).with(fmt::format("shard {}", fmt::join(chunk_at(shard_grid_, shard), ".")));
  if (ref.state != ChunkRef::State::kStored) return fail(std::move(named));
  return fail(std::move(named).with(granules_->at(ref.granule).url));
}

Result<SharedBytes> ShardedChunkIndex::decode_whole(ByteSpan stored) const {
  UPWELL_TRY(const codec::Pipeline pipeline, codec::Pipeline::make(level_.codecs, 1));
  UPWELL_TRY(Bytes bytes, pipeline.decode_unsized(stored, 0, kMaxWholeShard));
  return SharedBytes(std::move(bytes));
}

Result<std::vector<uint64_t>> ShardedChunkIndex::parse_index(ByteSpan stored,
                                                             uint64_t shard_length) const {
  const uint64_t count = level_.chunks_in_shard();
  UPWELL_TRY(const codec::Pipeline checks, codec::Pipeline::make(level_.index_checks, 1));
  auto decoded = checks.decode_unsized(stored, 0, count * 16);
  if (!decoded) return fail(std::move(decoded).error().with("index of the shard"));
  if (decoded->size() != count * 16) {
    return fail(Code::kInvalidData, "the index of the shard has the wrong size");
  }
  std::vector<uint64_t> entries(count * 2);
  for (uint64_t i = 0; i < entries.size(); ++i) {
    const uint8_t* p = decoded->data() + i * 8;
    entries[i] = level_.index_big_endian ? load_be<uint64_t>(p) : load_le<uint64_t>(p);
  }
  for (uint64_t i = 0; i < count; ++i) {
    const uint64_t offset = entries[2 * i];
    const uint64_t length = entries[2 * i + 1];
    if (offset == kNoChunk && length == kNoChunk) continue;
    if (offset > shard_length || length > shard_length - offset) {
      return fail(Code::kInvalidData,
                  fmt::format("chunk {} of the shard lies at [{}, +{}), beyond its {} bytes", i,
                              offset, length, shard_length));
    }
  }
  return entries;
}

Result<> ShardedChunkIndex::read_shards(const std::vector<uint64_t>& missing, Shards& out) const {
  std::vector<ChunkRef> refs(missing.size());
  UPWELL_CHECK(shards_->lookup(missing, refs.data()));
  const bool whole = !level_.codecs.empty();
  std::vector<io::ReadRequest> requests;
  std::vector<size_t> asked(missing.size());
  for (size_t i = 0; i < missing.size(); ++i) {
    if (refs[i].state != ChunkRef::State::kStored) continue;
    if (refs[i].length == io::kToEnd) {
      return explain({Code::kInternal, "a shard of unknown length", {}, {}}, missing[i], refs[i]);
    }
    if (!whole && refs[i].length < level_.index_bytes()) {
      return explain({Code::kInvalidData,
                      fmt::format("a shard of {} bytes cannot hold its index of {}", refs[i].length,
                                  level_.index_bytes()),
                      {},
                      {}},
                     missing[i], refs[i]);
    }
    io::Range range{0, refs[i].length};
    if (!whole) range = index_range(refs[i].length);
    asked[i] = requests.size();
    requests.push_back(
        {granules_->at(refs[i].granule).url, {refs[i].offset + range.offset, range.length}});
  }
  auto answers = session_.read(requests);
  std::vector<std::shared_ptr<Shard>> found(missing.size());
  UPWELL_CHECK(parallel_for(missing.size(), [&](size_t i) -> Result<> {
    auto shard = std::make_shared<Shard>();
    shard->ref = refs[i];
    found[i] = shard;
    if (refs[i].state == ChunkRef::State::kMissing) return {};
    const auto parse = [&]() -> Result<> {
      SharedBytes bytes = refs[i].bytes;
      if (refs[i].state == ChunkRef::State::kStored) {
        UPWELL_TRY(bytes, std::move(answers[asked[i]]));
        if (!whole) {
          UPWELL_TRY(shard->entries, parse_index(bytes.span(), refs[i].length));
          return {};
        }
      }
      if (whole) {
        UPWELL_TRY(bytes, decode_whole(bytes.span()));
      }
      if (bytes.size() < level_.index_bytes()) {
        return fail(Code::kInvalidData, "the shard cannot hold its index");
      }
      const io::Range range = index_range(bytes.size());
      UPWELL_TRY(shard->entries,
                 parse_index(bytes.span().subspan(range.offset, range.length), bytes.size()));
      shard->bytes = std::move(bytes);
      return {};
    };
    if (auto parsed = parse(); !parsed) {
      return explain(std::move(parsed).error(), missing[i], refs[i]);
    }
    return {};
  }));
  for (size_t i = 0; i < missing.size(); ++i) {
    keep(missing[i], found[i]);
    out[missing[i]] = found[i];
  }
  return {};
}

void ShardedChunkIndex::keep(uint64_t number, const std::shared_ptr<const Shard>& shard) const {
  const std::lock_guard lock(mutex_);
  if (kept_.contains(number)) return;
  ages_.push_front(number);
  kept_[number] = {shard, ages_.begin()};
  kept_bytes_ += shard->memory();
  while (kept_bytes_ > kKeptShardBytes && kept_.size() > 1) {
    const auto oldest = kept_.find(ages_.back());
    kept_bytes_ -= oldest->second.shard->memory();
    kept_.erase(oldest);
    ages_.pop_back();
  }
}

Result<ShardedChunkIndex::Shards> ShardedChunkIndex::shards_of(
    const std::vector<uint64_t>& wanted) const {
  Shards out;
  std::vector<uint64_t> missing;
  {
    const std::lock_guard lock(mutex_);
    for (const uint64_t number : wanted) {
      const auto it = kept_.find(number);
      if (it == kept_.end()) {
        missing.push_back(number);
        continue;
      }
      ages_.splice(ages_.begin(), ages_, it->second.age);
      out[number] = it->second.shard;
    }
  }
  if (!missing.empty()) UPWELL_CHECK(read_shards(missing, out));
  return out;
}

Result<> ShardedChunkIndex::lookup(std::span<const uint64_t> positions, ChunkRef* out) const {
  UPWELL_CHECK(check_positions(positions, size_));
  for (size_t begin = 0; begin < positions.size();) {
    std::vector<Place> places;
    std::vector<uint64_t> wanted;
    size_t end = begin;
    for (; end < positions.size() && wanted.size() < kShardsAtOnce; ++end) {
      places.push_back(place_of(positions[end]));
      const uint64_t shard = places.back().shard;
      if (wanted.empty() || wanted.back() != shard) wanted.push_back(shard);
    }
    std::sort(wanted.begin(), wanted.end());
    wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
    UPWELL_TRY(const Shards shards, shards_of(wanted));
    for (size_t k = begin; k < end; ++k) {
      const Shard& shard = *shards.at(places[k - begin].shard);
      out[k] = {};
      if (shard.entries.empty()) continue;
      const uint64_t offset = shard.entries[2 * places[k - begin].entry];
      const uint64_t length = shard.entries[2 * places[k - begin].entry + 1];
      if (offset == kNoChunk && length == kNoChunk) continue;
      if (!shard.bytes.empty()) {
        out[k].state = ChunkRef::State::kInline;
        out[k].bytes = shard.bytes.slice(offset, length);
        continue;
      }
      out[k].state = ChunkRef::State::kStored;
      out[k].granule = shard.ref.granule;
      out[k].offset = shard.ref.offset + offset;
      out[k].length = length;
    }
    begin = end;
  }
  return {};
}

}  // namespace upwell::refs
