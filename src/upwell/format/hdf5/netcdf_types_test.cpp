#include "format/hdf5/netcdf_types.hpp"

#include <gtest/gtest.h>

namespace upwell::format::hdf5 {
namespace {

std::shared_ptr<const DataType> share(DataType type) {
  return std::make_shared<const DataType>(std::move(type));
}

DataType pair_of(const std::shared_ptr<const DataType>& member) {
  DataType type;
  type.kind = Kind::kCompound;
  type.size = 2 * member->size;
  type.members = {{"a", 0, member}, {"b", member->size, member}};
  return type;
}

DataType reference() {
  DataType type;
  type.kind = Kind::kReference;
  type.size = 8;
  return type;
}

TEST(NetcdfTypes, ReferencesAreNeverVariables) {
  NetcdfTypes types;
  EXPECT_TRUE(types.meet(DataType::integer(4)));
  EXPECT_TRUE(types.meet(DataType::vlen_string()));
  EXPECT_FALSE(types.meet(reference()));
  EXPECT_FALSE(types.meet(reference()));
}

TEST(NetcdfTypes, CompoundsOfKnownTypesAre) {
  NetcdfTypes types;
  DataType inner = pair_of(share(DataType::integer(4)));
  DataType outer = pair_of(share(inner));
  NetcdfTypes fresh;
  EXPECT_FALSE(fresh.meet(outer));
  EXPECT_TRUE(types.meet(inner));
  EXPECT_TRUE(types.meet(outer));
  // The byte order is not looked at.
  EXPECT_TRUE(types.meet(pair_of(share(pair_of(share(DataType::integer(4, ByteOrder::kBig)))))));
}

TEST(NetcdfTypes, WhatIsRefusedOnceIsKnownThen) {
  NetcdfTypes types;
  DataType array;
  array.kind = Kind::kArray;
  array.base = share(DataType::floating(8));
  array.dims = {3};
  array.size = 24;
  EXPECT_FALSE(types.meet(array));
  EXPECT_TRUE(types.meet(array));
}

}  // namespace
}  // namespace upwell::format::hdf5
