#pragma once
// Where the values of a planned file go: netCDF-4, a table, a Zarr store, a plot.

#include <memory>
#include <string>

#include "base/files.hpp"
#include "cli/plot_options.hpp"
#include "format/netcdf4/writer.hpp"

namespace upwell::cli {

enum class ResultForm { kNetcdf, kCsv, kZarr, kPlot };

/// By the ending: .nc, .nc4; .csv or "-"; .zarr; .png. kInvalidArgument for anything else.
Result<ResultForm> result_form_of(const std::string& output);

/// An output of which variables are written part by part. Whole or not there: destroyed without
/// commit, it leaves nothing (but for what went to standard output).
class ResultOutput {
 public:
  virtual ~ResultOutput() = default;
  /// As format::netcdf4::Output::put. Thread-safe.
  virtual Result<> put(size_t variable, const Shape& origin, const Shape& shape,
                       ByteSpan elements) = 0;
  virtual Result<> commit(Sync sync) = 0;
};

/// By the ending of `output`. `file`: every variable with its attributes; those that are not
/// `later` are coordinates and what else describes the others. It must live as long as the output.
Result<std::unique_ptr<ResultOutput>> create_result_output(const std::string& output,
                                                           const format::netcdf4::File& file,
                                                           const PlotOptions& plot);

/// One line per cell of the variables that are `later`: their dimensions' coordinates (times as ISO
/// 8601) or indexes, other coordinates, their values. The header has units in brackets.
/// kUnsupported where no variable has the dimensions of all.
Result<std::unique_ptr<ResultOutput>> create_csv_output(const std::string& target,
                                                        const format::netcdf4::File& file);

/// Zarr v2 with consolidated metadata, compressed. kAlreadyExists where the target is there and no
/// Zarr store.
Result<std::unique_ptr<ResultOutput>> create_zarr_output(const std::string& target,
                                                         const format::netcdf4::File& file);

/// PNG of the one variable that is `later`: a map where it has longitudes and latitudes, small maps
/// along a third dimension, another field, or a curve. kInvalidArgument where there are several
/// variables, or too many or no dimensions.
Result<std::unique_ptr<ResultOutput>> create_plot_output(const std::string& target,
                                                         const format::netcdf4::File& file,
                                                         const PlotOptions& options);

}  // namespace upwell::cli
