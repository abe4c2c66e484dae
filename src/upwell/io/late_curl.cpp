// libcurl's functions as io calls them, each handed on to the library, which is loaded at the first
// call: with all that libcurl brings along, loading takes longer than many a command that reads
// only local files.
#include <curl/curl.h>

#include <cstdarg>

#include "base/late_library.hpp"

// The declarations have macros of the same names that check types.
#undef curl_easy_setopt
#undef curl_easy_getinfo
#undef curl_multi_setopt

namespace upwell::io {
namespace {

template <typename Function>
Function late_curl(const char* name) {
  static LateLibrary library(UPWELL_LIBCURL);
  return library.function<Function>(name);
}

}  // namespace
}  // namespace upwell::io

// Without the library each gives `otherwise`: no handle, failure, nothing done.
#define UPWELL_LATE(name, otherwise)                                        \
  static const auto real = upwell::io::late_curl<decltype(&::name)>(#name); \
  if (!real) return otherwise

extern "C" {

CURLcode curl_global_init(long flags) {
  UPWELL_LATE(curl_global_init, CURLE_FAILED_INIT);
  return real(flags);
}
CURLM* curl_multi_init(void) {
  UPWELL_LATE(curl_multi_init, nullptr);
  return real();
}
CURL* curl_easy_init(void) {
  UPWELL_LATE(curl_easy_init, nullptr);
  return real();
}
time_t curl_getdate(const char* text, const time_t* unused) {
  UPWELL_LATE(curl_getdate, -1);
  return real(text, unused);
}
// The enumerations are as wide as int, so that va_start may name them, as it does in libcurl.
#ifdef __clang__
#pragma clang diagnostic ignored "-Wvarargs"
#endif

// Exactly one argument follows the option: a long, an offset or a pointer, all of which one machine
// word carries.
CURLcode curl_easy_setopt(CURL* easy, CURLoption option, ...) {
  UPWELL_LATE(curl_easy_setopt, CURLE_FAILED_INIT);
  va_list arguments;
  va_start(arguments, option);
  void* value = va_arg(arguments, void*);
  va_end(arguments);
  return real(easy, option, value);
}
CURLcode curl_easy_getinfo(CURL* easy, CURLINFO info, ...) {
  UPWELL_LATE(curl_easy_getinfo, CURLE_FAILED_INIT);
  va_list arguments;
  va_start(arguments, info);
  void* value = va_arg(arguments, void*);
  va_end(arguments);
  return real(easy, info, value);
}
CURLMcode curl_multi_setopt(CURLM* multi, CURLMoption option, ...) {
  UPWELL_LATE(curl_multi_setopt, CURLM_INTERNAL_ERROR);
  va_list arguments;
  va_start(arguments, option);
  void* value = va_arg(arguments, void*);
  va_end(arguments);
  return real(multi, option, value);
}
void curl_easy_cleanup(CURL* easy) {
  UPWELL_LATE(curl_easy_cleanup, );
  real(easy);
}
void curl_easy_reset(CURL* easy) {
  UPWELL_LATE(curl_easy_reset, );
  real(easy);
}
const char* curl_easy_strerror(CURLcode code) {
  UPWELL_LATE(curl_easy_strerror, "libcurl could not be loaded");
  return real(code);
}
CURLMcode curl_multi_add_handle(CURLM* multi, CURL* easy) {
  UPWELL_LATE(curl_multi_add_handle, CURLM_INTERNAL_ERROR);
  return real(multi, easy);
}
CURLMcode curl_multi_remove_handle(CURLM* multi, CURL* easy) {
  UPWELL_LATE(curl_multi_remove_handle, CURLM_INTERNAL_ERROR);
  return real(multi, easy);
}
CURLMcode curl_multi_perform(CURLM* multi, int* running) {
  UPWELL_LATE(curl_multi_perform, CURLM_INTERNAL_ERROR);
  return real(multi, running);
}
CURLMcode curl_multi_poll(CURLM* multi, struct curl_waitfd extra[], unsigned int count,
                          int timeout_ms, int* ready) {
  UPWELL_LATE(curl_multi_poll, CURLM_INTERNAL_ERROR);
  return real(multi, extra, count, timeout_ms, ready);
}
CURLMcode curl_multi_wakeup(CURLM* multi) {
  UPWELL_LATE(curl_multi_wakeup, CURLM_INTERNAL_ERROR);
  return real(multi);
}
CURLMsg* curl_multi_info_read(CURLM* multi, int* left) {
  UPWELL_LATE(curl_multi_info_read, nullptr);
  return real(multi, left);
}
CURLMcode curl_multi_cleanup(CURLM* multi) {
  UPWELL_LATE(curl_multi_cleanup, CURLM_INTERNAL_ERROR);
  return real(multi);
}
struct curl_slist* curl_slist_append(struct curl_slist* list, const char* text) {
  UPWELL_LATE(curl_slist_append, nullptr);
  return real(list, text);
}
void curl_slist_free_all(struct curl_slist* list) {
  UPWELL_LATE(curl_slist_free_all, );
  real(list);
}

}  // extern "C"

#undef UPWELL_LATE
