// Mapping factors of others and of our own. The first byte says what the rest is: 'p' a pickle, 'x'
// a pickle in .xz, 'y' a .npy, 's' a sparse matrix of scipy, else a file of Upwell's own form.

#include "produce/factors/factors.hpp"
#include "produce/factors/mapper.hpp"
#include "produce/factors/pickle.hpp"
#include "produce/factors/xz.hpp"

namespace {

using namespace upwell;
using namespace upwell::produce;

void look_at(const Result<Pickle>& pickle) {
  if (!pickle) return;
  const PickleObject& root = pickle->root();
  if (root.kind == PickleObject::Kind::kArray && root.array.type.kind != 'O')
    (void)root.array.as_doubles();
  auto item = pickle->item(root, 0);
  if (item && (*item)->kind == PickleObject::Kind::kArray) (void)(*item)->array.as_uint32();
  (void)pickle->value(root, "lat");
  (void)pickle->value(root, int64_t{0});
}

void map_zeros(const MappingFactors& factors) {
  if (factors.levels() == 0 || factors.sources() > 1 << 20 || factors.cells() > 1 << 20) return;
  (void)factors.level(0);
  auto mapper = Mapper::make(factors, FieldOrder::kTiles);
  if (!mapper) return;
  const std::vector<float> field(factors.sources());
  std::vector<float> out(factors.cells());
  const std::vector<MapTask> tasks(2, MapTask{0, field.data(), out.data(), nullptr});
  (void)mapper->map(tasks, FieldType::kFloat32, 1);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const ByteSpan rest(data + 1, size - 1);
  const PickleLimits limits{1 << 16, 1 << 18};
  switch (data[0]) {
    case 'p':
      look_at(Pickle::read(rest, limits));
      break;
    case 'x':
      if (auto bytes = decompress_xz(rest, 1 << 20)) look_at(Pickle::read(*bytes, limits));
      break;
    case 'y':
      if (auto array = parse_npy(rest)) (void)array->as_doubles();
      break;
    case 's':
      (void)read_scipy_sparse(SharedBytes(to_bytes(rest)));
      break;
    default:
      if (auto factors = MappingFactors::parse(SharedBytes(to_bytes(rest)))) map_zeros(*factors);
  }
  return 0;
}
