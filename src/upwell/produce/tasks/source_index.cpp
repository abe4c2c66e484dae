#include "produce/tasks/source_index.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <mutex>

#include "base/parallel.hpp"

namespace upwell::produce {
namespace {

constexpr size_t kStepDigits = 10;
constexpr size_t kListings = 16;  // at once

std::string without_slash(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

/// Takes files in any order from several threads, and sorts them in the end.
class IndexBuilder {
 public:
  IndexBuilder(SourceIndex& index, const SourceWants& wants) : index_(index) {
    for (const auto& [directory, stems] : wants.stems)
      for (const std::string& stem : stems) index_.stems[stem];
  }

  /// A file in the directory with this path; `other_version`: only to be counted.
  void add(const std::string& directory, std::string_view name, bool other_version = false) {
    const auto parts = parse_source_name(name);
    std::lock_guard lock(mutex_);
    ++index_.listed;
    if (!parts) return;
    auto stem = index_.stems.find(parts->stem);
    if (stem == index_.stems.end()) return;
    if (other_version) {
      ++index_.skipped_by_version;
      return;
    }
    auto [place, fresh] =
        directories_.emplace(directory, static_cast<uint32_t>(index_.directories.size()));
    if (fresh) index_.directories.push_back(directory);
    SourceFiles files{parts->step, place->second, !parts->meta, parts->meta};
    stem->second.push_back(files);
  }

  /// Sorts, and makes pairs of what lies in one directory.
  Result<> finish() {
    for (auto& [stem, files] : index_.stems) {
      std::sort(files.begin(), files.end(), [](const SourceFiles& a, const SourceFiles& b) {
        return std::pair(a.step, a.directory) < std::pair(b.step, b.directory);
      });
      size_t kept = 0;
      for (const SourceFiles& next : files) {
        if (kept > 0 && files[kept - 1].step == next.step) {
          SourceFiles& last = files[kept - 1];
          if (last.directory != next.directory)
            return fail(Code::kInvalidData,
                        fmt::format("{} lies in two directories: {} and {}",
                                    stem + (next.step < 0 ? "" : fmt::format(".{:010}", next.step)),
                                    index_.directories[last.directory],
                                    index_.directories[next.directory]));
          last.data |= next.data;
          last.meta |= next.meta;
        } else {
          files[kept++] = next;
        }
      }
      files.resize(kept);
      files.shrink_to_fit();
    }
    return {};
  }

 private:
  SourceIndex& index_;
  std::mutex mutex_;
  std::map<std::string, uint32_t> directories_;
};

Result<> walk_tree(const std::string& root, const std::string& version, IndexBuilder& builder) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::file_status status = fs::status(root, error);
  if (!fs::exists(status)) return fail(Code::kNotFound, root + ": no such directory");
  if (!fs::is_directory(status)) return fail(Code::kInvalidArgument, root + ": not a directory");
  std::vector<std::string> pending{without_slash(root)};
  while (!pending.empty()) {
    const std::string directory = std::move(pending.back());
    pending.pop_back();
    const bool other_version = directory.find(version) == std::string::npos;
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      std::error_code ignored;
      const std::string name = it->path().filename().string();
      if (!it->is_directory(ignored)) {
        builder.add(directory, name, other_version);
      } else if (!it->is_symlink(ignored)) {
        pending.push_back((directory == "/" ? "" : directory) + "/" + name);
      }
    }
    if (error)
      return fail(
          error == std::errc::permission_denied ? Code::kPermissionDenied : Code::kInvalidData,
          directory + ": cannot be listed: " + error.message());
  }
  return {};
}

/// In a bucket: the files in a directory itself, and below it the directories that begin with a
/// stem.
Result<> list_directories(io::Session& session, const std::string& root, const SourceWants& wants,
                          IndexBuilder& builder) {
  std::vector<std::string> below;
  for (const auto& [name, stems] : wants.stems) {
    const std::string directory = root + (name.empty() ? "" : "/" + name);
    UPWELL_TRY(const std::vector<std::string> entries, session.list_directory(directory + "/"));
    for (const std::string& entry : entries) {
      const bool wanted = std::any_of(stems.begin(), stems.end(), [&](const std::string& stem) {
        return entry.starts_with(stem);
      });
      if (!entry.ends_with('/')) {
        builder.add(directory, entry);
      } else if (wanted) {
        below.push_back(directory + "/" + entry);
      }
    }
  }
  return blocking_for(below.size(), kListings, [&](size_t k) -> Result<> {
    return session.list_each(below[k], [&](const std::string& url) -> Result<> {
      const size_t slash = url.rfind('/');
      builder.add(url.substr(0, slash), std::string_view(url).substr(slash + 1));
      return {};
    });
  });
}

}  // namespace

std::optional<SourceName> parse_source_name(std::string_view name) {
  SourceName parts;
  parts.meta = name.ends_with(".meta");
  if (!parts.meta && !name.ends_with(".data")) return {};
  name.remove_suffix(5);
  parts.stem = name;
  if (name.size() <= kStepDigits || name[name.size() - kStepDigits - 1] != '.') return parts;
  int64_t step = 0;
  for (char c : name.substr(name.size() - kStepDigits)) {
    if (c < '0' || c > '9') return parts;
    step = step * 10 + (c - '0');
  }
  parts.step = step;
  parts.stem = name.substr(0, name.size() - kStepDigits - 1);
  return parts;
}

const std::vector<SourceFiles>& SourceIndex::files(std::string_view stem) const {
  static const std::vector<SourceFiles> none;
  auto it = stems.find(stem);
  return it == stems.end() ? none : it->second;
}

std::string SourceIndex::path(std::string_view stem, const SourceFiles& files, bool meta) const {
  const std::string& directory = directories[files.directory];
  std::string path = directory == "/" ? "/" : directory + "/";
  path += stem;
  if (files.step != SourceFiles::kNoStep) path += fmt::format(".{:010}", files.step);
  return path + (meta ? ".meta" : ".data");
}

Result<SourceIndex> list_source(io::Session& session, const std::string& root,
                                const SourceWants& wants) {
  SourceIndex index;
  index.root = without_slash(root);
  IndexBuilder builder(index, wants);
  if (io::scheme_of(root) == "file" && !root.starts_with("file:")) {
    UPWELL_CHECK(walk_tree(root, wants.version, builder));
  } else {
    UPWELL_CHECK(list_directories(session, index.root, wants, builder));
  }
  UPWELL_CHECK(builder.finish());
  return index;
}

}  // namespace upwell::produce
