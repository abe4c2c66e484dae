// Texts that granule production reads by itself: the PO.DAAC table, MITgcm's list of diagnostics,
// receipts, and names.

#include "produce/granules/diagnostics.hpp"
#include "produce/granules/metadata.hpp"
#include "produce/granules/receipt.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell::produce;
  const std::string text(reinterpret_cast<const char*>(data), size);
  if (auto rows = parse_csv(text)) {
    size_t bytes = 0;
    for (const auto& row : *rows) {
      for (const std::string& field : row) bytes += field.size();
    }
    if (bytes > size) __builtin_trap();
  }
  parse_diagnostics(text);
  if (auto receipt = Receipt::parse(text)) {
    auto again = Receipt::parse(receipt->to_json());
    if (!again || again->to_json() != receipt->to_json()) __builtin_trap();
  }
  if (auto name = parse_granule_name(text)) {
    if (name->prefix.size() + name->date.size() > size) __builtin_trap();
  }
  if (auto name = parse_raw_name(text)) {
    if (name->variable.size() > size) __builtin_trap();
  }
  if (auto name = parse_invariant_name(text)) {
    if (name->variable.size() > size) __builtin_trap();
  }
  return 0;
}
