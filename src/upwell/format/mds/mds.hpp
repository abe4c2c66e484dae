#pragma once
// Raw output of MITgcm (pkg/mdsio): X.data, big endian floats without a header, and X.meta, a text
// that says what they are. See docs/guide/mds.md.

#include <string>
#include <vector>

#include "format/format.hpp"
#include "format/mds/pieces.hpp"

namespace upwell::format::mds {

/// Reads the .meta; its `link` finds the .data beside it and checks that it has exactly the bytes
/// that were promised. A pair is one granule, the .data.
///  - One array for each field of fldList, or one named like the file.
///  - Files whose name has a time step have a leading axis of one element (see time.hpp).
///  - The compact form of an llc grid becomes 13 tiles (MdsOptions::tiles, layout.hpp).
///  - Pieces of a field (tiled output, x.001.001.data) are put together, whichever is named.
const Format& mds_format();

/// "x.meta" of "x.data" and of "x.meta"; empty for other names. Queries of URLs stay.
std::string meta_url(const std::string& url);
/// "x.data" of both.
std::string data_url(const std::string& url);
/// "x.data" of "x.001.002.data", one piece of a field; empty for other names.
std::string whole_url(const std::string& url);

/// The dataset of one pair, or of all pieces of a field. Errors as check_pieces and time_axis.
Result<Dataset> make_dataset(const std::vector<Piece>& pieces, const ScanOptions& options);

}  // namespace upwell::format::mds
