#pragma once
// The element types of HDF5, netCDF and Zarr in one small description.

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell {

enum class Kind : uint8_t {
  kInt,  ///< two's complement, size 1, 2, 4, 8
  kUint,
  kFloat,            ///< IEEE 754, size 2, 4, 8 (other layouts: see BitLayout)
  kComplex,          ///< two floats, size 8 or 16
  kBool,             ///< one byte, 0 or 1
  kBitfield,         ///< HDF5 bitfield, size 1, 2, 4, 8
  kString,           ///< `size` bytes, padded as `padding` says
  kUnicode,          ///< UCS-4, size 4 n (numpy U)
  kOpaque,           ///< `size` bytes with a tag
  kDatetime,         ///< int64 since 1970 in `tag` units (numpy M8)
  kTimedelta,        ///< int64 in `tag` units (numpy m8)
  kVlenString,       ///< variable length text
  kVlen,             ///< variable length sequence of base()
  kArray,            ///< fixed block of base(), `dims`
  kCompound,         ///< members
  kEnum,             ///< base() integer with names
  kReference,        ///< HDF5 object reference
  kRegionReference,  ///< HDF5 dataset region reference
  kTime,             ///< HDF5 class 2 (never used in practice)
};

enum class ByteOrder : uint8_t { kLittle, kBig, kVax };
enum class StringPadding : uint8_t { kNullTerminated, kNullPadded, kSpacePadded };

/// Where the value bits lie when they are not the plain ones of the size (HDF5 fixed and floating
/// point, IV.A.2.d).
struct BitLayout {
  uint32_t offset = 0;
  uint32_t precision = 0;
  uint8_t low_pad = 0, high_pad = 0, internal_pad = 0;
  uint32_t sign_position = 0, exponent_position = 0, exponent_size = 0, mantissa_position = 0,
           mantissa_size = 0;
  uint32_t exponent_bias = 0;
  uint8_t mantissa_norm = 0;  ///< 0 none, 1 always set, 2 implied
  bool operator==(const BitLayout&) const = default;
};

struct DataType;

struct Member {
  std::string name;
  uint32_t offset = 0;
  std::shared_ptr<const DataType> type;
  bool operator==(const Member& other) const;
};

struct EnumValue {
  std::string name;
  Bytes value;  ///< in the base type as stored
  bool operator==(const EnumValue&) const = default;
};

struct DataType {
  Kind kind = Kind::kUint;
  uint32_t size = 1;  ///< bytes of one element as stored. kVlenString and kVlen: size of the stored
                      ///< handle (0 where there is none)
  ByteOrder order = ByteOrder::kLittle;
  StringPadding padding = StringPadding::kNullPadded;
  bool utf8 = false;
  std::shared_ptr<const BitLayout> layout;  ///< null: plain
  std::shared_ptr<const DataType> base;     ///< kVlen, kArray, kEnum
  std::vector<uint64_t> dims;               ///< kArray
  std::vector<Member> members;              ///< kCompound
  std::vector<EnumValue> values;            ///< kEnum
  std::string tag;  ///< kOpaque tag; kDatetime, kTimedelta unit ("ns", "s", "D")

  bool operator==(const DataType& other) const;  ///< deep
  bool is_number() const {
    return kind == Kind::kInt || kind == Kind::kUint || kind == Kind::kFloat;
  }
  /// True when any part is variable length: elements are then handles, not values.
  bool has_vlen() const;

  static DataType integer(uint32_t size, ByteOrder order = ByteOrder::kLittle);
  static DataType unsigned_integer(uint32_t size, ByteOrder order = ByteOrder::kLittle);
  static DataType floating(uint32_t size, ByteOrder order = ByteOrder::kLittle);
  static DataType fixed_string(uint32_t size);
  static DataType vlen_string();
};

/// One element of variable length in memory (kVlenString, kVlen): `count` elements (bytes for
/// strings) at `offset` of the heap.
struct VlenHandle {
  uint64_t offset = 0;
  uint64_t count = 0;
};

/// The type that values of `stored` have in memory: native byte order, plain layout, members packed
/// without gaps, variable-length parts as 16-byte VlenHandle.
DataType memory_type(const DataType& stored);

/// numpy / Zarr v2 form: "<f4", "|S8", "|O" (variable-length strings); compound as a JSON list.
/// kUnsupported where there is none.
Result<std::string> to_numpy(const DataType& type);
Result<DataType> from_numpy(
    const std::string& dtype);  ///< also takes the JSON list of a structured type
/// Zarr v3 data_type name ("float32"); byte order lives in the codec. kUnsupported where there is
/// none.
Result<std::string> to_zarr3(const DataType& type);
Result<DataType> from_zarr3(const std::string& name);
/// For people: "float32", "int16 (big endian)", "compound{a: int32, b: string}".
std::string describe(const DataType& type);

}  // namespace upwell
