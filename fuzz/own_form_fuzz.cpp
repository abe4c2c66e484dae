// Upwell's own form. The first byte says what the rest is: 'm' a manifest, 'p' a part.json, else an
// Arrow IPC file.

#include "refs/store/arrow.hpp"
#include "refs/store/documents.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  if (size == 0) return 0;
  const ByteSpan rest(data + 1, size - 1);
  if (data[0] == 'm') {
    std::vector<Problem> problems;
    std::vector<std::string> dropped;
    auto manifest = refs::parse_manifest(rest, {}, problems, dropped);
    if (manifest) (void)refs::manifest_json(*manifest);
  } else if (data[0] == 'p') {
    auto part = refs::parse_part(as_text(rest));
    if (part) (void)refs::part_json(*part);
  } else {
    auto table =
        refs::arrow::open_table(std::make_shared<refs::StoreFile>(SharedBytes(to_bytes(rest))));
    for (size_t i = 0; table && i < table->columns.size(); ++i) {
      const auto& field = table->columns[i].field;
      auto rows = refs::arrow::read_rows(*table, field.name, field.type, 0, table->rows);
      for (uint64_t row = 0; rows && row < table->rows; ++row) {
        if (refs::arrow::width_of(field.type) > 0)
          (void)rows->number(row);
        else
          (void)rows->bytes(row);
      }
    }
  }
  return 0;
}
