// netCDF-C's functions as the writer calls them, each handed on to the library, which is loaded at
// the first call: only commands that write netCDF pay for it and for all that it brings along.
#include <hdf5.h>
#include <netcdf.h>

#include "base/late_library.hpp"

namespace upwell::format::netcdf4 {
namespace {

template <typename Function>
Function late_netcdf(const char* name) {
  static LateLibrary library(UPWELL_LIBNETCDF);
  return library.function<Function>(name);
}

/// A function of the HDF5 that netCDF-C has loaded; null where it is not there.
template <typename Function>
Function hdf5_function(const char* name) {
  static LateLibrary library(UPWELL_LIBHDF5);
  return library.function<Function>(name);
}

/// HDF5 closes at exit what is still open. After a write that failed (no space) that is a file
/// whose close failed too, and HDF5 1.10 crashes over it. All that is whole has been closed by
/// nc_close, so that nothing is left to do at exit. Before the first call that starts HDF5.
bool end_without_hdf5() {
  const auto dont_atexit = hdf5_function<decltype(&::H5dont_atexit)>("H5dont_atexit");
  return dont_atexit && dont_atexit() >= 0;
}

/// HDF5 prints its errors, which netCDF-C forbids in the thread alone that was its first.
bool print_no_errors() {
  const auto set_auto = hdf5_function<decltype(&::H5Eset_auto2)>("H5Eset_auto2");
  return set_auto && set_auto(H5E_DEFAULT, nullptr, nullptr) >= 0;
}

}  // namespace
}  // namespace upwell::format::netcdf4

#define UPWELL_LATE(name, ...)                                                             \
  static const auto real = upwell::format::netcdf4::late_netcdf<decltype(&::name)>(#name); \
  return real ? real(__VA_ARGS__) : NC_ENOTBUILT

extern "C" {

int nc_create(const char* path, int mode, int* id) {
  static const auto real =
      upwell::format::netcdf4::late_netcdf<decltype(&::nc_create)>("nc_create");
  if (!real) return NC_ENOTBUILT;
  [[maybe_unused]] static const bool told = upwell::format::netcdf4::end_without_hdf5();
  return real(path, mode, id);
}
int nc_close(int id) { UPWELL_LATE(nc_close, id); }
int nc_enddef(int id) { UPWELL_LATE(nc_enddef, id); }
int nc_set_fill(int id, int mode, int* old) { UPWELL_LATE(nc_set_fill, id, mode, old); }
int nc_def_dim(int id, const char* name, size_t length, int* dimension) {
  UPWELL_LATE(nc_def_dim, id, name, length, dimension);
}
int nc_def_var(int id, const char* name, nc_type type, int rank, const int* dimensions,
               int* variable) {
  UPWELL_LATE(nc_def_var, id, name, type, rank, dimensions, variable);
}
int nc_def_var_chunking(int id, int variable, int storage, const size_t* shape) {
  UPWELL_LATE(nc_def_var_chunking, id, variable, storage, shape);
}
int nc_def_var_deflate(int id, int variable, int shuffle, int deflate, int level) {
  UPWELL_LATE(nc_def_var_deflate, id, variable, shuffle, deflate, level);
}
int nc_inq_var_chunking(int id, int variable, int* storage, size_t* chunk) {
  UPWELL_LATE(nc_inq_var_chunking, id, variable, storage, chunk);
}
int nc_put_att(int id, int variable, const char* name, nc_type type, size_t length,
               const void* values) {
  UPWELL_LATE(nc_put_att, id, variable, name, type, length, values);
}
int nc_put_att_string(int id, int variable, const char* name, size_t length, const char** values) {
  UPWELL_LATE(nc_put_att_string, id, variable, name, length, values);
}
int nc_put_att_text(int id, int variable, const char* name, size_t length, const char* text) {
  UPWELL_LATE(nc_put_att_text, id, variable, name, length, text);
}
int nc_put_var(int id, int variable, const void* values) {
  UPWELL_LATE(nc_put_var, id, variable, values);
}
int nc_put_vara(int id, int variable, const size_t* start, const size_t* count,
                const void* values) {
  [[maybe_unused]] thread_local const bool told = upwell::format::netcdf4::print_no_errors();
  UPWELL_LATE(nc_put_vara, id, variable, start, count, values);
}
int nc_put_var_string(int id, int variable, const char** values) {
  UPWELL_LATE(nc_put_var_string, id, variable, values);
}
int nc_set_var_chunk_cache(int id, int variable, size_t bytes, size_t slots, float preemption) {
  UPWELL_LATE(nc_set_var_chunk_cache, id, variable, bytes, slots, preemption);
}
const char* nc_strerror(int status) {
  static const auto real =
      upwell::format::netcdf4::late_netcdf<decltype(&::nc_strerror)>("nc_strerror");
  return real ? real(status) : "the netCDF library could not be loaded";
}

}  // extern "C"

#undef UPWELL_LATE
