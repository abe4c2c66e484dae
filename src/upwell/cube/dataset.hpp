#pragma once
// The one data model: dataset ▸ group ▸ array ▸ segment ▸ chunk index. Every format is a way in,
// every output a way out.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.hpp"
#include "cube/chunk_index.hpp"
#include "cube/values.hpp"

namespace upwell {

/// Turns elements whose values lie elsewhere in their granule (HDF5's global heap) into memory
/// form. Reads through the session.
namespace io {
class Session;
}
class HeapResolver {
 public:
  virtual ~HeapResolver() = default;
  /// `stored`: `count` elements of `type` as stored in `granule`. Appends to out.data (memory_type
  /// elements) and out.heap.
  virtual Result<> resolve(io::Session& session, const Granule& granule, const DataType& type,
                           ByteSpan stored, uint64_t count, Values& out) const = 0;
};

/// How the bytes of a segment are laid out. Shared by all segments that agree.
struct SegmentLayout {
  DataType type;                         ///< as stored
  Shape chunk_shape;                     ///< same rank as the array; {} for a scalar
  std::vector<codec::CodecSpec> codecs;  ///< encoding order
  bool fortran_order = false;            ///< within a chunk
  std::optional<Bytes> fill;  ///< value of chunks never written, as stored (of a text in the chunk,
                              ///< the text itself); absent: zeros (and unknown to the user)
  /// Attributes by which this segment's numbers are decoded (cf::packing_of). Only in arrays that
  /// hold decoded values, because their segments are packed in different ways.
  std::optional<Attributes> packing;
  std::shared_ptr<const HeapResolver> heap;  ///< for types with has_vlen() that hold heap addresses
  bool operator==(const SegmentLayout& other) const;  ///< heap resolvers do not count
};

/// The box of an array that comes from one source, with its own chunk grid.
struct Segment {
  Shape origin;         ///< of the box in the array
  Shape shape;          ///< of the box
  Shape source_origin;  ///< of the box in the segment's own chunk grid; {} is zeros
  std::shared_ptr<const SegmentLayout> layout;
  std::shared_ptr<const ChunkIndex> chunks;  ///< C order of `grid`
  Shape grid;  ///< number of chunks along each axis; {} for a scalar (one chunk)
};

struct Array {
  std::string name;
  DataType type;  ///< uniform logical type as stored by the first segment (before CF decoding)
  Shape shape;
  Shape chunk_shape;  ///< of the cube's view; for one-segment arrays that of the segment
  std::vector<std::string> dimensions;  ///< names, "" where unknown; scoped as in netCDF-4 (found
                                        ///< in this group or above)
  Attributes attributes;  ///< without those that HDF5 dimension scales need for themselves
  std::optional<Bytes>
      fill;  ///< value of elements that no chunk holds, as stored in `type`; absent: zeros
  std::vector<Segment> segments;  ///< boxes do not overlap; what none covers is fill
  bool null_space = false;        ///< HDF5 null dataspace: no elements
  Shape max_shape;                ///< HDF5 maximum extents, io::kToEnd for unlimited; {} when fixed
};

struct Dimension {
  std::string name;
  uint64_t size = 0;
  bool unlimited = false;
};

struct Group {
  std::string name;  ///< "" for the root
  Attributes attributes;
  std::vector<Dimension> dimensions;  ///< defined here
  std::vector<Array> arrays;
  std::vector<Group> groups;

  /// By path relative to this group ("a/b/v", a leading '/' is fine); null when not there.
  const Array* find_array(std::string_view path) const;
  const Group* find_group(std::string_view path) const;
};

/// Something that could not be scanned. Never dropped in silence.
struct Problem {
  std::string path;  ///< of the object, "/a/v"
  Error error;
};

struct Dataset {
  std::shared_ptr<GranuleTable> granules = std::make_shared<GranuleTable>();
  /// Granules that the source says it has, where the table learns of them as they are looked up.
  uint64_t granule_count = 0;
  Group root;
  std::string format;                ///< "hdf5", "netcdf3", "kerchunk-json", ...
  std::vector<Problem> problems;     ///< objects left out, with the reason
  std::vector<std::string> dropped;  ///< paths of arrays left out because that was asked for
  std::vector<std::string> notes;    ///< how it was read, where that is not plain
  /// Holds what was wanted and not all else (format::ScanOptions::only). Axes for which the source
  /// has no name, and a format's library invents one from all that lies in the file, are then "".
  bool partial = false;
};

/// Chunks needed to cover `shape`: ceil per axis, {} for a scalar.
Shape grid_shape(const Shape& shape, const Shape& chunk_shape);

/// Calls visit(path, array) for every array below `group`, in order; path starts with '/'.
void for_each_array(const Group& group,
                    const std::function<void(const std::string&, const Array&)>& visit);

}  // namespace upwell
