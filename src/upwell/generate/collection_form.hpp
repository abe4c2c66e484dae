#pragma once
// How the granules of a collection become one cube where that is not plain, as a file says it:
// swaths that get a dimension of their own, counted by what the catalogue knows of each granule.
// docs/guide/generate.md

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "access/umm.hpp"
#include "cube/dataset.hpp"

namespace upwell::generate {

/// What the catalogue says of a granule, as a coordinate.
enum class Fact {
  kBegin,    ///< of its time, seconds since 1970
  kEnd,      ///< the same
  kCycle,    ///< of its Track
  kPass,     ///< the first of its Track
  kGranule,  ///< its name, up to 128 bytes
};

struct CollectionForm {
  /// One search of several that together choose the granules; empty fields choose nothing.
  struct Search {
    std::string granule_name;  ///< pattern
    std::string temporal;      ///< FROM,TO
  };
  std::vector<Search> searches;  ///< empty: all granules
  std::string version, provider;
  /// New, in front of every array with dimensions but for coordinate variables and `constant`; one
  /// element a granule. Empty: granules follow along a dimension that they have.
  std::string dimension;
  std::vector<std::pair<std::string, Fact>> coordinates;  ///< arrays along `dimension`
  std::vector<std::string> constant;                      ///< alike in all granules
  std::string concat, order_by;                           ///< as of refs::CombineOptions
  std::optional<std::vector<std::string>> load;
  std::vector<std::string> drop;
};

/// As written in a form: "begin".
std::string to_string(Fact fact);

/// The form of `collection` in a document of YAML; nothing: it has none. kBadConfiguration, with
/// the line, when something in it is not understood.
Result<std::optional<CollectionForm>> parse_collection_form(std::string_view yaml,
                                                            const std::string& name,
                                                            const std::string& collection);

/// Of Level 2 collections of which nothing else is said: a new dimension orbit_segment_start_time.
CollectionForm level2_form();

/// Gives a granule's dataset the new dimension and its coordinates. kInvalidData when the catalogue
/// does not say one of them, or the granule has an array of that name already.
Result<> apply_form(const CollectionForm& form, const access::Granule& granule, Dataset& dataset);

}  // namespace upwell::generate
