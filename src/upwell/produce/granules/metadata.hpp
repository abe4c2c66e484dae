#pragma once
// The JSON records and the PO.DAAC table from which a granule's attributes come.

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "cube/values.hpp"
#include "io/session.hpp"
#include "produce/granules/names.hpp"

namespace upwell::produce {

/// Sets an attribute in its place, or as the last one.
void set_attribute(Attributes& attributes, std::string_view name, Values value);
void set_attribute(Attributes& attributes, std::string_view name, std::string_view text);

/// A row of the PO.DAAC table.
struct PodaacRow {
  std::string file_name, long_name, short_name, persistent_id;
};

/// Everything below one metadata location, read once in a run.
class Metadata {
 public:
  /// The *.json of a directory or URL whose names end as EDP expects (variable_metadata.json,
  /// coordinate_metadata_for_native_datasets.json, ...). kInvalidData names file, line and column.
  static Result<Metadata> load(io::Session& session, const std::string& location);

  /// Adds what the records say of a variable, keys in order of their names, and its GCMD keywords.
  /// Lat-lon granules and series take the native record, then their own over it.
  void add_variable(const std::string& name, GridType grid, Attributes& attributes,
                    std::set<std::string>& keywords) const;
  /// The same of a coordinate of such a granule; `time` says whether the records of
  /// time_coordinate_metadata count, too, which win.
  void add_coordinate(const std::string& name, GridType grid, bool time,
                      Attributes& attributes) const;
  /// The global attributes of all datasets and of those on this grid. `dimension` is "1D", "2D" or
  /// "3D": records that are for other ones are left out.
  void add_global(GridType grid, const std::string& dimension, Attributes& attributes) const;

  /// Adds the rows of a table in this location. kNotFound when it is not there; kInvalidData when
  /// it is no CSV or lacks a column.
  Result<std::vector<PodaacRow>> load_podaac(io::Session& session, const std::string& file) const;

  /// Of all records: the same when nothing has changed.
  const std::string& digest() const { return digest_; }

 private:
  struct Records;
  std::string location_, digest_;
  std::shared_ptr<const Records> records_;
};

/// The rows for granules as `name`, of any date and version.
std::vector<const PodaacRow*> matching_rows(const std::vector<PodaacRow>& rows,
                                            const GranuleName& name);

/// RFC 4180. kInvalidData with the line where a quote does not end.
Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text);

}  // namespace upwell::produce
