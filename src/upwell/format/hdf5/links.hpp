#pragma once
// Links of one group: compact, dense, and the symbol tables of old files (format specification
// III.A.1, III.B, III.C, III.D).

#include "format/hdf5/messages.hpp"
#include "format/hdf5/shared_messages.hpp"

namespace upwell::format::hdf5 {

/// All links of the group, in creation order where the file tracks it, else by name. kNeedBytes
/// while parts are missing: all that can be known of them has then been asked for.
Result<std::vector<Link>> read_links(Window& window, SharedMessages& shared,
                                     const ObjectHeader& header);

}  // namespace upwell::format::hdf5
