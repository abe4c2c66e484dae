#pragma once
// Shared libraries that few commands need: loaded at the first call, not at the start of every one.

namespace upwell {

/// A library that costs nothing until the first symbol is asked for. Thread-safe.
class LateLibrary {
 public:
  /// `name` as the dynamic loader takes it: "libnetcdf.so.19".
  explicit LateLibrary(const char* name) : name_(name) {}
  /// Null when the library or the symbol is not there.
  void* symbol(const char* symbol);
  /// The same as the function type of a declaration: call<decltype(&f)>("f").
  template <typename Function>
  Function function(const char* name) {
    return reinterpret_cast<Function>(symbol(name));
  }

 private:
  const char* name_;
  void* handle_ = nullptr;
  bool tried_ = false;
};

}  // namespace upwell
