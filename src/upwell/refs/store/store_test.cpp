#include "refs/store/store.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>

#include "base/files.hpp"
#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/open.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

/// As many references as one likes, made up when they are asked for.
class MadeUpIndex : public ChunkIndex {
 public:
  MadeUpIndex(uint64_t size, uint32_t granules) : size_(size), granules_(granules) {}
  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override {
    for (const uint64_t p : positions) *out++ = made_up(p);
    return {};
  }
  size_t memory() const override { return 0; }
  ChunkRef made_up(uint64_t position) const {
    ChunkRef ref;
    ref.state = ChunkRef::State::kStored;
    ref.granule = static_cast<uint32_t>(position % granules_);
    ref.offset = position * 1000;
    ref.length = 900 + position % 100;
    return ref;
  }

 private:
  uint64_t size_;
  uint32_t granules_;
};

Dataset cube_of(std::shared_ptr<const ChunkIndex> chunks, Shape grid, const SegmentLayout& layout) {
  Dataset cube;
  Array array;
  array.name = "v";
  array.type = layout.type;
  array.chunk_shape = layout.chunk_shape;
  for (size_t d = 0; d < grid.size(); ++d) {
    array.shape.push_back(grid[d] * layout.chunk_shape[d]);
    array.dimensions.push_back(d == 0 ? "time" : "x");
  }
  array.segments.push_back({Shape(grid.size(), 0),
                            array.shape,
                            {},
                            std::make_shared<SegmentLayout>(layout),
                            std::move(chunks),
                            grid});
  cube.root.arrays.push_back(std::move(array));
  return cube;
}

SegmentLayout plain_layout(Shape chunk) {
  SegmentLayout layout;
  layout.type = DataType::integer(2);
  layout.chunk_shape = std::move(chunk);
  layout.fill = Bytes(2, 9);
  return layout;
}

Result<> write_cube(const fs::path& target, const Dataset& cube) {
  fs::remove_all(target);
  fs::create_directories(target);
  StoreRecord record;
  record.concat = "time";
  StoreManifest manifest = plan_store(cube, record, {}, {});
  std::vector<GranuleRecord> granules;
  UPWELL_TRY(StorePart part,
             write_part(target / "part-1", "part-1", manifest,
                        {{{&cube, 0}}, granules, {}, cube.root.arrays[0].shape[0]}));
  manifest.parts.push_back(std::move(part));
  UPWELL_CHECK(write_manifest(target, manifest));
  return {};
}

fs::path scratch_store(const char* name) { return fs::path(testing::TempDir()) / name; }

TEST(OwnForm, EveryKindOfChunkComesBack) {
  auto chunks = std::make_shared<DenseChunkIndex>(6);
  Dataset cube = cube_of(chunks, {3, 2}, plain_layout({1, 4}));
  const uint32_t a = cube.granules->intern("/data/a.nc"), b = cube.granules->intern("/data/b.nc");
  chunks->set(0, a, 100, 8);
  chunks->set(1, b, 200, 8, 0b10);
  chunks->set_inline(3, Bytes{1, 2, 3, 4, 5, 6, 7, 8});
  chunks->set(4, a, uint64_t{1} << 40, io::kToEnd);
  const auto target = scratch_store("kinds.upwell");
  auto written = write_cube(target, cube);
  ASSERT_TRUE(written) << written.error().to_string();
  io::Session session;
  auto back = open_source(session, target.string());
  ASSERT_TRUE(back) << back.error().to_string();
  const Array& array = *back->root.find_array("v");
  EXPECT_EQ(array.shape, (Shape{3, 8}));
  const ChunkIndex& index = *array.segments.at(0).chunks;
  EXPECT_TRUE(index.has_filter_masks());
  ChunkRef one = *index.at(1);
  EXPECT_EQ(back->granules->at(one.granule).url, "/data/b.nc");
  EXPECT_EQ(one.offset, 200u);
  EXPECT_EQ(one.filter_mask, 2u);
  EXPECT_EQ(index.at(2)->state, ChunkRef::State::kMissing);
  EXPECT_EQ(index.at(3)->bytes.size(), 8u);
  EXPECT_EQ(index.at(4)->offset, uint64_t{1} << 40);
  EXPECT_EQ(index.at(4)->length, io::kToEnd);
}

TEST(OwnForm, GridsWithFewChunksStaySmall) {
  constexpr uint64_t kPlaces = uint64_t{1} << 40;
  auto chunks = std::make_shared<SparseChunkIndex>(kPlaces);
  Dataset cube = cube_of(chunks, {kPlaces}, plain_layout({4}));
  const uint32_t a = cube.granules->intern("/data/a.nc");
  for (const uint64_t p : {uint64_t{7}, uint64_t{9}, kPlaces / 2, kPlaces - 1})
    chunks->set(p, a, p, 8);
  chunks->finish();
  const auto target = scratch_store("sparse.upwell");
  auto written = write_cube(target, cube);
  ASSERT_TRUE(written) << written.error().to_string();
  EXPECT_LT(fs::file_size(target / "part-1" / "chunks.arrow"), 4000u);
  io::Session session;
  auto back = open_source(session, target.string());
  ASSERT_TRUE(back) << back.error().to_string();
  const ChunkIndex& index = *back->root.find_array("v")->segments.at(0).chunks;
  EXPECT_EQ(index.next_stored(0), 7u);
  EXPECT_EQ(index.next_stored(8), 9u);
  EXPECT_EQ(index.next_stored(10), kPlaces / 2);
  EXPECT_EQ(index.next_stored(kPlaces / 2 + 1), kPlaces - 1);
  EXPECT_EQ(index.at(9)->offset, 9u);
  EXPECT_EQ(index.at(8)->state, ChunkRef::State::kMissing);
}

TEST(OwnForm, OnlyPartsAreSweptFromADirectory) {
  const auto target = scratch_store("sweep.upwell");
  Dataset cube = cube_of(std::make_shared<MadeUpIndex>(6, 1), {6}, plain_layout({4}));
  cube.granules->intern("/data/a.nc");
  ASSERT_TRUE(write_cube(target, cube));
  const auto put = [&](const std::string& name) {
    fs::create_directories((target / name).parent_path());
    std::ofstream(target / name) << "text";
  };
  const std::vector<std::string> swept{"part-2/chunks.arrow", "part-3-0123456789abcdef/a.arrow",
                                       ".part-2.tmp-71-0/a.arrow", ".manifest.json.tmp-71-3"};
  const std::vector<std::string> kept{
      "part-1/chunks.arrow", "part-notes.txt", "part-1-mine/x",
      ".part-of-mine",       "part-/x",        ".manifest.json.swp"};
  for (const std::string& name : swept) put(name);
  for (size_t i = 1; i < kept.size(); ++i) put(kept[i]);
  io::Session session;
  const auto manifest = read_manifest(session, target.string());
  ASSERT_TRUE(manifest) << manifest.error().to_string();
  ASSERT_TRUE(sweep_parts(target, *manifest));
  for (const std::string& name : swept)
    EXPECT_FALSE(fs::exists((target / name.substr(0, name.find('/'))))) << name;
  for (const std::string& name : kept) EXPECT_TRUE(fs::exists(target / name)) << name;
}

TEST(OwnForm, OfTwoWritersInAnObjectStoreOneWins) {
  io::Session session;
  session.mount("memory", std::make_shared<io::MemoryStore>());
  const std::string url = "memory://bucket/cube.upwell", base = url + "/";
  Dataset cube = cube_of(std::make_shared<MadeUpIndex>(6, 2), {6}, plain_layout({4}));
  for (const char* name : {"a.nc", "b.nc"})
    cube.granules->intern("memory://bucket/" + std::string(name));
  StoreRecord record;
  record.concat = "time";
  const ReferenceOutputOptions output;
  const PartInput input{{{&cube, 0}}, {}, output, 24};
  std::vector<std::string> warnings;
  const auto write_upon = [&](const StoreManifest& before) {
    return change_store(session, url, before, plan_store(cube, record, {}, output), input,
                        warnings);
  };
  auto none = manifest_there(session, url);
  ASSERT_TRUE(none && none->etag.empty() && none->parts.empty());
  // Not of a store's making, whatever the names: nothing removes them.
  const std::vector<std::string> foreign{base + "part-notes.txt", base + "part-1-mine/x",
                                         base + "part-1"};
  for (const std::string& name : foreign)
    ASSERT_TRUE(session.put(name, to_bytes("mine"), io::PutCondition::absent()));
  const auto begun = write_upon(*none);
  ASSERT_TRUE(begun) << begun.error().to_string();
  const std::optional<StorePart>& first = *begun;
  ASSERT_TRUE(first);
  const auto late = write_upon(*none);
  ASSERT_TRUE(late) << late.error().to_string();
  EXPECT_FALSE(*late);

  const auto there = manifest_there(session, url);
  ASSERT_TRUE(there) << there.error().to_string();
  ASSERT_EQ(there->parts.size(), 1u);
  EXPECT_EQ(there->parts[0].name, first->name);
  EXPECT_EQ(there->next_part, 2u);
  const auto grown = write_upon(*there);
  ASSERT_TRUE(grown) << grown.error().to_string();
  const std::optional<StorePart>& second = *grown;
  ASSERT_TRUE(second);
  // The part of the older manifest stays for its readers; that of the late writer does not.
  auto now = manifest_there(session, url);
  ASSERT_TRUE(now && now->superseded.size() == 1);
  EXPECT_EQ(now->superseded[0].name, first->name);
  const auto known = [&](const std::string& one) {
    return one == base + kManifest || one.starts_with(base + first->name + "/") ||
           one.starts_with(base + second->name + "/") ||
           std::find(foreign.begin(), foreign.end(), one) != foreign.end();
  };
  const auto objects = session.list(base);
  ASSERT_TRUE(objects);
  EXPECT_EQ(objects->size(), 1 + foreign.size() + first->files.size() + second->files.size());
  EXPECT_TRUE(std::all_of(objects->begin(), objects->end(), known));

  // A day later it goes.
  now->superseded[0].since_unix_s -= int64_t{25} * 3600;
  ASSERT_TRUE(write_upon(*now));
  const auto left = session.list(base + first->name + "/");
  EXPECT_TRUE(left && left->empty());
  EXPECT_TRUE(warnings.empty());
  auto back = open_source(session, url);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(back->root.find_array("v")->segments.at(0).chunks->at(5)->offset, 5000u);
}

/// A service that puts what it is given, whatever the condition.
class CarelessStore : public io::MemoryStore {
 public:
  Result<std::unique_ptr<io::ObjectWriter>> create(const std::string& url) override {
    UPWELL_TRY(auto writer, MemoryStore::create(url));
    return std::make_unique<Writer>(std::move(writer));
  }

 private:
  struct Writer : io::ObjectWriter {
    explicit Writer(std::unique_ptr<io::ObjectWriter> to) : below(std::move(to)) {}
    Result<> write(ByteSpan bytes) override { return below->write(bytes); }
    Result<io::ObjectInfo> commit(const io::PutCondition& /*condition*/) override {
      return below->commit({});
    }
    std::unique_ptr<io::ObjectWriter> below;
  };
};

TEST(OwnForm, AServiceWithoutConditionsIsRefused) {
  io::Session session;
  session.mount("memory", std::make_shared<CarelessStore>());
  Dataset cube = cube_of(std::make_shared<MadeUpIndex>(6, 1), {6}, plain_layout({4}));
  cube.granules->intern("memory://bucket/a.nc");
  StoreRecord record;
  record.concat = "time";
  const ReferenceOutputOptions output;
  std::vector<std::string> warnings;
  const auto written =
      change_store(session, "memory://bucket/cube.upwell", {}, plan_store(cube, record, {}, output),
                   {{{&cube, 0}}, {}, output, 24}, warnings);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kUnsupported);
  EXPECT_NE(written.error().message.find("If-Match"), std::string::npos);
  const auto left = session.list("memory://bucket/");
  EXPECT_TRUE(left && left->empty());
}

uint64_t resident_kib() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::strtoull(line.c_str() + 6, nullptr, 10);
  return 0;
}

TEST(OwnForm, ManyReferencesAreOpenedAndLookedUpWithoutBeingRead) {
  const uint64_t count = 1'000'000;  // a hundred times as many: ./dev bench --only lookup
  auto made_up = std::make_shared<MadeUpIndex>(count, 365);
  Dataset cube = cube_of(made_up, {count}, plain_layout({4}));
  for (int i = 0; i < 365; ++i) cube.granules->intern("/data/" + std::to_string(i) + ".nc");
  const auto target = scratch_store("many.upwell");
  auto written = write_cube(target, cube);
  ASSERT_TRUE(written) << written.error().to_string();
  const uint64_t before = resident_kib();
  const auto start = std::chrono::steady_clock::now();
  io::Session session;
  auto back = open_source(session, target.string());
  ASSERT_TRUE(back) << back.error().to_string();
  const ChunkIndex& index = *back->root.find_array("v")->segments.at(0).chunks;
  uint64_t position = 12345;
  for (int i = 0; i < 1000; ++i) {
    position = (position * 6364136223846793005ULL + 1442695040888963407ULL) % count;
    const ChunkRef expected = made_up->made_up(position);
    auto ref = index.at(position);
    ASSERT_TRUE(ref) << ref.error().to_string();
    ASSERT_EQ(ref->offset, expected.offset);
    ASSERT_EQ(ref->length, expected.length);
    ASSERT_EQ(back->granules->at(ref->granule).url,
              "/data/" + std::to_string(position % 365) + ".nc");
  }
  const double ms =
      std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
  const uint64_t grown = resident_kib() - std::min(before, resident_kib());
  RecordProperty("milliseconds", std::to_string(ms));
  printf("%llu references: opened and 1000 looked up in %.2f ms, %llu KiB more resident\n",
         static_cast<unsigned long long>(count), ms, static_cast<unsigned long long>(grown));
  EXPECT_LT(grown, 64U << 10);
  fs::remove_all(target);
}

}  // namespace
}  // namespace upwell::refs
