#include "produce/granules/global_attributes.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.hpp"

namespace upwell::produce {
namespace {

/// Copies text of the configuration.
Result<> copy_key(const Config& config, KeyName key, const char* attribute,
                  Attributes& attributes) {
  UPWELL_TRY(std::string text, config.text(key));
  set_attribute(attributes, attribute, text);
  return {};
}

Result<> add_times(const Task& task, const GranuleName& name, const GranuleOptions& options,
                   Attributes& attributes) {
  const DynamicMetadata& metadata = task.metadata;
  if (name.tag.empty()) {
    std::erase_if(attributes, [](const Attribute& a) {
      return a.name == "time_coverage_start" || a.name == "time_coverage_end";
    });
  } else if (!name.is_snapshot() || name.grid == GridType::k1D || options.fix_snapshots) {
    set_attribute(attributes, "time_coverage_start", metadata.start.value_or(""));
    set_attribute(attributes, "time_coverage_end", metadata.end.value_or(""));
  }
  if (!name.tag.empty()) {
    set_attribute(attributes, "time_coverage_duration", metadata.duration.value_or(""));
    set_attribute(attributes, "time_coverage_resolution", metadata.resolution.value_or(""));
  }
  for (const char* date :
       {"date_created", "date_modified", "date_metadata_modified", "date_issued"})
    set_attribute(attributes, date, options.created);
  return {};
}

Result<> add_config(const Config& config, Profile profile, Attributes& attributes) {
  UPWELL_CHECK(copy_key(config, "history", "history", attributes));
  UPWELL_TRY(double depth, config.number("geospatial_vertical_min"));
  set_attribute(attributes, "geospatial_vertical_min", make_number(depth));
  UPWELL_CHECK(copy_key(config, "model_start_time", "product_time_coverage_start", attributes));
  UPWELL_CHECK(copy_key(config, "model_end_time", "product_time_coverage_end", attributes));
  UPWELL_CHECK(copy_key(config, "product_version", "product_version", attributes));
  UPWELL_CHECK(copy_key(config, "references", "references", attributes));
  UPWELL_CHECK(copy_key(config, "source", "source", attributes));
  if (profile == Profile::k2026)
    UPWELL_CHECK(copy_key(config, "project_summary", "project_summary", attributes));
  return {};
}

/// Those of the variables and those of all datasets, each once, in order.
void add_keywords(std::set<std::string> keywords, Profile profile, Attributes& attributes) {
  const std::string common = text_attribute(attributes, "keywords").value_or("");
  for (size_t begin = 0; begin <= common.size();) {
    const size_t end = std::min(common.find(',', begin), common.size());
    std::string word = common.substr(begin, end - begin);
    if (profile == Profile::k2026) {
      word.erase(0, word.find_first_not_of(' '));
      word.erase(word.find_last_not_of(' ') + 1);
    }
    keywords.insert(word);
    begin = end + 1;
  }
  if (profile == Profile::k2026) keywords.erase("");
  set_attribute(attributes, "keywords", fmt::format("{}", fmt::join(keywords, ", ")));
}

std::string replaced(std::string text, std::string_view from, const std::string& to) {
  if (const size_t at = text.find(from); at != std::string::npos) text.replace(at, from.size(), to);
  return text;
}

Result<> add_podaac_row(const PodaacRow& row, const Config& config, Profile profile,
                        Attributes& attributes) {
  set_attribute(attributes, "title", row.long_name);
  if (profile == Profile::k2026) {
    const std::string doi = "https://doi.org/" + row.persistent_id;
    set_attribute(attributes, "id", row.short_name);
    set_attribute(attributes, "metadata_link", doi);
    set_attribute(attributes, "identifier_product_doi", doi);
    set_attribute(attributes, "coordinates_note",
                  "The 'coordinates' attribute lists a subset of auxiliary coordinates. Created by "
                  "xarray.to_netcdf().");
    return {};
  }
  UPWELL_TRY(std::string prefix, config.text("doi_prefix"));
  UPWELL_TRY(std::string root, config.text("metadata_link_root"));
  set_attribute(attributes, "id", replaced(row.persistent_id, "PODAAC-", prefix + "/"));
  set_attribute(attributes, "metadata_link", root + row.short_name);
  set_attribute(attributes, "coordinates_comment",
                "Note: the global 'coordinates' attribute describes auxillary coordinates.");
  return {};
}

/// What a granule is called at PO.DAAC, and why not all of it is known.
struct PodaacOutcome {
  std::string reason;          ///< why there is no row for it; empty: there is one
  bool fix_finds_row = false;  ///< --fix snapshots would
};

Result<PodaacOutcome> add_podaac(const std::string& location, GranuleName name,
                                 const Config& config, Resources& resources,
                                 const GranuleOptions& options, Attributes& attributes) {
  if (config.find("podaac_metadata_filename") == nullptr)
    return PodaacOutcome{"the configuration has no podaac_metadata_filename"};
  UPWELL_TRY(std::string file, config.text("podaac_metadata_filename"));
  UPWELL_TRY(std::shared_ptr<const std::vector<PodaacRow>> rows, resources.podaac(location, file));
  std::vector<const PodaacRow*> found = matching_rows(*rows, name);
  PodaacOutcome outcome;
  if (found.empty() && name.is_snapshot()) {
    name.tag = "snap";
    std::vector<const PodaacRow*> fixed = matching_rows(*rows, name);
    outcome.fix_finds_row = !options.fix_snapshots && fixed.size() == 1;
    if (options.fix_snapshots) found = std::move(fixed);
  }
  if (found.size() == 1) {
    UPWELL_CHECK(add_podaac_row(*found[0], config, options.profile, attributes));
  } else if (rows->empty()) {
    outcome.reason = fmt::format("{} is not in {}, or has no rows", file, location);
  } else {
    outcome.reason = fmt::format("{} rows of {} are for such granules", found.size(), file);
  }
  return outcome;
}

/// EDP leaves what nobody has set as TBD, in silence.
void note_what_is_open(const Attributes& attributes, const PodaacOutcome& podaac,
                       const GranuleName& name, const GranuleOptions& options,
                       std::vector<std::string>& notes) {
  std::vector<std::string> open;
  bool times = false;
  for (const Attribute& attribute : attributes) {
    const std::string text = text_attribute(attributes, attribute.name).value_or("");
    if (text.find("TBD") == std::string::npos) continue;
    open.push_back(attribute.name);
    times = times || attribute.name.starts_with("time_coverage_");
  }
  std::string reason = podaac.reason;
  if (name.is_snapshot() && !options.fix_snapshots && (times || podaac.fix_finds_row)) {
    reason += reason.empty() ? "" : "; ";
    reason += podaac.reason.empty() || podaac.fix_finds_row ? "--fix snapshots sets them"
                                                            : "--fix snapshots sets the times";
  }
  if (!open.empty()) {
    notes.push_back(fmt::format("{} {} TBD{}{}", fmt::join(open, ", "),
                                open.size() == 1 ? "is" : "are", reason.empty() ? "" : ": ",
                                reason));
  } else if (!podaac.reason.empty()) {
    notes.push_back("no attributes of PO.DAAC: " + reason);
  }
}

/// As Python's str.casefold of ASCII; what is equal then stays in order.
void sort_by_name(Attributes& attributes) {
  std::stable_sort(attributes.begin(), attributes.end(),
                   [&](const Attribute& a, const Attribute& b) {
                     return lower_case(a.name) < lower_case(b.name);
                   });
}

}  // namespace

Result<Attributes> global_attributes(Attributes base, const Task& task, const GranuleName& name,
                                     const Config& config, const std::set<std::string>& keywords,
                                     const std::string& uuid, Resources& resources,
                                     const GranuleOptions& options,
                                     std::vector<std::string>& notes) {
  const std::string location = task.metadata_loc.value_or("");
  UPWELL_TRY(std::shared_ptr<const Metadata> metadata, resources.metadata(location));
  Attributes attributes = std::move(base);
  if (options.profile == Profile::k2026) {
    UPWELL_CHECK(copy_key(config, "doi_prefix", "metadata_link", attributes));
    UPWELL_CHECK(copy_key(config, "doi_prefix", "identifier_product_doi", attributes));
    UPWELL_CHECK(copy_key(config, "doi_authority", "identifier_product_doi_authority", attributes));
  }
  metadata->add_global(name.grid, task.metadata.dimension, attributes);
  UPWELL_CHECK(add_times(task, name, options, attributes));
  UPWELL_CHECK(add_config(config, options.profile, attributes));
  add_keywords(keywords, options.profile, attributes);
  set_attribute(attributes, "uuid", uuid);
  if (task.metadata.comment) {
    const auto common = text_attribute(attributes, "comment");
    set_attribute(attributes, "comment",
                  common ? *common + " " + *task.metadata.comment : *task.metadata.comment);
  }
  set_attribute(attributes, "product_name", name.file);
  UPWELL_TRY(std::string summary, options.profile == Profile::k2026 ? config.text("project_summary")
                                                                    : config.text("summary"));
  set_attribute(attributes, "summary", task.metadata.summary + " " + summary);
  UPWELL_TRY(const PodaacOutcome podaac,
             add_podaac(location, name, config, resources, options, attributes));
  sort_by_name(attributes);
  note_what_is_open(attributes, podaac, name, options, notes);
  return attributes;
}

}  // namespace upwell::produce
