#pragma once
// Receipts: of which inputs a granule was made, and what it was when it was done. By them a run
// that was stopped goes on where it was.

#include <optional>
#include <string>
#include <vector>

#include "io/session.hpp"

namespace upwell::produce {

/// A file as it was read or written.
struct FileRecord {
  std::string url;
  uint64_t size = 0;
  std::optional<int64_t> mtime_ns;
  std::string etag;
  std::string sha256;
};

struct Receipt {
  std::string made_from;  ///< sha256 of the task, the configuration and the options
  FileRecord output;
  std::vector<FileRecord> inputs;

  std::string to_json() const;
  static Result<Receipt> parse(std::string_view json);
};

/// Where the receipt of a granule is: DIR/.receipts/NAME.json beside DIR/NAME.
std::string receipt_url(const std::string& granule);

/// The receipt of a granule; nullopt when there is none, or none that can be read.
std::optional<Receipt> find_receipt(io::Session& session, const std::string& granule);

/// Whether the granule and all inputs are what they were then: the same size and time (or ETag), or
/// else the same content. False, too, when one is not there.
bool still_holds(io::Session& session, const Receipt& receipt);

}  // namespace upwell::produce
