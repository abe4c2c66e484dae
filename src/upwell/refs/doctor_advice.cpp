#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "refs/doctor.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kSmallChunk = 64 << 10;
constexpr uint64_t kManyChunks = 256;
constexpr uint64_t kLargeChunk = 16 * kMiB;
constexpr uint64_t kGoodChunk = 2 * kMiB;  // decoded
constexpr uint64_t kFewPlaces = 4;
constexpr double kSlowRead = 2;         // seconds
constexpr double kWorthEncoding = 0.8;  // of what is stored
constexpr uint64_t kManyRequests = 16;  // to open

std::string megabytes(uint64_t bytes) {
  if (bytes < 100'000) return fmt::format("{:.1f} kB", static_cast<double>(bytes) / 1e3);
  return fmt::format("{:.1f} MB", static_cast<double>(bytes) / 1e6);
}

/// Another shape of about kGoodChunk: doubled where there are most chunks, halved where it is
/// longest.
Shape resized(const VariableHealth& v) {
  Shape chunk = v.one_run ? v.shape : v.chunk_shape;
  uint64_t bytes = std::max<uint64_t>(v.chunk_bytes, 1);
  while (bytes > 2 * kGoodChunk) {
    auto longest = std::max_element(chunk.begin(), chunk.end());
    if (*longest < 2) break;
    *longest = (*longest + 1) / 2;
    bytes /= 2;
  }
  while (bytes < kGoodChunk) {
    size_t widest = 0;
    uint64_t most = 1;
    for (size_t d = 0; d < chunk.size(); ++d) {
      const uint64_t n = (v.shape[d] + chunk[d] - 1) / chunk[d];
      if (n > most) most = n, widest = d;
    }
    if (most == 1) break;
    chunk[widest] = std::min(2 * chunk[widest], v.shape[widest]);
    bytes *= 2;
  }
  return chunk;
}

/// As many chunks along a series as in a map, about: longer along the one, smaller across.
Shape balanced(const VariableHealth& v) {
  Shape chunk = v.chunk_shape;
  const size_t axis = *v.series_axis;
  const auto count = [&](size_t d) { return (v.shape[d] + chunk[d] - 1) / chunk[d]; };
  for (int step = 0; step < 32; ++step) {
    uint64_t across = 1;
    size_t longest = axis == 0 && chunk.size() > 1 ? 1 : 0;
    for (size_t d = 0; d < chunk.size(); ++d) {
      if (d == axis) continue;
      across *= count(d);
      if (chunk[d] > chunk[longest] || longest == axis) longest = d;
    }
    if (count(axis) <= across || chunk[longest] < 2) break;
    chunk[axis] = std::min(2 * chunk[axis], v.shape[axis]);
    chunk[longest] = (chunk[longest] + 1) / 2;
  }
  return chunk;
}

bool has_codec(const VariableHealth& v, std::string_view id) {
  return std::any_of(v.codecs.begin(), v.codecs.end(),
                     [&](const codec::CodecSpec& spec) { return spec.id == id; });
}

std::string shell_word(const std::string& text) {
  const bool plain = text.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                         "0123456789/._-+=:,@") == std::string::npos;
  if (plain) return text;
  std::string out = "'";
  for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

class Advisor {
 public:
  explicit Advisor(DoctorReport& report) : report_(report) {}

  void run() {
    advise_metadata();
    for (const VariableHealth& variable : report_.variables) advise_variable(variable);
    if (report_.format == "hdf5") report_.command = h5repack();
    if (report_.format == "netcdf3" && !compress_.empty()) report_.command = nccopy();
  }

 private:
  void add(std::string kind, std::string path, std::string text) {
    report_.advice.push_back({std::move(kind), std::move(path), std::move(text)});
  }

  void advise_metadata() {
    if (report_.format.starts_with("zarr") && report_.opening.requests > kManyRequests)
      add("metadata", "",
          fmt::format("Opening takes {} requests, one for each document of metadata: consolidate "
                      "it (python: zarr.consolidate_metadata(STORE)).",
                      report_.opening.requests));
    if (report_.format != "hdf5" || !report_.metadata) return;
    const MetadataSpread& m = *report_.metadata;
    if (m.places <= kFewPlaces || m.end - m.first < 8 * kMiB) return;
    for (page_ = kMiB / 4; page_ < m.bytes && page_ < 8 * kMiB;) page_ *= 2;
    add("metadata", "",
        fmt::format("{} of metadata lie in {} places all over {}: readers that cache blocks fetch "
                    "most of the file to see what is in it. Gather them in pages of {} KiB.",
                    megabytes(m.bytes), m.places, megabytes(m.end - m.first), page_ / 1024));
  }

  void advise_variable(const VariableHealth& v) {
    const bool zarr = report_.format.starts_with("zarr");
    // Chunks of MITgcm's files are those in which they are read here; nobody can repack them.
    const bool repacks = !report_.format.starts_with("kerchunk") && report_.format != "mds";
    if (repacks && v.counted && !v.one_run) {
      const uint64_t mean = v.stored > 0 ? v.stored_bytes / v.stored : 0;
      if (v.stored >= kManyChunks && mean < kSmallChunk && resized(v) != v.chunk_shape) {
        add("small chunks", v.path,
            fmt::format("{} chunks of {} on average: each is looked up and asked for by itself. "
                        "Make chunks of {}.",
                        v.stored, megabytes(mean), fmt::join(resized(v), " x ")));
        if (zarr)
          report_.advice.back().text += " Or keep them in shards (Zarr v3).";
        else
          layout_[fmt::format("{}", fmt::join(resized(v), "x"))].push_back(v.path.substr(1));
        return advise_encoding(v);
      }
      if (v.chunk_bytes > kLargeChunk && !v.codecs.empty()) {
        add("large chunks", v.path,
            fmt::format("A chunk is {} decoded: the least that a reader must fetch and decode, and "
                        "more than the chunk caches of HDF5 (1 MiB; 8 MiB since 2.0) hold, so that "
                        "programs that read row by row decode it again for each row. Make chunks "
                        "of {}.",
                        megabytes(v.chunk_bytes), fmt::join(resized(v), " x ")));
        if (!zarr)
          layout_[fmt::format("{}", fmt::join(resized(v), "x"))].push_back(v.path.substr(1));
        return advise_encoding(v);
      }
      advise_series(v);
    }
    advise_encoding(v);
  }

  void advise_series(const VariableHealth& v) {
    const auto series = std::find_if(v.reads.begin(), v.reads.end(),
                                     [](const ReadPattern& r) { return r.name == "series"; });
    if (series == v.reads.end() || series->cost.seconds < kSlowRead ||
        series->cost.seconds < 4 * v.reads[0].cost.seconds || balanced(v) == v.chunk_shape)
      return;
    add("series", v.path,
        fmt::format("The series of one point takes {} chunks, {} for {} of values. If series are "
                    "read as often as maps, make chunks of {}.",
                    series->chunks, megabytes(series->cost.bytes), megabytes(series->wanted),
                    fmt::join(balanced(v), " x ")));
    layout_[fmt::format("{}", fmt::join(balanced(v), "x"))].push_back(v.path.substr(1));
  }

  void advise_encoding(const VariableHealth& v) {
    if (!v.trial || static_cast<double>(v.trial->encoded) >
                        kWorthEncoding * static_cast<double>(v.trial->stored))
      return;
    add("compression", v.path,
        fmt::format("{}: a piece of {} became {} with shuffle and deflate.",
                    v.codecs.empty() ? "Stored as it is" : "Deflated without shuffle",
                    megabytes(v.trial->stored), megabytes(v.trial->encoded)));
    compress_.push_back(v.path.substr(1));
    if (has_codec(v, "fletcher32")) summed_.push_back(v.path.substr(1));
    if (v.one_run) {
      Shape chunk = resized(v);
      layout_[fmt::format("{}", fmt::join(chunk, "x"))].push_back(v.path.substr(1));
    }
  }

  /// "data/x.nc" becomes "x.repacked.nc".
  std::string target() const {
    std::string leaf = report_.source.substr(report_.source.rfind('/') + 1);
    const size_t dot = leaf.rfind('.');
    if (dot == std::string::npos) return leaf + ".repacked";
    return leaf.insert(dot, ".repacked");
  }

  std::string h5repack() const {
    std::string options;
    if (page_ > 0) options += fmt::format(" -S PAGE -G {}", page_);
    for (const auto& [chunk, names] : layout_)
      options += " -l " + shell_word(fmt::format("{}:CHUNK={}", fmt::join(names, ","), chunk));
    if (!compress_.empty()) {
      const std::string names = fmt::format("{}", fmt::join(compress_, ","));
      options += " -f " + shell_word(names + ":SHUF") + " -f " + shell_word(names + ":GZIP=4");
    }
    if (!summed_.empty())
      options += " -f " + shell_word(fmt::format("{}:FLET", fmt::join(summed_, ",")));
    if (options.empty()) return {};
    return "h5repack" + options + " " + shell_word(report_.source) + " " + shell_word(target());
  }

  std::string nccopy() const {
    return "nccopy -k nc4 -s -d 4 " + shell_word(report_.source) + " " + shell_word(target());
  }

  DoctorReport& report_;
  uint64_t page_ = 0;
  std::map<std::string, std::vector<std::string>> layout_;  // variables by chunk shape
  std::vector<std::string> compress_, summed_;
};

}  // namespace

void advise(DoctorReport& report) { Advisor(report).run(); }

}  // namespace upwell::refs
