#pragma once
// What the granules of a run share: each grid, metadata location and set of factors is read once.

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "produce/config.hpp"
#include "produce/factors/mapper.hpp"
#include "produce/granules/diagnostics.hpp"
#include "produce/granules/frame.hpp"
#include "produce/granules/grid.hpp"
#include "produce/granules/metadata.hpp"
#include "produce/grid/grid_place.hpp"

namespace upwell::produce {

/// Whether the same may succeed when it is tried again.
bool may_pass(Code code);

/// Values by key, made by whoever asks first, while others that ask for the same wait; an error is
/// kept, too, unless it may pass. Thread-safe.
template <typename T>
class Shared {
 public:
  using Made = Result<std::shared_ptr<const T>>;

  Made get(const std::string& key, const std::function<Result<T>()>& make) {
    std::shared_ptr<Slot> slot;
    {
      std::lock_guard lock(mutex_);
      std::shared_ptr<Slot>& place = slots_[key];
      if (!place) place = std::make_shared<Slot>();
      slot = place;
    }
    std::lock_guard lock(slot->mutex);
    if (slot->made) return *slot->made;
    Result<T> made = make();
    if (!made && may_pass(made.error().code)) return fail(std::move(made).error());
    if (made) {
      slot->made = Made(std::make_shared<const T>(std::move(*made)));
    } else {
      slot->made = Made(fail(std::move(made).error()));
    }
    return *slot->made;
  }

 private:
  struct Slot {
    std::mutex mutex;
    std::optional<Made> made;
  };
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<Slot>> slots_;
};

using Diagnostics = std::map<std::string, Staggering>;

/// What is read of a grid, or why it is not.
struct GridParts {
  Shared<ModelGrid>::Made model;
  Shared<Diagnostics>::Made diagnostics;
  Result<std::optional<LatLonCoordinates>> latlon;
};

/// Everything is named by location, as in the tasks. Thread-safe.
class Resources {
 public:
  /// `most`: bytes of memory that the files of a grid in an archive may take while it is read.
  Resources(io::Session& session, uint64_t most) : session_(session), places_(session, most) {}

  io::Session& session() const { return session_; }
  Shared<ModelGrid>::Made native_grid(const std::string& location);
  Shared<Diagnostics>::Made diagnostics(const std::string& grid_location);
  Shared<Metadata>::Made metadata(const std::string& location);
  /// Of a table that is not there: no rows.
  Shared<std::vector<PodaacRow>>::Made podaac(const std::string& location, const std::string& file);
  Shared<Config>::Made config(const std::string& location);
  Shared<Mapper>::Made mapper(const std::string& factors_location);
  Shared<std::string>::Made factors_digest(const std::string& factors_location);
  Shared<Frame>::Made native_frame(const std::string& grid, const std::string& metadata, bool is_3d,
                                   TimeAxis time);
  Shared<Frame>::Made latlon_frame(const std::string& grid, const std::string& factors,
                                   const std::string& metadata, bool is_3d, TimeAxis time);
  /// As netCDF-C chooses them.
  Shared<Shape>::Made chunk_shape(const Shape& shape, size_t element_size);

 private:
  /// All of it at once, so that nothing is kept of an archive.
  Shared<GridParts>::Made grid_parts(const std::string& location);

  io::Session& session_;
  GridPlaces places_;
  Shared<GridParts> grids_;
  Shared<Metadata> metadata_;
  Shared<std::vector<PodaacRow>> podaac_;
  Shared<Config> configs_;
  Shared<Mapper> mappers_;
  Shared<std::string> factors_digests_;
  Shared<Frame> frames_;
  Shared<Shape> chunks_;
};

}  // namespace upwell::produce
