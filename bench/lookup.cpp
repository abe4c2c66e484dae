// upwell_lookup SET ARRAY COUNT: opens a reference set, looks up COUNT chunks of an array, and
// prints one JSON line of what that took, as the jobs in peers.py do. The chunks are those of
// chunk_positions there.

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>

#include "base/machine.hpp"
#include "refs/open.hpp"

namespace {

using namespace upwell;

struct Found {
  uint64_t chunks = 0;
  uint64_t offsets = 0;  ///< sums, to be equal to the peer's
  uint64_t lengths = 0;
  uint64_t urls = 0;
};

Result<Found> look_up(const std::string& set, const std::string& name, uint64_t count) {
  io::Session session;
  UPWELL_TRY(const Dataset cube, refs::open_source(session, set));
  const Array* array = cube.root.find_array(name);
  if (array == nullptr || array->segments.size() != 1) {
    return fail(Code::kNotFound, fmt::format("{}: no array {} of one segment", set, name));
  }
  const ChunkIndex& index = *array->segments[0].chunks;
  Found found{.chunks = index.size()};
  uint64_t position = 12345;
  for (uint64_t i = 0; i < count; ++i) {
    position = (position * 1103515245 + 12345) % index.size();
    UPWELL_TRY(const ChunkRef ref, index.at(position));
    found.offsets += ref.offset;
    found.lengths += ref.length;
    found.urls += cube.granules->at(ref.granule).url.size();
  }
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    fmt::print(stderr, "usage: upwell_lookup SET ARRAY COUNT\n");
    return 64;
  }
  const auto start = std::chrono::steady_clock::now();
  auto found = look_up(argv[1], argv[2], std::strtoull(argv[3], nullptr, 10));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!found) {
    fmt::print(stderr, "{}\n", found.error().to_string());
    return 65;
  }
  fmt::print(R"({{"seconds": {}, "result": [{}, {}, {}, {}], "memory_mib": {}}})"
             "\n",
             seconds.count(), found->chunks, found->offsets, found->lengths, found->urls,
             static_cast<double>(upwell::peak_memory()) / (1 << 20));
}
