#include "cli/variables.hpp"

#include <fmt/format.h>

#include <sstream>

namespace upwell::cli {
namespace {

/// The arrays that the attributes of one name.
std::vector<std::string> named_by(const Dataset& dataset, const std::string& path,
                                  const Array& array) {
  std::vector<std::string> paths;
  for (const char* role :
       {"coordinates", "bounds", "climatology", "grid_mapping", "formula_terms", "cell_measures"}) {
    std::istringstream words(text_attribute(array.attributes, role).value_or(""));
    for (std::string word; words >> word;) {
      // Labels of formula terms; extended grid mappings are names themselves (CF 5.6).
      if (word.back() == ':') word.pop_back();
      if (word.empty()) continue;
      if (NamedArray named = find_named(dataset, path, word); named.array != nullptr)
        paths.push_back(std::move(named.path));
    }
  }
  return paths;
}

}  // namespace

Result<std::string> find_variable(const Dataset& dataset, const std::string& name) {
  const std::string path = name.starts_with('/') ? name : "/" + name;
  if (dataset.root.find_array(path) != nullptr) return path;
  for (const Problem& problem : dataset.problems)
    if (problem.path == path) return fail(Error(problem.error).with(path));
  std::string known;
  for_each_array(dataset.root,
                 [&](const std::string& there, const Array&) { known += " " + there.substr(1); });
  return fail(Code::kNotFound, fmt::format("there is no variable '{}'; there are:{}", name, known));
}

std::set<std::string> describing_arrays(const Dataset& dataset) {
  std::set<std::string> paths;
  for_each_array(dataset.root, [&](const std::string& path, const Array& array) {
    if (array.dimensions == std::vector<std::string>{array.name}) paths.insert(path);
    for (std::string& named : named_by(dataset, path, array)) paths.insert(std::move(named));
  });
  return paths;
}

std::set<std::string> with_company(const Dataset& dataset, const std::vector<std::string>& paths) {
  std::set<std::string> all(paths.begin(), paths.end());
  std::vector<std::string> left = paths;
  while (!left.empty()) {
    const std::string path = std::move(left.back());
    left.pop_back();
    const Array* array = dataset.root.find_array(path);
    if (array == nullptr) continue;
    std::vector<std::string> found = named_by(dataset, path, *array);
    for (const std::string& dimension : array->dimensions)
      if (NamedArray named = find_coordinate(dataset, path, dimension); named.array != nullptr)
        found.push_back(std::move(named.path));
    for (std::string& next : found)
      if (all.insert(next).second) left.push_back(std::move(next));
  }
  return all;
}

}  // namespace upwell::cli
