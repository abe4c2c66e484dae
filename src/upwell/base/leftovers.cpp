#include "base/leftovers.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <system_error>
#include <thread>
#include <vector>

namespace upwell {
namespace {

namespace fs = std::filesystem;

constexpr std::array kEnds{SIGINT, SIGTERM, SIGHUP};
/// From then on somebody is tired of waiting.
constexpr std::time_t kPatience_s = 1;
constexpr int kMostSweeps = 100;

constexpr size_t kMostLeftovers = 64;
/// A signal is handled between any two instructions of any thread: all that it may read are these.
std::array<std::atomic<char*>, kMostLeftovers> leftovers;
static_assert(std::atomic<char*>::is_always_lock_free);
std::atomic<std::time_t> ending_since{0};
std::atomic<int> wake{-1};  ///< written to, where a thread waits that removes directories
pid_t owner = 0;
std::mutex forgetting;  // names are freed one after the other

/// In place of a name that the handler has taken, so that nobody frees it.
char taken;

std::mutex directories_mutex;

/// Not destroyed: the thread may look at it while the process ends.
std::vector<fs::path>& directories() {
  static auto& all = *new std::vector<fs::path>;
  return all;
}

void end_by(int signal) {
  std::signal(signal, SIG_DFL);
  ::raise(signal);  // in a handler it comes when that returns
}

void remove_files() {
  for (std::atomic<char*>& slot : leftovers) {
    if (slot.load() == nullptr) continue;
    const char* name = slot.exchange(&taken);
    if (name != nullptr && name != &taken) ::unlink(name);
  }
}

/// One signal does the work, whichever thread has it.
extern "C" void remove_leftovers_and_end(int signal) {
  const int before = errno;
  std::time_t since = 0;
  const std::time_t now = std::time(nullptr);
  if (::getpid() != owner) {  // a child's; the leftovers are its parent's
    end_by(signal);
  } else if (ending_since.compare_exchange_strong(since, now)) {
    const auto told = static_cast<unsigned char>(signal);
    if (wake < 0 || ::write(wake, &told, 1) != 1) {
      remove_files();
      end_by(signal);
    }
  } else if (now - since > kPatience_s) {
    end_by(signal);
  }
  errno = before;
}

/// Other threads still write into it. It is moved away from them, and a file in its place makes
/// them fail.
void remove_directory(const fs::path& directory) {
  const fs::path aside = directory.string() + "-ended";
  std::error_code error;
  bool closed = false;
  for (int n = 0; n < kMostSweeps && !closed; ++n) {
    ::rename(directory.c_str(), aside.c_str());
    const int fd = ::open(directory.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    closed = fd >= 0;
    if (closed) ::close(fd);
    fs::remove_all(aside, error);  // what was opened before may still grow
  }
  for (int n = 0; n < kMostSweeps && fs::exists(aside, error); ++n) fs::remove_all(aside, error);
}

void remove_all_when_told(int told) {
  unsigned char signal = 0;
  while (::read(told, &signal, 1) != 1) {
    if (errno != EINTR) return;
  }
  directories_mutex.lock();  // and never unlocked: nobody gives a name to half a directory
  for (const fs::path& directory : directories()) remove_directory(directory);
  for (const fs::path& directory : directories()) ::unlink(directory.c_str());
  remove_files();
  sigset_t all;
  sigfillset(&all);
  ::pthread_sigmask(SIG_UNBLOCK, &all, nullptr);
  end_by(signal);
}

/// A handler cannot walk through directories. Without a thread they stay, as after SIGKILL.
void start_thread() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return;
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // the thread's: signals go to others
  try {
    std::thread(remove_all_when_told, ends[0]).detach();
    wake = ends[1];
  } catch (const std::system_error&) {
    for (const int end : ends) ::close(end);
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void note_leftover(const fs::path& file) {
  char* name = ::strdup(file.c_str());
  if (name == nullptr) return;
  for (std::atomic<char*>& slot : leftovers) {
    char* none = nullptr;
    if (slot.compare_exchange_strong(none, name)) return;
  }
  std::free(name);
}

void forget_leftover(const fs::path& file) {
  const std::lock_guard lock(forgetting);
  for (std::atomic<char*>& slot : leftovers) {
    char* name = slot.load();
    if (name == nullptr || name == &taken || file != name) continue;
    if (slot.compare_exchange_strong(name, nullptr)) std::free(name);
    return;
  }
}

HeldLeftovers::HeldLeftovers() : lock_(directories_mutex) {
  static std::once_flag once;
  if (owner != 0) std::call_once(once, start_thread);  // else nothing is removed on signals
}

void HeldLeftovers::note(const fs::path& directory) { directories().push_back(directory); }
void HeldLeftovers::forget(const fs::path& directory) { std::erase(directories(), directory); }

void remove_leftovers_on_signals() {
  owner = ::getpid();
  for (const int signal : kEnds) {
    struct sigaction action{};
    if (::sigaction(signal, nullptr, &action) != 0 || action.sa_handler != SIG_DFL) continue;
    action.sa_handler = remove_leftovers_and_end;
    action.sa_flags = SA_RESTART;
    ::sigaction(signal, &action, nullptr);
  }
}

}  // namespace upwell
