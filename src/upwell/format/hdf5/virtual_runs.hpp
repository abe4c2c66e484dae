#pragma once
// Selections of virtual datasets as runs along each axis. Internal to virtual_map.cpp.

#include <optional>
#include <string>
#include <vector>

#include "format/hdf5/virtual.hpp"

namespace upwell::format::hdf5 {

/// Segments that one virtual dataset may become, and runs that one axis may have.
inline constexpr uint64_t kMaxBoxes = 100000;

/// Selected coordinates of one axis, rising.
struct AxisRun {
  uint64_t start, length;
};
using AxisRuns = std::vector<AxisRun>;

uint64_t run_total(const AxisRuns& runs);
/// Runs of one axis of a regular selection, cut at `extent`.
Result<AxisRuns> regular_runs(const HyperSelection& s, size_t d, uint64_t extent);
/// Runs of every axis; nullopt for selections that are no product of axes. kInvalidData for a wrong
/// rank.
Result<std::optional<std::vector<AxisRuns>>> selected_runs(const HyperSelection& s,
                                                           const Shape& extent);

/// Selected elements that follow each other along the last axis.
struct SelectedRow {
  Shape start;
  uint64_t length = 0;
};
/// All of a selection, in the order of its elements (the last axis fastest). kUnsupported for more
/// rows than kMaxBoxes.
Result<std::vector<SelectedRow>> selected_rows(const HyperSelection& s, const Shape& extent);
/// The axis along which the selection has no end.
std::optional<size_t> unlimited_axis(const HyperSelection& s);
/// Extent of an axis that holds exactly the first `n` selected coordinates of an unlimited
/// selection.
uint64_t extent_holding(const HyperSelection& s, size_t d, uint64_t n);
/// First coordinate behind a limited selection along one axis.
uint64_t bound_of(const HyperSelection& s, size_t d);
/// The name of block `block`: "%b" becomes its number (and sets has_block), "%%" a percent sign.
std::string block_name(const std::string& pattern, uint64_t block, bool& has_block);

}  // namespace upwell::format::hdf5
