#include "produce/grid/grid_place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "produce/grid/tar.hpp"

namespace upwell::produce {
namespace {

constexpr uint64_t kLargestGrid = uint64_t{16} << 30;
constexpr std::string_view kScheme = "unpacked";

bool is_archive(std::string_view location) {
  return location.ends_with(".tar.gz") || location.ends_with(".tgz") || location.ends_with(".tar");
}

std::string_view file_part(std::string_view path) { return path.substr(path.rfind('/') + 1); }
std::string_view folder_part(std::string_view path) {
  return path.substr(0, path.size() - file_part(path).size());
}

bool is_grid_netcdf(std::string_view name, std::string_view word) {
  return name.ends_with(".nc") && !name.starts_with('.') &&
         name.find(word) != std::string_view::npos;
}

/// Whether any command reads a file of this name in a grid.
bool is_grid_file(std::string_view path) {
  constexpr std::array<std::string_view, 15> kFields{
      "XC",  "YC",  "XG",    "YG",    "RC",    "RF",      "RAC",    "DXG",
      "DYG", "DRF", "hFacC", "hFacW", "hFacS", "AngleCS", "AngleSN"};
  const std::string_view name = file_part(path);
  if (name == "available_diagnostics.log" || is_grid_netcdf(name, "native") ||
      is_grid_netcdf(name, "latlon") || name.ends_with(".mitgrid"))
    return true;
  return (name.ends_with(".data") || name.ends_with(".meta")) &&
         std::find(kFields.begin(), kFields.end(), name.substr(0, name.size() - 5)) !=
             kFields.end();
}

/// The directory in the archive that is a grid's.
Result<std::string> grid_folder(const std::vector<TarFile>& files, const std::string& location) {
  std::set<std::string> folders;
  for (const TarFile& file : files) {
    const std::string_view name = file_part(file.path);
    if (name == "XC.data" || is_grid_netcdf(name, "native"))
      folders.emplace(folder_part(file.path));
  }
  if (folders.empty())
    return fail(Code::kNotFound,
                "grid " + location + ": neither XC.data nor *native*.nc in this archive");
  if (folders.size() > 1)
    return fail(Code::kInvalidData, fmt::format("grid {}: two grids in one archive, in {} and {}",
                                                location, *folders.begin(), *folders.rbegin()));
  return *folders.begin();
}

}  // namespace

bool GridPlace::has(std::string_view name) const {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::optional<std::string> GridPlace::netcdf_with(std::string_view word) const {
  for (const std::string& name : names) {
    if (is_grid_netcdf(name, word)) return directory + name;
  }
  return {};
}

Result<GridPlace> GridPlaces::find(const std::string& location) {
  GridPlace place{location, io::normal_url(location), {}};
  if (is_archive(location)) {
    place.directory = fmt::format("{}://{}", kScheme, place.directory);
    UPWELL_CHECK(unpack(location, place.directory + "/"));
  }
  if (!place.directory.ends_with('/')) place.directory += '/';
  auto names = session_.list_directory(place.directory);
  if (!names) return fail(std::move(names).error().with("grid " + location));
  place.names = std::move(*names);
  return place;
}

Result<> GridPlaces::unpack(const std::string& location, const std::string& directory) {
  std::lock_guard lock(mutex_);
  if (unpacked_.contains(directory)) return {};
  auto archive = session_.read_one(io::normal_url(location));
  if (!archive) return fail(std::move(archive).error().with("grid"));
  auto files = read_tar(archive->span(), is_grid_file, kLargestGrid);
  if (!files) return fail(std::move(files).error().with("grid " + location));
  UPWELL_TRY(const std::string folder, grid_folder(*files, location));
  if (!store_) {
    store_ = std::make_shared<io::MemoryStore>();
    session_.mount(std::string(kScheme), store_);
  }
  for (TarFile& file : *files) {
    if (folder_part(file.path) == folder)
      store_->put(directory + std::string(file_part(file.path)), std::move(file.bytes));
  }
  unpacked_.insert(directory);
  return {};
}

}  // namespace upwell::produce
