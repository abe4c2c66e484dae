#include "format/hdf5/heap_resolver.hpp"

#include <algorithm>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <unordered_map>

#include "format/hdf5/global_heap.hpp"
#include "io/session.hpp"

namespace upwell::format::hdf5 {
namespace {

// Types nest a few deep; the parser of datatypes has its own limit.
constexpr int kMaxVlenNesting = 32;
// Most collections are this long (H5HG_MINSIZE), so that one read gives the head and all.
constexpr uint64_t kUsualCollection = 4096;

// A collection with the bytes that it points into.
struct LoadedCollection {
  SharedBytes bytes;
  GlobalHeapCollection objects;
};
using CollectionMap = std::unordered_map<uint64_t, std::shared_ptr<const LoadedCollection>>;
// Adds to the map every collection of `addresses` (relative to the base, no duplicates).
using LoadCollections =
    std::function<Result<>(const std::vector<uint64_t>& addresses, CollectionMap& loaded)>;

Result<std::shared_ptr<const LoadedCollection>> parse_collection(const FileFacts& facts,
                                                                 uint64_t address,
                                                                 SharedBytes bytes) {
  auto loaded = std::make_shared<LoadedCollection>();
  loaded->bytes = std::move(bytes);
  UPWELL_TRY(loaded->objects, GlobalHeapCollection::parse(loaded->bytes.span(),
                                                          facts.base_address + address, facts));
  return loaded;
}

// Converts level by level: all handles of one level are collected, their collections loaded in one
// batch, and what they point to is the next level.
class VlenExpansion {
 public:
  VlenExpansion(const FileFacts& facts, Values& out) : facts_(facts), out_(out) {}

  Result<> run(const DataType& type, ByteSpan stored, uint64_t count, const LoadCollections& load) {
    if (type.size == 0 || count > stored.size() / type.size) {
      return fail(Code::kInvalidData, fmt::format("{} elements of {} bytes in {} bytes", count,
                                                  type.size, stored.size()));
    }
    const DataType& memory = memory_of(type);
    size_t start = out_.data.size();
    out_.data.resize(start + count * memory.size);
    UPWELL_CHECK(place(type, stored, count, {false, start}));
    for (int depth = 0; !handles_.empty(); ++depth) {
      if (depth == kMaxVlenNesting) {
        return fail(Code::kInvalidData, "variable-length types nest too deep");
      }
      UPWELL_CHECK(next_level(load));
    }
    return {};
  }

 private:
  // A place in out_.data or out_.heap; they grow, so no pointers.
  struct Place {
    bool in_heap;
    size_t offset;
  };
  struct PendingHandle {
    GlobalHeapId id;
    uint64_t count;
    const DataType* type;
    Place place;
  };
  struct Expanded {
    uint64_t offset, count;
  };

  uint8_t* at(Place place) {
    return (place.in_heap ? out_.heap.data() : out_.data.data()) + place.offset;
  }

  const DataType& memory_of(const DataType& type) {
    auto& memory = memory_types_[&type];
    if (!memory) memory = std::make_unique<DataType>(memory_type(type));
    return *memory;
  }

  Result<> place(const DataType& type, ByteSpan stored, uint64_t count, Place to) {
    const DataType& memory = memory_of(type);
    if (!type.has_vlen()) {
      return to_memory(type, stored, count, MutableByteSpan(at(to), count * memory.size));
    }
    for (uint64_t i = 0; i < count; ++i) {
      UPWELL_CHECK(place_one(type, memory, stored.subspan(i * type.size, type.size),
                             {to.in_heap, to.offset + i * memory.size}));
    }
    return {};
  }

  Result<> place_one(const DataType& type, const DataType& memory, ByteSpan stored, Place to) {
    switch (type.kind) {
      case Kind::kVlenString:
      case Kind::kVlen:
        return take_handle(type, stored, to);
      case Kind::kArray: {
        uint64_t count = element_count(type.dims);
        if (type.base->size == 0 || count > stored.size() / type.base->size) break;
        return place(*type.base, stored, count, to);
      }
      case Kind::kCompound:
        for (size_t m = 0; m < type.members.size(); ++m) {
          const Member& member = type.members[m];
          if (member.offset > stored.size() || member.type->size > stored.size() - member.offset) {
            return fail(Code::kInvalidData,
                        fmt::format("member {} passes the end of its compound", member.name));
          }
          UPWELL_CHECK(place(*member.type, stored.subspan(member.offset, member.type->size), 1,
                             {to.in_heap, to.offset + memory.members[m].offset}));
        }
        return {};
      default:
        break;
    }
    return fail(Code::kInvalidData, "variable-length parts in a type that cannot hold them");
  }

  Result<> take_handle(const DataType& type, ByteSpan stored, Place to) {
    Cursor in(stored, 0, facts_);
    uint64_t count = in.u32();
    GlobalHeapId id{in.address(), in.u32()};
    UPWELL_CHECK(in.check("variable-length handle"));
    VlenHandle empty{};
    std::memcpy(at(to), &empty, sizeof(empty));
    // Address 0 is how libhdf5 writes "nothing here".
    if (count == 0 || id.address == 0 || id.address == kUndefined) return {};
    handles_.push_back({id, count, &type, to});
    return {};
  }

  Result<> next_level(const LoadCollections& load) {
    std::vector<PendingHandle> level = std::move(handles_);
    handles_.clear();
    std::vector<uint64_t> addresses;
    for (const PendingHandle& h : level) addresses.push_back(h.id.address);
    std::sort(addresses.begin(), addresses.end());
    addresses.erase(std::unique(addresses.begin(), addresses.end()), addresses.end());
    CollectionMap collections;
    UPWELL_CHECK(load(addresses, collections));
    // Handles that share an object share its expansion: many handles to one big object cost what
    // the file holds, not what they claim.
    std::map<std::tuple<const DataType*, uint64_t, uint32_t>, Expanded> expanded;
    for (const PendingHandle& h : level) {
      auto [known, is_new] = expanded.try_emplace({h.type, h.id.address, h.id.index}, Expanded{});
      if (is_new || h.count > known->second.count) {
        UPWELL_TRY(known->second, expand(h, *collections.at(h.id.address)));
      }
      VlenHandle handle{known->second.offset, h.count};
      std::memcpy(at(h.place), &handle, sizeof(handle));
    }
    return {};
  }

  Result<Expanded> expand(const PendingHandle& h, const LoadedCollection& collection) {
    UPWELL_TRY(ByteSpan object, collection.objects.object(h.id.index));
    bool text = h.type->kind == Kind::kVlenString;
    uint64_t size = text ? 1 : h.type->base->size;
    if (size == 0 || h.count > object.size() / size) {
      return fail(Code::kInvalidData,
                  fmt::format("variable-length value of {} elements of {} bytes in object {} of {} "
                              "bytes of the global heap collection at offset {}",
                              h.count, size, h.id.index, object.size(),
                              facts_.base_address + h.id.address));
    }
    if (text) {
      uint64_t offset = out_.heap.size();
      out_.heap.insert(out_.heap.end(), object.begin(), object.begin() + h.count);
      return Expanded{offset, h.count};
    }
    uint64_t offset = (out_.heap.size() + 7) / 8 * 8;
    out_.heap.resize(offset + h.count * memory_of(*h.type->base).size);
    UPWELL_CHECK(place(*h.type->base, object.first(h.count * size), h.count, {true, offset}));
    return Expanded{offset, h.count};
  }

  const FileFacts& facts_;
  Values& out_;
  std::vector<PendingHandle> handles_;
  std::unordered_map<const DataType*, std::unique_ptr<DataType>> memory_types_;
};

Result<> expand_into(const FileFacts& facts, const DataType& type, ByteSpan stored, uint64_t count,
                     const LoadCollections& load, Values& out) {
  size_t data = out.data.size(), heap = out.heap.size();
  Result<> done = VlenExpansion(facts, out).run(type, stored, count, load);
  if (!done) {
    out.data.resize(data);
    out.heap.resize(heap);
  }
  return done;
}

// The last used collections, over all granules that one resolver serves.
class CollectionCache {
 public:
  explicit CollectionCache(uint64_t limit) : limit_(limit) {}

  std::shared_ptr<const LoadedCollection> get(const std::string& url, uint64_t address) {
    std::lock_guard lock(mutex_);
    auto found = entries_.find({url, address});
    if (found == entries_.end()) return nullptr;
    order_.splice(order_.begin(), order_, found->second);
    return found->second->collection;
  }

  void put(const std::string& url, uint64_t address,
           std::shared_ptr<const LoadedCollection> collection) {
    // The table of objects costs about three words more than each object's span.
    uint64_t cost = collection->bytes.size() + collection->objects.size() * 56 + 128;
    std::lock_guard lock(mutex_);
    if (cost > limit_ || entries_.count({url, address}) > 0) return;
    order_.push_front({{url, address}, std::move(collection), cost});
    entries_[{url, address}] = order_.begin();
    used_ += cost;
    while (used_ > limit_) {
      used_ -= order_.back().cost;
      entries_.erase(order_.back().key);
      order_.pop_back();
    }
  }

 private:
  using Key = std::pair<std::string, uint64_t>;
  struct Entry {
    Key key;
    std::shared_ptr<const LoadedCollection> collection;
    uint64_t cost;
  };
  std::mutex mutex_;
  uint64_t limit_;
  uint64_t used_ = 0;
  std::list<Entry> order_;
  std::map<Key, std::list<Entry>::iterator> entries_;
};

class GlobalHeapResolver : public HeapResolver {
 public:
  GlobalHeapResolver(const FileFacts& facts, uint64_t cache_bytes)
      : facts_(facts), cache_(cache_bytes) {}

  Result<> resolve(io::Session& session, const Granule& granule, const DataType& type,
                   ByteSpan stored, uint64_t count, Values& out) const override {
    auto load = [&](const std::vector<uint64_t>& addresses, CollectionMap& loaded) {
      return load_collections(session, granule, addresses, loaded);
    };
    return expand_into(facts_, type, stored, count, load, out);
  }

 private:
  Result<> load_collections(io::Session& session, const Granule& granule,
                            const std::vector<uint64_t>& addresses, CollectionMap& loaded) const {
    std::vector<uint64_t> wanted;
    for (uint64_t address : addresses) {
      if (auto known = cache_.get(granule.url, address)) {
        loaded[address] = std::move(known);
      } else {
        wanted.push_back(address);
      }
    }
    if (wanted.empty()) return {};
    uint64_t object_size = granule.info.size;
    if (object_size == 0) {
      UPWELL_TRY(io::ObjectInfo info, session.stat(granule.url, granule.reach));
      object_size = info.size;
    }
    std::vector<io::ReadRequest> heads;
    for (uint64_t address : wanted) {
      uint64_t offset = facts_.base_address + address;
      if (offset < address || offset >= object_size) {
        return fail(Code::kInvalidData,
                    fmt::format("global heap collection at offset {} lies behind the end of the "
                                "object ({})",
                                offset, object_size));
      }
      heads.push_back(
          {granule.url, {offset, std::min(kUsualCollection, object_size - offset)}, granule.reach});
    }
    auto answers = session.read(heads);
    std::vector<io::ReadRequest> longer;
    std::vector<size_t> which;
    for (size_t i = 0; i < wanted.size(); ++i) {
      UPWELL_TRY(SharedBytes bytes, std::move(answers[i]));
      uint64_t offset = heads[i].range.offset;
      UPWELL_TRY(uint64_t size, global_heap_size(bytes.span(), offset, facts_, object_size));
      if (size > bytes.size()) {
        longer.push_back({granule.url, {offset, size}, granule.reach});
        which.push_back(i);
      } else {
        UPWELL_CHECK(keep(granule, wanted[i], bytes.slice(0, size), loaded));
      }
    }
    if (longer.empty()) return {};
    auto bodies = session.read(longer);
    for (size_t k = 0; k < longer.size(); ++k) {
      UPWELL_TRY(SharedBytes bytes, std::move(bodies[k]));
      UPWELL_CHECK(keep(granule, wanted[which[k]], bytes, loaded));
    }
    return {};
  }

  Result<> keep(const Granule& granule, uint64_t address, const SharedBytes& bytes,
                CollectionMap& loaded) const {
    // A copy: a slice would keep the whole coalesced answer alive in the cache.
    UPWELL_TRY(auto collection,
               parse_collection(facts_, address, SharedBytes(to_bytes(bytes.span()))));
    cache_.put(granule.url, address, collection);
    loaded[address] = std::move(collection);
    return {};
  }

  FileFacts facts_;
  mutable CollectionCache cache_;
};

}  // namespace

std::shared_ptr<const HeapResolver> make_heap_resolver(const FileFacts& facts,
                                                       uint64_t cache_bytes) {
  return std::make_shared<GlobalHeapResolver>(facts, cache_bytes);
}

Result<> resolve_in_window(Window& window, const FileFacts& facts, const DataType& type,
                           ByteSpan stored, uint64_t count, Values& out) {
  auto load = [&](const std::vector<uint64_t>& addresses, CollectionMap& loaded) -> Result<> {
    bool missing = false;
    for (uint64_t address : addresses) {
      Result<ByteSpan> head =
          span_at(window, facts, address, global_heap_head_size(facts), "global heap collection");
      uint64_t offset = facts.base_address + address;
      Result<ByteSpan> bytes = head;
      if (head) {
        UPWELL_TRY(uint64_t size, global_heap_size(*head, offset, facts, window.object_size()));
        bytes = window.get(offset, size);
      } else if (head.error().code == Code::kNeedBytes) {
        (void)window.get_up_to(offset, kUsualCollection);
      }
      if (!bytes && bytes.error().code != Code::kNeedBytes) return fail(bytes.error());
      if (!bytes) {
        missing = true;
        continue;
      }
      UPWELL_TRY(loaded[address], parse_collection(facts, address, SharedBytes(nullptr, *bytes)));
    }
    if (missing) return fail(Code::kNeedBytes, "global heap collections");
    return {};
  };
  return expand_into(facts, type, stored, count, load, out);
}

}  // namespace upwell::format::hdf5
