#include "produce/tasks/task.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "produce/tasks/source_index.hpp"

namespace upwell::produce {
namespace {

using ::testing::HasSubstr;

Task vector_task() {
  Task task;
  task.granule = "out/V.nc";
  task.variables = {{"EVEL", {{"U.data", "U.meta"}, {"V.data", "V.meta"}}},
                    {"WVEL", {{"W.data", "W.meta"}}}};
  task.cfg_loc = "c.yaml";
  task.grid_loc = "grid";
  task.metadata.name = "ocean velocity \xC3\xA9";
  task.metadata.dimension = "3D";
  task.metadata.start = "1992-01-01T12:00:00";
  task.metadata.comment = "c";
  task.metadata.duration = "P1M";
  task.metadata.field_components = {{"EVEL", {{"x", "UVEL"}, {"y", "VVEL"}}}};
  task.metadata.field_orientations = {{"EVEL", "zonal"}};
  task.metadata.summary = "s";
  return task;
}

TEST(Task, TextOfBothDialects) {
  const std::string text = task_text(vector_task(), Dialect::k2024);
  EXPECT_EQ(text,
            "{\n"
            "        \"granule\": \"out/V.nc\",\n"
            "        \"variables\": {\n"
            "            \"EVEL\": [\n"
            "                [\n"
            "                    \"U.data\",\n"
            "                    \"U.meta\"\n"
            "                ],\n"
            "                [\n"
            "                    \"V.data\",\n"
            "                    \"V.meta\"\n"
            "                ]\n"
            "            ],\n"
            "            \"WVEL\": [\n"
            "                [\n"
            "                    \"W.data\",\n"
            "                    \"W.meta\"\n"
            "                ]\n"
            "            ]\n"
            "        },\n"
            "        \"ecco_grid_loc\": \"grid\",\n"
            "        \"ecco_mapping_factors_loc\": null,\n"
            "        \"ecco_metadata_loc\": null,\n"
            "        \"dynamic_metadata\": {\n"
            "            \"name\": \"ocean velocity \\u00e9\",\n"
            "            \"dimension\": \"3D\",\n"
            "            \"time_coverage_start\": \"1992-01-01T12:00:00\",\n"
            "            \"comment\": \"c\",\n"
            "            \"time_coverage_duration\": \"P1M\",\n"
            "            \"summary\": \"s\"\n"
            "        }\n"
            "    }");
  auto back = parse_task(task_text(vector_task(), Dialect::k2026));
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(*back, vector_task());
}

TEST(Task, ListsAndTheirElements) {
  std::string document;
  TaskListWriter writer([&](std::string_view text) -> Result<> {
    document += text;
    return {};
  });
  const std::string text = task_text(vector_task(), Dialect::k2024);
  ASSERT_TRUE(writer.add(text));
  ASSERT_TRUE(writer.add("{\"granule\": \"]}\\\"\"}"));
  ASSERT_TRUE(writer.finish());
  auto texts = task_texts(document, "t.json");
  ASSERT_TRUE(texts) << texts.error().to_string();
  ASSERT_EQ(texts->size(), 2U);
  EXPECT_EQ((*texts)[0], text);
  EXPECT_EQ((*texts)[1], "{\"granule\": \"]}\\\"\"}");
  EXPECT_EQ(task_texts("[]", "t.json")->size(), 0U);
  for (const char* bad :
       {"", "{}", "[", "[{}", "[{}] x", "[1]", "[{},]", "[{} {}]", "[{\"a\": \"]}"})
    EXPECT_FALSE(task_texts(bad, "t.json")) << bad;
  EXPECT_EQ(task_texts("[\n{},\n7]", "t.json").error().to_string(),
            "t.json: line 3: an element is not an object");
}

TEST(Task, WhatIsNone) {
  auto fault = [](const char* text) {
    auto task = parse_task(text);
    EXPECT_FALSE(task) << text;
    return task ? "" : task.error().message;
  };
  EXPECT_THAT(fault("{\"variables\":{},\"dynamic_metadata\":{\"dimension\":\"2D\"}}"),
              HasSubstr("granule"));
  EXPECT_THAT(fault("{\"granule\":\"a\"}"), HasSubstr("neither"));
  EXPECT_THAT(fault("{\"granule\":\"a\",\"variables\":{\"A\":[]}}"), HasSubstr("A is not a list"));
  EXPECT_THAT(fault("{\"granule\":\"a\",\"variables\":{\"A\":[[\"x\"]]}}"), HasSubstr("no pair"));
  EXPECT_THAT(fault("{\"granule\":\"a\",\"variables\":{}}"), HasSubstr("dynamic_metadata"));
  EXPECT_THAT(fault("{"), HasSubstr("parse"));
}

TEST(Groupings, RenamedFieldsVectorsAndFaults) {
  auto groupings = parse_groupings(
      "[{\"name\":\"v\",\"fields\":\"EVEL, WVELMASS,NVEL, "
      "T\",\"filename\":\"F\",\"dimension\":\"3D\","
      "\"variable_rename\":\"WVELMASS:WVEL\",\"frequency\":\"AVG_DAY, SNAP\","
      "\"field_components\":{\"EVEL\":{\"x\":\"UVEL\",\"y\":\"VVEL\"}},"
      "\"vector_inputs\":{\"U\":[\"NVEL\"],\"V\":[\"NVEL\"]}}]",
      "g.json");
  ASSERT_TRUE(groupings) << groupings.error().to_string();
  const Grouping& grouping = (*groupings)[0];
  ASSERT_EQ(grouping.fields.size(), 4U);
  EXPECT_EQ(grouping.fields[0].sources, (std::vector<std::string>{"UVEL", "VVEL"}));
  EXPECT_EQ(grouping.fields[1].sources, (std::vector<std::string>{"U", "V"}));
  EXPECT_EQ(grouping.fields[2].name, "T");
  EXPECT_EQ(grouping.fields[3].name, "WVEL");
  EXPECT_EQ(grouping.fields[3].sources, (std::vector<std::string>{"WVELMASS"}));
  EXPECT_EQ(grouping.frequencies, (std::vector<std::string>{"AVG_DAY", "SNAP"}));

  auto fault = [](const std::string& members) {
    auto result = parse_groupings(
        "[{\"name\":\"v\",\"filename\":\"F\",\"dimension\":\"3D\"," + members + "}]", "g.json");
    EXPECT_FALSE(result) << members;
    return result ? "" : result.error().to_string();
  };
  EXPECT_EQ(fault("\"f\":1"), "g.json: grouping 0: no 'fields'");
  EXPECT_THAT(fault("\"fields\":\"A,,B\""), HasSubstr("empty name"));
  EXPECT_THAT(fault("\"fields\":\"A,A\""), HasSubstr("A twice"));
  EXPECT_THAT(fault("\"fields\":\"A\",\"variable_rename\":\"B:C\""), HasSubstr("no field"));
  EXPECT_THAT(fault("\"fields\":\"A\",\"field_components\":[]"), HasSubstr("field_components"));
  EXPECT_FALSE(parse_groupings("[", "g.json"));
}

TEST(SourceIndex, NamesOfFiles) {
  auto name = parse_source_name("SSH_mon_mean.0000000732.meta");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->stem, "SSH_mon_mean");
  EXPECT_EQ(name->step, 732);
  EXPECT_TRUE(name->meta);
  EXPECT_EQ(parse_source_name("DIFFKR.data")->step, SourceFiles::kNoStep);
  EXPECT_EQ(parse_source_name("a.b.000000073x.data")->stem, "a.b.000000073x");
  EXPECT_FALSE(parse_source_name("SSH_mon_mean.0000000732.data.gz"));
}

}  // namespace
}  // namespace upwell::produce
