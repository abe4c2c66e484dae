// Scans of a part of a file against scans of the whole.

#include <fmt/core.h>
#include <gtest/gtest.h>
#include <hdf5.h>
#include <netcdf.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "cube/select.hpp"
#include "format/hdf5/hdf5.hpp"

namespace upwell::format::hdf5 {
namespace {

std::string chunks_text(const Array& array) {
  std::string text;
  for (const Segment& segment : array.segments) {
    uint64_t n = std::min<uint64_t>(segment.chunks->size(), 1000);
    std::vector<uint64_t> positions(n);
    std::vector<ChunkRef> refs(n);
    for (uint64_t i = 0; i < n; ++i) positions[i] = i;
    if (!segment.chunks->lookup(positions, refs.data())) return "error";
    for (const ChunkRef& ref : refs)
      text += fmt::format("{} {} {} {};", static_cast<int>(ref.state), ref.offset, ref.length,
                          ref.filter_mask);
  }
  return text;
}

/// What elements of variable length hold: between them the heap may have gaps.
std::string vlen_text(const Values& values) {
  std::string text;
  for (size_t i = 0; i < values.count(); ++i) {
    if (values.type.kind == Kind::kVlenString) {
      text += std::string(values.text(i)) + "\n";
    } else if (values.type.kind == Kind::kVlen && !values.type.base->has_vlen()) {
      VlenHandle handle;
      std::memcpy(&handle, values.data.data() + i * sizeof handle, sizeof handle);
      uint64_t bytes = handle.count * values.type.base->size;
      text += std::string(as_text(ByteSpan(values.heap).subspan(handle.offset, bytes))) + "\n";
    }
  }
  return text;
}

bool equal_attributes(const Attributes& a, const Attributes& b) {
  auto equal = [](const Attribute& x, const Attribute& y) {
    if (x.name != y.name || x.value.type != y.value.type || x.value.shape != y.value.shape)
      return false;
    return x.value.type.has_vlen() ? vlen_text(x.value) == vlen_text(y.value)
                                   : x.value.data == y.value.data;
  };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

/// Names of axes without one are invented only where all of the file is known.
void expect_equal_arrays(const Array& part, const Array& whole, bool partial) {
  EXPECT_EQ(part.type, whole.type);
  EXPECT_EQ(part.shape, whole.shape);
  EXPECT_EQ(part.max_shape, whole.max_shape);
  EXPECT_EQ(part.chunk_shape, whole.chunk_shape);
  EXPECT_EQ(part.fill, whole.fill);
  EXPECT_TRUE(equal_attributes(part.attributes, whole.attributes));
  EXPECT_EQ(part.segments.size(), whole.segments.size());
  for (size_t i = 0; i < std::min(part.segments.size(), whole.segments.size()); ++i)
    EXPECT_EQ(*part.segments[i].layout, *whole.segments[i].layout);
  EXPECT_EQ(chunks_text(part), chunks_text(whole));
  ASSERT_EQ(part.dimensions.size(), whole.dimensions.size());
  for (size_t d = 0; d < part.dimensions.size(); ++d) {
    bool left_open = partial && part.dimensions[d].empty();
    EXPECT_TRUE(left_open || part.dimensions[d] == whole.dimensions[d]) << whole.dimensions[d];
  }
}

void expect_holds(io::Session& session, const std::string& path, const ScanOptions& options,
                  const std::string& name, const Array& array) {
  auto part = scan(session, path, options);
  ASSERT_TRUE(part) << part.error().to_string();
  for_each_array(part->root, [&](const std::string& held, const Array& one) {
    // Without the variable of a dimension, the dimension's name and length may be others.
    if (held == name && options.drop.empty())
      expect_equal_arrays(one, array, true);
    else if (held == name && one.shape == array.shape)
      EXPECT_EQ(chunks_text(one), chunks_text(array));
    else
      EXPECT_FALSE(options.drop.empty() && part->partial) << held << " is more than was asked for";
  });
  EXPECT_TRUE(part->root.find_array(name));
}

/// Each array of a file alone is as it is in the whole file, with its coordinates. Returns how many
/// scans could leave something out.
int compare_parts(const std::string& path) {
  SCOPED_TRACE(path);
  io::Session session;
  auto whole = scan(session, path);
  if (!whole) return 0;
  std::vector<std::pair<std::string, const Array*>> arrays;
  for_each_array(whole->root, [&](const std::string& name, const Array& array) {
    if (arrays.size() < 20) arrays.emplace_back(name, &array);
  });
  int partial = 0;
  for (const auto& [name, array] : arrays) {
    SCOPED_TRACE(name);
    ScanOptions options;
    options.only = {name};
    auto part = scan(session, path, options);
    EXPECT_TRUE(part) << part.error().to_string();
    if (!part) continue;
    const Array* found = part->root.find_array(name);
    EXPECT_TRUE(found);
    if (!found) continue;
    expect_equal_arrays(*found, *array, part->partial);
    EXPECT_TRUE(equal_attributes(part->root.attributes, whole->root.attributes));
    for (const std::string& dimension : found->dimensions) {
      if (dimension.empty()) continue;
      const Array* coordinate = find_coordinate(*whole, name, dimension).array;
      const Array* of_part = find_coordinate(*part, name, dimension).array;
      EXPECT_EQ(of_part == nullptr, coordinate == nullptr) << dimension;
      if (of_part && coordinate) expect_equal_arrays(*of_part, *coordinate, part->partial);
    }
    partial += part->partial ? 1 : 0;
    options.values_alone = true;
    expect_holds(session, path, options, name, *array);
    // Whatever else there is may be left out without a look at its chunks.
    ScanOptions others;
    for (const auto& [other, _] : arrays)
      if (other != name) others.drop.push_back(other);
    expect_holds(session, path, others, name, *array);
  }
  return partial;
}

TEST(PartialScan, OfConformanceFilesIsAsTheWhole) {
  const char* shared = std::getenv("UPWELL_SHARED");
  if (!shared) GTEST_SKIP() << "set UPWELL_SHARED to the folder that holds data/conformance";
  int partial = 0;
  for (const char* folder : {"hdf5", "netcdf-c-tests", "generated"}) {
    std::filesystem::path below = std::filesystem::path(shared) / "data" / "conformance" / folder;
    std::error_code error;
    for (std::filesystem::recursive_directory_iterator file(below, error), end; file != end;
         ++file) {
      if (file->is_regular_file() && file->file_size() < (1 << 20))
        partial += compare_parts(file->path().string());
    }
  }
  EXPECT_GT(partial, 1000);
}

class PartialScanTest : public testing::Test {
 protected:
  PartialScanTest()
      : path_((std::filesystem::temp_directory_path() / fmt::format("partial-{}.nc", ::getpid()))
                  .string()) {}
  ~PartialScanTest() override { std::filesystem::remove(path_); }
  std::string path_;
};

TEST_F(PartialScanTest, HoldsTheArrayItsCoordinatesAndTheGroupsOnTheWay) {
  int file = 0, group = 0, other = 0, x = 0, y = 0, var = 0;
  ASSERT_EQ(nc_create(path_.c_str(), NC_NETCDF4, &file), 0);
  nc_put_att_text(file, NC_GLOBAL, "title", 1, "t");
  nc_def_dim(file, "x", 3, &x);
  nc_def_var(file, "x", NC_INT, 1, &x, &var);
  nc_def_var(file, "elsewhere", NC_INT, 1, &x, &var);
  nc_def_grp(file, "g", &group);
  nc_def_grp(file, "h", &other);
  nc_def_var(other, "v", NC_INT, 1, &x, &var);
  nc_def_dim(group, "y", 2, &y);
  int both[2] = {y, x};
  nc_def_var(group, "v", NC_INT, 2, both, &var);
  nc_def_var(group, "w", NC_INT, 2, both, &var);
  ASSERT_EQ(nc_close(file), 0);

  io::Session session;
  ScanOptions options;
  options.only = {"g/v"};
  auto part = scan(session, path_, options);
  ASSERT_TRUE(part) << part.error().to_string();
  EXPECT_TRUE(part->partial);
  std::string held;
  for_each_array(part->root, [&](const std::string& name, const Array&) { held += name + " "; });
  EXPECT_EQ(held, "/x /g/v ");
  EXPECT_EQ(part->root.find_array("g/v")->dimensions, (std::vector<std::string>{"y", "x"}));
  EXPECT_TRUE(find_attribute(part->root.attributes, "title"));

  // The values alone need no coordinates, but shapes and names of dimensions stay.
  options.values_alone = true;
  part = scan(session, path_, options);
  ASSERT_TRUE(part) << part.error().to_string();
  held.clear();
  for_each_array(part->root, [&](const std::string& name, const Array&) { held += name + " "; });
  EXPECT_EQ(held, "/g/v ");
  EXPECT_EQ(part->root.find_array("g/v")->dimensions, (std::vector<std::string>{"y", "x"}));
  options.values_alone = false;

  // A group is all that lies in it.
  options.only = {"/g/"};
  part = scan(session, path_, options);
  ASSERT_TRUE(part);
  held.clear();
  for_each_array(part->root, [&](const std::string& name, const Array&) { held += name + " "; });
  EXPECT_EQ(held, "/x /g/v /g/w ");

  // What is not there is looked for in the whole file.
  options.only = {"g/nothing"};
  part = scan(session, path_, options);
  ASSERT_TRUE(part);
  EXPECT_FALSE(part->partial);
  EXPECT_TRUE(part->root.find_array("h/v"));
  EXPECT_EQ(compare_parts(path_), 5);
}

/// How often bytes have to be fetched to read one variable, without reading ahead.
int rounds_for(const std::string& path, const std::string& variable) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const ByteSpan bytes(reinterpret_cast<const uint8_t*>(text.data()), text.size());
  ScanOptions options;
  options.only = {variable};
  Granule granule{path, {}};
  granule.info.size = bytes.size();
  auto reader = hdf5_format().make(granule, options);
  Window window(bytes.size());
  window.add(0, SharedBytes(to_bytes(bytes.first(hdf5_format().head_bytes))));
  for (int rounds = 0; rounds < 100; ++rounds) {
    auto done = reader->advance(window);
    EXPECT_TRUE(done) << done.error().to_string();
    if (!done || *done) return rounds;
    for (const io::Range& range : window.take_missing())
      window.add(range.offset, SharedBytes(to_bytes(bytes.subspan(range.offset, range.length))));
  }
  return 100;
}

/// A dataset of 200 chunks.
void write_chunks(const std::string& path) {
  const hid_t file = H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
  const hid_t how = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk = 100, shape = 20000;
  H5Pset_chunk(how, 1, &chunk);
  const hid_t space = H5Screate_simple(1, &shape, nullptr);
  const hid_t set = H5Dcreate2(file, "v", H5T_NATIVE_INT32, space, H5P_DEFAULT, how, H5P_DEFAULT);
  const std::vector<int32_t> values(shape, 7);
  EXPECT_GE(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()), 0);
  H5Dclose(set);
  H5Sclose(space);
  H5Pclose(how);
  H5Fclose(file);
}

/// An attribute for which the header of the dataset has no room: it goes on at the end of the file.
void add_attribute(const std::string& path) {
  const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  const hid_t set = H5Dopen2(file, "v", H5P_DEFAULT);
  const hsize_t shape = 2000;
  const hid_t space = H5Screate_simple(1, &shape, nullptr);
  H5Aclose(H5Acreate2(set, "a", H5T_NATIVE_INT32, space, H5P_DEFAULT, H5P_DEFAULT));
  H5Sclose(space);
  H5Dclose(set);
  H5Fclose(file);
}

TEST_F(PartialScanTest, TreesOfChunksComeWithTheRestOfTheHeader) {
  write_chunks(path_);
  const int whole = rounds_for(path_, "v");
  EXPECT_GT(whole, 0);
  add_attribute(path_);
  EXPECT_EQ(rounds_for(path_, "v"), whole);
}

}  // namespace
}  // namespace upwell::format::hdf5
