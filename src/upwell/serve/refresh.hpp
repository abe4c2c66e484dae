#pragma once
// Keeps what is served up to date: sources that were replaced are opened anew.

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "serve/site.hpp"

namespace upwell::serve {

/// Looks from time to time whether the documents of the site's sources (of a reference set or a
/// store its manifest, of a granule the granule) are still those that were opened. One that is not
/// is opened with a new session, which takes objects as they are now, and put in the place of the
/// old one when that has succeeded and the new one continues it: a client that has read the old
/// coordinates must not get values of other places. Else the old one is served.
class Refresher {
 public:
  struct Opened {
    std::shared_ptr<io::Session> session;
    Dataset dataset;
  };
  /// Opens a source as the user named it.
  using Open = std::function<Result<Opened>(const std::string& source)>;
  /// Told of each new state, and once of each failure to open one.
  using Note = std::function<void(const std::string& id, const std::string& what)>;

  Refresher(Site& site, Open open, Note note)
      : site_(site), open_(std::move(open)), note_(std::move(note)) {}
  /// Ends the thread.
  ~Refresher();
  Refresher(const Refresher&) = delete;
  Refresher& operator=(const Refresher&) = delete;

  /// Looks every so many seconds, in a thread of its own; over a network five times more seldom,
  /// and only while there are requests.
  void start(double interval_s);
  /// Looks once. `remote`: at sources over a network too.
  void look(bool remote);

 private:
  struct Watched {
    std::string state;     ///< cache_name() of that whose `document` and `info` these are
    std::string document;  ///< URL; empty: not known yet
    io::ObjectInfo info;
    std::string failure;  ///< the last one, told already
    /// By path: of the dimensions' own coordinates, as they are served.
    std::map<std::string, Values> coordinates;
    int pause = 0, rest = 0;  ///< looks to leave out after a failure, and how many of them are left
  };
  bool has_changed(const ServedDataset& served, Watched& watched);
  void renew(const ServedDataset& served, Watched& watched);
  Result<> exchange(const ServedDataset& served, Watched& watched);
  static Watched watch(io::Session& session, const Dataset& dataset, const std::string& source);

  Site& site_;
  Open open_;
  Note note_;
  std::map<std::string, Watched> watched_;  // by id
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace upwell::serve
