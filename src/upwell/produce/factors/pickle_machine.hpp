#pragma once
// The stack machine that a pickle is a program for. Internal to pickle.cpp and pickle_numpy.cpp.

#include <unordered_map>

#include "produce/factors/pickle.hpp"

namespace upwell::produce {

class PickleMachine {
 public:
  PickleMachine(ByteSpan bytes, const PickleLimits& limits) : bytes_(bytes), limits_(limits) {}
  Result<Pickle> run();

 private:
  using Kind = PickleObject::Kind;

  Result<bool> step(uint8_t opcode);  ///< false at STOP
  Result<bool> step_number(uint8_t opcode);
  Result<bool> step_text(uint8_t opcode);
  Result<bool> step_container(uint8_t opcode);
  Result<bool> step_memo(uint8_t opcode);
  Result<bool> step_global(uint8_t opcode);

  // Arguments in the pickle.
  Result<ByteSpan> take(uint64_t n);
  Result<uint64_t> unsigned_argument(size_t size);
  Result<ByteSpan> sized(size_t size_of_length);
  Result<std::string_view> line();

  // The stack.
  PickleObject& object(uint32_t i) { return result_.objects_[i]; }
  Result<uint32_t> make(Kind kind);
  Result<> push(uint32_t i);
  Result<> push_integer(int64_t value, Kind kind = Kind::kInteger);
  Result<> push_float(double value);
  Result<> push_bytes(Kind kind, ByteSpan bytes);
  Result<uint32_t> pop();
  Result<size_t> pop_mark();  ///< size of the stack below it
  Result<> collect(Kind kind, size_t from);
  Result<> count_items(uint64_t n);
  ByteSpan keep(Bytes bytes);

  // numpy: what REDUCE and BUILD of an allowed name give, without a call.
  Result<> push_global(std::string_view module, std::string_view name);
  Result<> reduce();
  Result<> reduce_type(const PickleObject& arguments);
  Result<> reduce_scalar(const PickleObject& arguments);
  Result<> reduce_buffer(const PickleObject& arguments);
  Result<> reduce_encode(const PickleObject& arguments);
  Result<> build();
  Result<> build_type(uint32_t target, const PickleObject& state);
  Result<> build_array(uint32_t target, const PickleObject& state);
  Result<> set_array(PickleObject& array, const PickleObject& shape, const PickleObject& type,
                     bool fortran, const PickleObject& data);

  ByteSpan bytes_;
  PickleLimits limits_;
  size_t at_ = 0;
  uint64_t items_ = 0;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
  Pickle result_;
};

}  // namespace upwell::produce
