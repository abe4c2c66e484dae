#pragma once
// What a search found, in the forms that people and programs read.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "access/umm.hpp"
#include "access/umm_files.hpp"
#include "base/files.hpp"
#include "base/result.hpp"

namespace upwell::cli {

enum class SearchForm {
  kTable,
  kJson,  ///< one line for each, small and stable
  kUmm,   ///< one line for each, as the catalogue gave it
  kStac,  ///< one STAC item in a line
  kUrls,  ///< https
  kS3Urls,
};

/// Lines to standard output or, whole or not at all, to a file.
class SearchOutput {
 public:
  /// `path` empty: standard output.
  static Result<SearchOutput> open(const std::string& path);
  Result<> line(std::string_view text);
  Result<> finish();

 private:
  Result<> flush();
  std::optional<AtomicFile> file_;
  std::string pending_;
};

/// Writes granules in one form, and counts those that the form has no place for.
class GranuleWriter {
 public:
  GranuleWriter(SearchOutput& output, SearchForm form, access::FileChoice choice,
                std::string catalogue)
      : output_(output),
        form_(form),
        choice_(std::move(choice)),
        catalogue_(std::move(catalogue)) {}

  /// `text`: the granule as it came. `as_it_came_is_stac`: so are STAC items.
  Result<> write(const access::Granule& granule, std::string_view text, bool as_it_came_is_stac);
  /// Granules without what the form is made of; the first by name, with the reason.
  uint64_t lacking() const { return lacking_; }
  const std::string& first_lacking() const { return first_lacking_; }

 private:
  Result<> write_links(const access::Granule& granule);
  void lacks(const access::Granule& granule, const std::string& what);

  SearchOutput& output_;
  SearchForm form_;
  access::FileChoice choice_;
  std::string catalogue_;
  size_t name_width_ = 0;
  uint64_t lacking_ = 0;
  std::string first_lacking_;
};

/// A line of the table, of JSON or as it came.
Result<> write_collection(SearchOutput& output, SearchForm form,
                          const access::Collection& collection, std::string_view text);

/// The stores that an archive has published for a collection.
Result<> write_published(SearchOutput& output, SearchForm form,
                         const access::Collection& collection);

}  // namespace upwell::cli
