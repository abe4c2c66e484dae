// How a Session reads: what caches hold, what is under way, and what is left to fetch.

#include <algorithm>
#include <set>
#include <utility>

#include "base/parallel.hpp"
#include "io/arrivals.hpp"
#include "io/ranges.hpp"
#include "io/session_impl.hpp"
#include "io/url.hpp"

namespace upwell::io {

namespace {

/// Of parts of `merged` requests, in order: the index of the request that each is of.
std::vector<size_t> owners(std::span<const ReadRequest> merged,
                           std::span<const ReadRequest> parts) {
  auto end = [](const Range& range) { return range.offset + range.length; };
  std::vector<size_t> owner;
  owner.reserve(parts.size());
  size_t whole = 0;
  for (const ReadRequest& part : parts) {
    owner.push_back(whole);
    if (end(part.range) == end(merged[whole].range)) ++whole;
  }
  return owner;
}

}  // namespace

/// Every answer of a store is checked to have the length that was asked for.
std::vector<Result<SharedBytes>> Session::Impl::fetch(ByteStore& store,
                                                      std::span<const ReadRequest> merged,
                                                      const Came& came) {
  if (merged.empty()) return {};
  const StoreTraits line = store.traits_for(merged.front().url);
  if (options.budget && line.worth_caching) {
    uint64_t planned = 0;
    for (const ReadRequest& request : merged)
      if (request.range.length != kToEnd) planned += request.range.length;
    auto enough = options.budget->check(planned, "reading on");
    if (!enough)
      return std::vector<Result<SharedBytes>>(merged.size(), fail(std::move(enough).error()));
  }
  if (line.worth_caching) ++rounds;
  const uint64_t part = part_size(merged, line);
  size_t asked_for = merged.size();
  std::vector<Result<SharedBytes>> answers;
  auto ask = [&](std::span<const ReadRequest> parts) {
    if (!came) return store.read(parts);
    return store.read_and_tell(
        parts, [&, owner = owners(merged, parts)](size_t p, const SharedBytes& bytes) {
          const Range& range = parts[p].range;
          if (bytes.size() == range.length) came(owner[p], range.offset, bytes);
        });
  };
  if (part == kToEnd) {
    answers = ask(merged);
  } else {
    const std::vector<ReadRequest> parts = in_parts(merged, part);
    asked_for = parts.size();
    auto of_parts = ask(parts);
    keep_of_failed(store, merged, parts, of_parts);
    answers = joined(merged, part, std::move(of_parts));
  }
  uint64_t bytes = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i]) continue;
    bytes += answers[i]->size();
    uint64_t asked = merged[i].range.length;
    if (asked != kToEnd && asked != answers[i]->size()) {
      answers[i] = fail(Code::kInvalidData, shown_url(merged[i].url) + ": short read: " +
                                                std::to_string(answers[i]->size()) + " of " +
                                                std::to_string(asked) + " bytes at offset " +
                                                std::to_string(merged[i].range.offset));
    }
  }
  if (!store.traffic()) {
    requests += asked_for;
    bytes_fetched += bytes;
  }
  return answers;
}

void Session::Impl::keep(ByteStore& store, const ReadRequest& request,
                         const Result<SharedBytes>& answer) {
  if (answer) {
    memory.put(request.url, request.range.offset, *answer);
    auto state = disk ? store.known(request.url) : std::nullopt;
    if (state) disk->put(request.url, *state, request.range.offset, answer->span());
  } else if (answer.error().code == Code::kChanged) {
    memory.forget(request.url);
  }
}

/// What has come of requests that fail for another of their parts: their members are asked for
/// again one by one.
void Session::Impl::keep_of_failed(ByteStore& store, std::span<const ReadRequest> merged,
                                   std::span<const ReadRequest> parts,
                                   std::span<const Result<SharedBytes>> answers) {
  const auto owner = owners(merged, parts);
  std::vector<bool> failed(merged.size());
  for (size_t p = 0; p < parts.size(); ++p)
    if (!answers[p]) failed[owner[p]] = true;
  for (size_t p = 0; p < parts.size(); ++p)
    if (answers[p] && failed[owner[p]]) keep(store, parts[p], answers[p]);
}

/// Fetches what is neither under way nor just landed, and lets others join.
std::vector<Result<SharedBytes>> Session::Impl::fetch_and_keep(ByteStore& store,
                                                               std::span<const ReadRequest> merged,
                                                               const Came& came) {
  if (!store.traits().worth_caching) return fetch(store, merged, came);

  std::vector<Result<SharedBytes>> answers(merged.size());
  std::vector<size_t> own;
  std::vector<ReadRequest> own_requests;
  std::vector<std::shared_ptr<Flight>> others(merged.size());
  Departures departures(flights_mutex, flights);
  {
    std::lock_guard lock(flights_mutex);
    for (size_t i = 0; i < merged.size(); ++i) {
      const auto& [url, range, reach] = merged[i];
      auto it = flights.find({url, range.offset});
      if (it != flights.end() && it->second->holds(range)) {
        others[i] = it->second;
        continue;
      }
      if (range.length != kToEnd) {
        if (auto landed = memory.find(url, range)) {
          answers[i] = std::move(*landed);
          ++cache_hits;
          continue;
        }
      }
      departures.start(url, range);
      own.push_back(i);
      own_requests.push_back(merged[i]);
    }
  }
  Came own_came;
  if (came) own_came = [&](size_t k, uint64_t at, const SharedBytes& b) { came(own[k], at, b); };
  auto fetched = fetch(store, own_requests, own_came);
  for (size_t k = 0; k < own.size(); ++k) {
    keep(store, own_requests[k], fetched[k]);
    departures.land(k, fetched[k]);
    answers[own[k]] = std::move(fetched[k]);
  }
  for (size_t i = 0; i < merged.size(); ++i) {
    if (!others[i]) continue;
    auto part = others[i]->wait_for(merged[i].range);
    answers[i] =
        part ? std::move(*part) : std::move(fetch(store, merged.subspan(i, 1), {}).front());
    if (part) ++cache_hits;
  }
  return answers;
}

std::optional<SharedBytes> Session::Impl::find_cached(ByteStore& store,
                                                      const ReadRequest& request) {
  Range range = request.range;
  auto state = range.length == kToEnd || disk ? store.known(request.url) : std::nullopt;
  if (range.length == kToEnd) {
    if (!state || range.offset > state->size) return {};
    range.length = state->size - range.offset;
  }
  if (range.length == 0) return {};
  if (auto bytes = memory.find(request.url, range)) return bytes;
  if (!disk || !state) return {};
  auto bytes = disk->find(request.url, *state, range);
  if (bytes) memory.put(request.url, range.offset, *bytes);
  return bytes;
}

std::shared_ptr<Flight> Session::Impl::find_flight(const ReadRequest& request) {
  std::lock_guard lock(flights_mutex);
  auto it = flights.upper_bound({request.url, request.range.offset});
  if (it == flights.begin()) return {};
  --it;
  if (it->first.first != request.url) return {};
  return it->second->holds(request.range) ? it->second : nullptr;
}

/// What the disk cache holds of an object is good only for the state that the object is in: asks
/// for it where there is something to gain.
void Session::Impl::learn_states(ByteStore& store, std::span<const ReadRequest> asked,
                                 std::span<const size_t> which) {
  std::map<std::string, ReachPtr> unknown;
  for (size_t i : which) {
    const std::string& url = asked[i].url;
    if (unknown.contains(url) || store.known(url) || !disk->has_object(url)) continue;
    unknown.emplace(url, asked[i].reach);
  }
  std::vector<std::string> urls;
  std::vector<ReachPtr> reaches;
  for (auto& [url, reach] : unknown) {
    urls.push_back(url);
    reaches.push_back(reach);
  }
  // A failure here comes up again, for whom it concerns, when the range is read.
  (void)blocking_for(urls.size(), store.traits().parallelism, [&](size_t i) -> Result<> {
    count_request(store, i == 0);
    (void)store.stat(urls[i], reaches[i]);
    return {};
  });
}

void Session::Impl::read_cached_store(ByteStore& store, std::span<const ReadRequest> asked,
                                      std::span<const size_t> which,
                                      std::vector<Result<SharedBytes>>& results,
                                      const Arrived& arrived) {
  if (disk) learn_states(store, asked, which);
  std::vector<size_t> missing;
  std::vector<std::pair<size_t, std::shared_ptr<Flight>>> joined;
  for (size_t i : which) {
    auto flight = find_flight(asked[i]);
    // In this order: a flight is in the cache before it is gone.
    if (auto bytes = find_cached(store, asked[i])) {
      results[i] = std::move(*bytes);
      ++cache_hits;
    } else if (flight) {
      joined.emplace_back(i, std::move(flight));
    } else {
      missing.push_back(i);
    }
  }
  // First one's own: two readers that wait for each other's flights have both landed theirs.
  read_store(store, asked, missing, results, arrived);
  std::vector<size_t> again;
  for (auto& [i, flight] : joined) {
    if (auto part = flight->wait_for(asked[i].range)) {
      results[i] = std::move(*part);
      ++cache_hits;
      continue;
    }
    again.push_back(i);
  }
  read_store(store, asked, again, results, arrived);
}

void Session::Impl::read_store(ByteStore& store, std::span<const ReadRequest> asked,
                               const std::vector<size_t>& which,
                               std::vector<Result<SharedBytes>>& results, const Arrived& arrived) {
  if (which.empty()) return;
  std::vector<Fetch> fetches;
  for (auto& [host, of_host] : by_origin(asked, which)) {
    const StoreTraits line = store.traits_for(asked[of_host.front()].url);
    auto more = coalesce(asked, std::move(of_host), line);
    std::move(more.begin(), more.end(), std::back_inserter(fetches));
  }
  std::vector<ReadRequest> merged;
  merged.reserve(fetches.size());
  for (const Fetch& f : fetches) merged.push_back(f.request);
  std::optional<Arrivals> arrivals;
  Came came;
  if (arrived) {
    arrivals.emplace(asked, fetches, arrived);
    came = [&](size_t f, uint64_t offset, const SharedBytes& bytes) {
      arrivals->take(f, offset, bytes);
    };
  }
  auto answers = fetch_and_keep(store, merged, came);

  std::vector<size_t> alone;
  for (size_t f = 0; f < fetches.size(); ++f) {
    uint64_t start = fetches[f].request.range.offset;
    for (size_t i : fetches[f].members) {
      if (!answers[f]) {
        // One range past the end must not fail its neighbours.
        bool merged_badly =
            answers[f].error().code == Code::kInvalidData && fetches[f].members.size() > 1;
        if (merged_badly) alone.push_back(i);
        results[i] = fail(answers[f].error());
        continue;
      }
      auto range = checked_range(asked[i].url, asked[i].range, start + answers[f]->size());
      if (range) {
        results[i] = answers[f]->slice(range->offset - start, range->length);
      } else {
        results[i] = fail(std::move(range).error());
      }
    }
  }
  if (alone.empty()) return;
  std::vector<ReadRequest> again;
  again.reserve(alone.size());
  for (size_t i : alone) again.push_back(asked[i]);
  auto second = fetch_and_keep(store, again, {});
  for (size_t k = 0; k < alone.size(); ++k) results[alone[k]] = std::move(second[k]);
}

}  // namespace upwell::io
