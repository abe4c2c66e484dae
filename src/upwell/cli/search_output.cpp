#include "cli/search_output.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "access/stac_geometry.hpp"
#include "access/stac_records.hpp"
#include "access/umm_page.hpp"

namespace upwell::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kPiece = 1 << 16;

std::string dumped(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// "12.3 MB", of powers of 1000; "-" when it is not known.
std::string short_size(const std::optional<uint64_t>& size) {
  if (!size) return "-";
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
  auto value = static_cast<double>(*size);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", *size) : fmt::format("{:.3g} {}", value, kUnits[unit]);
}

/// "2013-12-24T09:00:00Z": to the second.
std::string short_time(const std::string& time) {
  const size_t dot = time.find('.');
  if (dot == std::string::npos) return time;
  const size_t end = time.find_first_not_of("0123456789", dot + 1);
  return time.substr(0, dot) + (end == std::string::npos ? "" : time.substr(end));
}

Json file_json(const access::GranuleFile& file) {
  Json json{{"name", file.name}};
  const auto add = [&json](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  add("https", file.https);
  add("s3", file.s3);
  add("dmrpp", file.dmrpp);
  add("media_type", file.media_type);
  if (file.size) json[file.size_is_exact ? "size" : "approximate_size"] = *file.size;
  if (!file.checksum.empty())
    json["checksum"] = {{"algorithm", file.checksum_algorithm}, {"value", file.checksum}};
  return json;
}

Json granule_json(const access::Granule& g, const access::FileChoice& choice) {
  Json json{{"name", g.name}, {"concept_id", g.concept_id}};
  const auto add = [&json](const char* key, const std::string& value) {
    if (!value.empty()) json[key] = value;
  };
  if (g.revision > 0) json["revision"] = g.revision;
  add("revised", g.revised);
  add("collection_id", g.collection_id);
  add("short_name", g.short_name);
  add("version", g.version);
  add("provider", g.provider);
  add("producer_granule_id", g.producer_id);
  add("begin", g.begin);
  add("end", g.end);
  add("produced", g.produced);
  if (const auto bounds = access::shape_of(g.footprint).bounds)
    json["bbox"] = {bounds->west, bounds->south, bounds->east, bounds->north};
  if (g.cloud_cover) json["cloud_cover"] = *g.cloud_cover;
  add("day_night", g.day_night);
  if (g.track.cycle) json["cycle"] = *g.track.cycle;
  if (!g.track.passes.empty()) json["passes"] = g.track.passes;
  Json data = Json::array(), others = Json::array();
  const auto chosen = access::data_files(g, choice);
  for (const access::GranuleFile* file : chosen) data.push_back(file_json(*file));
  for (const access::GranuleFile& file : g.files)
    if (std::find(chosen.begin(), chosen.end(), &file) == chosen.end())
      others.push_back(file_json(file));
  json["data"] = std::move(data);
  if (!others.empty()) json["others"] = std::move(others);
  add("opendap", g.opendap);
  add("s3_credentials", g.s3_credentials);
  add("error", g.broken);
  return json;
}

std::string table_line(const access::Granule& g, const access::FileChoice& choice,
                       size_t name_width) {
  const auto files = access::data_files(g, choice);
  std::optional<uint64_t> size = 0;
  for (const access::GranuleFile* file : files)
    size = size && file->size ? std::optional(*size + *file->size) : std::nullopt;
  if (files.empty()) size.reset();
  std::string link = "no link";
  if (!g.broken.empty()) link = g.broken;
  if (!files.empty()) link = files[0]->https.empty() ? files[0]->s3 : files[0]->https;
  if (files.size() > 1) link += fmt::format("  and {} more", files.size() - 1);
  return fmt::format("{:<{}}  {:<20}  {:>8}  {}", g.name, name_width, short_time(g.begin),
                     short_size(size), link);
}

}  // namespace

Result<SearchOutput> SearchOutput::open(const std::string& path) {
  SearchOutput output;
  if (!path.empty()) {
    UPWELL_TRY(AtomicFile file, AtomicFile::create(path));
    output.file_.emplace(std::move(file));
  }
  return output;
}

Result<> SearchOutput::line(std::string_view text) {
  pending_ += text;
  pending_ += '\n';
  return pending_.size() < kPiece ? Result<>() : flush();
}

Result<> SearchOutput::flush() {
  if (file_) {
    UPWELL_CHECK(file_->write(as_bytes(pending_)));
  } else if (std::fwrite(pending_.data(), 1, pending_.size(), stdout) != pending_.size()) {
    return fail(Code::kCannotWrite, "standard output");
  }
  pending_.clear();
  return {};
}

Result<> SearchOutput::finish() {
  UPWELL_CHECK(flush());
  return file_ ? file_->commit() : Result<>();
}

void GranuleWriter::lacks(const access::Granule& granule, const std::string& what) {
  if (lacking_++ == 0) first_lacking_ = granule.name + ": " + what;
}

Result<> GranuleWriter::write_links(const access::Granule& granule) {
  const bool s3 = form_ == SearchForm::kS3Urls;
  bool any = false;
  for (const access::GranuleFile* file : access::data_files(granule, choice_)) {
    const std::string& url = s3 ? file->s3 : file->https;
    if (url.empty()) continue;
    any = true;
    UPWELL_CHECK(output_.line(url));
  }
  if (!any)
    lacks(granule, granule.broken.empty() ? fmt::format("no {} link to data", s3 ? "s3" : "https")
                                          : "the catalogue cannot show it: " + granule.broken);
  return {};
}

Result<> GranuleWriter::write(const access::Granule& granule, std::string_view text,
                              bool as_it_came_is_stac) {
  switch (form_) {
    case SearchForm::kTable:
      if (name_width_ == 0) name_width_ = std::min<size_t>(granule.name.size(), 80);
      return output_.line(table_line(granule, choice_, name_width_));
    case SearchForm::kJson:
      return output_.line(dumped(granule_json(granule, choice_)));
    case SearchForm::kStac:
      if (!as_it_came_is_stac) {
        auto item = access::stac_item(granule, catalogue_);
        if (item) return output_.line(*item);
        lacks(granule, item.error().message);
        return {};
      }
      [[fallthrough]];
    case SearchForm::kUmm: {
      UPWELL_TRY(const std::string line, access::one_line(text));
      return output_.line(line);
    }
    default:
      return write_links(granule);
  }
}

namespace {

std::string published_text(const access::Collection& c) {
  return fmt::format("  ({} published store{}: --published)", c.published.size(),
                     c.published.size() == 1 ? "" : "s");
}

}  // namespace

Result<> write_collection(SearchOutput& output, SearchForm form, const access::Collection& c,
                          std::string_view text) {
  if (form == SearchForm::kUmm) {
    UPWELL_TRY(const std::string line, access::one_line(text));
    return output.line(line);
  }
  if (form == SearchForm::kTable) {
    const std::string count = c.granules ? fmt::format("{} granules  ", *c.granules) : "";
    return output.line(fmt::format("{:<24}  {}  {}  {}{}{}", c.concept_id, c.short_name, c.version,
                                   count, c.title, c.published.empty() ? "" : published_text(c)));
  }
  Json json{{"concept_id", c.concept_id},
            {"short_name", c.short_name},
            {"version", c.version},
            {"provider", c.provider},
            {"title", c.title},
            {"doi", c.doi},
            {"begin", c.begin}};
  if (!c.end.empty()) json["end"] = c.end;
  if (c.granules) json["granules"] = *c.granules;
  json["region"] = c.region;
  json["s3_credentials"] = c.s3_credentials;
  json["s3_prefixes"] = c.s3_prefixes;
  Json published = Json::array();
  for (const access::PublishedStore& store : c.published)
    published.push_back(
        {{"url", store.url}, {"description", store.description}, {"format", store.format}});
  json["published"] = std::move(published);
  return output.line(dumped(json));
}

Result<> write_published(SearchOutput& output, SearchForm form, const access::Collection& c) {
  for (const access::PublishedStore& store : c.published) {
    if (form == SearchForm::kUrls) {
      UPWELL_CHECK(output.line(store.url));
    } else if (form == SearchForm::kTable) {
      UPWELL_CHECK(output.line(
          fmt::format("{}  {}  {}  {}", c.short_name, c.version, store.url, store.description)));
    } else {
      UPWELL_CHECK(output.line(dumped({{"concept_id", c.concept_id},
                                       {"short_name", c.short_name},
                                       {"version", c.version},
                                       {"url", store.url},
                                       {"description", store.description},
                                       {"format", store.format}})));
    }
  }
  return {};
}

}  // namespace upwell::cli
