#include "refs/kerchunk_json_writer.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "refs/base64.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kFlushBytes = 1 << 20;

/// Text on its way out. No document is ever built: millions of references would not fit.
class JsonText {
 public:
  explicit JsonText(const std::function<Result<>(ByteSpan)>& sink)
      : sink_(sink), buffer_(kFlushBytes + (64 << 10)) {}
  void add(std::string_view text) {
    make_room(text.size());
    std::memcpy(buffer_.data() + used_, text.data(), text.size());
    used_ += text.size();
  }
  void add(uint64_t number) {
    make_room(20);
    char* const begin = reinterpret_cast<char*>(buffer_.data() + used_);
    used_ += static_cast<size_t>(std::to_chars(begin, begin + 20, number).ptr - begin);
  }
  Result<> flush(bool all = false) {
    if (!all && used_ < kFlushBytes) return {};
    UPWELL_CHECK(sink_(ByteSpan(buffer_.data(), used_)));
    used_ = 0;
    return {};
  }

 private:
  void make_room(size_t more) {
    if (buffer_.size() - used_ < more) buffer_.resize(std::max(2 * buffer_.size(), used_ + more));
  }

  const std::function<Result<>(ByteSpan)>& sink_;
  Bytes buffer_;
  size_t used_ = 0;
};

/// Indexes of a chunk grid in C order.
class JsonGridWalk {
 public:
  explicit JsonGridWalk(const Shape& grid) : grid_(grid), index_(grid.size(), 0) {}
  void key(JsonText& out) const {
    if (index_.empty()) return out.add("0");
    for (size_t d = 0; d < index_.size(); ++d) {
      if (d > 0) out.add(".");
      out.add(index_[d]);
    }
  }
  void next() {
    for (size_t d = index_.size(); d-- > 0;) {
      if (++index_[d] < grid_[d]) return;
      index_[d] = 0;
    }
  }

 private:
  const Shape& grid_;
  Shape index_;
};

class KerchunkJson {
 public:
  KerchunkJson(const Dataset& dataset, const ReferenceOutputOptions& options,
               const std::function<Result<>(ByteSpan)>& sink)
      : dataset_(dataset), options_(options), urls_(*dataset.granules, options), out_(sink) {}

  Result<ReferenceCounts> write() {
    UPWELL_TRY(auto documents, zarr2_documents(dataset_.root));
    out_.add("{\"version\":1,");
    out_.add(locations_member(options_.locations));
    out_.add("\"refs\":{");
    bool first = true;
    for (const auto& [key, text] : documents) {
      out_.add(first ? "\n" : ",\n");
      first = false;
      out_.add(json_text(key));
      out_.add(":");
      out_.add(json_text(text));
      UPWELL_CHECK(out_.flush());
    }
    Result<> result;
    for_each_array(dataset_.root, [&](const std::string& path, const Array& array) {
      if (result) result = chunks(path, array);
    });
    UPWELL_CHECK(result);
    out_.add("\n}");
    if (!options_.record.empty()) out_.add(",\"upwell\":" + options_.record);
    out_.add("}\n");
    UPWELL_CHECK(out_.flush(true));
    return counts_;
  }

 private:
  Result<> chunks(const std::string& path, const Array& array) {
    if (array.segments.empty()) return {};
    std::string prefix = ",\n" + json_text(path.substr(1) + "/");
    prefix.pop_back();  // the closing quote comes after the indexes
    JsonGridWalk walk(array.segments[0].grid);
    return visit_references(path, array,
                            [&](uint64_t, const std::vector<ChunkRef>& refs) -> Result<> {
                              for (const ChunkRef& ref : refs) {
                                if (ref.state == ChunkRef::State::kMissing) {
                                  ++counts_.missing;
                                } else {
                                  out_.add(prefix);
                                  walk.key(out_);
                                  UPWELL_CHECK(value(ref));
                                }
                                walk.next();
                              }
                              return out_.flush();
                            });
  }

  Result<> value(const ChunkRef& ref) {
    if (ref.state == ChunkRef::State::kInline) {
      ++counts_.inlined;
      out_.add("\":\"base64:");
      out_.add(base64_encode(ref.bytes.span()));
      out_.add("\"");
      return {};
    }
    ++counts_.stored;
    UPWELL_TRY(std::optional<uint64_t> length, urls_.length(ref));
    out_.add("\":[");
    out_.add(url(ref.granule));
    if (length) {
      counts_.stored_bytes += *length;
      out_.add(",");
      out_.add(ref.offset);
      out_.add(",");
      out_.add(*length);
    }
    out_.add("]");
    return {};
  }

  /// Quoted; the last one is kept, since neighbours mostly share it.
  const std::string& url(uint32_t granule) {
    if (granule != last_granule_ || last_url_.empty()) {
      last_granule_ = granule;
      last_url_ = json_text(urls_.url(granule));
    }
    return last_url_;
  }

  const Dataset& dataset_;
  const ReferenceOutputOptions& options_;
  OutputUrls urls_;
  JsonText out_;
  ReferenceCounts counts_;
  uint32_t last_granule_ = 0;
  std::string last_url_;
};

}  // namespace

Result<ReferenceCounts> write_kerchunk_json(const Dataset& dataset,
                                            const ReferenceOutputOptions& options,
                                            const std::function<Result<>(ByteSpan)>& sink) {
  return KerchunkJson(dataset, options, sink).write();
}

}  // namespace upwell::refs
