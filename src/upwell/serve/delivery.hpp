#pragma once
// How the chunks of one array reach a Zarr client: as stored, with a few last filters taken off, or
// decoded and encoded anew.

#include <memory>
#include <optional>
#include <string>

#include "cube/dataset.hpp"
#include "refs/zarr_metadata.hpp"
#include "serve/byte_budget.hpp"
#include "serve/byte_cache.hpp"
#include "serve/http.hpp"

namespace upwell::serve {

enum class Target {
  kZarr2,   ///< what zarr-python 2 and 3, netCDF-C and zarrita decode
  kZarr3,   ///< the same in Zarr v3: registered names and numcodecs.*
  kStored,  ///< the stored bytes, whatever codecs of numcodecs they need
};

enum class Means {
  kUntouched,  ///< stored bytes
  kStripped,   ///< stored bytes after the last `strip` codecs are decoded (a checksum, szip)
  kEncoded,    ///< decoded by the read path, encoded with the codecs of the view
};

/// Fixed for one array and one target.
struct Delivery {
  /// What the documents describe: the array, with another type or fill where the view needs it.
  Array shown;
  refs::ZarrView view;
  Means means = Means::kUntouched;
  codec::Pipeline strip;
  codec::Pipeline encode;
  bool plain_memory = false;  ///< kEncoded: `shown` has the memory type, the array has not
  /// Missing chunks are given as chunks full of fill, because a client told 404 would put something
  /// else there.
  bool store_missing = false;
};

/// kUnsupported with the reason when this array cannot be shown so (a type that Zarr has not; for
/// kStored also arrays that are not stored in one uniform way, and codecs without a numcodecs
/// name).
/// `before`: what clients were told of the array's earlier state, or null. As long as its type and
/// chunks are the same, chunks come in the same codecs: who has it open goes on reading.
Result<Delivery> choose_delivery(const Array& array, Target target,
                                 const refs::ZarrView* before = nullptr);

/// kUnsupported when numcodecs cannot decode the codecs of some segment in their order.
Result<> check_numcodecs(const Array& array);

/// Chunk `position` (C order of the array's grid) as the client wants it. nullopt: never written.
/// `key` names the chunk in `cache`; what has to be decoded takes its memory from `budget`.
Result<std::optional<Response>> deliver_chunk(io::Session& session, const Dataset& dataset,
                                              const Array& array, const Delivery& delivery,
                                              uint64_t position, const std::string& key,
                                              ByteCache& cache, ByteBudget& budget);

}  // namespace upwell::serve
