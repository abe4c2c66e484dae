// Variables that are shorter than their unlimited dimension: shapes and values are netCDF-C's.

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netcdf.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <numeric>

#include "cube/read.hpp"
#include "format/hdf5/hdf5.hpp"

namespace upwell::format::hdf5 {
namespace {

using testing::ElementsAre;

class ShortVariables : public testing::Test {
 protected:
  ShortVariables()
      : path_((std::filesystem::temp_directory_path() / fmt::format("short-{}.nc", ::getpid()))
                  .string()) {}
  ~ShortVariables() override { std::filesystem::remove(path_); }

  /// A variable of which only the box `count` at the origin is written.
  static void define(int group, const char* name, nc_type type, const std::vector<int>& dims,
                     const std::vector<size_t>& count, bool no_fill = false) {
    int variable = 0;
    ASSERT_EQ(nc_def_var(group, name, type, static_cast<int>(dims.size()), dims.data(), &variable),
              0);
    const std::vector<size_t> chunks(dims.size(), 2), start(dims.size(), 0);
    if (!dims.empty()) nc_def_var_chunking(group, variable, NC_CHUNKED, chunks.data());
    if (no_fill) nc_def_var_fill(group, variable, NC_NOFILL, nullptr);
    size_t elements = 1;
    for (size_t n : count) elements *= n;
    std::vector<int> values(elements);
    std::iota(values.begin(), values.end(), 1);
    if (elements > 0) {
      ASSERT_EQ(nc_put_vara_int(group, variable, start.data(), count.data(), values.data()), 0);
    }
  }

  /// Two unlimited dimensions in the root, one in a group, and variables of many lengths.
  void make() {
    int file = 0, group = 0, t = 0, u = 0, x = 0, own = 0;
    ASSERT_EQ(nc_create(path_.c_str(), NC_NETCDF4, &file), 0);
    nc_def_dim(file, "t", NC_UNLIMITED, &t);
    nc_def_dim(file, "u", NC_UNLIMITED, &u);
    nc_def_dim(file, "x", 3, &x);
    nc_def_grp(file, "g", &group);
    nc_def_dim(group, "own", NC_UNLIMITED, &own);
    const nc_type types[] = {NC_BYTE, NC_UBYTE, NC_SHORT,  NC_USHORT, NC_INT,
                             NC_UINT, NC_INT64, NC_UINT64, NC_FLOAT,  NC_DOUBLE};
    for (nc_type type : types) {
      define(file, fmt::format("v{}", type).c_str(), type, {t, x}, {3, 3});
      define(file, fmt::format("n{}", type).c_str(), type, {t}, {2}, true);
    }
    define(file, "t", NC_DOUBLE, {t}, {4});
    define(file, "nothing", NC_INT, {t, x}, {0, 0});
    define(file, "scalar", NC_INT, {}, {});
    define(file, "inner", NC_INT, {x, t}, {3, 2});
    define(file, "both", NC_INT, {t, u}, {2, 6});
    define(file, "corner", NC_INT, {u, t}, {3, 1});
    define(group, "longest", NC_SHORT, {t, own}, {7, 2});  // netCDF-C: seven in the root, too
    define(group, "short", NC_SHORT, {own, t}, {5, 1});
    int filled = 0, fill = -5;
    nc_def_var(group, "filled", NC_INT, 1, &t, &filled);
    nc_def_var_fill(group, filled, NC_FILL, &fill);
    ASSERT_EQ(nc_close(file), 0);
  }

  /// Every element as netCDF-C gives it alone (whole boxes it gives wrongly where an inner axis is
  /// short).
  static void compare(io::Session& session, const Dataset& ours, int group,
                      const std::string& path) {
    int variables = 0, ids[64], children = 0, groups[8];
    ASSERT_EQ(nc_inq_varids(group, &variables, ids), 0);
    for (int v = 0; v < variables; ++v) {
      char name[NC_MAX_NAME + 1];
      int rank = 0, dims[4];
      nc_inq_var(group, ids[v], name, nullptr, &rank, dims, nullptr);
      SCOPED_TRACE(path + name);
      Shape shape(static_cast<size_t>(rank));
      for (size_t d = 0; d < shape.size(); ++d) nc_inq_dimlen(group, dims[d], &shape[d]);
      const Array* array = ours.root.find_array(path + name);
      ASSERT_TRUE(array);
      ASSERT_EQ(array->shape, shape);
      auto values = read_raw(session, ours, *array);
      ASSERT_TRUE(values) << values.error().to_string();
      for (size_t i = 0; i < values->count(); ++i) {
        std::vector<size_t> at(shape.size());
        for (size_t d = at.size(), rest = i; d-- > 0; rest /= shape[d]) at[d] = rest % shape[d];
        uint8_t expected[8];
        ASSERT_EQ(nc_get_var1(group, ids[v], at.data(), expected), 0);
        const size_t size = values->type.size;
        EXPECT_EQ(std::memcmp(expected, values->data.data() + i * size, size), 0) << i;
      }
    }
    nc_inq_grps(group, &children, groups);
    for (int g = 0; g < children; ++g) {
      char name[NC_MAX_NAME + 1];
      nc_inq_grpname(groups[g], name);
      compare(session, ours, groups[g], path + name + "/");
    }
  }

  std::string path_;
};

TEST_F(ShortVariables, AreAsLongAsTheirDimension) {
  make();
  io::Session session;
  auto ours = scan(session, path_);
  ASSERT_TRUE(ours) << ours.error().to_string();
  EXPECT_THAT(ours->root.find_array("both")->shape, ElementsAre(7, 6));
  EXPECT_THAT(ours->root.find_array("both")->segments[0].shape, ElementsAre(2, 6));
  int file = 0;
  ASSERT_EQ(nc_open(path_.c_str(), NC_NOWRITE, &file), 0);
  compare(session, *ours, file, "");
  nc_close(file);
}

TEST_F(ShortVariables, HaveTheShapeOfHdf5WhereThatIsAsked) {
  make();
  io::Session session;
  ScanOptions options;
  options.all_attributes = true;
  auto ours = scan(session, path_, options);
  ASSERT_TRUE(ours) << ours.error().to_string();
  EXPECT_THAT(ours->root.find_array("both")->shape, ElementsAre(2, 6));
  EXPECT_THAT(ours->root.find_array("t")->shape, ElementsAre(4));
}

TEST_F(ShortVariables, AreAsLongInAPartOfTheFile) {
  make();
  io::Session session;
  auto whole = scan(session, path_);
  ASSERT_TRUE(whole);
  int parts = 0;
  for_each_array(whole->root, [&](const std::string& name, const Array& array) {
    ScanOptions options;
    options.only = {name};
    auto part = scan(session, path_, options);
    ASSERT_TRUE(part) << name;
    EXPECT_TRUE(part->partial) << name;
    EXPECT_EQ(part->root.find_array(name)->shape, array.shape) << name;
    EXPECT_EQ(part->root.find_array(name)->fill, array.fill) << name;
    ++parts;
  });
  EXPECT_EQ(parts, 29);
}

}  // namespace
}  // namespace upwell::format::hdf5
