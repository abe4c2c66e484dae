#include "format/netcdf4/writer.hpp"

#include <fmt/core.h>
#include <netcdf.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/files.hpp"
#include "format/netcdf4/direct_chunks.hpp"

namespace upwell::format::netcdf4 {
namespace {

/// netCDF-C and the HDF5 below it are used by one thread at a time.
std::mutex& library_lock() {
  static std::mutex mutex;
  return mutex;
}

Result<> check(int status, const std::string& what) {
  if (status == NC_NOERR) return {};
  return fail(Code::kCannotWrite, fmt::format("{}: {}", what, nc_strerror(status)));
}

/// netCDF-C does not tell why: HDF5 keeps the system's reason to itself, or calls it permission.
Result<> check_room(const std::filesystem::path& path) {
  constexpr uint64_t kLeastRoom = 64 << 10;
  std::error_code unknown;
  const auto room =
      std::filesystem::space(path.parent_path().empty() ? "." : path.parent_path(), unknown);
  if (!unknown && room.available < kLeastRoom)
    return fail(Code::kCannotWrite, path.string() + ": No space left on device");
  return {};
}

Result<> check_file(int status, const std::filesystem::path& path) {
  if (status != NC_NOERR) UPWELL_CHECK(check_room(path));
  return check(status, path.string());
}

bool is_text(const DataType& type) {
  return type.kind == Kind::kString || type.kind == Kind::kVlenString ||
         type.kind == Kind::kUnicode;
}

/// netCDF's own type for one byte of text: arrays of it have the length as their last dimension.
bool is_char(const DataType& type) { return type.kind == Kind::kString && type.size == 1; }

Result<nc_type> type_of(const DataType& type) {
  const DataType& t = type.kind == Kind::kEnum ? *type.base : type;
  auto pick = [&](nc_type one, nc_type two, nc_type four, nc_type eight) -> Result<nc_type> {
    switch (t.size) {
      case 1:
        return one;
      case 2:
        return two;
      case 4:
        return four;
      case 8:
        return eight;
      default:
        return fail(Code::kUnsupported, "netCDF has no type for " + describe(t));
    }
  };
  if (is_char(t)) return NC_CHAR;
  if (is_text(t)) return NC_STRING;
  switch (t.kind) {
    case Kind::kInt:
    case Kind::kDatetime:
    case Kind::kTimedelta:
      return pick(NC_BYTE, NC_SHORT, NC_INT, NC_INT64);
    case Kind::kUint:
    case Kind::kBitfield:
    case Kind::kBool:
      return pick(NC_UBYTE, NC_USHORT, NC_UINT, NC_UINT64);
    case Kind::kFloat:
      if (t.size == 4) return NC_FLOAT;
      if (t.size == 8) return NC_DOUBLE;
      break;
    default:
      break;
  }
  return fail(Code::kUnsupported, "netCDF has no type for " + describe(t));
}

/// Texts of a value, and the pointers that netCDF-C wants.
struct TextTable {
  std::vector<std::string> texts;
  std::vector<const char*> pointers;
  explicit TextTable(const Values& values) {
    for (size_t i = 0; i < values.count(); ++i) texts.push_back(values.text(i));
    for (const std::string& t : texts) pointers.push_back(t.c_str());
  }
};

bool is_ascii(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return (c & 0x80) == 0; });
}

Result<> put_attribute(int file, int variable, const Attribute& attribute) {
  const Values& v = attribute.value;
  const char* name = attribute.name.c_str();
  if (is_text(v.type)) {
    TextTable table(v);
    // As netCDF4-python: what is not ASCII has a type that says UTF-8; a text of no characters is
    // one zero byte, as netCDF-C would make an attribute without a value of it.
    if (v.count() == 1 && is_ascii(table.texts[0])) {
      const size_t size = std::max<size_t>(table.texts[0].size(), 1);
      return check(nc_put_att_text(file, variable, name, size, table.texts[0].c_str()),
                   attribute.name);
    }
    return check(
        nc_put_att_string(file, variable, name, table.pointers.size(), table.pointers.data()),
        attribute.name);
  }
  UPWELL_TRY(nc_type type, type_of(v.type));
  return check(nc_put_att(file, variable, name, type, v.count(), v.data.data()), attribute.name);
}

class Writer {
 public:
  explicit Writer(int file) : file_(file) {}

  Result<> define(const Variable& variable) {
    std::vector<int> dimensions;
    for (size_t d = 0; d < variable.dimensions.size(); ++d) {
      UPWELL_TRY(int id, dimension(variable.dimensions[d], variable.data().shape[d]));
      dimensions.push_back(id);
    }
    UPWELL_TRY(nc_type type, type_of(variable.data().type));
    int id = 0;
    UPWELL_CHECK(check(nc_def_var(file_, variable.name.c_str(), type,
                                  static_cast<int>(dimensions.size()), dimensions.data(), &id),
                       variable.name));
    ids_.push_back(id);
    if (variable.encoded) {
      UPWELL_CHECK(define_chunks(id, variable));
    } else if (variable.deflate && !dimensions.empty() && type != NC_STRING &&
               variable.data().count() > 1) {
      UPWELL_CHECK(check(nc_def_var_deflate(file_, id, 1, 1, 1), variable.name));
    }
    if (!variable.chunk_shape.empty()) {
      const std::vector<size_t> chunks(variable.chunk_shape.begin(), variable.chunk_shape.end());
      UPWELL_CHECK(check(nc_def_var_chunking(file_, id, NC_CHUNKED, chunks.data()), variable.name));
    }
    for (const Attribute& attribute : variable.attributes) {
      if (attribute.null_space || attribute.value.count() == 0) continue;
      UPWELL_CHECK(put_attribute(file_, id, attribute));
    }
    return {};
  }

  Result<> put(size_t i, const Variable& variable) const {
    if (variable.later || variable.encoded || variable.data().count() == 0) return {};
    if (is_text(variable.data().type) && !is_char(variable.data().type)) {
      TextTable table(variable.data());
      return check(nc_put_var_string(file_, ids_[i], table.pointers.data()), variable.name);
    }
    return check(nc_put_var(file_, ids_[i], variable.data().data.data()), variable.name);
  }

  /// Parts of what is stored as it is go straight to the file. After nc_enddef, where netCDF-C
  /// makes room for ten chunks.
  Result<> set_cache(size_t i, const Variable& variable) const {
    if (!variable.later || variable.deflate || variable.chunk_shape.empty()) return {};
    return check(nc_set_var_chunk_cache(file_, ids_[i], 0, 1, 1), variable.name);
  }

  Result<> put_box(size_t i, const Shape& origin, const Shape& shape, ByteSpan elements) const {
    const std::vector<size_t> start(origin.begin(), origin.end());
    const std::vector<size_t> count(shape.begin(), shape.end());
    return check(nc_put_vara(file_, ids_[i], start.data(), count.data(), elements.data()),
                 "writing");
  }

 private:
  Result<> define_chunks(int id, const Variable& variable) const {
    std::vector<size_t> chunk(variable.encoded->chunk_shape.begin(),
                              variable.encoded->chunk_shape.end());
    UPWELL_CHECK(check(nc_def_var_chunking(file_, id, NC_CHUNKED, chunk.data()), variable.name));
    return check(nc_def_var_deflate(file_, id, 1, 1, variable.encoded->level), variable.name);
  }

  Result<int> dimension(const std::string& name, uint64_t size) {
    if (auto it = dimensions_.find(name); it != dimensions_.end()) {
      if (it->second.second == size) return it->second.first;
      return fail(Code::kInvalidArgument, fmt::format("dimension {} has two lengths, {} and {}",
                                                      name, it->second.second, size));
    }
    int id = 0;
    UPWELL_CHECK(check(nc_def_dim(file_, name.c_str(), size, &id), name));
    dimensions_[name] = {id, size};
    return id;
  }

  int file_;
  std::vector<int> ids_;
  std::map<std::string, std::pair<int, uint64_t>> dimensions_;
};

/// `done`, with the file that its error is of.
Result<> of_file(const std::filesystem::path& path, Result<> done) {
  if (done) return done;
  UPWELL_CHECK(check_room(path));
  return fail(std::move(done).error().with(path.string()));
}

Result<> write_header(int id, const File& file, Writer& writer) {
  for (const Attribute& attribute : file.attributes) {
    if (attribute.null_space || attribute.value.count() == 0) continue;
    UPWELL_CHECK(put_attribute(id, NC_GLOBAL, attribute));
  }
  for (const Variable& variable : file.variables) UPWELL_CHECK(writer.define(variable));
  UPWELL_CHECK(check(nc_enddef(id), "header"));
  for (size_t i = 0; i < file.variables.size(); ++i)
    UPWELL_CHECK(writer.set_cache(i, file.variables[i]));
  return {};
}

/// All that is not `later`.
Result<> write_all(int id, const File& file, Writer& writer) {
  UPWELL_CHECK(write_header(id, file, writer));
  for (size_t i = 0; i < file.variables.size(); ++i) UPWELL_CHECK(writer.put(i, file.variables[i]));
  return {};
}

}  // namespace

struct Output::Impl {
  std::string target;
  AtomicFile file;
  int id = -1;  // of the open file, or negative
  std::optional<Writer> writer;

  Impl(std::string name, AtomicFile output) : target(std::move(name)), file(std::move(output)) {}
  ~Impl() {
    std::lock_guard lock(library_lock());
    if (id >= 0) nc_close(id);
  }

  Result<> open() {
    std::lock_guard lock(library_lock());
    int created = 0;
    UPWELL_CHECK(
        check_file(nc_create(file.path().c_str(), NC_NETCDF4 | NC_CLOBBER, &created), target));
    id = created;
    int old_mode = 0;
    nc_set_fill(id, NC_NOFILL, &old_mode);
    writer.emplace(id);
    return {};
  }
  Result<> close() {
    std::lock_guard lock(library_lock());
    return check_file(nc_close(std::exchange(id, -1)), target);
  }
};

Output::Output(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Output::Output(Output&&) noexcept = default;
Output::~Output() = default;

Result<Output> Output::create(const std::filesystem::path& target, const File& file) {
  UPWELL_TRY(AtomicFile output, AtomicFile::create(target));
  auto impl = std::make_unique<Impl>(target.string(), std::move(output));
  UPWELL_CHECK(impl->open());
  {
    std::lock_guard lock(library_lock());
    UPWELL_CHECK(of_file(target, write_all(impl->id, file, *impl->writer)));
  }
  return Output(std::move(impl));
}

Result<> Output::put(size_t variable, const Shape& origin, const Shape& shape, ByteSpan elements) {
  std::lock_guard lock(library_lock());
  return of_file(impl_->target, impl_->writer->put_box(variable, origin, shape, elements));
}

Result<> Output::commit(Sync sync) {
  UPWELL_CHECK(impl_->close());
  return impl_->file.commit(sync);
}

Result<> write(const std::filesystem::path& target, const File& file) {
  UPWELL_TRY(Output output, Output::create(target, file));
  return output.commit();
}

Result<> write_in_place(const std::filesystem::path& path, const File& file) {
  std::lock_guard lock(library_lock());
  int id = 0;
  UPWELL_CHECK(check_file(nc_create(path.c_str(), NC_NETCDF4 | NC_CLOBBER, &id), path));
  // Not without fill: the value is in the file for those who look for it there, and never used.
  Writer writer(id);
  Result<> written = of_file(path, write_all(id, file, writer));
  Result<> closed = check_file(nc_close(id), path);
  UPWELL_CHECK(std::move(written));
  UPWELL_CHECK(std::move(closed));
  return put_direct_chunks(path, file);
}

Result<Shape> default_chunk_shape(const Shape& shape, size_t element_size) {
  std::lock_guard lock(library_lock());
  int id = 0;
  UPWELL_CHECK(check(nc_create("chunks", NC_NETCDF4 | NC_DISKLESS, &id), "chunks"));
  auto choose = [&]() -> Result<Shape> {
    std::vector<int> dimensions;
    for (uint64_t extent : shape) {
      int dimension = 0;
      const std::string name = fmt::format("d{}", dimensions.size());
      UPWELL_CHECK(check(nc_def_dim(id, name.c_str(), extent, &dimension), name));
      dimensions.push_back(dimension);
    }
    int variable = 0;
    UPWELL_CHECK(
        check(nc_def_var(id, "v", element_size == 8 ? NC_DOUBLE : NC_FLOAT,
                         static_cast<int>(dimensions.size()), dimensions.data(), &variable),
              "v"));
    UPWELL_CHECK(check(nc_def_var_deflate(id, variable, 1, 1, 1), "v"));
    std::vector<size_t> chunk(shape.size());
    int storage = 0;
    UPWELL_CHECK(check(nc_inq_var_chunking(id, variable, &storage, chunk.data()), "v"));
    return Shape(chunk.begin(), chunk.end());
  };
  Result<Shape> chosen = choose();
  nc_close(id);
  return chosen;
}

}  // namespace upwell::format::netcdf4
