#include "format/mds/mds.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/mds/layout.hpp"
#include "format/mds/names.hpp"
#include "format/mds/time.hpp"

namespace upwell::format::mds {
namespace {

constexpr uint64_t kMaxMetaBytes = 1 << 20;
constexpr std::string_view kDataEnd = ".data", kMetaEnd = ".meta";

/// `url` with `end` in place of .data or .meta; empty when it has neither.
std::string with_end(const std::string& url, std::string_view end) {
  const size_t path_end = std::min(url.find('?'), url.size());
  const std::string_view path = std::string_view(url).substr(0, path_end);
  if (!path.ends_with(kDataEnd) && !path.ends_with(kMetaEnd)) return {};
  std::string out(path.substr(0, path.size() - kDataEnd.size()));
  return out.append(end).append(url.substr(path_end));
}

std::string leaf_of(const std::string& url) {
  const std::string path = url.substr(0, url.find('?'));
  return path.substr(path.rfind('/') + 1);
}

bool is_dropped(const ScanOptions& options, const std::string& name) {
  return std::any_of(options.drop.begin(), options.drop.end(),
                     [&](const std::string& drop) { return drop == name || drop == "/" + name; });
}

/// What of the file each array is: records, or levels of records.
struct FieldRecords {
  std::string name;
  std::string axis;    ///< of the records; empty: one record
  uint64_t first = 0;  ///< record
  uint64_t count = 1;  ///< records
};

/// A pickup counts every level as a record: fields with all levels, and flat ones.
std::optional<std::vector<FieldRecords>> pickup_records(const Meta& meta) {
  const auto flat = static_cast<uint64_t>(
      std::count_if(meta.fields.begin(), meta.fields.end(),
                    [](const std::string& name) { return is_flat_in_pickup(name); }));
  const uint64_t deep = meta.fields.size() - flat;
  if (meta.records <= flat || deep == 0 || (meta.records - flat) % deep != 0) return {};
  const uint64_t levels = (meta.records - flat) / deep;
  std::vector<FieldRecords> out;
  uint64_t at = 0;
  for (const std::string& name : meta.fields) {
    const bool one = is_flat_in_pickup(name);
    out.push_back({name, one ? "" : std::string(place_of(name).z), at, one ? 1 : levels});
    at += out.back().count;
  }
  return out;
}

std::vector<FieldRecords> field_records(const Meta& meta, const std::string& prefix) {
  std::vector<FieldRecords> out;
  if (meta.fields.size() == meta.records) {
    for (const std::string& name : meta.fields) out.push_back({name, "", out.size(), 1});
    return out;
  }
  if (!meta.fields.empty() && meta.dimensions.size() <= 2)
    if (auto pickup = pickup_records(meta)) return std::move(*pickup);
  const std::string name = meta.fields.size() == 1 ? meta.fields[0] : prefix;
  return {{name, meta.records > 1 ? "record" : "", 0, meta.records}};
}

class DatasetMaker {
 public:
  DatasetMaker(const Meta& meta, const Granule& data, const ScanOptions& options)
      : meta_(meta), data_(data), options_(options), name_(split_file_name(data.url)) {}

  Result<Dataset> make() {
    UPWELL_CHECK(check());
    out_.format = "mds";
    granule_ = out_.granules->intern(data_);
    UPWELL_TRY(time_, time_axis(meta_, name_.step, options_.mds));
    for (Array& array : time_.arrays) add(std::move(array));
    for (const FieldRecords& field : field_records(meta_, name_.prefix)) add_field(field);
    add_attributes();
    return std::move(out_);
  }

 private:
  Result<> check() const {
    for (size_t d = 0; d < meta_.dimensions.size(); ++d) {
      const MetaDimension& one = meta_.dimensions[d];
      if (one.whole()) continue;
      return fail(Code::kUnsupported,
                  fmt::format("{}holds elements {} to {} of the {} of dimension {}: a piece of "
                              "tiled output; pieces are not put together here, let the model write "
                              "whole fields (useSingleCpuIO or globalFiles in its file data)",
                              meta_.at("dimList"), one.start, one.end, one.size, d + 1));
    }
    const uint64_t wanted = meta_.data_bytes();
    if (data_.info.size == wanted) return {};
    std::string sizes;
    for (const MetaDimension& one : meta_.dimensions)
      sizes += fmt::format("{}{}", sizes.empty() ? "" : " x ", one.extent());
    return fail(Code::kInvalidData,
                fmt::format("{} has {} bytes, but the .meta says {}: {} record{} of {} float{}",
                            leaf_of(data_.url), data_.info.size, wanted, meta_.records,
                            meta_.records == 1 ? "" : "s", sizes, 8 * meta_.item_size));
  }

  void add(Array array) {
    if (is_dropped(options_, array.name)) {
      out_.dropped.push_back("/" + array.name);
      return;
    }
    if (out_.root.find_array(array.name) != nullptr) {
      const std::string path = "/" + array.name;
      out_.problems.push_back({path, {Code::kInvalidData, "another array has this name", {}, {}}});
      return;
    }
    for (size_t d = 0; d < array.shape.size(); ++d) {
      const bool known =
          std::any_of(out_.root.dimensions.begin(), out_.root.dimensions.end(),
                      [&](const Dimension& one) { return one.name == array.dimensions[d]; });
      const bool along = array.dimensions[d] == time_.dimension;
      if (!known) out_.root.dimensions.push_back({array.dimensions[d], array.shape[d], along});
      if (!along) continue;
      array.max_shape = array.shape;
      array.max_shape[d] = io::kToEnd;
    }
    out_.root.arrays.push_back(std::move(array));
  }

  void lead(FieldLayout& field, std::string name, uint64_t extent) const {
    field.leading_names.push_back(std::move(name));
    field.leading.push_back(extent);
  }

  void add_field(const FieldRecords& records) {
    const FieldPlace place = place_of(records.name);
    const auto& dims = meta_.dimensions;
    FieldLayout field;
    field.name = records.name;
    field.item_size = meta_.item_size;
    field.first_byte = records.first * meta_.record_elements() * meta_.item_size;
    if (!time_.dimension.empty()) lead(field, time_.dimension, 1);
    if (!records.axis.empty()) lead(field, records.axis, records.count);
    for (size_t d = dims.size(); d-- > 2;)
      lead(field, d == 2 ? std::string(place.z) : fmt::format("dim_{}", d + 1), dims[d].extent());
    // Profiles (RC, DRF) are written as columns of a plane of one point.
    const bool column = dims.size() > 2 && dims[0].extent() == 1 && dims[1].extent() == 1;
    if (!column) {
      if (dims.size() > 1) {
        field.plane.push_back(dims[1].extent());
        field.plane_names.emplace_back(place.y);
      }
      field.plane.push_back(dims[0].extent());
      field.plane_names.emplace_back(place.x);
      field.tiles = options_.mds.tiles && dims.size() > 1 &&
                    is_compact_llc(dims[0].extent(), dims[1].extent());
    }
    Array array = make_field(field, granule_, options_);
    if (meta_.missing) array.attributes.push_back({"missing_value", missing_value(), false});
    if (!time_.coordinates.empty())
      array.attributes.push_back({"coordinates", make_text(time_.coordinates), false});
    add(std::move(array));
  }

  Values missing_value() const {
    Values value = make_number(*meta_.missing);
    if (meta_.item_size == 8) return value;
    const auto narrow = static_cast<float>(*meta_.missing);
    value.type = DataType::floating(4);
    value.data.resize(sizeof(narrow));
    std::memcpy(value.data.data(), &narrow, sizeof(narrow));
    return value;
  }

  void add_attributes() {
    const auto note = [&](const std::string& name, Values value) {
      out_.root.attributes.push_back({name, std::move(value), false});
    };
    const auto numbers = [](const std::vector<double>& list) {
      Values value;
      value.type = DataType::floating(8);
      if (list.size() != 1) value.shape = {list.size()};
      value.data.resize(list.size() * sizeof(double));
      std::memcpy(value.data.data(), list.data(), value.data.size());
      return value;
    };
    // What holds for the whole run has no axis to put these on.
    if (time_.dimension.empty()) {
      if (meta_.step) note("timeStepNumber", make_integer(*meta_.step));
      if (!meta_.interval.empty()) note("timeInterval", numbers(meta_.interval));
      if (!meta_.date.empty()) note("timeStepDate", make_text(meta_.date));
    }
    for (const MetaItem& item : meta_.others) {
      if (item.texts.size() == 1) note(item.key, make_text(item.texts[0]));
      if (item.texts.size() > 1) note(item.key, make_texts(item.texts));
      if (!item.numbers.empty()) note(item.key, numbers(item.numbers));
    }
  }

  const Meta& meta_;
  const Granule& data_;
  const ScanOptions& options_;
  FileName name_;
  TimeAxis time_;
  Dataset out_;
  uint32_t granule_ = 0;
};

class MetaReader : public GranuleReader {
 public:
  explicit MetaReader(Granule granule) : granule_(std::move(granule)) {}

  Result<bool> advance(Window& window) override {
    const uint64_t size = window.object_size();
    if (size > kMaxMetaBytes)
      return fail(Code::kInvalidData, fmt::format("{} bytes are too many for a .meta", size));
    auto text = window.get(0, size);
    if (!text && text.error().code == Code::kNeedBytes) return false;
    if (!text) return fail(std::move(text).error());
    UPWELL_TRY(meta_, parse_meta(as_text(*text)));
    return true;
  }
  Result<Dataset> finish() override {
    Dataset dataset;
    dataset.format = "mds";
    return dataset;
  }

  const Granule& granule() const { return granule_; }
  const Meta& meta() const { return meta_; }

 private:
  Granule granule_;
  Meta meta_;
};

std::unique_ptr<GranuleReader> make_meta_reader(const Granule& granule, const ScanOptions&) {
  return std::make_unique<MetaReader>(granule);
}

Result<> link_data(io::Session& session, GranuleReader& reader, Dataset& dataset,
                   const ScanOptions& options, int) {
  const auto& file = static_cast<MetaReader&>(reader);
  Granule data;
  if (dataset.granules->size() == 1) {
    data = dataset.granules->at(0);  // it was the .data that was named
  } else {
    data.url = data_url(file.granule().url);
    data.reach = file.granule().reach;
    auto info = session.stat(data.url, data.reach);
    if (!info && info.error().code == Code::kNotFound)
      return fail(Code::kInvalidData,
                  fmt::format("a lone .meta: {} is not there", leaf_of(data.url)));
    UPWELL_TRY(data.info, std::move(info));
  }
  UPWELL_TRY(dataset, make_dataset(file.meta(), data, options));
  return {};
}

}  // namespace

std::string meta_url(const std::string& url) { return with_end(url, kMetaEnd); }
std::string data_url(const std::string& url) { return with_end(url, kDataEnd); }

Result<Dataset> make_dataset(const Meta& meta, const Granule& data, const ScanOptions& options) {
  return DatasetMaker(meta, data, options).make();
}

const Format& mds_format() {
  const auto never = [](ByteSpan, uint64_t) { return false; };  // by its name alone
  static const Format format{"mds", 0, never, make_meta_reader, link_data, meta_url};
  return format;
}

}  // namespace upwell::format::mds
