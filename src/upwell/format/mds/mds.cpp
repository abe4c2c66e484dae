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
  DatasetMaker(const std::vector<Piece>& pieces, const ScanOptions& options)
      : pieces_(pieces),
        meta_(pieces[0].meta),
        options_(options),
        name_(split_file_name(pieces[0].data.url)) {}

  Result<Dataset> make() {
    out_.format = "mds";
    for (const Piece& piece : pieces_) granules_.push_back(out_.granules->intern(piece.data));
    UPWELL_TRY(time_, time_axis(meta_, name_.step, options_.mds));
    for (Array& array : time_.arrays) add(std::move(array));
    for (const FieldRecords& field : field_records(meta_, name_.prefix)) add_field(field);
    add_attributes();
    return std::move(out_);
  }

 private:
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
    if (!time_.dimension.empty()) lead(field, time_.dimension, 1);
    if (!records.axis.empty()) lead(field, records.axis, records.count);
    for (size_t d = dims.size(); d-- > 2;)
      lead(field, d == 2 ? std::string(place.z) : fmt::format("dim_{}", d + 1), dims[d].size);
    // Profiles (RC, DRF) are written as columns of a plane of one point.
    const bool column = dims.size() > 2 && dims[0].size == 1 && dims[1].size == 1;
    const size_t rank = column ? 0 : std::min<size_t>(dims.size(), 2);
    for (size_t d = rank; d-- > 0;) {
      field.plane.push_back(dims[d].size);
      field.plane_names.emplace_back(d == 0 ? place.x : place.y);
    }
    field.tiles = options_.mds.tiles && rank == 2 && pieces_.size() == 1 &&
                  is_compact_llc(dims[0].size, dims[1].size);
    for (size_t p = 0; p < pieces_.size(); ++p) {
      const Meta& own = pieces_[p].meta;
      FieldPart part{{}, {}, granules_[p], records.first * own.record_elements() * own.item_size};
      for (size_t d = rank; d-- > 0;) {
        part.origin.push_back(own.dimensions[d].start - 1);
        part.shape.push_back(own.dimensions[d].extent());
      }
      field.parts.push_back(std::move(part));
    }
    Array array = make_field(field, options_);
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

  const std::vector<Piece>& pieces_;
  const Meta& meta_;  ///< of the first piece: all say the same of the field
  const ScanOptions& options_;
  FileName name_;
  TimeAxis time_;
  Dataset out_;
  std::vector<uint32_t> granules_;  ///< of the pieces
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
  UPWELL_TRY(const std::vector<Piece> pieces, find_pieces(session, {file.meta(), data}));
  UPWELL_TRY(dataset, make_dataset(pieces, options));
  return {};
}

}  // namespace

std::string meta_url(const std::string& url) { return with_end(url, kMetaEnd); }
std::string data_url(const std::string& url) { return with_end(url, kDataEnd); }
std::string whole_url(const std::string& url) {
  const std::string_view name = whole_name(url);
  if (name.empty()) return {};
  const size_t slash = url.substr(0, url.find('?')).rfind('/');
  return url.substr(0, slash + 1).append(name).append(kDataEnd);
}

Result<Dataset> make_dataset(const std::vector<Piece>& pieces, const ScanOptions& options) {
  UPWELL_CHECK(check_pieces(pieces));
  return DatasetMaker(pieces, options).make();
}

const Format& mds_format() {
  const auto never = [](ByteSpan, uint64_t) { return false; };  // by its name alone
  static const Format format{"mds", 0, never, make_meta_reader, link_data, meta_url};
  return format;
}

}  // namespace upwell::format::mds
