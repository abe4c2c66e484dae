#include "produce/grid/grid_place.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "produce/grid/tar.hpp"

namespace upwell::produce {
namespace {

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

/// An object in parts.
Result<ArchiveSource> source_of(io::Session& session, const std::string& url) {
  static constexpr uint64_t kPart = 8 << 20;
  auto info = session.stat(url);
  if (!info) return fail(std::move(info).error().with("grid"));
  return [&session, url, size = info->size, at = uint64_t{0}]() mutable -> Result<SharedBytes> {
    const uint64_t count = std::min(kPart, size - at);
    if (count == 0) return SharedBytes();
    auto part = session.read_one(url, {at, count});
    at += count;
    return part;
  };
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
  GridPlace place{location, io::normal_url(location), {}, {}};
  if (is_archive(location)) {
    place.directory = fmt::format("{}://{}", kScheme, place.directory);
    UPWELL_TRY(place.unpacked, unpack(location, place.directory + "/"));
  }
  if (!place.directory.ends_with('/')) place.directory += '/';
  auto names = session_.list_directory(place.directory);
  if (!names) return fail(std::move(names).error().with("grid " + location));
  place.names = std::move(*names);
  return place;
}

Result<std::shared_ptr<const void>> GridPlaces::unpack(const std::string& location,
                                                       const std::string& directory) {
  std::lock_guard lock(mutex_);
  if (auto there = unpacked_[directory].lock()) return there;
  UPWELL_TRY(const ArchiveSource source, source_of(session_, io::normal_url(location)));
  auto files = read_tar(source, is_grid_file, most_);
  if (!files) return fail(std::move(files).error().with("grid " + location));
  UPWELL_TRY(const std::string folder, grid_folder(*files, location));
  if (!store_) {
    store_ = std::make_shared<io::MemoryStore>();
    session_.mount(std::string(kScheme), store_);
  }
  std::vector<std::string> urls;
  for (TarFile& file : *files) {
    if (folder_part(file.path) != folder) continue;
    urls.push_back(directory + std::string(file_part(file.path)));
    store_->put(urls.back(), std::move(file.bytes));
    session_.forget(urls.back());
  }
  std::shared_ptr<const void> held(
      this, [this, directory, urls](const void*) { forget(directory, urls); });
  unpacked_[directory] = held;
  return held;
}

void GridPlaces::forget(const std::string& directory, const std::vector<std::string>& urls) {
  std::lock_guard lock(mutex_);
  if (!unpacked_[directory].expired()) return;  // unpacked again meanwhile
  for (const std::string& url : urls) (void)session_.remove(url);
}

}  // namespace upwell::produce
