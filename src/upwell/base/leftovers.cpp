#include "base/leftovers.hpp"

#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <mutex>

namespace upwell {
namespace {

constexpr size_t kMostLeftovers = 64;
/// A signal is handled between any two instructions of any thread: all that it may read are these.
std::array<std::atomic<char*>, kMostLeftovers> leftovers;
static_assert(std::atomic<char*>::is_always_lock_free);
std::mutex forgetting;  // names are freed one after the other

/// In place of a name that the handler has taken, so that nobody frees it.
char taken;

extern "C" void remove_leftovers_and_end(int signal) {
  for (std::atomic<char*>& slot : leftovers) {
    if (slot.load() == nullptr) continue;
    const char* name = slot.exchange(&taken);
    if (name != nullptr && name != &taken) ::unlink(name);
  }
  ::raise(signal);  // its default action is back, and ends the process
}

}  // namespace

void note_leftover(const std::filesystem::path& file) {
  char* name = ::strdup(file.c_str());
  if (name == nullptr) return;
  for (std::atomic<char*>& slot : leftovers) {
    char* none = nullptr;
    if (slot.compare_exchange_strong(none, name)) return;
  }
  std::free(name);
}

void forget_leftover(const std::filesystem::path& file) {
  const std::lock_guard lock(forgetting);
  for (std::atomic<char*>& slot : leftovers) {
    char* name = slot.load();
    if (name == nullptr || name == &taken || file != name) continue;
    if (slot.compare_exchange_strong(name, nullptr)) std::free(name);
    return;
  }
}

void remove_leftovers_on_signals() {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    struct sigaction action{};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = remove_leftovers_and_end;
    action.sa_flags = SA_RESETHAND;
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace upwell
