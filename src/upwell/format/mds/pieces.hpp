#pragma once
// Fields that are written in pieces, one pair of files a tile of the model's domain
// ("x.001.002.data"). Internal.

#include <vector>

#include "cube/chunk_index.hpp"
#include "format/mds/meta.hpp"
#include "io/session.hpp"

namespace upwell::format::mds {

/// One pair of files.
struct Piece {
  Meta meta;
  Granule data;  ///< with its size
};

/// All pieces of the field to which `named` belongs, in the order of their names; it alone when its
/// name is not that of a piece. They lie in one directory, which must be listed. Errors name the
/// .meta.
Result<std::vector<Piece>> find_pieces(io::Session& session, Piece named);

/// kInvalidData unless each .data has the bytes that its .meta says, all say the same of the field,
/// and every value of the field is in one piece. kUnsupported for pieces in another way than as
/// boxes of a plane.
Result<> check_pieces(const std::vector<Piece>& pieces);

}  // namespace upwell::format::mds
