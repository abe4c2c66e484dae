#pragma once
// Thrift's compact protocol, as far as Parquet's footer and page headers need it. Internal.

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::parquet {

/// Types of the compact protocol.
enum class Wire : uint8_t {
  kStop = 0,
  kTrue = 1,
  kFalse = 2,
  kByte = 3,
  kI16 = 4,
  kI32 = 5,
  kI64 = 6,
  kDouble = 7,
  kBinary = 8,
  kList = 9,
  kSet = 10,
  kMap = 11,
  kStruct = 12,
};

struct Field {
  Wire wire = Wire::kStop;
  int16_t id = 0;
};

struct ListHead {
  Wire wire = Wire::kStop;
  uint32_t size = 0;
};

/// Bounded by its bytes: every list element takes at least one.
class ThriftReader {
 public:
  explicit ThriftReader(ByteSpan bytes) : bytes_(bytes) {}

  size_t position() const { return at_; }
  /// Next field of the current struct; kStop at its end. `last` is kept by the caller, 0 at first.
  Result<Field> field(int16_t& last);
  /// zigzag; for kByte, kI16, kI32, kI64.
  Result<int64_t> integer(Wire wire);
  Result<std::string_view> binary();
  Result<ListHead> list();
  Result<> skip(Wire wire, int depth = 0);

 private:
  Result<uint64_t> varint();
  Result<uint8_t> byte();
  ByteSpan bytes_;
  size_t at_ = 0;
};

class ThriftWriter {
 public:
  void begin_struct() { last_.push_back(0); }
  void end_struct();
  void i32(int16_t id, int32_t value);
  void i64(int16_t id, int64_t value);
  void binary(int16_t id, std::string_view value);
  void boolean(int16_t id, bool value);
  void struct_field(int16_t id);
  void list_field(int16_t id, Wire element, uint32_t size);
  /// Elements of a list.
  void element_i32(int32_t value);
  void element_binary(std::string_view value);

  Bytes take() { return std::move(out_); }

 private:
  void header(int16_t id, Wire wire);
  void varint(uint64_t value);
  Bytes out_;
  std::vector<int16_t> last_;
};

}  // namespace upwell::parquet
