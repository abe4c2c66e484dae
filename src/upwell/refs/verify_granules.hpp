#pragma once
// Of which granules a reference set is made, and where each lies in it.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "format/format.hpp"
#include "io/session.hpp"

namespace upwell::refs {

struct PlacedGranule {
  std::string url;      ///< to read
  io::ObjectInfo info;  ///< when it was indexed; size 0: not known
  uint64_t start = 0;   ///< first element along the concat dimension
  /// Elements along it. Without a record: from `start` to the end of the last chunk that the
  /// references take from it.
  uint64_t length = 0;
};

struct Placement {
  std::string concat;  ///< dimension; empty: arrays are those of the one granule
  bool recorded = false;
  std::vector<PlacedGranule> granules;  ///< in cube order
  format::MdsOptions mds;               ///< how to read granules of MITgcm

  /// Axis of the concat dimension, when the array has it.
  std::optional<size_t> axis(const Array& array) const;
};

/// From the record of the set at `source`, or else from its references, all of which are looked up.
/// kUnsupported when there is neither (nothing to compare with), or when granules follow each other
/// along more than one axis. kInvalidData when the record does not fit the arrays. `mds`: as given
/// (see mds_of_set).
Result<Placement> place_granules(io::Session& session, const std::string& source,
                                 const Dataset& set, const format::MdsOptions& mds);

/// The granule of the first chunk of `array` that lies in one.
Result<std::optional<std::string>> first_granule(const Dataset& set, const Array& array);

}  // namespace upwell::refs
