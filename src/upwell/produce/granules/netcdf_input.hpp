#pragma once
// The netCDF file from which a granule is made: of time-invariant fields, or of a series.

#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"
#include "produce/granules/receipt.hpp"

namespace upwell::produce {

class NetcdfInput {
 public:
  /// kInvalidData: a file with groups, or of which something could not be read.
  static Result<NetcdfInput> open(io::Session& session, const std::string& location);

  /// Variables that are neither a dimension's coordinate nor named by another as its coordinates or
  /// bounds, in the order of the file.
  const std::vector<const Array*>& variables() const { return variables_; }
  const Array* find(const std::string& name) const { return dataset_->root.find_array(name); }
  const Attributes& attributes() const { return dataset_->root.attributes; }

  /// As CF says: unpacked, NaN where a value is missing. `float_size`: of the numbers (4 or 8
  /// bytes) as which they are written. kUnsupported: no numbers, or an integer that such a number
  /// does not hold exactly.
  Result<std::vector<double>> numbers(const Array& array, uint32_t float_size = 8) const;
  /// About how many bytes of memory it takes at most to read all variables, one by one, when
  /// `kept` bytes of each value are kept; from what the file says of itself.
  uint64_t memory(uint64_t kept) const;
  /// What is still true of decoded values, without the names of coordinates.
  static Attributes described(const Array& array);

  const std::string& url() const { return url_; }
  /// Reads all of it.
  Result<FileRecord> record() const;

 private:
  io::Session* session_ = nullptr;
  std::string url_;
  std::shared_ptr<const Dataset> dataset_;
  std::vector<const Array*> variables_;
};

}  // namespace upwell::produce
