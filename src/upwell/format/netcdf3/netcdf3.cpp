#include "format/netcdf3/netcdf3.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/hdf5/dataset_reader.hpp"
#include "format/netcdf3/header.hpp"

namespace upwell::format::netcdf3 {
namespace {

/// The value of a gap when granules are combined: what the variable itself calls missing.
std::optional<Bytes> fill_of(const Array& array) {
  const Attribute* fill = find_attribute(array.attributes, "_FillValue");
  if (!fill || !(fill->value.type == memory_type(array.type)) || fill->value.count() != 1) {
    return std::nullopt;
  }
  Bytes stored(array.type.size);
  if (!from_memory(array.type, fill->value.data, 1, stored)) return std::nullopt;
  return stored;
}

class Reader : public GranuleReader {
 public:
  Reader(Granule granule, const ScanOptions& options)
      : granule_(std::move(granule)), options_(options) {}

  Result<bool> advance(Window& window) override {
    auto header = parse_header(window);
    if (!header) {
      if (header.error().code == Code::kNeedBytes) return false;
      return fail(std::move(header).error());
    }
    header_ = std::move(*header);
    object_size_ = window.object_size();
    return true;
  }

  Result<Dataset> finish() override {
    Dataset dataset;
    dataset.format = "netcdf3";
    granule_.info.size = object_size_;
    number_ = dataset.granules->intern(granule_);
    dataset.root.dimensions = header_.dimensions;
    dataset.root.attributes = std::move(header_.attributes);
    for (Variable& v : header_.variables) {
      if (is_dropped(v.name)) {
        dataset.dropped.push_back("/" + v.name);
        continue;
      }
      auto array = make_array(v);
      if (array) {
        dataset.root.arrays.push_back(std::move(*array));
      } else {
        dataset.problems.push_back({"/" + v.name, std::move(array).error()});
      }
    }
    return dataset;
  }

 private:
  bool is_dropped(const std::string& name) const {
    return std::any_of(options_.drop.begin(), options_.drop.end(),
                       [&](const std::string& drop) { return drop == name || drop == "/" + name; });
  }

  /// kInvalidData when the variable's bytes pass the end of the object.
  Result<> check_extent(const Variable& v) const {
    uint64_t end = v.part_bytes;
    if (v.is_record) {
      if (header_.records == 0) return {};
      end += (header_.records - 1) * header_.record_stride;
    }
    if (v.begin <= object_size_ && end <= object_size_ - v.begin) return {};
    return fail(Code::kInvalidData,
                fmt::format("variable {}: its {} bytes from offset {} pass the end of the object "
                            "({} bytes); the file is cut short",
                            v.name, end, v.begin, object_size_));
  }

  Result<Array> make_array(Variable& v) {
    UPWELL_CHECK(check_extent(v));
    Array array;
    array.name = v.name;
    array.type = v.type;
    array.shape = v.shape;
    array.attributes = std::move(v.attributes);
    for (const uint32_t d : v.dimensions) array.dimensions.push_back(header_.dimensions[d].name);
    if (v.is_record) {
      array.chunk_shape = v.shape;
      array.chunk_shape[0] = 1;
      array.max_shape = v.shape;
      array.max_shape[0] = io::kToEnd;
    } else {
      array.chunk_shape = hdf5::subchunk_shape(v.shape, v.type.size, options_.subchunk_bytes);
    }
    for (uint64_t& extent : array.chunk_shape) extent = std::max<uint64_t>(extent, 1);
    array.fill = fill_of(array);
    array.segments.push_back(make_segment(v, array));
    return array;
  }

  Segment make_segment(const Variable& v, const Array& array) const {
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = v.type;
    layout->chunk_shape = array.chunk_shape;
    layout->fill = array.fill;
    Segment segment;
    segment.origin.assign(array.shape.size(), 0);
    segment.shape = array.shape;
    segment.grid = grid_shape(array.shape, array.chunk_shape);
    segment.layout = std::move(layout);
    // check_extent: the object holds that many chunks.
    const uint64_t n = element_count(segment.grid);
    auto index = std::make_shared<DenseChunkIndex>(n, number_);
    const uint64_t chunk_bytes = element_count(array.chunk_shape) * v.type.size;
    const uint64_t stride = v.is_record ? header_.record_stride : chunk_bytes;
    for (uint64_t i = 0; i < n; ++i) index->set(i, number_, v.begin + i * stride, chunk_bytes);
    segment.chunks = std::move(index);
    return segment;
  }

  Granule granule_;
  ScanOptions options_;
  Header header_;
  uint64_t object_size_ = 0;
  uint32_t number_ = 0;
};

bool recognise_netcdf3(ByteSpan head, uint64_t) {
  return head.size() >= 4 && as_text(head.first(3)) == "CDF" &&
         (head[3] == 1 || head[3] == 2 || head[3] == 5);
}

std::unique_ptr<GranuleReader> make_netcdf3(const Granule& granule, const ScanOptions& options) {
  return std::make_unique<Reader>(granule, options);
}

}  // namespace

const Format& netcdf3_format() {
  static const Format format{"netcdf3", 8, recognise_netcdf3, make_netcdf3, nullptr};
  return format;
}

}  // namespace upwell::format::netcdf3
