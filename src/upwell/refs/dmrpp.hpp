#pragma once
// DMR++ documents: what OPeNDAP's build_dmrpp says of a granule, with the place of every chunk
// (DAP4 DMR with the elements and attributes of http://xml.opendap.org/dap/dmrpp/1.0.0#).

#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {

struct DmrppOptions {
  std::string document_url;         ///< where the document lies
  std::string granule_url;          ///< what it describes; empty: what it says itself
  io::ReachPtr granule_reach = {};  ///< of what names that granule; null: the user
  UrlPolicy urls;
  std::vector<std::string> drop;  ///< variables to leave out
};

/// `head`: the first bytes of an object. True when they begin a DMR or DMR++.
bool looks_like_dmrpp(ByteSpan head);

/// Reads a whole document. The granule is `granule_url`; else, where the document has only a
/// placeholder (OPeNDAP_DMRpp_DATA_ACCESS_URL), the URL of the document without ".dmrpp"; else what
/// its href names: an absolute URL, or an object of that name beside the document (paths in a
/// server's catalogue mean nothing here).
///
/// The granule is asked for its size: kChanged when a chunk lies beyond it. Variables that cannot
/// be understood are in Dataset::problems; "fm" masks, chunks in other objects (href), blocks that
/// make one chunk together (HDF4) and values in the document itself are understood. Containers of
/// attributes are flattened ("outer.inner"), those about the making of the document left out.
/// `session` must outlive the dataset.
Result<Dataset> read_dmrpp(io::Session& session, ByteSpan text, const DmrppOptions& options);

}  // namespace upwell::refs
