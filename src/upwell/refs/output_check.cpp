#include "refs/output_check.hpp"

#include <sys/stat.h>

#include <optional>

#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::refs {
namespace {

namespace fs = std::filesystem;

/// Chunks looked up at once.
constexpr size_t kBatch = 1 << 16;

/// What a path leads to, links followed: device and inode; nothing where it leads nowhere.
class FileId {
 public:
  explicit FileId(const fs::path& path) : there_(::stat(path.c_str(), &status_) == 0) {}
  bool there() const { return there_; }
  bool operator==(const FileId& other) const {
    return there_ && other.there_ && status_.st_dev == other.status_.st_dev &&
           status_.st_ino == other.status_.st_ino;
  }

 private:
  struct stat status_ = {};
  bool there_;
};

bool is_local(const std::string& url) { return io::scheme_of(url) == "file"; }

bool lies_within(const fs::path& file, const fs::path& directory) {
  std::error_code error;
  if (!fs::is_directory(directory, error)) return false;
  const FileId wanted(directory);
  // One after another, so that links on the way do not matter.
  for (fs::path at = fs::canonical(file, error); !error && at.has_relative_path();) {
    at = at.parent_path();
    if (FileId(at) == wanted) return true;
  }
  return false;
}

/// The granule whose file `output` is, among those from number `begin` on; moves `begin` to the
/// end.
std::optional<std::string> granule_at(const FileId& output, const GranuleTable& granules,
                                      size_t& begin) {
  for (const size_t end = granules.size(); begin < end; ++begin) {
    const std::string& url = granules.at(static_cast<uint32_t>(begin)).url;
    if (is_local(url) && FileId(io::file_path_of(url)) == output) return url;
  }
  return std::nullopt;
}

/// Looks all chunks up, upon which an index that is read when it is needed names their granules.
Result<> learn_granules(const ChunkIndex& chunks) {
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> found;
  for (uint64_t at = chunks.next_stored(0); at < chunks.size();) {
    positions.clear();
    for (; at < chunks.size() && positions.size() < kBatch; at = chunks.next_stored(at + 1))
      positions.push_back(at);
    found.assign(positions.size(), {});
    UPWELL_CHECK(chunks.locate(positions, found.data()));
  }
  return {};
}

}  // namespace

Result<> check_no_source(const fs::path& output, const std::vector<std::string>& sources) {
  const FileId there(output);
  if (!there.there()) return {};
  for (const std::string& source : sources) {
    if (!is_local(source)) continue;
    const fs::path path = io::file_path_of(source);
    if (there == FileId(path))
      return fail(Code::kInvalidArgument, output.string() + " is one of the sources");
    if (lies_within(output, path))
      return fail(Code::kInvalidArgument,
                  output.string() + " is a file of the set that is read, " + source);
  }
  return {};
}

Result<> check_no_granule(const fs::path& output, const Dataset& dataset) {
  const FileId there(output);
  if (!there.there()) return {};
  size_t begin = 0;
  const auto check = [&]() -> Result<> {
    const auto granule = granule_at(there, *dataset.granules, begin);
    if (!granule) return {};
    return fail(Code::kInvalidArgument, output.string() + " is a granule of the cube that is read");
  };
  UPWELL_CHECK(check());
  Result<> learned;
  for_each_array(dataset.root, [&](const std::string& path, const Array& array) {
    for (const Segment& segment : array.segments) {
      if (!learned || !segment.chunks || segment.chunks->asks_for_each()) continue;
      if (auto all = learn_granules(*segment.chunks); !all)
        learned = fail(std::move(all).error().with(path));
    }
  });
  UPWELL_CHECK(std::move(learned));
  return check();
}

}  // namespace upwell::refs
