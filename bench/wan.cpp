// A wide-area link on one machine: two network namespaces whose only way to each other leads
// through this program, which holds every packet for the one-way delay and lets through so many
// bits a second. What runs in them is real TCP. Needs root and /dev/net/tun.
//
//   wan CLIENT_NAMESPACE SERVER_NAMESPACE ROUND_TRIP_MS MBIT_PER_S
//
// Makes the namespaces, prints "ready", runs until SIGTERM or SIGINT, and removes them. The client
// is 10.91.0.1, the server 10.91.0.2.

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <string>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr double kQueueSeconds = 0.2;  // a router's buffer: what would wait longer is lost
constexpr int kMtu = 1500;

volatile std::sig_atomic_t ended = 0;

struct Packet {
  Clock::time_point due;
  std::vector<char> bytes;
};

// One direction: packets leave one after the other, then travel.
struct Lane {
  int from = -1, to = -1;
  Clock::time_point free_at = Clock::now();
  std::deque<Packet> travelling;

  void take(double bytes_per_second, double delay) {
    std::array<char, 65536> buffer;
    for (int n = 0; n < 64; ++n) {
      ssize_t length = read(from, buffer.data(), buffer.size());
      if (length <= 0) return;
      auto now = Clock::now();
      auto gone = std::max(free_at, now) +
                  std::chrono::duration_cast<Clock::duration>(Seconds(length / bytes_per_second));
      if (gone - now > Seconds(kQueueSeconds)) continue;
      free_at = gone;
      travelling.push_back({gone + std::chrono::duration_cast<Clock::duration>(Seconds(delay)),
                            std::vector<char>(buffer.data(), buffer.data() + length)});
    }
  }
  void deliver() {
    auto now = Clock::now();
    while (!travelling.empty() && travelling.front().due <= now) {
      const Packet& packet = travelling.front();
      if (write(to, packet.bytes.data(), packet.bytes.size()) < 0 && errno != EAGAIN) ended = 1;
      travelling.pop_front();
    }
  }
};

int open_tun(const std::string& name) {
  int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  ifreq request{};
  std::strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  request.ifr_flags = IFF_TUN | IFF_NO_PI;
  if (fd < 0 || ioctl(fd, TUNSETIFF, &request) < 0) {
    std::perror("wan: no TUN device");
    std::exit(69);
  }
  return fd;
}

void command(const std::string& text) {
  if (std::system(text.c_str()) == 0) return;
  std::fprintf(stderr, "wan: failed: %s\n", text.c_str());
  std::exit(69);
}

int join(const std::string& space, const std::string& device, const std::string& address) {
  int fd = open_tun(device);
  command("ip netns add " + space);
  command("ip link set " + device + " netns " + space);
  std::string in = "ip -n " + space + " ";
  command(in + "link set lo up");
  command(in + "addr add " + address + "/24 dev " + device);
  command(in + "link set " + device + " mtu " + std::to_string(kMtu) + " txqueuelen 5000 up");
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: wan CLIENT_NAMESPACE SERVER_NAMESPACE ROUND_TRIP_MS MBIT_PER_S\n");
    return 64;
  }
  std::string client = argv[1], server = argv[2];
  double delay = std::atof(argv[3]) / 2000;
  double rate = std::atof(argv[4]) * 1e6 / 8;
  std::signal(SIGTERM, [](int) { ended = 1; });
  std::signal(SIGINT, [](int) { ended = 1; });
  int a = join(client, client + "0", "10.91.0.1");
  int b = join(server, server + "0", "10.91.0.2");
  std::puts("ready");
  std::fflush(stdout);

  std::array<Lane, 2> lanes;
  lanes[0].from = lanes[1].to = a;
  lanes[1].from = lanes[0].to = b;
  while (!ended) {
    auto next = Clock::now() + std::chrono::milliseconds(50);
    for (Lane& lane : lanes) {
      lane.deliver();
      if (!lane.travelling.empty()) next = std::min(next, lane.travelling.front().due);
    }
    auto wait = std::max(Clock::duration::zero(), next - Clock::now());
    timespec timeout{0, std::chrono::duration_cast<std::chrono::nanoseconds>(wait).count()};
    std::array<pollfd, 2> ready{pollfd{a, POLLIN, 0}, pollfd{b, POLLIN, 0}};
    if (ppoll(ready.data(), ready.size(), &timeout, nullptr) <= 0) continue;
    for (size_t i = 0; i < lanes.size(); ++i)
      if (ready[i].revents & POLLIN) lanes[i].take(rate, delay);
  }
  command("ip netns del " + client + "; ip netns del " + server);
  return 0;
}
