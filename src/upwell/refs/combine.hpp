#pragma once
// Many granules as one dataset along a concat dimension: plan from the first, add each, finish.

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "io/session.hpp"
#include "refs/audit.hpp"
#include "refs/combined_index.hpp"
#include "refs/coordinates.hpp"
#include "refs/express.hpp"
#include "refs/kept_segments.hpp"

namespace upwell::refs {

/// What happens to a new granule whose values along the concat coordinate are in the store.
enum class Overlap { kError, kSkip, kReplace };

struct CombineOptions {
  /// Concat dimension. Empty: the one unlimited dimension, else the one CF time coordinate.
  std::string concat;
  /// 1-D array along the concat dimension that says in which order granules follow each other,
  /// where the dimension's own coordinate does not (a bare counter). Empty: the coordinate.
  std::string order_by;
  /// Arrays (paths, with or without the leading '/'; a bare name means that name in every group)
  /// whose values are copied into the result, one chunk each. Without `load_given`: the 1-D
  /// coordinate variables. The concat coordinate and its bounds always are.
  std::vector<std::string> load;
  bool load_given = false;
  std::vector<std::string> drop;  ///< arrays left out; named as above
  /// Whether an array that the first granule does not have may be left out of another; null: no.
  std::function<bool(const Dataset& granule, const std::string& path)> ignores;
  uint64_t inline_bytes = 1024;  ///< arrays of one granule not larger than this are loaded too
  /// Read arrays without the concat dimension in every granule, to see that they are equal. Off:
  /// only their metadata is compared.
  bool check_values = true;
  /// Only the coordinate and `load` are loaded, whatever their size (as an earlier run decided).
  bool load_exactly = false;
  Overlap on_overlap = Overlap::kError;  ///< see Combiner::resume
  /// New granules are wanted only behind those of the store, whose references are not looked up:
  /// the result has none of them.
  bool only_after = false;
  bool skip_offenders = false;  ///< leave granules out that do not fit; else refuse them all
  /// For Upwell's own form: arrays along the concat dimension keep the segments of their granules,
  /// however those are stored.
  bool keep_segments = false;
  /// With keep_segments: granules may differ in whatever does not hinder one uniform array.
  bool keep_drift = false;
  ExpressOptions express;
};

/// What became of one source.
struct SourceReport {
  std::string url;
  io::ObjectInfo info;
  uint64_t length = 0;      ///< elements along the concat dimension
  std::string first, last;  ///< coordinate values, for people
  bool used = false;
  std::vector<Reason> reasons;
  /// Of a store that is added to: why the source is not in the result although it fits ("removed",
  /// "replaced", "skipped"), or "kept", "added". "missing": it is not there, and that is allowed.
  /// Empty otherwise.
  std::string fate;
  bool left_out() const {
    return fate == "removed" || fate == "replaced" || fate == "skipped" || fate == "missing";
  }
  std::vector<std::string> notes;  ///< how it was read, where that is not plain
  std::string format;              ///< of Dataset; empty for what was in the store
};

/// A difference that the result holds, because it keeps segments.
struct DriftReport {
  std::string path, kind;  ///< of Reason
  std::string granule;     ///< the first that differs from the first granule
  std::string message;
  uint64_t granules = 0;  ///< how many differ
};

struct GapReport {
  std::string after, before;  ///< granules
  std::string from, to;       ///< coordinate values
  double steps = 0;           ///< in median steps
};

struct CombineReport {
  std::string concat;                 ///< dimension; empty: one granule
  std::string coordinate;             ///< path of its coordinate variable; empty: order as given
  std::vector<SourceReport> sources;  ///< as given
  std::vector<size_t> order;          ///< sources in cube order
  std::vector<Reason> refused;        ///< variables that can never be references
  std::vector<GapReport> gaps;
  std::vector<AttributeDifference> attributes;
  std::vector<DriftReport> kept;
  std::vector<std::string> decoded;  ///< paths of arrays that hold decoded values
  std::vector<std::string> loaded;   ///< paths
  std::vector<std::string> warnings;
};

/// How one array of the first granule is carried over, and what the others gave to it so far.
struct ArrayPlan {
  ArrayFacts facts;
  bool load = false;
  bool prepend = false;               ///< the concat dimension is put in front
  bool is_coordinate = false;         ///< the concat coordinate
  std::optional<cf::TimeUnits> time;  ///< when facts.converts_time
  /// Referenced bounds of a time: they count in the units of the variable that names them.
  std::optional<cf::TimeUnits> parent_units;
  std::shared_ptr<ReferenceStore> store;
  std::vector<Piece> pieces;  ///< by source
  bool chunked = false;       ///< some granule holds it in several chunks: no cutting, then
  std::unique_ptr<KeptSegments> kept;  ///< with keep_segments

  /// Values of one granule, compact.
  struct Loaded {
    Bytes data, heap;
    std::unique_ptr<DataType> type;  ///< when it is not that of the plan
  };
  std::vector<Loaded> loaded;  ///< by source; only [0] without concat axis
  DataType loaded_type;
  std::optional<uint64_t> values_hash;  ///< of the first granule, for arrays without concat axis
};

class Combiner {
 public:
  /// Plans from `first`, the dataset of source 0, and adds it. kInvalidArgument when the concat
  /// dimension is not clear; kUnsupported when variables can never be references (all of them are
  /// in `refused`).
  static Result<std::unique_ptr<Combiner>> make(io::Session& session,
                                                std::vector<std::string> sources,
                                                const Dataset& first, CombineOptions options,
                                                std::vector<Reason>& refused);
  /// The same with a reference set that is there in place of the first granule. Its granules, in
  /// cube order and of `lengths` elements each, are the first sources; the others are to be added.
  /// It has the dimension options.concat. kUnsupported when a granule begins inside a chunk.
  /// Whatever becomes a Reason is one of a new granule: those of the store stay, unless the user
  /// removes them (`remove`) or a new one replaces them.
  static Result<std::unique_ptr<Combiner>> resume(
      io::Session& session, std::vector<std::string> sources, const Dataset& store,
      const std::vector<uint64_t>& lengths, CombineOptions options, std::vector<Reason>& refused);
  void remove(size_t i) { report_.sources[i].fate = "removed"; }
  /// Source `i` is not there, and the others shall do without it.
  void leave_out(size_t i) { report_.sources[i].fate = "missing"; }
  /// Audits and adds source `i`; keeps nothing of `dataset`. Thread-safe. What does not fit becomes
  /// a Reason; an error means that reading failed.
  Result<> add(size_t i, const Dataset& dataset);
  /// Source `i` could not be opened at all.
  void reject(size_t i, Reason reason);
  /// Orders, checks the line as a whole, and builds the dataset. kInvalidData when granules do not
  /// fit (see report()) and none may be skipped.
  Result<Dataset> finish();

  CombineReport& report() { return report_; }

 private:
  friend class DatasetBuilder;
  Combiner(io::Session& session, std::vector<std::string> sources, CombineOptions options);

  // combine_plan.cpp
  Result<> choose_concat(const Dataset& first);
  Result<> choose_order(const Dataset& first);
  Result<> plan_arrays(const Dataset& first);
  Result<> plan_array(const Dataset& first, const std::string& path, const Array& array);
  /// `along`: the concat dimension, or what is likely to become it.
  bool wants_load(const std::string& path, const Array& array, const ArrayPlan& plan,
                  bool along) const;
  bool should_prepend(const std::string& path, const Array& array) const;
  Result<> check_length(const Group& root, const ArrayFacts& facts) const;
  Result<ArrayFacts> facts_of(const Dataset& dataset, const std::string& path, const Array& array,
                              bool load, bool prepend, std::optional<ExpressibleArray>& express);

  // combine.cpp
  /// One array between audit and adding.
  struct Pending {
    ArrayPlan* plan = nullptr;
    const Array* array = nullptr;
    ArrayFacts facts;
    std::optional<ExpressibleArray> express;
  };
  Result<bool> audit(size_t i, const Dataset& dataset, std::vector<Pending>& pending);
  Result<> add_array(size_t i, const Dataset& dataset, Pending& pending,
                     std::vector<Reason>& reasons);
  Result<> load_array(size_t i, const Dataset& dataset, Pending& pending,
                      std::vector<Reason>& reasons);
  Result<> store_references(size_t i, const Dataset& dataset, Pending& pending);
  void note_drift(size_t i, const Reason& reason);
  bool tolerates(const ArrayPlan& plan, const Pending& pending, const Reason& reason) const;
  /// Whether --on-drift keep holds a difference of this kind.
  static bool can_keep(const ArrayPlan& plan, const std::string& kind);
  /// What granules are audited against, as messages call it.
  const char* base() const { return existing_ > 0 ? "the store" : "the first granule"; }
  std::string other_values() const { return std::string("values differ from those of ") + base(); }
  void renumber(const Dataset& dataset, std::vector<uint32_t>& number, ChunkRef& ref);
  Result<> check_static(const Dataset& dataset, Pending& pending, std::vector<Reason>& reasons);
  void note_attributes(size_t i, const Dataset& dataset);
  void note_attribute(size_t i, const std::string& path, const Attributes& first,
                      const Attributes& other);

  // combine_resume.cpp
  Result<> add_store(const Dataset& store, const std::vector<uint64_t>& lengths);
  Result<> add_store_values(const Dataset& store, const Array& array, ArrayPlan& plan,
                            const std::vector<uint64_t>& lengths);
  Result<> add_store_references(const Dataset& store, const Array& array, ArrayPlan& plan,
                                const std::vector<uint64_t>& lengths);
  Result<> add_store_segments(const Dataset& store, const Array& array, ArrayPlan& plan,
                              const std::vector<uint64_t>& lengths);
  Result<> as_stores_say(ArrayFacts& facts) const;
  void resolve_overlaps(std::vector<Extent>& extents);
  size_t blamed(size_t position) const;

  // combine_finish.cpp
  Result<> order_sources();
  void align_sources();
  Result<> settle();
  std::string ways_out() const;

  io::Session& session_;
  std::vector<std::string> sources_;
  CombineOptions options_;
  CombineReport report_;
  std::mutex mutex_;  // report_ and first_/granules_ bookkeeping
  bool prepend_mode_ = false;
  size_t existing_ = 0;   // sources that are in the store already; 0: there is none
  bool resumed_ = false;  // what is audited now is a new granule beside a store
  std::vector<std::string> not_prepended_;  // names used as coordinates, bounds, grid mappings
  /// Along which granules may follow later the only one there is, in a store that keeps segments.
  std::string likely_concat_;
  Group first_root_;  // of source 0, arrays without segments
  std::string first_format_;
  std::vector<ArrayPlan> plans_;
  std::unordered_map<std::string, size_t> plan_of_;  // by path
  std::shared_ptr<GranuleTable> granules_ = std::make_shared<GranuleTable>();
};

/// The array that names the one at `path` as its bounds or climatology (CF 7.1, 7.4), in its group
/// or above; null: none.
const Array* bounds_parent(const Group& root, const std::string& path, const Array& array);

/// The dimension along which granules like this one follow each other: the one that is unlimited
/// and has a CF time coordinate, else the one unlimited, else the one with a CF time coordinate.
/// kInvalidArgument names the dimensions when that is not clear.
Result<std::string> infer_concat(const Dataset& first);

/// True when `path` ("/a/v") is one of `names` ("v", "a/v" or "/a/v").
bool names_array(const std::vector<std::string>& names, const std::string& path);

}  // namespace upwell::refs
