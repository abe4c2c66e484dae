#include "cli/result_output.hpp"

#include <fmt/format.h>

namespace upwell::cli {
namespace {

class NetcdfOutput : public ResultOutput {
 public:
  explicit NetcdfOutput(format::netcdf4::Output output) : output_(std::move(output)) {}
  Result<> put(size_t variable, const Shape& origin, const Shape& shape,
               ByteSpan elements) override {
    return output_.put(variable, origin, shape, elements);
  }
  Result<> commit(Sync sync) override { return output_.commit(sync); }

 private:
  format::netcdf4::Output output_;
};

}  // namespace

Result<ResultForm> result_form_of(const std::string& output) {
  if (output == "-" || output.ends_with(".csv")) return ResultForm::kCsv;
  if (output.ends_with(".nc") || output.ends_with(".nc4")) return ResultForm::kNetcdf;
  if (output.ends_with(".zarr") || output.ends_with(".zarr/")) return ResultForm::kZarr;
  if (output.ends_with(".png")) return ResultForm::kPlot;
  return fail(Code::kInvalidArgument,
              fmt::format("'{}': the output is NAME.nc (netCDF-4), NAME.zarr, NAME.csv, NAME.png "
                          "(a plot), or - for CSV on standard output",
                          output));
}

Result<std::unique_ptr<ResultOutput>> create_result_output(const std::string& output,
                                                           const format::netcdf4::File& file,
                                                           const PlotOptions& plot) {
  UPWELL_TRY(const ResultForm form, result_form_of(output));
  if (form == ResultForm::kCsv) return create_csv_output(output, file);
  if (form == ResultForm::kZarr) return create_zarr_output(output, file);
  if (form == ResultForm::kPlot) return create_plot_output(output, file, plot);
  UPWELL_TRY(auto netcdf, format::netcdf4::Output::create(output, file));
  return std::make_unique<NetcdfOutput>(std::move(netcdf));
}

}  // namespace upwell::cli
