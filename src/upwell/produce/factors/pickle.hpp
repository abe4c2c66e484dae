#pragma once
// Python pickles of numpy arrays and plain containers, read without executing anything.

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "produce/factors/npy.hpp"

namespace upwell::produce {

/// One object of a pickle. Objects refer to each other by number, so that cycles and deep nesting
/// are harmless.
struct PickleObject {
  enum class Kind : uint8_t {
    kNone,
    kBool,     ///< integer
    kInteger,  ///< integer
    kFloat,    ///< number
    kText,     ///< bytes, UTF-8
    kBytes,    ///< bytes
    kList,     ///< items
    kTuple,    ///< items
    kDict,     ///< items: key, value, key, value, ...
    kType,     ///< numpy.dtype: bytes, its name with the byte order
    kArray,    ///< array; items instead of data when its type is object
    kGlobal,   ///< a name that is allowed: bytes, "module name"; only while reading
  };
  Kind kind = Kind::kNone;
  int64_t integer = 0;
  double number = 0;
  ByteSpan bytes;
  std::vector<uint32_t> items;
  NpyArray array;  ///< of kArray; type.kind 'O' for objects
};

struct PickleLimits {
  uint64_t max_objects = uint64_t{1} << 24;
  uint64_t max_items = uint64_t{1} << 26;  ///< of all containers and the stack
};

/// All objects of a pickle.
class Pickle {
 public:
  /// Reads protocols 0 to 5 as pickletools describes them. Known are None, booleans, integers of up
  /// to 64 bits, floats, text, bytes, lists, tuples, dictionaries, and numpy's arrays, types and
  /// scalars. Every other class or function is refused by name (kUnsupported), and nothing is ever
  /// called. Errors name the opcode and its offset. `bytes` must outlive the result, which views
  /// it.
  static Result<Pickle> read(ByteSpan bytes, const PickleLimits& limits = {});

  const PickleObject& root() const { return objects_[root_]; }
  const PickleObject& at(uint32_t i) const { return objects_[i]; }
  /// Item i of a list or tuple; kInvalidData when it is neither, or has fewer.
  Result<const PickleObject*> item(const PickleObject& sequence, size_t i) const;
  /// Value of a key of a dictionary; kInvalidData when it is none or has none.
  Result<const PickleObject*> value(const PickleObject& dict, std::string_view key) const;
  Result<const PickleObject*> value(const PickleObject& dict, int64_t key) const;

 private:
  friend class PickleMachine;
  std::deque<PickleObject> objects_;
  std::deque<Bytes> owned_;  ///< text that is not in the pickle as it is
  uint32_t root_ = 0;
};

}  // namespace upwell::produce
