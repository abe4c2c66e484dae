// Results as a Zarr store (v2).

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

#include "base/parallel.hpp"
#include "cli/result_output.hpp"
#include "cli/staged_values.hpp"
#include "cube/place.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::cli {
namespace {

using format::netcdf4::File;
using format::netcdf4::Variable;

constexpr uint64_t kLargestChunk = 4 << 20;  // bytes, where the variable has no chunks of its own

/// That of the netCDF output; small variables are one chunk.
Result<Shape> zarr_chunk_shape(const Variable& variable) {
  const Values& values = variable.data();
  if (!variable.chunk_shape.empty()) return variable.chunk_shape;
  const bool large = element_count(values.shape) > kLargestChunk / std::max(values.type.size, 1U);
  if (large && (values.type.size == 4 || values.type.size == 8))
    return format::netcdf4::default_chunk_shape(values.shape, values.type.size);
  Shape whole = values.shape;
  for (uint64_t& extent : whole) extent = std::max<uint64_t>(extent, 1);
  return whole;
}

/// What every reader of Zarr v2 has.
std::vector<codec::CodecSpec> zarr_codecs(const DataType& type) {
  if (type.kind == Kind::kVlenString) return {{"vlen-utf8", "{}"}, {"zstd", R"({"level":3})"}};
  if (type.size == 1 || !type.is_number()) return {{"zstd", R"({"level":3})"}};
  return {{"blosc", R"({"blocksize":0,"clevel":5,"cname":"zstd","shuffle":1})"}};
}

Result<> write_document(const std::filesystem::path& path, ByteSpan bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  file.close();
  if (!file) return fail(Code::kCannotWrite, path.string());
  return {};
}

/// The elements of a chunk that reaches beyond the array are zeros there.
Result<Bytes> chunk_elements(const StagedValues& staged, size_t number, const Values& values,
                             const Shape& chunk, const Shape& index) {
  Shape origin(chunk.size()), counts(chunk.size());
  for (size_t d = 0; d < chunk.size(); ++d) {
    origin[d] = index[d] * chunk[d];
    counts[d] = std::min(chunk[d], values.shape[d] - origin[d]);
  }
  const size_t size = values.type.size;
  Bytes part(element_count(counts) * size);
  UPWELL_CHECK(staged.read_box(number, origin, counts, part));
  if (counts == chunk) return part;
  Bytes whole(element_count(chunk) * size);
  std::fill(whole.begin(), whole.end(), uint8_t{0});
  copy_box({part.data(), 0, c_strides(counts)}, {whole.data(), 0, c_strides(chunk)}, counts, size);
  return whole;
}

class ZarrOutput : public ResultOutput {
 public:
  ZarrOutput(AtomicDirectory directory, const File& file, StagedValues staged)
      : directory_(std::move(directory)), file_(file), staged_(std::move(staged)) {}

  Result<> put(size_t variable, const Shape& origin, const Shape& shape,
               ByteSpan elements) override {
    return staged_.put(variable, origin, shape, elements);
  }

  Result<> commit(Sync sync) override {
    Group root;
    root.attributes = file_.attributes;
    for (size_t i = 0; i < file_.variables.size(); ++i) {
      const Variable& variable = file_.variables[i];
      Array array;
      array.name = variable.name;
      array.type = variable.data().type;
      array.shape = variable.data().shape;
      array.dimensions = variable.dimensions;
      array.attributes = variable.attributes;
      UPWELL_TRY(array.chunk_shape, zarr_chunk_shape(variable));
      if (array.type.kind == Kind::kVlenString) array.type = DataType::vlen_string();
      auto written = write_chunks(i, array);
      if (!written) return fail(std::move(written).error().with(variable.name));
      root.arrays.push_back(std::move(array));
    }
    UPWELL_TRY(const auto documents,
               refs::zarr2_documents(root, [](const std::string&, const Array& array) {
                 refs::ZarrView view = refs::stored_view(array);
                 view.codecs = zarr_codecs(array.type);
                 return view;
               }));
    for (const auto& [key, text] : documents)
      UPWELL_CHECK(write_document(directory_.path() / key, as_bytes(text)));
    UPWELL_TRY(const std::string all, refs::zarr2_consolidated_json(documents));
    UPWELL_CHECK(write_document(directory_.path() / ".zmetadata", as_bytes(all)));
    return directory_.commit(sync);
  }

 private:
  Result<> write_chunks(size_t number, const Array& array) const {
    const std::filesystem::path folder = directory_.path() / array.name;
    std::error_code error;
    std::filesystem::create_directory(folder, error);
    if (error) return fail(Code::kCannotWrite, folder.string() + ": " + error.message());
    const Values& values = file_.variables[number].data();
    std::vector<codec::CodecSpec> codecs = zarr_codecs(array.type);
    if (values.type.kind == Kind::kVlenString) codecs.erase(codecs.begin());  // join_vlen is that
    UPWELL_TRY(const codec::Pipeline pipeline, codec::Pipeline::make(codecs, array.type.size));
    const Shape grid = grid_shape(array.shape, array.chunk_shape);
    return parallel_for(element_count(grid), [&](size_t position) -> Result<> {
      const Shape index = refs::chunk_at(grid, position);
      Bytes raw;
      if (values.type.kind == Kind::kVlenString) {
        std::vector<std::string> texts(values.count());
        for (size_t i = 0; i < texts.size(); ++i) texts[i] = values.text(i);
        raw = codec::join_vlen(std::vector<std::string_view>(texts.begin(), texts.end()));
      } else {
        UPWELL_TRY(raw, chunk_elements(staged_, number, values, array.chunk_shape, index));
      }
      UPWELL_TRY(const Bytes stored, pipeline.encode(raw));
      return write_document(folder / refs::chunk_key({}, index), stored);
    });
  }

  AtomicDirectory directory_;
  const File& file_;
  StagedValues staged_;
};

/// A directory of something else is not replaced.
Result<> check_replaceable(const std::filesystem::path& target) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (!fs::exists(target, error) || fs::is_empty(target, error)) return {};
  for (const char* document : {".zgroup", ".zarray", "zarr.json"})
    if (fs::exists(target / document, error)) return {};
  return fail(Code::kAlreadyExists, target.string() + " is there, and is no Zarr store");
}

}  // namespace

Result<std::unique_ptr<ResultOutput>> create_zarr_output(const std::string& target,
                                                         const format::netcdf4::File& file) {
  UPWELL_CHECK(check_replaceable(target));
  UPWELL_TRY(AtomicDirectory directory, AtomicDirectory::create(target));
  UPWELL_TRY(StagedValues staged, StagedValues::create(directory.path(), file));
  return std::make_unique<ZarrOutput>(std::move(directory), file, std::move(staged));
}

}  // namespace upwell::cli
