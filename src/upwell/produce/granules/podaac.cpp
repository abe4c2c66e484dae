#include <fmt/core.h>

#include <algorithm>
#include <array>

#include "produce/granules/metadata.hpp"

namespace upwell::produce {
namespace {

/// Reads one field and what ends it.
class CsvReader {
 public:
  explicit CsvReader(std::string_view text) : text_(text) {}

  bool done() const { return at_ >= text_.size(); }

  Result<std::vector<std::string>> row() {
    std::vector<std::string> fields;
    for (bool more = true; more;) {
      UPWELL_TRY(std::string field, this->field());
      fields.push_back(std::move(field));
      more = !done() && text_[at_] == ',';
      if (more) ++at_;
    }
    if (!done() && text_[at_] == '\r') ++at_;
    if (!done() && text_[at_] == '\n') ++at_;
    return fields;
  }

 private:
  Result<std::string> field() {
    if (done() || text_[at_] != '"') {
      const size_t end = std::min(text_.find_first_of(",\r\n", at_), text_.size());
      std::string plain(text_.substr(at_, end - at_));
      at_ = end;
      return plain;
    }
    std::string quoted;
    const size_t begin = at_++;
    for (;;) {
      const size_t end = text_.find('"', at_);
      if (end == std::string_view::npos) {
        const auto line = std::count(text_.begin(), text_.begin() + begin, '\n') + 1;
        return fail(Code::kInvalidData, fmt::format("line {}: a quote that does not end", line));
      }
      quoted += text_.substr(at_, end - at_);
      at_ = end + 1;
      if (done() || text_[at_] != '"') return quoted;
      quoted += '"';
      ++at_;
    }
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Result<std::vector<std::vector<std::string>>> parse_csv(std::string_view text) {
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  CsvReader reader(text);
  std::vector<std::vector<std::string>> rows;
  while (!reader.done()) {
    UPWELL_TRY(std::vector<std::string> row, reader.row());
    rows.push_back(std::move(row));
  }
  return rows;
}

Result<std::vector<PodaacRow>> Metadata::load_podaac(io::Session& session,
                                                     const std::string& file) const {
  const std::string url = location_ + file;
  UPWELL_TRY(SharedBytes text, session.read_one(url));
  auto table = parse_csv(as_text(text.span()));
  if (!table) return fail(std::move(table).error().with(url));
  constexpr std::array<const char*, 4> kColumns{"DATASET.FILENAME", "DATASET.LONG_NAME",
                                                "DATASET.SHORT_NAME", "DATASET.PERSISTENT_ID"};
  std::array<size_t, 4> columns{};
  for (size_t c = 0; c < kColumns.size(); ++c) {
    const std::vector<std::string> head =
        table->empty() ? std::vector<std::string>{} : table->front();
    columns[c] = std::find(head.begin(), head.end(), kColumns[c]) - head.begin();
    if (columns[c] == head.size())
      return fail(Code::kInvalidData, url + ":1: no column " + kColumns[c]);
  }
  std::vector<PodaacRow> rows;
  for (size_t r = 1; r < table->size(); ++r) {
    const std::vector<std::string>& row = (*table)[r];
    if (row.size() <= *std::max_element(columns.begin(), columns.end())) continue;
    rows.push_back({row[columns[0]], row[columns[1]], row[columns[2]], row[columns[3]]});
  }
  return rows;
}

std::vector<const PodaacRow*> matching_rows(const std::vector<PodaacRow>& rows,
                                            const GranuleName& name) {
  std::vector<const PodaacRow*> found;
  for (const PodaacRow& row : rows) {
    const auto other = parse_granule_name(row.file_name);
    if (other && other->prefix == name.prefix && other->tag == name.tag &&
        other->grid == name.grid && other->label == name.label)
      found.push_back(&row);
  }
  return found;
}

}  // namespace upwell::produce
