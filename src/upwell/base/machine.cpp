#include "base/machine.hpp"

#include <unistd.h>

#include <cstdio>
#include <memory>

namespace upwell {

uint64_t physical_memory() {
  return static_cast<uint64_t>(::sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

uint64_t peak_memory() {
  const std::unique_ptr<FILE, int (*)(FILE*)> status(std::fopen("/proc/self/status", "re"),
                                                     std::fclose);
  char line[256];
  unsigned long kib = 0;
  while (status && std::fgets(line, sizeof line, status.get()) != nullptr)
    if (std::sscanf(line, "VmHWM: %lu kB", &kib) == 1) break;
  return uint64_t{kib} * 1024;
}

}  // namespace upwell
