#pragma once
// Raw output of MITgcm: a .data file and the .meta that describes it.

#include <span>
#include <string_view>
#include <vector>

#include "format/mds/meta.hpp"
#include "io/session.hpp"
#include "produce/granules/llc.hpp"
#include "produce/granules/names.hpp"
#include "produce/granules/receipt.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::produce {

struct RawField {
  Field field;
  std::vector<double> interval;  ///< timeInterval, seconds since the model's start
  std::vector<FileRecord> files;
};

/// The field of a pair of files on a grid of 13 tiles of n * n; `name` is what their names say.
/// `levels`: how many it may have, the first that fits. kInvalidData names the file, and the line
/// of a .meta, when the two do not fit each other, their name, or the grid.
Result<RawField> read_raw_field(io::Session& session, const MdsPair& pair, const RawName& name,
                                uint32_t n, std::span<const uint32_t> levels);
/// The same of what the files hold.
Result<RawField> raw_field(std::string_view meta, ByteSpan data, const MdsPair& pair,
                           const RawName& name, uint32_t n, std::span<const uint32_t> levels);

/// The record of a .data that holds the variable. kInvalidData as above, but for the shape.
Result<ByteSpan> raw_record(const format::mds::Meta& meta, ByteSpan data, const MdsPair& pair,
                            const RawName& name);

}  // namespace upwell::produce
