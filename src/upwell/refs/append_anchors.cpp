#include <algorithm>

#include "refs/append.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {
namespace {

/// Takes arrays without the concat dimension from a granule into a store.
class StaticTaker {
 public:
  StaticTaker(io::Session& session, Dataset& store, const StoreRecord& record,
              const Dataset& granule)
      : session_(session), store_(store), record_(record), granule_(granule) {}

  Result<> take(Group& group, const Group& from, const std::string& path) {
    for (Array& array : group.arrays) {
      const auto& names = array.dimensions;
      if (names_array(record_.loaded, path + array.name) ||
          std::find(names.begin(), names.end(), record_.concat) != names.end())
        continue;
      const Array* source = from.find_array(array.name);
      if (source == nullptr || source->shape != array.shape || array.segments.empty())
        return fail(Code::kInvalidData, path + array.name + ": lies in a granule that goes, and " +
                                            "another has none of its shape");
      UPWELL_TRY(const ExpressibleArray express,
                 ExpressibleArray::make(session_, granule_, *source));
      const SegmentLayout& layout = express.layout();
      const ZarrView view{
          source->type, layout.chunk_shape, layout.codecs, layout.fortran_order, {}};
      UPWELL_TRY(const std::string theirs, zarr2_array_json(*source, view));
      UPWELL_TRY(const std::string ours, zarr2_array_json(array, stored_view(array)));
      if (ours != theirs)
        return fail(Code::kInvalidData, path + array.name + ": lies in a granule that goes, and " +
                                            "another stores it in another way: " + ours + ", " +
                                            theirs);
      auto index = std::make_shared<DenseChunkIndex>(express.chunk_count());
      UPWELL_CHECK(express.for_each_block([&](uint64_t at, std::span<ChunkRef> refs) -> Result<> {
        for (const ChunkRef& ref : refs) {
          if (ref.state == ChunkRef::State::kStored)
            index->set(at, store_.granules->intern(granule_.granules->at(ref.granule)), ref.offset,
                       ref.length);
          else if (ref.state == ChunkRef::State::kInline)
            index->set_inline(at, to_bytes(ref.bytes.span()));
          ++at;
        }
        return {};
      }));
      array.segments[0].chunks = std::move(index);
    }
    for (Group& child : group.groups)
      for (const Group& match : from.groups)
        if (match.name == child.name) UPWELL_CHECK(take(child, match, path + child.name + "/"));
    return {};
  }

 private:
  io::Session& session_;
  Dataset& store_;
  const StoreRecord& record_;
  const Dataset& granule_;
};

}  // namespace

Result<std::unordered_set<std::string>> anchors_of(const Dataset& store,
                                                   const StoreRecord& record) {
  std::unordered_set<std::string> out;
  Result<> result;
  for_each_array(store.root, [&](const std::string& path, const Array& array) {
    const auto& names = array.dimensions;
    if (!result || array.segments.empty() || names_array(record.loaded, path) ||
        std::find(names.begin(), names.end(), record.concat) != names.end())
      return;
    result =
        visit_references(path, array, [&](uint64_t, const std::vector<ChunkRef>& refs) -> Result<> {
          for (const ChunkRef& ref : refs)
            if (ref.state == ChunkRef::State::kStored)
              out.insert(store.granules->at(ref.granule).url);
          return {};
        });
  });
  UPWELL_CHECK(result);
  return out;
}

Result<> take_static(io::Session& session, Dataset& store, const StoreRecord& record,
                     const Dataset& granule) {
  return StaticTaker(session, store, record, granule).take(store.root, granule.root, "/");
}

}  // namespace upwell::refs
