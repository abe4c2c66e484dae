// Chunk indexes and heaps on literal bytes: what they give, in how many rounds, and what they
// refuse.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "format/hdf5/btree2.hpp"
#include "format/hdf5/checksum.hpp"
#include "format/hdf5/chunk_walk.hpp"
#include "format/hdf5/fractal_heap.hpp"
#include "format/hdf5/global_heap.hpp"
#include "format/hdf5/heap_resolver.hpp"

namespace upwell::format::hdf5 {
namespace {

using ::testing::HasSubstr;

// A file under construction.
class IndexFile {
 public:
  uint64_t end() const { return bytes.size(); }
  IndexFile& text(std::string_view t) {
    bytes.insert(bytes.end(), t.begin(), t.end());
    return *this;
  }
  IndexFile& put(uint64_t value, size_t size) {
    for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }
  // Checksum of all since `from`.
  IndexFile& seal(uint64_t from) { return put(lookup3(ByteSpan(bytes).subspan(from)), 4); }
  void pad(uint64_t size) { bytes.resize(std::max<size_t>(bytes.size(), size), 0); }

  Bytes bytes;
};

// Serves what a window asks for; counts the rounds.
template <typename Step>
auto run_rounds(const Bytes& file, Step step, int* rounds = nullptr) {
  Window window(file.size());
  for (int round = 0;; ++round) {
    auto result = step(window);
    bool waits = false;
    if constexpr (std::is_same_v<decltype(result), Result<bool>>) {
      waits = result && !*result;
    } else {
      waits = !result && result.error().code == Code::kNeedBytes;
    }
    if (rounds) *rounds = round;
    if (!waits || round > 100) return result;
    for (const io::Range& range : window.take_missing()) {
      window.add(range.offset,
                 SharedBytes(to_bytes(ByteSpan(file).subspan(range.offset, range.length))));
    }
  }
}

ChunkedLayout grid_layout(ChunkIndexKind kind, Shape shape, Shape chunk, uint64_t address) {
  ChunkedLayout layout;
  layout.kind = kind;
  layout.address = address;
  layout.shape = std::move(shape);
  layout.chunk_shape = std::move(chunk);
  layout.element_size = 4;
  return layout;
}

Result<std::unique_ptr<ChunkIndex>> walk_all(const Bytes& file, const ChunkedLayout& layout,
                                             int* rounds = nullptr) {
  UPWELL_TRY(auto walk, walk_chunks(FileFacts{}, layout));
  UPWELL_TRY(bool done,
             run_rounds(file, [&](Window& window) { return walk->advance(window); }, rounds));
  EXPECT_TRUE(done);
  return walk->take();
}

// Writes leaves of a version 1 B-tree over a 1-D dataset and a root above them.
uint64_t add_btree1(IndexFile& file, uint64_t chunks, uint64_t chunk, size_t per_leaf = 64) {
  std::vector<std::pair<uint64_t, uint64_t>> children;  // first chunk, address
  auto node = [&](int level, const std::vector<std::pair<uint64_t, uint64_t>>& entries) {
    uint64_t at = file.end();
    file.text("TREE").put(1, 1).put(static_cast<uint64_t>(level), 1).put(entries.size(), 2);
    file.put(kUndefined, 8).put(kUndefined, 8);
    for (auto [first, address] : entries) {
      file.put(chunk * 4, 4).put(0, 4).put(first * chunk, 8).put(0, 8).put(address, 8);
    }
    file.put(0, 8).put(chunks * chunk, 8).put(0, 8);
    return at;
  };
  std::vector<std::pair<uint64_t, uint64_t>> level;
  for (uint64_t i = 0; i < chunks; ++i) level.emplace_back(i, 1000000 + i * chunk * 4);
  for (int depth = 0;; ++depth) {
    std::vector<std::pair<uint64_t, uint64_t>> above;
    for (size_t i = 0; i < level.size(); i += per_leaf) {
      std::vector<std::pair<uint64_t, uint64_t>> part(
          level.begin() + static_cast<ptrdiff_t>(i),
          level.begin() + static_cast<ptrdiff_t>(std::min(level.size(), i + per_leaf)));
      above.emplace_back(part[0].first, node(depth, part));
    }
    if (above.size() == 1) return above[0].second;
    level = std::move(above);
  }
}

TEST(Hdf5Checksum, PublishedVectors) {
  EXPECT_EQ(lookup3({}), 0xdeadbeefU);
  EXPECT_EQ(lookup3(as_bytes("Four score and seven years ago"), 0), 0x17770551U);
  EXPECT_EQ(lookup3(as_bytes("Four score and seven years ago"), 1), 0xcd628161U);
}

TEST(Hdf5ChunkWalk, Btree1CostsAsManyRoundsAsItIsDeep) {
  IndexFile file;
  file.pad(96);
  uint64_t root = add_btree1(file, 100000, 10);
  int rounds = 0;
  auto index =
      walk_all(file.bytes, grid_layout(ChunkIndexKind::kBtree1, {1000000}, {10}, root), &rounds);
  ASSERT_TRUE(index) << index.error().to_string();
  EXPECT_EQ((*index)->size(), 100000U);
  EXPECT_LE(rounds, 3);  // 64 * 64 * 64 > 1e5
  for (uint64_t i : {uint64_t{0}, uint64_t{63}, uint64_t{64}, uint64_t{99999}}) {
    auto ref = (*index)->at(i);
    ASSERT_TRUE(ref);
    EXPECT_EQ(ref->offset, 1000000 + i * 40);
    EXPECT_EQ(ref->length, 40U);
  }
}

TEST(Hdf5ChunkWalk, ClaimedExtentsAllocateNothing) {
  IndexFile file;
  file.pad(96);
  uint64_t root = add_btree1(file, 3, 1);
  auto index =
      walk_all(file.bytes, grid_layout(ChunkIndexKind::kBtree1, {uint64_t{1} << 60}, {1}, root));
  ASSERT_TRUE(index) << index.error().to_string();
  EXPECT_EQ((*index)->size(), uint64_t{1} << 60);
  EXPECT_LT((*index)->memory(), 1000U);
  EXPECT_EQ((*index)->at(2)->offset, 1000008U);
  EXPECT_EQ((*index)->at(3)->state, ChunkRef::State::kMissing);
}

TEST(Hdf5ChunkWalk, Btree1RefusesCirclesAndNonsense) {
  IndexFile file;
  file.pad(96);
  uint64_t root = add_btree1(file, 200, 10);
  ChunkedLayout layout = grid_layout(ChunkIndexKind::kBtree1, {2000}, {10}, root);
  ASSERT_TRUE(walk_all(file.bytes, layout));

  Bytes circle = file.bytes;  // the root's first child is the root
  store_le<uint64_t>(circle.data() + root + 24 + 24, root);
  auto looped = walk_all(circle, layout);
  ASSERT_FALSE(looped);
  EXPECT_EQ(looped.error().code, Code::kInvalidData);
  EXPECT_THAT(looped.error().message, HasSubstr("twice"));

  Bytes level = file.bytes;  // a leaf that claims to be at level 1
  level[96 + 5] = 1;
  auto deep = walk_all(level, layout);
  ASSERT_FALSE(deep);
  EXPECT_THAT(deep.error().message, HasSubstr("offset 96"));

  Bytes crowded = file.bytes;
  store_le<uint16_t>(crowded.data() + 96 + 6, 60000);
  EXPECT_FALSE(walk_all(crowded, layout));

  layout.chunk_shape = {7};  // starts are multiples of 10
  auto skewed = walk_all(file.bytes, layout);
  ASSERT_FALSE(skewed);
  EXPECT_THAT(skewed.error().message, HasSubstr("no multiple"));
}

TEST(Hdf5ChunkWalk, ChunksOfAShrunkDatasetAreLeftOut) {
  IndexFile file;
  file.pad(96);
  uint64_t root = add_btree1(file, 20, 10);
  auto index = walk_all(file.bytes, grid_layout(ChunkIndexKind::kBtree1, {95}, {10}, root));
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->size(), 10U);
}

TEST(Hdf5ChunkWalk, EdgeChunksMayBeUnfiltered) {
  IndexFile file;
  file.pad(96);
  uint64_t root = add_btree1(file, 10, 10);
  ChunkedLayout layout = grid_layout(ChunkIndexKind::kBtree1, {95}, {10}, root);
  layout.filtered = true;
  layout.skip_partial_edge_filters = true;
  auto index = walk_all(file.bytes, layout);
  ASSERT_TRUE(index);
  EXPECT_EQ((*index)->at(8)->filter_mask, 0U);
  EXPECT_EQ((*index)->at(9)->filter_mask, ~0U);
}

// A paged fixed array of `count` elements in pages of 4, of which page 1 was never written.
uint64_t add_fixed_array(IndexFile& file, uint64_t count) {
  uint64_t pages = (count + 3) / 4;
  uint64_t block = file.end();
  file.text("FADB").put(0, 1).put(0, 1).put(0, 8);
  for (uint64_t i = 0; i < (pages + 7) / 8; ++i) file.put(0xff & ~(i == 0 ? 0x40U : 0U), 1);
  file.seal(block);
  for (uint64_t p = 0; p < pages; ++p) {
    uint64_t page = file.end();
    for (uint64_t i = p * 4; i < std::min(count, p * 4 + 4); ++i) {
      file.put(i == 2 ? kUndefined : 5000 + 100 * i, 8);
    }
    file.seal(page);
  }
  uint64_t header = file.end();
  file.text("FAHD").put(0, 1).put(0, 1).put(8, 1).put(2, 1).put(count, 8).put(block, 8);
  file.seal(header);
  return header;
}

TEST(Hdf5ChunkWalk, PagedFixedArray) {
  IndexFile file;
  file.pad(64);
  uint64_t header = add_fixed_array(file, 10);
  ChunkedLayout layout = grid_layout(ChunkIndexKind::kFixedArray, {20}, {2}, header);
  int rounds = 0;
  auto index = walk_all(file.bytes, layout, &rounds);
  ASSERT_TRUE(index) << index.error().to_string();
  EXPECT_EQ(rounds, 3);  // header, block, pages
  EXPECT_EQ((*index)->at(1)->offset, 5100U);
  EXPECT_EQ((*index)->at(1)->length, 8U);
  EXPECT_EQ((*index)->at(2)->state, ChunkRef::State::kMissing);
  EXPECT_EQ((*index)->at(4)->state, ChunkRef::State::kMissing) << "a page never written";
  EXPECT_EQ((*index)->at(9)->offset, 5900U);

  Bytes broken = file.bytes;
  broken[64 + 15 + 4] ^= 1;  // an address in the first page
  auto wrong = walk_all(broken, layout);
  ASSERT_FALSE(wrong);
  EXPECT_THAT(wrong.error().message, HasSubstr("checksum"));
}

TEST(Hdf5Btree2, RecordsOfALeafAndAWrongType) {
  IndexFile file;
  file.pad(32);
  uint64_t leaf = file.end();
  file.text("BTLF").put(0, 1).put(5, 1);
  for (uint64_t i = 0; i < 3; ++i) file.put(i, 4).put(10 + i, 7);
  file.seal(leaf).pad(leaf + 512);
  uint64_t header = file.end();
  file.text("BTHD").put(0, 1).put(5, 1).put(512, 4).put(11, 2).put(0, 2).put(100, 1).put(40, 1);
  file.put(leaf, 8).put(3, 2).put(3, 8).seal(header);
  auto read = [&](Btree2Type type) {
    return run_rounds(file.bytes, [&](Window& window) -> Result<std::vector<uint64_t>> {
      UPWELL_TRY(auto records, read_btree2(window, FileFacts{}, header, type));
      std::vector<uint64_t> ids;
      for (ByteSpan record : records) ids.push_back(load_le<uint32_t>(record.data()));
      return ids;
    });
  };
  EXPECT_THAT(*read(Btree2Type::kLinkName), ::testing::UnorderedElementsAre(0, 1, 2));
  EXPECT_FALSE(read(Btree2Type::kChunk));
  file.bytes[leaf + 8] ^= 1;
  auto broken = read(Btree2Type::kLinkName);
  ASSERT_FALSE(broken);
  EXPECT_THAT(broken.error().message, HasSubstr("offset 32"));
}

// A collection of the given objects, numbered from 1.
uint64_t add_collection(IndexFile& file, const std::vector<std::string>& objects) {
  uint64_t at = file.end();
  file.text("GCOL").put(1, 4).put(0, 8);
  for (size_t i = 0; i < objects.size(); ++i) {
    file.put(i + 1, 2).put(1, 2).put(0, 4).put(objects[i].size(), 8).text(objects[i]);
    file.pad((file.end() + 7) / 8 * 8);
  }
  file.pad(at + 4096);
  store_le<uint64_t>(file.bytes.data() + at + 8, file.end() - at);
  return at;
}

std::string handle(uint32_t count, uint64_t address, uint32_t index) {
  IndexFile h;
  h.put(count, 4).put(address, 8).put(index, 4);
  return std::string(as_text(h.bytes));
}

TEST(Hdf5GlobalHeap, StringsAndNestedSequences) {
  IndexFile file;
  file.pad(64);
  uint64_t words = add_collection(file, {"sea", "surface height"});
  uint64_t lists = add_collection(file, {handle(3, words, 1) + handle(7, words, 2)});
  auto text_type = DataType::vlen_string();
  text_type.size = 16;
  DataType list_type;
  list_type.kind = Kind::kVlen;
  list_type.size = 16;
  list_type.base = std::make_shared<DataType>(text_type);

  Values out;
  std::string stored = handle(2, lists, 1) + handle(0, 0, 0);
  int rounds = 0;
  auto done = run_rounds(
      file.bytes,
      [&](Window& window) {
        return resolve_in_window(window, FileFacts{}, list_type, as_bytes(stored), 2, out);
      },
      &rounds);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(rounds, 2);  // one per nesting level
  ASSERT_EQ(out.data.size(), 32U);
  VlenHandle list, empty, second;
  std::memcpy(&list, out.data.data(), 16);
  std::memcpy(&empty, out.data.data() + 16, 16);
  EXPECT_EQ(list.count, 2U);
  EXPECT_EQ(empty.count, 0U);
  std::memcpy(&second, out.heap.data() + list.offset + 16, 16);
  EXPECT_EQ(as_text(out.heap).substr(second.offset, second.count), "surface");

  for (const std::string& bad : {handle(2, lists, 9), handle(900, lists, 1), handle(2, 8, 1)}) {
    Values untouched;
    auto refused = run_rounds(file.bytes, [&](Window& window) {
      return resolve_in_window(window, FileFacts{}, list_type, as_bytes(bad), 1, untouched);
    });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalidData);
    EXPECT_TRUE(untouched.data.empty());
  }
}

TEST(Hdf5FractalHeap, ManagedAndTinyObjectsOfARootBlock) {
  IndexFile file;
  file.pad(32);
  uint64_t header = file.end(), block = header + 146;
  file.text("FRHP").put(0, 1).put(8, 2).put(0, 2).put(0, 1).put(4096, 4).put(0, 8);
  file.put(kUndefined, 8).put(0, 8).put(kUndefined, 8);
  file.put(512, 8).put(512, 8).put(0, 8).put(1, 8).put(0, 8).put(0, 8).put(0, 8).put(0, 8);
  file.put(4, 2).put(512, 8).put(65536, 8).put(32, 2).put(1, 2).put(block, 8).put(0, 2);
  file.seal(header);
  ASSERT_EQ(file.end(), block);
  file.text("FHDB").put(0, 1).put(header, 8).put(0, 4).text("link message").pad(block + 512);

  auto get = [&](const std::string& id) {
    return run_rounds(file.bytes, [&](Window& window) -> Result<std::string> {
      UPWELL_TRY(auto heap, FractalHeap::open(window, FileFacts{}, header));
      UPWELL_TRY(ByteSpan object, heap.get(window, as_bytes(id)));
      return std::string(as_text(object));
    });
  };
  auto managed = [](uint32_t offset, uint16_t length) {
    IndexFile id;
    id.put(0, 1).put(offset, 4).put(length, 2).put(0, 1);
    return std::string(as_text(id.bytes));
  };
  EXPECT_EQ(get(managed(17, 12)).value_or(""), "link message");
  EXPECT_EQ(get(std::string("\x22") + "abcdefg").value_or(""), "abc");
  EXPECT_FALSE(get(managed(3, 4))) << "inside the block's head";
  EXPECT_FALSE(get(managed(500, 100))) << "over the block's end";
  EXPECT_FALSE(get(managed(5000, 1))) << "outside the heap";
  file.bytes[header + 20] ^= 1;
  EXPECT_THAT(get(managed(17, 12)).error().message, HasSubstr("checksum"));
}

}  // namespace
}  // namespace upwell::format::hdf5
