#include "generate/collection_form.hpp"

#include <gtest/gtest.h>

namespace upwell::generate {
namespace {

/// Two lines of three pixels, with their counters, in a group, and a scalar.
Dataset swath() {
  const auto array = [](const std::string& name, const Shape& shape,
                        std::vector<std::string> dimensions) {
    Array out;
    out.name = name;
    out.type = DataType::floating(4);
    out.shape = out.chunk_shape = shape;
    out.dimensions = std::move(dimensions);
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = out.type;
    layout->chunk_shape = shape;
    Segment segment;
    segment.origin = Shape(shape.size(), 0);
    segment.shape = shape;
    segment.grid = Shape(shape.size(), 1);
    segment.layout = std::move(layout);
    segment.chunks = std::make_shared<DenseChunkIndex>(1);
    out.segments.push_back(std::move(segment));
    return out;
  };
  Dataset dataset;
  dataset.root.dimensions = {{"line", 2, false}, {"pixel", 3, false}};
  dataset.root.arrays.push_back(array("line", {2}, {"line"}));
  dataset.root.arrays.push_back(array("crs", {}, {}));
  dataset.root.arrays.push_back(array("heights", {2}, {"line"}));
  Group group;
  group.name = "left";
  group.arrays.push_back(array("ssh", {2, 3}, {"line", "pixel"}));
  dataset.root.groups.push_back(std::move(group));
  return dataset;
}

access::Granule pass() {
  access::Granule granule;
  granule.name = "SWOT_001_022";
  granule.begin = "2023-07-26T01:02:03.700Z";
  granule.end = "2023-07-26T01:53:00Z";
  granule.track.cycle = 1;
  granule.track.passes = {22, 23};
  return granule;
}

int64_t value_of(const Dataset& dataset, const std::string& name) {
  const Array* array = dataset.root.find_array(name);
  if (array == nullptr) return -1;
  const auto ref = array->segments[0].chunks->at(0);
  return ref ? load_le<int64_t>(ref->bytes.data()) : -1;
}

constexpr const char* kForm =
    "OTHER: {concat: time}\n"
    "SWOT:\n"
    "  version: 2.0\n"
    "  searches:\n"
    "    - {granule-name: '*PGC*', temporal: '2023-07-26,2024-01-24'}\n"
    "    - {granule-name: '*PIC*'}\n"
    "  new-dimension: orbit\n"
    "  coordinates: {orbit: begin, ended: end, cycle: cycle, ppass: pass, name: granule}\n"
    "  constant: heights\n"
    "  load: [line]\n"
    "  drop: [crs]\n";

TEST(CollectionForm, SaysWhatTheFileSays) {
  const auto form = parse_collection_form(kForm, "c.yaml", "SWOT");
  ASSERT_TRUE(form) << form.error().to_string();
  ASSERT_TRUE(*form);
  EXPECT_EQ((*form)->version, "2.0");
  ASSERT_EQ((*form)->searches.size(), 2U);
  EXPECT_EQ((*form)->searches[0].temporal, "2023-07-26,2024-01-24");
  EXPECT_EQ((*form)->searches[1].granule_name, "*PIC*");
  EXPECT_EQ((*form)->load, std::vector<std::string>{"line"});
  EXPECT_EQ((*form)->drop, std::vector<std::string>{"crs"});
  const auto none = parse_collection_form(kForm, "c.yaml", "MUR");
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  const auto other = parse_collection_form(kForm, "c.yaml", "OTHER");
  ASSERT_TRUE(other);
  EXPECT_EQ((*other)->concat, "time");
}

TEST(CollectionForm, FaultsAreNamedWithTheirLines) {
  const auto message = [](const std::string& text) {
    const auto form = parse_collection_form(text, "c.yaml", "A");
    if (form) return std::string();
    EXPECT_EQ(form.error().code, Code::kBadConfiguration);
    return form.error().to_string();
  };
  EXPECT_NE(message("A:\n  nonsense: 1\n").find("c.yaml:2: 'nonsense' is not known"),
            std::string::npos);
  EXPECT_NE(message("A: {new-dimension: g, concat: t, coordinates: {g: begin}}").find("either"),
            std::string::npos);
  EXPECT_NE(message("A: {drop: {a: b}}").find("a list is wanted"), std::string::npos);
  EXPECT_NE(message("A: {version: [1]}").find("a text is wanted"), std::string::npos);
  EXPECT_NE(message("A: {searches: [x]}").find("granule-name and temporal"), std::string::npos);
  EXPECT_NE(message("A: {searches: [{name: x}]}").find("not name"), std::string::npos);
  EXPECT_NE(message("A: {load: [x}").find("c.yaml:1"), std::string::npos);
  EXPECT_NE(message("").find("names of collections"), std::string::npos);
}

TEST(CollectionForm, ANewDimensionGoesInFront) {
  const auto form = parse_collection_form(kForm, "c.yaml", "SWOT");
  ASSERT_TRUE(form && *form);
  Dataset dataset = swath();
  const auto applied = apply_form(**form, pass(), dataset);
  ASSERT_TRUE(applied) << applied.error().to_string();
  const Array* ssh = dataset.root.find_array("left/ssh");
  ASSERT_NE(ssh, nullptr);
  EXPECT_EQ(ssh->shape, (Shape{1, 2, 3}));
  EXPECT_EQ(ssh->dimensions, (std::vector<std::string>{"orbit", "line", "pixel"}));
  EXPECT_EQ(ssh->segments[0].layout->chunk_shape, (Shape{1, 2, 3}));
  EXPECT_EQ(ssh->segments[0].grid, (Shape{1, 1, 1}));
  for (const char* as_it_was : {"line", "heights"})
    EXPECT_EQ(dataset.root.find_array(as_it_was)->shape, Shape{2}) << as_it_was;
  EXPECT_EQ(dataset.root.find_array("crs")->shape, Shape{});
  EXPECT_EQ(value_of(dataset, "orbit"), 1690333323);
  EXPECT_EQ(value_of(dataset, "ended"), 1690336380);
  EXPECT_EQ(value_of(dataset, "cycle"), 1);
  EXPECT_EQ(value_of(dataset, "ppass"), 22);
  EXPECT_EQ(text_attribute(dataset.root.find_array("orbit")->attributes, "units"),
            "seconds since 1970-01-01T00:00:00");
  const auto name = dataset.root.find_array("name")->segments[0].chunks->at(0);
  ASSERT_TRUE(name);
  EXPECT_EQ(name->bytes.size(), 128U);
  EXPECT_TRUE(as_text(name->bytes.span()).starts_with("SWOT_001_022"));
}

TEST(CollectionForm, WhatTheCatalogueDoesNotTellIsAnError) {
  const auto form = parse_collection_form(kForm, "c.yaml", "SWOT");
  ASSERT_TRUE(form && *form);
  access::Granule granule = pass();
  granule.track.cycle.reset();
  Dataset dataset = swath();
  auto applied = apply_form(**form, granule, dataset);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().code, Code::kInvalidData);
  EXPECT_NE(applied.error().message.find("tells no cycle"), std::string::npos);
  Dataset taken = swath();
  taken.root.arrays[0].name = "ppass";
  applied = apply_form(**form, pass(), taken);
  ASSERT_FALSE(applied);
  EXPECT_NE(applied.error().message.find("has an array ppass already"), std::string::npos);
}

TEST(CollectionForm, Level2WithoutAFile) {
  Dataset dataset = swath();
  ASSERT_TRUE(apply_form(level2_form(), pass(), dataset));
  EXPECT_EQ(value_of(dataset, "orbit_segment_start_time"), 1690333323);
  EXPECT_EQ(dataset.root.find_array("heights")->shape, (Shape{1, 2}));
}

}  // namespace
}  // namespace upwell::generate
