#include <malloc.h>

#include "base/leftovers.hpp"
#include "cli/command.hpp"

int main(int argc, char** argv) {
  // Chunks of some megabytes come and go: kept on the heap, their pages are cleared by the kernel
  // once and not for each.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  upwell::remove_leftovers_on_signals();
  return upwell::cli::run_program(argc, argv);
}
