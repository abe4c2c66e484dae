#pragma once
// Raw output of MITgcm: a .data file and the .meta that describes it.

#include <string_view>
#include <vector>

#include "io/session.hpp"
#include "produce/granules/llc.hpp"
#include "produce/granules/receipt.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::produce {

struct RawField {
  Field field;
  std::vector<double> interval;  ///< timeInterval, seconds since the model's start
  std::vector<FileRecord> files;
};

/// The field of a pair of files on a grid of 13 tiles of n * n. `levels`: 1, or those of the grid.
/// kInvalidData names the file, and the line of a .meta, when the two do not fit each other, their
/// name, or the grid.
Result<RawField> read_raw_field(io::Session& session, const MdsPair& pair, uint32_t n,
                                uint32_t levels);
/// The same of what the files hold.
Result<RawField> raw_field(std::string_view meta, ByteSpan data, const MdsPair& pair, uint32_t n,
                           uint32_t levels);

}  // namespace upwell::produce
