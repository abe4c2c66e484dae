#include "base/late_library.hpp"

#include <dlfcn.h>

#include <mutex>

namespace upwell {

void* LateLibrary::symbol(const char* symbol) {
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  if (!tried_) handle_ = ::dlopen(name_, RTLD_NOW | RTLD_LOCAL);
  tried_ = true;
  return handle_ != nullptr ? ::dlsym(handle_, symbol) : nullptr;
}

}  // namespace upwell
