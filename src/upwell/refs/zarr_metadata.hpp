#pragma once
// Zarr metadata documents to and from the data model: v2 .zarray, .zattrs, .zgroup (Zarr storage
// specification 2) and v3 zarr.json (Zarr core specification 3.1). All text is strict JSON.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cube/dataset.hpp"
#include "refs/zarr_codecs.hpp"

namespace upwell::refs {

// --- Chunk keys ---------------------------------------------------------------------------------

/// How chunk indexes become keys: "0.1" (v2), "0/1" (v2 with separator '/'), "c/0/1" (v3 default).
struct ChunkKeys {
  char separator = '.';
  bool c_prefix = false;  ///< v3 "default" encoding
  bool operator==(const ChunkKeys&) const = default;
};

/// "0.1"; of a scalar "0" (v2) or "c" (v3 default).
std::string chunk_key(const ChunkKeys& keys, const Shape& index);
/// The reverse, as the position in C order of `grid`. nullopt: not a chunk key of this array, or
/// outside of the grid. Allocates nothing.
std::optional<uint64_t> chunk_position(const ChunkKeys& keys, const Shape& grid,
                                       std::string_view key);
/// The index of the chunk at a position in C order of `grid`.
Shape chunk_at(const Shape& grid, uint64_t position);

// --- Reading ------------------------------------------------------------------------------------

/// What the documents of one array say.
struct ZarrArray {
  Array array;  ///< without name and segments. Shape, chunk shape and type are checked.
  std::shared_ptr<SegmentLayout> layout;
  ChunkKeys keys;
  /// Where an object holds many chunks: levels, outermost first; chunks are those of the innermost.
  std::vector<ZarrShards> shards = {};
};

/// v2. `zattrs` may be empty (no document). _ARRAY_DIMENSIONS becomes `dimensions`. A fill_value
/// other than null becomes `fill`, and the attribute _FillValue where the attributes have none, as
/// xarray takes it. NaN and Infinity that Python's json wrote bare are understood. kInvalidData
/// names the field that is wrong; kUnsupported the codec or type that is not read.
Result<ZarrArray> parse_zarr2_array(std::string_view zarray, std::string_view zattrs);
/// .zattrs of an array or group: integers become int64, other numbers double, text variable-length
/// strings, lists of one of these arrays; everything else (objects, null, mixed lists) is kept as
/// its JSON text in a kVlenString with tag "json", which the writers below turn back.
Result<Attributes> parse_zarr_attributes(std::string_view zattrs);

/// v3 zarr.json.
struct ZarrNode {
  bool is_group = false;
  Attributes attributes;  ///< of a group; those of an array are in `array`
  std::optional<ZarrArray> array;
};
Result<ZarrNode> parse_zarr3(std::string_view zarr_json);

// --- Writing ------------------------------------------------------------------------------------

/// What a Zarr reader is told of an array: that of its segments, or what a server encodes to.
struct ZarrView {
  DataType type;
  Shape chunk_shape;
  std::vector<codec::CodecSpec> codecs;  ///< encoding order
  bool fortran_order = false;
  ChunkKeys keys;
};
/// The view that passes stored chunks through: layout of the first segment; the array's own type
/// and grid without codecs when it has none. '.' keys.
ZarrView stored_view(const Array& array);

/// How missing chunks and the fill value go together in Zarr v2, where one field says two things:
/// what zarr-python puts where there is no chunk, and what xarray masks (it takes fill_value as
/// _FillValue). Values in xarray come first:
///  - with a _FillValue attribute, fill_value is that;
///  - without one, a fill of NaN is written (masking NaN changes nothing), every other is written
///    as null: else stored values equal to HDF5's default fill 0 would be masked.
/// When a reader told so would not find `array.fill` (zeros if absent) where a chunk is missing,
/// `store_missing` says so: whoever writes or serves chunks must then give missing chunks
/// explicitly, as chunks full of array.fill.
struct Zarr2Fill {
  std::optional<Bytes> fill;  ///< as stored in the view's type; nullopt: null
  bool store_missing = false;
};
Zarr2Fill zarr2_fill(const Array& array, const ZarrView& view);

/// .zarray. Trailing general compressors (zlib, gzip, bz2, lzma, zstd, lz4, blosc) go to
/// "compressor", all other codecs to "filters". Same input, same bytes.
Result<std::string> zarr2_array_json(const Array& array, const ZarrView& view);
/// .zattrs with _ARRAY_DIMENSIONS (invented names "phony_dim_N" where unknown), without _FillValue
/// when .zarray says it. Attributes of one element are scalars; NaN and infinities are the strings
/// "NaN", "Infinity", "-Infinity"; text that is not UTF-8 is taken as Latin-1.
Result<std::string> zarr2_attributes_json(const Array& array, const ZarrView& view);
Result<std::string> zarr2_attributes_json(const Group& group);
std::string zarr2_group_json();

/// zarr.json. fill_value is array.fill (zeros if absent); _FillValue stays an attribute, floats
/// coded as xarray does (base64 of the little-endian double). kUnsupported where Zarr v3 has no
/// name for the type.
Result<std::string> zarr3_array_json(const Array& array, const ZarrView& view);
Result<std::string> zarr3_group_json(const Group& group);

/// Key and text of one document: {"a/v/.zarray", "{...}"}.
using ZarrDocument = std::pair<std::string, std::string>;
using ViewOf = std::function<ZarrView(const std::string& path, const Array& array)>;
/// Every document below `root`, parents first, in the dataset's order. Null `view`: stored_view.
/// `path` as in for_each_array.
Result<std::vector<ZarrDocument>> zarr2_documents(const Group& root, const ViewOf& view = {});
Result<std::vector<ZarrDocument>> zarr3_documents(const Group& root, const ViewOf& view = {});
/// .zmetadata of zarr-python: {"metadata": {...}, "zarr_consolidated_format": 1}.
Result<std::string> zarr2_consolidated_json(const std::vector<ZarrDocument>& documents);
/// The root's zarr.json with "consolidated_metadata" of all nodes below.
Result<std::string> zarr3_consolidated_json(const std::vector<ZarrDocument>& documents);

/// Chunks of `array` that no segment holds, or that were never written, exist. May read lazy
/// chunk indexes; takes it for true where asking for each of many chunks costs a request.
Result<bool> has_missing_chunks(const Array& array);

}  // namespace upwell::refs
