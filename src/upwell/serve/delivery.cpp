#include "serve/delivery.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "cube/read.hpp"
#include "io/session.hpp"
#include "refs/express.hpp"

namespace upwell::serve {
namespace {

// Codecs that zarr-python, numcodecs and the JavaScript readers all have.
constexpr std::array<std::string_view, 8> kKnown2 = {"zlib", "gzip",    "zstd",  "blosc",
                                                     "lz4",  "shuffle", "delta", "vlen-utf8"};
constexpr std::array<std::string_view, 7> kKnown3 = {"zlib", "gzip",    "zstd",     "blosc",
                                                     "lz4",  "shuffle", "vlen-utf8"};

constexpr uint64_t kMaxFillChunk = 1ULL << 30;

bool is_known(const std::string& id, Target target) {
  if (target == Target::kZarr2) {
    return std::find(kKnown2.begin(), kKnown2.end(), id) != kKnown2.end();
  }
  if (target == Target::kZarr3) {
    return std::find(kKnown3.begin(), kKnown3.end(), id) != kKnown3.end();
  }
  return refs::numcodecs_knows(id);
}

uint64_t chunk_bytes(const refs::ZarrView& view) {
  return element_count(view.chunk_shape) * view.type.size;
}

bool is_compressor(const codec::CodecSpec& spec) {
  return spec.id == "zlib" || spec.id == "gzip" || spec.id == "zstd" || spec.id == "blosc" ||
         spec.id == "lz4" || spec.id == "bz2" || spec.id == "lzma";
}

/// numcodecs' shuffle assumes 4 bytes when it is not told.
void complete_shuffle(codec::CodecSpec& spec, uint32_t item_size) {
  if (spec.id != "shuffle") return;
  auto config = nlohmann::json::parse(spec.config, nullptr, false);
  if (!config.is_object() || config.contains("elementsize")) return;
  config["elementsize"] = item_size;
  spec.config = config.dump();
}

Bytes fill_elements(const Array& array, const refs::ZarrView& view) {
  const size_t item = view.type.size;
  Bytes out(chunk_bytes(view));
  std::fill(out.begin(), out.end(), uint8_t{0});
  if (!array.fill || array.fill->size() != item) return out;
  for (size_t i = 0; i + item <= out.size(); i += item) {
    std::memcpy(out.data() + i, array.fill->data(), item);
  }
  return out;
}

/// Codecs that an encoded view announces: fast ones that every reader has.
std::vector<codec::CodecSpec> encoding_codecs(const DataType& type) {
  if (type.kind == Kind::kVlenString) {
    return {{"vlen-utf8", "{}"}, {"zstd", R"({"level":1})"}};
  }
  if (type.size == 1 || !type.is_number()) return {{"zstd", R"({"level":1})"}};
  return {{"blosc", R"({"blocksize":0,"clevel":5,"cname":"lz4","shuffle":1})"}};
}

/// The array in memory form: plain layout, native order. For types of which Zarr has no name as
/// stored.
Result<Array> in_memory_form(const Array& array) {
  Array shown = array;
  shown.type = memory_type(array.type);
  if (array.fill) {
    Bytes fill(shown.type.size);
    UPWELL_CHECK(to_memory(array.type, *array.fill, 1, fill));
    shown.fill = std::move(fill);
  }
  return shown;
}

Result<> check_name(const Array& array, const refs::ZarrView& view, Target target) {
  if (target == Target::kZarr3) {
    UPWELL_CHECK(refs::zarr3_array_json(array, view));
    return {};
  }
  UPWELL_CHECK(refs::zarr2_array_json(array, view));
  return {};
}

refs::ChunkKeys keys_of(Target target) {
  return target == Target::kZarr3 ? refs::ChunkKeys{'/', true} : refs::ChunkKeys{'.', false};
}

Result<Delivery> encoded_delivery(const Array& array, Target target) {
  Delivery delivery;
  delivery.means = Means::kEncoded;
  delivery.shown = array;
  const auto set_view = [&] {
    delivery.view.type = delivery.shown.type;
    delivery.view.chunk_shape = array.chunk_shape;
    delivery.view.codecs = encoding_codecs(delivery.shown.type);
    delivery.view.keys = keys_of(target);
  };
  set_view();
  auto named = check_name(delivery.shown, delivery.view, target);
  if (!named && !array.type.has_vlen()) {
    UPWELL_TRY(delivery.shown, in_memory_form(array));
    delivery.plain_memory = true;
    set_view();
    named = check_name(delivery.shown, delivery.view, target);
  }
  if (!named) return fail(std::move(named).error());
  if (array.type.has_vlen() && array.type.kind != Kind::kVlenString) {
    return fail(Code::kUnsupported, "elements of variable length: " + describe(array.type));
  }
  // read_chunk gives strings joined already, as vlen-utf8 does.
  std::vector<codec::CodecSpec> steps = delivery.view.codecs;
  if (array.type.kind == Kind::kVlenString) steps.erase(steps.begin());
  UPWELL_TRY(delivery.encode, codec::Pipeline::make(steps, delivery.view.type.size));
  return delivery;
}

/// How many of the first codecs the client knows; the rest must be a tail that is taken off here.
size_t known_codecs(const SegmentLayout& layout, Target target) {
  const auto unknown = std::find_if(layout.codecs.begin(), layout.codecs.end(),
                                    [&](const auto& spec) { return !is_known(spec.id, target); });
  return static_cast<size_t>(unknown - layout.codecs.begin());
}

Result<Delivery> stored_delivery(const Array& array, Target target) {
  Delivery delivery;
  delivery.shown = array;
  delivery.view = refs::stored_view(array);
  delivery.view.keys = keys_of(target);
  const SegmentLayout& layout = *array.segments.front().layout;
  const size_t known = known_codecs(layout, target);
  for (auto& spec : delivery.view.codecs) complete_shuffle(spec, layout.type.size);
  if (known < layout.codecs.size()) {
    delivery.means = Means::kStripped;
    const std::vector<codec::CodecSpec> tail(layout.codecs.begin() + static_cast<int64_t>(known),
                                             layout.codecs.end());
    UPWELL_TRY(delivery.strip, codec::Pipeline::make(tail, layout.type.size));
    delivery.view.codecs.resize(known);
  }
  if (array.type.has_vlen() &&
      (delivery.view.codecs.empty() || delivery.view.codecs.front().id != "vlen-utf8")) {
    return fail(Code::kUnsupported, "elements of variable length");
  }
  UPWELL_CHECK(check_name(delivery.shown, delivery.view, target));
  if (!array.type.has_vlen()) {
    UPWELL_TRY(delivery.encode, codec::Pipeline::make(delivery.view.codecs, layout.type.size));
  }
  return delivery;
}

/// True when chunks that were never written can be given in the codecs of the view.
bool can_encode_fill(const Delivery& delivery) {
  const Bytes probe(std::min<uint64_t>(chunk_bytes(delivery.view), 64U * delivery.view.type.size),
                    0);
  return delivery.encode.encode(probe).has_value();
}

/// Encoded in the codecs of a view that clients know; nullopt where that view cannot be kept.
std::optional<Delivery> kept_delivery(const Array& array, Target target,
                                      const refs::ZarrView& before) {
  auto delivery = encoded_delivery(array, target);
  if (!delivery || array.type.has_vlen() || before.fortran_order) return std::nullopt;
  refs::ZarrView& view = delivery->view;
  if (!(view.type == before.type) || view.chunk_shape != before.chunk_shape) return std::nullopt;
  view.codecs = before.codecs;
  auto encode = codec::Pipeline::make(view.codecs, view.type.size);
  if (!encode) return std::nullopt;
  delivery->encode = std::move(*encode);
  if (!can_encode_fill(*delivery)) return std::nullopt;
  return std::move(*delivery);
}

Result<> refuse_stored(const Array& array) {
  if (!is_uniform(array)) {
    return fail(Code::kUnsupported,
                "its granules do not store it in one uniform way, aligned with its chunks");
  }
  return refs::check_numcodecs(array.segments.front().layout->codecs, array.type.size);
}

Response bytes_response(SharedBytes bytes, std::string etag) {
  Response response;
  response.content_type = "application/octet-stream";
  response.etag = std::move(etag);
  response.body = Body::of(std::move(bytes));
  return response;
}

/// What these bytes are, without reading them. Empty when the granule's state is not known.
std::string identity_etag(const Granule& granule, const ChunkRef& ref) {
  if (granule.info.etag.empty() && !granule.info.mtime_ns) return {};
  std::string text = granule.url + '\n' + granule.info.etag + '\n' +
                     std::to_string(granule.info.size) + '\n' +
                     std::to_string(granule.info.mtime_ns.value_or(0)) + '\n' +
                     std::to_string(ref.offset) + '\n' + std::to_string(ref.length);
  return content_hash(as_bytes(text));
}

Result<Response> stored_response(io::Session& session, const Granule& granule,
                                 const ChunkRef& ref) {
  std::string etag = identity_etag(granule, ref);
  if (etag.empty() || ref.length == io::kToEnd) {
    UPWELL_TRY(SharedBytes bytes,
               session.read_one(granule.url, {ref.offset, ref.length}, granule.reach));
    std::string hash = content_hash(bytes.span());
    return bytes_response(std::move(bytes), std::move(hash));
  }
  Response response;
  response.content_type = "application/octet-stream";
  response.etag = std::move(etag);
  response.body.size = ref.length;
  response.body.fetch = [&session, url = granule.url, reach = granule.reach, start = ref.offset](
                            uint64_t offset, uint64_t length) -> Result<SharedBytes> {
    return session.read_one(url, {start + offset, length}, reach);
  };
  return response;
}

Result<SharedBytes> encode_chunk(io::Session& session, const Dataset& dataset, const Array& array,
                                 const Delivery& delivery, uint64_t position, bool& missing) {
  const ChunkForm form = delivery.plain_memory ? ChunkForm::kMemory : ChunkForm::kStored;
  const Shape chunk = refs::chunk_at(grid_shape(array.shape, array.chunk_shape), position);
  UPWELL_TRY(auto raw, read_chunk(session, dataset, array, chunk, form));
  missing = !raw;
  if (!raw) return SharedBytes();
  if (delivery.encode.empty()) return SharedBytes(std::move(*raw));
  UPWELL_TRY(Bytes packed, delivery.encode.encode(*raw));
  return SharedBytes(std::move(packed));
}

Result<std::optional<Response>> fill_response(const Delivery& delivery, const std::string& key,
                                              ByteCache& cache) {
  if (!delivery.store_missing) return std::nullopt;
  const std::string name = key.substr(0, key.rfind('\n')) + "\nfill";
  auto bytes = cache.get(name);
  if (!bytes && chunk_bytes(delivery.view) > kMaxFillChunk) {
    return fail(Code::kResourceExhausted, "a chunk that was never written would be " +
                                              std::to_string(chunk_bytes(delivery.view)) +
                                              " bytes of fill");
  }
  if (!bytes) {
    Bytes filled = fill_elements(delivery.shown, delivery.view);
    if (!delivery.encode.empty()) {
      UPWELL_TRY(filled, delivery.encode.encode(filled));
    }
    bytes = SharedBytes(std::move(filled));
    cache.put(name, *bytes);
  }
  std::string hash = content_hash(bytes->span());
  return bytes_response(std::move(*bytes), std::move(hash));
}

Result<std::optional<Response>> encoded_response(io::Session& session, const Dataset& dataset,
                                                 const Array& array, const Delivery& delivery,
                                                 uint64_t position, const std::string& key,
                                                 ByteCache& cache, ByteBudget& budget) {
  auto bytes = cache.get(key);
  if (!bytes) {
    bool missing = false;
    // The chunk as read, in the type of the view, and encoded.
    const uint64_t copies = 3 * chunk_bytes(delivery.view);
    const uint64_t elements = element_count(array.chunk_shape);
    UPWELL_TRY(const auto lease,
               budget.take(copies + memory_to_read(array, array.chunk_shape, elements)));
    UPWELL_TRY(bytes, encode_chunk(session, dataset, array, delivery, position, missing));
    if (missing) return fill_response(delivery, key, cache);
    cache.put(key, *bytes);
  }
  std::string hash = content_hash(bytes->span());
  return bytes_response(std::move(*bytes), std::move(hash));
}

Result<Response> stripped_response(io::Session& session, const Granule& granule,
                                   const ChunkRef& ref, const Delivery& delivery,
                                   ByteBudget& budget) {
  SharedBytes stored = ref.bytes;
  UPWELL_TRY(const auto lease, budget.take(4 * chunk_bytes(delivery.view)));
  if (ref.state == ChunkRef::State::kStored) {
    UPWELL_TRY(stored, session.read_one(granule.url, {ref.offset, ref.length}, granule.reach));
  }
  // What is left is still compressed: at worst a little larger than the chunk.
  const uint64_t limit = chunk_bytes(delivery.view) + chunk_bytes(delivery.view) / 8 + (64 << 10);
  UPWELL_TRY(Bytes bytes, delivery.strip.decode_unsized(stored.span(), 0, limit));
  std::string hash = content_hash(bytes);
  return bytes_response(SharedBytes(std::move(bytes)), std::move(hash));
}

}  // namespace

Result<Delivery> choose_delivery(const Array& array, Target target, const refs::ZarrView* before) {
  if (array.null_space) return fail(Code::kUnsupported, "it has no values (null dataspace)");
  UPWELL_CHECK(refs::check_clients(array.type));
  if (target == Target::kStored) UPWELL_CHECK(refuse_stored(array));
  std::optional<Delivery> delivery;
  if (is_uniform(array) && !array.segments.front().layout->heap) {
    auto stored = stored_delivery(array, target);
    if (!stored && target == Target::kStored) return fail(std::move(stored).error());
    // What would lose its compression with the tail, or has a tail that cannot be taken off, is
    // encoded anew.
    const bool worth = stored && (stored->means == Means::kUntouched ||
                                  std::any_of(stored->view.codecs.begin(),
                                              stored->view.codecs.end(), is_compressor));
    if (worth) delivery = std::move(*stored);
  }
  const auto needs_fill = [&](const Delivery& d) {
    return target != Target::kZarr3 && refs::zarr2_fill(d.shown, d.view).store_missing;
  };
  if (delivery && needs_fill(*delivery) && !can_encode_fill(*delivery)) {
    UPWELL_TRY(const bool holes, refs::has_missing_chunks(array));
    if (holes && target == Target::kStored) {
      return fail(Code::kUnsupported, "chunks that were never written cannot be told from fill");
    }
    if (holes) delivery.reset();
  }
  if (!delivery) {
    UPWELL_TRY(delivery, encoded_delivery(array, target));
  }
  if (before != nullptr && target != Target::kStored && delivery->view.codecs != before->codecs) {
    if (auto kept = kept_delivery(array, target, *before)) delivery = std::move(*kept);
  }
  delivery->store_missing = needs_fill(*delivery);
  return std::move(*delivery);
}

Result<> check_numcodecs(const Array& array) {
  for (const Segment& segment : array.segments) {
    UPWELL_CHECK(refs::check_numcodecs(segment.layout->codecs, array.type.size));
  }
  return {};
}

Result<std::optional<Response>> deliver_chunk(io::Session& session, const Dataset& dataset,
                                              const Array& array, const Delivery& delivery,
                                              uint64_t position, const std::string& key,
                                              ByteCache& cache, ByteBudget& budget) {
  if (delivery.means == Means::kEncoded) {
    return encoded_response(session, dataset, array, delivery, position, key, cache, budget);
  }
  UPWELL_TRY(const ChunkRef ref, array.segments.front().chunks->at(position));
  if (ref.state == ChunkRef::State::kMissing) return fill_response(delivery, key, cache);
  static const Granule kNone;
  const bool stored = ref.state == ChunkRef::State::kStored;
  const Granule& granule = stored ? dataset.granules->at(ref.granule) : kNone;
  if (delivery.means == Means::kStripped) {
    UPWELL_TRY(Response response, stripped_response(session, granule, ref, delivery, budget));
    return response;
  }
  // Without codecs a chunk has its full size; at the end of a contiguous array less is stored.
  const uint64_t length = stored ? ref.length : ref.bytes.size();
  if (delivery.view.codecs.empty() && length != chunk_bytes(delivery.view)) {
    return encoded_response(session, dataset, array, delivery, position, key, cache, budget);
  }
  if (!stored) return bytes_response(ref.bytes, content_hash(ref.bytes.span()));
  UPWELL_TRY(Response response, stored_response(session, granule, ref));
  return response;
}

}  // namespace upwell::serve
