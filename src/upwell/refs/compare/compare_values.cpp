#include "refs/compare/compare_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <mutex>
#include <set>
#include <sstream>

#include "base/parallel.hpp"
#include "cube/fetch.hpp"
#include "cube/select.hpp"
#include "refs/compare/tally.hpp"
#include "refs/coordinates.hpp"
#include "refs/pieces.hpp"
#include "refs/virtualize.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMostPieceBytes = 16 << 20;
constexpr uint64_t kLeastPieceBytes = 64 << 10;
/// Values of both sides in both forms, decoded ones, and chunks in flight.
constexpr uint64_t kCopies = 8;

/// Of the largest chunk that is decoded.
uint64_t chunk_memory(const Array& array) {
  uint64_t most = 0;
  for (const Segment& segment : array.segments) {
    const SegmentLayout& layout = *segment.layout;
    if (layout.codecs.empty()) continue;  // read in part
    const uint64_t stored = element_count(layout.chunk_shape) * std::max(layout.type.size, 1U);
    most = std::max(most, decoding_bytes(layout) + stored);
  }
  return most;
}

/// Of one piece of so many elements.
uint64_t piece_memory(const ArrayPair& pair, const Pieces& pieces) {
  const Array &a = *pair.first.array, &b = *pair.second.array;
  const uint64_t size = std::max<uint64_t>({a.type.size, b.type.size, 1});
  return kCopies / 2 * element_count(pieces.extent) * size +
         std::max(chunk_memory(a), chunk_memory(b));
}

/// One pair while it is compared.
struct Running {
  Running(const ArrayPair& pair, const CompareOptions& options, uint64_t piece_bytes)
      : first(*pair.first.array),
        second(*pair.second.array),
        tally(options, first, second),
        pieces(Pieces::of_both(*pair.first.array, *pair.second.array, piece_bytes)) {}
  const MissingRule first, second;
  Tally tally;
  const Pieces pieces;
  uint64_t bytes = 0;
  std::string unreadable, unsupported;  // why, at first
  std::mutex mutex;
};

/// The value of a coordinate at some place, with its name; empty where it cannot be said.
std::string coordinate_text(io::Session& session, const Dataset& dataset, const Array& coordinate,
                            Shape index) {
  const Shape one(index.size(), 1);
  auto raw = read_raw(session, dataset, coordinate, {std::move(index), one, {}});
  if (!raw) return {};
  if (is_text(raw->type)) return coordinate.name + "=" + raw->text(0);
  auto values = cf::decode(cf::decoding_of(coordinate), std::move(*raw));
  if (!values || !values->type.is_number()) return {};
  std::optional<cf::TimeUnits> units;
  if (const auto known = cf::time_units_of(coordinate); known && *known) units = **known;
  return coordinate.name + "=" + show_coordinate(values->number(0), units);
}

/// Coordinates of the dimensions, and those that the attribute "coordinates" names (CF 5).
std::string coordinates_text(io::Session& session, const ComparedArray& of, const std::string& path,
                             const Shape& index) {
  const Array& array = *of.array;
  std::string text;
  std::set<std::string> met{path};
  const auto add = [&](const NamedArray& named) {
    if (named.array == nullptr || !met.insert(named.path).second) return;
    Shape at;
    for (size_t d = 0; d < named.array->shape.size(); ++d) {
      const auto& names = array.dimensions;
      const auto it = std::find(names.begin(), names.end(), named.array->dimensions[d]);
      if (it == names.end()) return;
      at.push_back(index[static_cast<size_t>(it - names.begin())]);
      if (at.back() >= named.array->shape[d]) return;
    }
    const std::string one = coordinate_text(session, *of.dataset, *named.array, std::move(at));
    if (!one.empty()) text += (text.empty() ? "" : ", ") + one;
  };
  for (const std::string& dimension : array.dimensions)
    if (!dimension.empty()) add(find_coordinate(*of.dataset, path, dimension));
  std::istringstream names(text_attribute(array.attributes, "coordinates").value_or(""));
  for (std::string name; names >> name;) add(find_named(*of.dataset, path, name));
  return text;
}

class Comparison {
 public:
  Comparison(io::Session& session, const std::vector<ArrayPair>& pairs,
             const CompareOptions& options, size_t threads, uint64_t memory)
      : session_(session), pairs_(pairs), options_(options), threads_(threads) {
    const uint64_t each = memory / threads / kCopies;
    const uint64_t piece_bytes = std::clamp(each, kLeastPieceBytes, kMostPieceBytes);
    read_.memory_budget = 2 * piece_bytes;
    uint64_t most = 1;
    for (const ArrayPair& pair : pairs) {
      running_.push_back(std::make_unique<Running>(pair, options, piece_bytes));
      most = std::max(most, piece_memory(pair, running_.back()->pieces));
      ends_.push_back((ends_.empty() ? 0 : ends_.back()) + running_.back()->pieces.count);
    }
    // Chunks that are larger than a piece should be go fewer at a time.
    threads_ = std::clamp<uint64_t>(memory / most, 1, threads);
  }

  Result<> run() {
    const uint64_t count = ends_.empty() ? 0 : ends_.back();
    return blocking_for(count, threads_, [&](size_t k) -> Result<> {
      const auto end = std::upper_bound(ends_.begin(), ends_.end(), k);
      const auto number = static_cast<size_t>(end - ends_.begin());
      const uint64_t before = number == 0 ? 0 : ends_[number - 1];
      return compare_piece(pairs_[number], *running_[number], k - before);
    });
  }

  void report(PairReport& report) {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      const Running& running = *running_[i];
      const std::string path = pairs_[i].path.substr(1);
      report.bytes += running.bytes;
      ++report.variables;
      if (!running.unreadable.empty())
        report.differences.push_back({path, "unreadable", running.unreadable, {}});
      if (!running.unsupported.empty())
        report.differences.push_back({path, "values", running.unsupported, {}});
      if (running.tally.differing() > 0)
        report.differences.push_back(difference(pairs_[i], running));
    }
  }

 private:
  Result<> compare_piece(const ArrayPair& pair, Running& running, uint64_t number) {
    const Shape& shape = pair.first.array->shape;
    const Selection box = running.pieces.box(shape, number);
    const auto note = [&](std::string& where, const char* side, const Error& error) -> Result<> {
      // What is broken is a finding; what may pass is an error.
      if (is_about_access(error.code) && error.code != Code::kNotFound) return fail(error);
      const std::lock_guard lock(running.mutex);
      if (where.empty()) where = side + error.to_string();
      return {};
    };
    auto ours = read_raw(session_, *pair.first.dataset, *pair.first.array, box, read_);
    if (!ours) return note(running.unreadable, "in the first: ", ours.error());
    auto theirs = read_raw(session_, *pair.second.dataset, *pair.second.array, box, read_);
    if (!theirs) return note(running.unreadable, "in the second: ", theirs.error());
    const uint64_t bytes = ours->data.size() + ours->heap.size();
    Tally tally(options_, running.first, running.second);
    auto compared = [&]() -> Result<> {
      Alignment alignment;
      if (ours->type.is_number() && theirs->type.is_number()) {
        UPWELL_TRY(alignment,
                   align_numbers(*pair.first.dataset, *pair.first.array, *pair.second.dataset,
                                 *pair.second.array, pair.path, *ours, *theirs));
      }
      return tally.add({shape, box, *ours, *theirs, alignment});
    }();
    if (!compared) return note(running.unsupported, "cannot be compared: ", compared.error());
    const std::lock_guard lock(running.mutex);
    running.bytes += bytes;
    running.tally.merge(tally);
    return {};
  }

  Difference difference(const ArrayPair& pair, const Running& running) {
    ValueDifference values = running.tally.result();
    const auto add_coordinates = [&](ValueDifference::Place& place) {
      place.coordinates = coordinates_text(session_, pair.first, pair.path, place.index);
    };
    for (ValueDifference::Place& place : values.places) add_coordinates(place);
    if (values.largest_absolute) add_coordinates(*values.largest_absolute);
    if (values.largest_relative) add_coordinates(*values.largest_relative);
    std::string message = fmt::format("{} of {} differ", values.differing, values.elements);
    if (values.missing > 0)
      message += fmt::format(", {} of them missing in one of the two", values.missing);
    return {pair.path.substr(1), "values", std::move(message), std::move(values)};
  }

  io::Session& session_;
  const std::vector<ArrayPair>& pairs_;
  const CompareOptions& options_;
  size_t threads_;
  ReadOptions read_;
  std::vector<std::unique_ptr<Running>> running_;
  std::vector<uint64_t> ends_;  // of each pair's pieces
};

}  // namespace

ComparisonMemory memory_to_compare(const std::vector<ArrayPair>& pairs) {
  ComparisonMemory most;
  for (const ArrayPair& pair : pairs) {
    const auto pieces = Pieces::of_both(*pair.first.array, *pair.second.array, kLeastPieceBytes);
    const uint64_t bytes = piece_memory(pair, pieces);
    if (bytes > most.bytes) most = {bytes, pair.path.substr(1)};
  }
  return most;
}

Result<> compare_arrays(io::Session& session, const std::vector<ArrayPair>& pairs,
                        const CompareOptions& options, size_t threads, uint64_t memory,
                        PairReport& report) {
  Comparison comparison(session, pairs, options, threads, memory);
  UPWELL_CHECK(comparison.run());
  comparison.report(report);
  return {};
}

}  // namespace upwell::refs
