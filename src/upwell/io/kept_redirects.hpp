#pragma once
// Redirects that say how long they hold, as those to signed URLs do: followed once, not for every
// range. docs/decisions/earthdata-login.md

#include <chrono>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "io/http_message.hpp"

namespace upwell::io {

struct HttpJob;

/// Seconds for which the redirect holds: the least of what Cache-Control or Expires say (RFC 9111
/// section 5) and what is left of the signature in its target (X-Amz-Date and X-Amz-Expires;
/// Expires of CloudFront and of older signatures), less a margin. Nothing where neither says
/// anything, or it must not be kept. `now_s` counts where the answer has no Date.
std::optional<double> redirect_life(const ResponseHead& head, const std::string& target,
                                    int64_t now_s);

/// Whether the query carries a signature: nobody else's credentials belong there.
bool is_signed_url(const std::string& url);

/// Where objects really lie for now, and which requests wait to hear it. Bounded. Thread-safe.
class KeptRedirects {
 public:
  using Clock = std::chrono::steady_clock;
  enum class Turn {
    kGo,      ///< as it is
    kLead,    ///< and tell the others: `release` follows
    kFollow,  ///< to where the redirect led, which is in `target`
    kWait,    ///< `release` by the leader gives the job back
  };
  /// What a job does that wants this URL. `redirects`: its server is expected to redirect.
  Turn turn(HttpJob& job, bool redirects, std::string& target);
  /// A leader knows, or has failed: those that waited.
  std::vector<HttpJob*> release(const std::string& url);

  void keep(const std::string& url, const std::string& target, double seconds);
  /// Forgets that `url` leads to `target`; not that it leads elsewhere by now.
  void forget(const std::string& url, const std::string& target);
  /// This server gives the objects itself.
  void note_direct(const std::string& origin);
  /// Whether this server is likely to redirect. `covered`: one of a login's, which do, as long as
  /// it has not shown otherwise.
  bool expects_redirect(const std::string& origin, bool covered) const;

 private:
  struct Kept {
    std::string target;
    Clock::time_point until;
    std::list<std::string>::iterator place;  // in order_
  };
  using KeptMap = std::unordered_map<std::string, Kept>;
  void drop(KeptMap::iterator it);
  mutable std::mutex mutex_;
  KeptMap kept_;
  std::list<std::string> order_;                                    // of keeping, oldest first
  std::unordered_map<std::string, std::vector<HttpJob*>> waiting_;  // by URL; has a leader
  std::unordered_set<std::string> redirecting_, direct_;            // origins
};

}  // namespace upwell::io
