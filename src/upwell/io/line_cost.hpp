#pragma once
// What requests over a line cost, and what is learned about a line from the answers that came over
// it. See docs/decisions/line-cost.md.

#include <cstdint>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace upwell::io {

struct StoreTraits;

/// What of a body a server sends on a new connection before it waits for an acknowledgement: ten
/// segments (RFC 6928), of which one carries the head of the answer.
inline constexpr uint64_t kFirstFlight = 13'000;

/// How many round trips beyond the first an answer of so many bytes takes while its connection
/// doubles what it sends in each (slow start, RFC 5681). Not a whole number: what comes of a
/// continuous model.
double slow_start_turns(uint64_t bytes);

/// Seconds from the first request of a batch to its last byte: each turn of `parallelism` requests
/// a latency, each of slow start for the largest answer a round trip, all bytes at the line's rate,
/// and a little work for each request.
double batch_seconds(uint64_t requests, uint64_t bytes, uint64_t largest, const StoreTraits& line);

/// What one answer tells about the line.
struct LineSample {
  double first_byte_s = 0;  ///< from the request to the first byte
  double handshake_s = 0;   ///< of its connection, if it was opened for this one
  double body_s = 0;        ///< from there to the last
  uint64_t bytes = 0;       ///< of the body
  uint64_t arrived = 0;     ///< from the same host in that time, this body included
};

/// The line to one host. Begins with figures as given and follows what is observed: low quantiles
/// of the time to the first byte and of handshakes, since what a line costs at least is what
/// planning can count on; the rate at which large answers come, together with all that came beside
/// them, less what slow start took of their time. Latency holds what the server thinks, too; a
/// round trip does not: a server that is slow is not helped by more requests.
class LineEstimate {
 public:
  LineEstimate(double latency_s, double round_trip_s, double bytes_per_s)
      : latency_s_(latency_s), round_trip_s_(round_trip_s), bytes_per_s_(bytes_per_s) {}
  void add(const LineSample& sample);
  double latency_s() const { return latency_s_; }
  double round_trip_s() const { return round_trip_s_; }
  double bytes_per_s() const { return bytes_per_s_; }

 private:
  /// The last times, in a ring.
  struct Recent {
    std::vector<double> seconds;
    size_t next = 0;
    /// Takes one more; the lower quartile.
    double add(double s);
  };
  double latency_s_, round_trip_s_, bytes_per_s_;
  Recent first_bytes_, handshakes_;
};

/// Estimates by host. Thread-safe; forgets everything when there are too many hosts.
class LineBook {
 public:
  void add(const std::string& host, const StoreTraits& usual, const LineSample& sample);
  /// `usual` with what is known of the line to this host in it.
  StoreTraits traits(const std::string& host, StoreTraits usual) const;

 private:
  mutable std::mutex mutex_;
  std::unordered_map<std::string, LineEstimate> lines_;
};

}  // namespace upwell::io
