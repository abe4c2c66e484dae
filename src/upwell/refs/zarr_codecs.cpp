#include "refs/zarr_codecs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <numeric>

namespace upwell::refs {
namespace {

using CodecJson = nlohmann::json;

constexpr int kMaxShardLevels = 8;
constexpr uint64_t kMaxChunksInShard = uint64_t{1} << 26;  // an index of 1 GiB

tl::unexpected<Error> bad_codec(const std::string& why) {
  return fail(Code::kInvalidData, "\"codecs\": " + why);
}

tl::unexpected<Error> no_codec(const std::string& why) { return fail(Code::kUnsupported, why); }

struct NamedCodec {
  std::string name;
  CodecJson configuration = CodecJson::object();
};

Result<NamedCodec> named_codec(const CodecJson& json) {
  if (json.is_string()) return NamedCodec{json.get<std::string>()};
  if (!json.is_object() || !json.contains("name") || !json["name"].is_string()) {
    return bad_codec("an entry without \"name\"");
  }
  NamedCodec named{json["name"].get<std::string>(),
                   json.value("configuration", CodecJson::object())};
  if (!named.configuration.is_object()) return bad_codec("configuration is not an object");
  return named;
}

/// The names of zarr-python's wrappers of numcodecs, and those of the specification.
std::string plain_name(const std::string& name) {
  return name.starts_with("numcodecs.") ? name.substr(10) : name;
}

/// Codecs of numcodecs that change values rather than bytes.
bool is_value_codec(const std::string& id) {
  return id == "delta" || id == "fixedscaleoffset" || id == "quantize" || id == "bitround" ||
         id == "packbits" || id == "astype";
}

/// blosc's shuffle is a word in v3 and a number in numcodecs.
Result<codec::CodecSpec> blosc_spec(CodecJson config) {
  const CodecJson shuffle = config.value("shuffle", CodecJson("noshuffle"));
  if (shuffle.is_string()) {
    const auto& word = shuffle.get_ref<const std::string&>();
    if (word != "noshuffle" && word != "shuffle" && word != "bitshuffle") {
      return bad_codec("blosc shuffle \"" + word + "\" is not known");
    }
    config["shuffle"] = word == "noshuffle" ? 0 : word == "shuffle" ? 1 : 2;
  }
  config.erase("typesize");
  return codec::CodecSpec{"blosc", config.dump()};
}

Result<codec::CodecSpec> bytes_spec(NamedCodec named) {
  if (named.name == "blosc") return blosc_spec(std::move(named.configuration));
  named.configuration.erase("id");
  return codec::CodecSpec{plain_name(named.name), named.configuration.dump()};
}

/// zarr-python leaves types out that are those of the array; and what the codec "bytes" swaps,
/// our codecs of values see as stored.
Result<codec::CodecSpec> value_spec(NamedCodec named, const DataType& type) {
  named.configuration.erase("id");
  const std::string id = plain_name(named.name);
  CodecJson& config = named.configuration;
  const auto name_type = [&](const char* key) -> Result<> {
    if (config.contains(key) && !config[key].is_null()) return {};
    UPWELL_TRY(config[key], to_numpy(type));
    return {};
  };
  if (id == "delta" || id == "fixedscaleoffset" || id == "quantize")
    UPWELL_CHECK(name_type("dtype"));
  if (id == "astype") UPWELL_CHECK(name_type("decode_dtype"));
  if (type.order == ByteOrder::kBig) {
    for (CodecJson& value : config) {
      if (value.is_string() && value.get_ref<const std::string&>().starts_with('<')) {
        value = ">" + value.get_ref<const std::string&>().substr(1);
      }
    }
  }
  return codec::CodecSpec{id, config.dump()};
}

/// The chain, level by level.
class ChainParser {
 public:
  ChainParser(const Shape& chunk_shape, DataType& type) : type_(type) {
    out_.chunk_shape = chunk_shape;
    axes_.resize(chunk_shape.size());
    std::iota(axes_.begin(), axes_.end(), size_t{0});
  }

  Result<ZarrCodecs> parse(const CodecJson& list) {
    UPWELL_CHECK(level(list, 0));
    return std::move(out_);
  }

 private:
  Result<> level(const CodecJson& list, int depth) {
    if (!list.is_array()) return bad_codec("missing or not a list");
    if (depth > kMaxShardLevels) return no_codec("shards in shards, too deep");
    std::vector<NamedCodec> values;  // of this level
    size_t i = 0;
    for (; i < list.size(); ++i) {
      UPWELL_TRY(NamedCodec named, named_codec(list[i]));
      if (named.name == "transpose") {
        UPWELL_CHECK(transpose(named));
      } else if (is_value_codec(plain_name(named.name))) {
        values.push_back(std::move(named));
      } else {
        break;
      }
    }
    if (i == list.size()) return bad_codec("no codec from arrays to bytes");
    UPWELL_TRY(NamedCodec to_bytes, named_codec(list[i++]));
    std::vector<codec::CodecSpec> after;
    for (; i < list.size(); ++i) {
      UPWELL_TRY(NamedCodec named, named_codec(list[i]));
      UPWELL_TRY(codec::CodecSpec spec, bytes_spec(std::move(named)));
      after.push_back(std::move(spec));
    }
    if (to_bytes.name == "sharding_indexed") {
      if (!values.empty()) return no_codec("codec \"" + values[0].name + "\" over a whole shard");
      return shards(to_bytes, std::move(after), depth);
    }
    return innermost(to_bytes, std::move(values), std::move(after));
  }

  /// Order [2,0,1]: the first axis of what comes out is the third of what goes in.
  Result<> transpose(const NamedCodec& named) {
    const CodecJson order = named.configuration.value("order", CodecJson());
    const size_t rank = axes_.size();
    std::vector<size_t> axes(rank);
    if (order == "C") return {};
    if (order == "F") {  // of drafts of the specification
      std::reverse(axes_.begin(), axes_.end());
      return {};
    }
    if (!order.is_array() || order.size() != rank)
      return bad_codec("transpose without a proper order");
    std::vector<bool> seen(rank, false);
    for (size_t i = 0; i < rank; ++i) {
      if (!order[i].is_number_unsigned() || order[i].get<uint64_t>() >= rank ||
          seen[order[i].get<size_t>()]) {
        return bad_codec("transpose: order " + order.dump() + " is no permutation");
      }
      seen[order[i].get<size_t>()] = true;
      axes[i] = axes_[order[i].get<size_t>()];
    }
    axes_ = std::move(axes);
    return {};
  }

  Result<> shards(const NamedCodec& named, std::vector<codec::CodecSpec> after, int depth) {
    const CodecJson& config = named.configuration;
    const CodecJson inner = config.value("chunk_shape", CodecJson());
    ZarrShards shards;
    shards.shape = out_.chunk_shape;
    shards.chunk_shape.resize(axes_.size());
    shards.axes = axes_;
    shards.codecs = std::move(after);
    if (!inner.is_array() || inner.size() != axes_.size()) {
      return bad_codec("sharding_indexed without a proper chunk_shape");
    }
    uint64_t count = 1;
    for (size_t i = 0; i < axes_.size(); ++i) {
      const uint64_t outer = shards.shape[axes_[i]];
      if (!inner[i].is_number_unsigned() || inner[i] == 0 ||
          outer % inner[i].get<uint64_t>() != 0) {
        return bad_codec(fmt::format("sharding_indexed: chunks {} do not divide shards {}",
                                     inner.dump(), fmt::join(shards.shape, "x")));
      }
      shards.chunk_shape[axes_[i]] = inner[i].get<uint64_t>();
      const uint64_t along = outer / inner[i].get<uint64_t>();
      if (along != 0 && count > kMaxChunksInShard / along) {
        return no_codec("sharding_indexed: more than 2^26 chunks in a shard");
      }
      count *= along;
    }
    const CodecJson location = config.value("index_location", CodecJson("end"));
    if (location != "start" && location != "end") {
      return bad_codec("index_location is neither \"start\" nor \"end\"");
    }
    shards.index_at_start = location == "start";
    UPWELL_CHECK(index_codecs(config.value("index_codecs", CodecJson()), shards));
    out_.chunk_shape = shards.chunk_shape;
    out_.shards.push_back(std::move(shards));
    return level(config.value("codecs", CodecJson()), depth + 1);
  }

  static Result<> index_codecs(const CodecJson& list, ZarrShards& shards) {
    if (!list.is_array() || list.empty()) return bad_codec("index_codecs missing or not a list");
    for (size_t i = 0; i < list.size(); ++i) {
      UPWELL_TRY(NamedCodec named, named_codec(list[i]));
      const std::string id = plain_name(named.name);
      if (i == 0) {
        if (id != "bytes") return no_codec("index_codecs begin with \"" + named.name + "\"");
        shards.index_big_endian = named.configuration.value("endian", CodecJson()) == "big";
        continue;
      }
      // The index must have a size that is known before: nothing that compresses.
      if (id != "crc32c" && id != "crc32" && id != "adler32" && id != "fletcher32") {
        return no_codec("index codec \"" + named.name + "\" is not read");
      }
      UPWELL_TRY(codec::CodecSpec spec, bytes_spec(std::move(named)));
      shards.index_checks.push_back(std::move(spec));
    }
    return {};
  }

  Result<> innermost(const NamedCodec& to_bytes, std::vector<NamedCodec> values,
                     std::vector<codec::CodecSpec> after) {
    const bool text = to_bytes.name == "vlen-utf8" || to_bytes.name == "vlen-bytes";
    if (text) {
      if (type_.kind != Kind::kVlenString) {
        return bad_codec(to_bytes.name + " of " + describe(type_));
      }
      if (!values.empty()) return no_codec("codec \"" + values[0].name + "\" of texts");
      out_.specs.push_back({to_bytes.name, "{}"});
    } else if (to_bytes.name == "bytes" || to_bytes.name == "endian") {
      if (type_.kind == Kind::kVlenString) return no_codec("codec \"bytes\" of texts");
      const CodecJson endian = to_bytes.configuration.value("endian", CodecJson("little"));
      if (endian != "big" && endian != "little" && !endian.is_null()) {
        return bad_codec("endian is neither \"big\" nor \"little\"");
      }
      set_byte_order(type_, endian == "big" ? ByteOrder::kBig : ByteOrder::kLittle);
    } else {
      return no_codec("codec \"" + to_bytes.name + "\" is not read");
    }
    UPWELL_CHECK(settle_axes(text, values));
    for (NamedCodec& named : values) {
      UPWELL_TRY(codec::CodecSpec spec, value_spec(std::move(named), type_));
      out_.specs.push_back(std::move(spec));
    }
    std::move(after.begin(), after.end(), std::back_inserter(out_.specs));
    return {};
  }

  static void set_byte_order(DataType& type, ByteOrder order) {
    type.order = order;
    if (type.base) {
      DataType base = *type.base;
      set_byte_order(base, order);
      type.base = std::make_shared<const DataType>(std::move(base));
    }
    for (Member& member : type.members) {
      DataType part = *member.type;
      set_byte_order(part, order);
      member.type = std::make_shared<const DataType>(std::move(part));
    }
  }

  Result<> settle_axes(bool text, const std::vector<NamedCodec>& values) {
    const bool same = std::is_sorted(axes_.begin(), axes_.end());
    if (same) return {};
    for (const NamedCodec& value : values) {
      const std::string id = plain_name(value.name);
      if (id == "delta" || id == "packbits") {
        return no_codec("codec \"" + value.name + "\" with a transpose is not read");
      }
    }
    if (std::is_sorted(axes_.rbegin(), axes_.rend())) {
      out_.fortran_order = true;
      return {};
    }
    if (text) return no_codec("a transpose of texts other than of all axes is not read");
    const CodecJson config{{"itemsize", type_.size}, {"order", axes_}, {"shape", out_.chunk_shape}};
    out_.specs.push_back({"transpose", config.dump()});
    return {};
  }

  DataType& type_;
  ZarrCodecs out_;
  std::vector<size_t> axes_;  // of the array, in the order in which they stand at this step
};

}  // namespace

uint64_t ZarrShards::chunks_in_shard() const {
  uint64_t count = 1;
  for (size_t d = 0; d < shape.size(); ++d) count *= shape[d] / chunk_shape[d];
  return count;
}

Result<ZarrCodecs> parse_zarr3_codecs(std::string_view codecs_json, const Shape& chunk_shape,
                                      DataType& type) {
  const CodecJson list = CodecJson::parse(codecs_json, nullptr, /*allow_exceptions=*/false);
  return ChainParser(chunk_shape, type).parse(list);
}

}  // namespace upwell::refs
