#pragma once
// Which part of a file is read.

#include <string>
#include <string_view>
#include <vector>

namespace upwell::format::hdf5 {

/// Paths that are wanted, with all that lies below them and the groups that lead there.
class Wanted {
 public:
  /// No paths, or the root among them: everything.
  explicit Wanted(const std::vector<std::string>& paths);

  bool everything() const { return paths_.empty(); }
  void want_everything() { paths_.clear(); }
  /// One more path, of a link ("/a/b"). True: it was not wanted before.
  bool add(const std::string& path);
  /// Whether what this link of the group at `group` ("" is the root) leads to is to be read.
  bool has(std::string_view group, std::string_view link) const;
  const std::vector<std::string>& paths() const { return paths_; }

 private:
  std::vector<std::string> paths_;  // "/a/b"; what `add` added comes last
};

}  // namespace upwell::format::hdf5
