#pragma once
// The element "chunks" of a variable of a DMR++ document. Internal to refs/.

#include <functional>

#include "cube/dataset.hpp"
#include "io/session.hpp"
#include "refs/dmrpp_xml.hpp"

namespace upwell::refs {

/// What the chunks of one variable need to know.
struct DmrppPlace {
  io::Session& session;
  std::shared_ptr<GranuleTable> granules;
  uint32_t granule = 0;  ///< of chunks without an href
  /// Number of the object that an href of a chunk names.
  std::function<Result<uint32_t>(std::string_view href)> resolve;
  /// Before build_dmrpp wrote versions, it listed shuffle behind deflate, whatever the order was.
  bool old_filter_order = false;
};

struct DmrppChunks {
  Shape chunk_shape;
  std::vector<codec::CodecSpec> codecs;
  std::shared_ptr<const ChunkIndex> chunks;
  Shape grid;
};

/// Bytes of one element, by the first chunk; 0 where it holds no whole number of them. nullopt
/// where it is compressed, or there is none.
Result<std::optional<uint64_t>> dmrpp_element_bytes(const XmlElement& variable, const Shape& shape);

/// `variable`: the element, with "chunks" or, in old documents, one "chunk" below it. `shape`: of
/// the variable; `item_size`: bytes of one element. kInvalidData for chunks off the grid, twice the
/// same, or without numbers; kChanged for chunks beyond the granule's end (where its size is
/// known).
Result<DmrppChunks> dmrpp_chunks(const XmlElement& variable, const Shape& shape, uint32_t item_size,
                                 const DmrppPlace& place);

}  // namespace upwell::refs
