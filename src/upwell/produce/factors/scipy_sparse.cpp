#include "produce/factors/scipy_sparse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <limits>

namespace upwell::produce {
namespace {

constexpr uint64_t kMostEntries = std::numeric_limits<uint32_t>::max() - 1;

tl::unexpected<Error> bad_matrix(const std::string& what) { return fail(Code::kInvalidData, what); }

Result<std::vector<uint32_t>> read_indices(const NpzReader& npz, const char* name) {
  UPWELL_TRY(const OwnedArray array, read_array(npz, name));
  auto values = array.array.as_uint32();
  if (!values) return fail(std::move(values).error().with(name));
  return values;
}

Result<std::string> read_format(const NpzReader& npz) {
  UPWELL_TRY(const OwnedArray array, read_array(npz, "format"));
  const ElementType& type = array.array.type;
  if (type.kind != 'S' || array.array.size() != 1 || type.size > 8)
    return fail(Code::kUnsupported, "format.npy is no short text");
  std::string format(as_text(array.array.data));
  while (!format.empty() && format.back() == '\0') format.pop_back();
  return format;
}

/// Row (or column) of each entry from the offsets of its row (or column).
Result<std::vector<uint32_t>> expand(const std::vector<uint32_t>& offsets, uint64_t rows,
                                     uint64_t entries) {
  if (offsets.size() != rows + 1 || offsets.front() != 0 || offsets.back() != entries)
    return bad_matrix(fmt::format("indptr.npy: {} offsets for {} rows of {} entries",
                                  offsets.size(), rows, entries));
  // Before anything is written: those that rise to `entries` stay below it.
  const auto fall = std::adjacent_find(offsets.begin(), offsets.end(), std::greater<>());
  if (fall != offsets.end())
    return bad_matrix(fmt::format("indptr.npy: offset {} is above the next",
                                  std::distance(offsets.begin(), fall)));
  std::vector<uint32_t> out(entries);
  for (uint64_t r = 0; r < rows; ++r)
    std::fill(out.begin() + offsets[r], out.begin() + offsets[r + 1], static_cast<uint32_t>(r));
  return out;
}

Result<> check_below(const std::vector<uint32_t>& indices, uint64_t limit, const char* name) {
  for (size_t i = 0; i < indices.size(); ++i) {
    if (indices[i] >= limit)
      return bad_matrix(fmt::format("{}: element {} is {}, of {}", name, i, indices[i], limit));
  }
  return {};
}

/// Entries in ascending order of rows within each column: as the product adds them up.
SparseRows by_column(const std::vector<uint32_t>& row, const std::vector<uint32_t>& column,
                     const std::vector<double>& value, uint64_t columns) {
  std::vector<uint32_t> order(row.size());
  for (uint32_t i = 0; i < order.size(); ++i) order[i] = i;
  if (!std::is_sorted(row.begin(), row.end()))
    std::stable_sort(order.begin(), order.end(),
                     [&](uint32_t a, uint32_t b) { return row[a] < row[b]; });
  SparseRows out;
  out.offsets.assign(columns + 1, 0);
  for (const uint32_t c : column) ++out.offsets[c + 1];
  for (uint64_t c = 0; c < columns; ++c) out.offsets[c + 1] += out.offsets[c];
  std::vector<uint32_t> next(out.offsets.begin(), out.offsets.end() - 1);
  out.indices.resize(row.size());
  out.values.resize(row.size());
  for (const uint32_t i : order) {
    const uint32_t place = next[column[i]]++;
    out.indices[place] = row[i];
    out.values[place] = value[i];
  }
  return out;
}

}  // namespace

Result<ColumnMatrix> read_scipy_sparse(SharedBytes npz) {
  UPWELL_TRY(const NpzReader reader, NpzReader::open(std::move(npz)));
  UPWELL_TRY(const std::string format, read_format(reader));
  UPWELL_TRY(const std::vector<uint32_t> shape, read_indices(reader, "shape"));
  if (shape.size() != 2)
    return bad_matrix(fmt::format("shape.npy: {} sizes, not two", shape.size()));
  UPWELL_TRY(const OwnedArray data, read_array(reader, "data"));
  UPWELL_TRY(const std::vector<double> values, data.array.as_doubles());
  if (values.size() > kMostEntries)
    return fail(Code::kUnsupported, "a matrix of 2^32 entries and more");
  // Columns have no bytes in the file: what it says of their number is bounded by what a grid can
  // have.
  if (shape[1] > uint32_t{1} << 28)
    return fail(Code::kUnsupported, "a matrix of more than 2^28 columns");

  std::vector<uint32_t> row, column;
  if (format == "coo") {
    UPWELL_TRY(row, read_indices(reader, "row"));
    UPWELL_TRY(column, read_indices(reader, "col"));
  } else if (format == "csr" || format == "csc") {
    const bool by_row = format == "csr";
    UPWELL_TRY(const std::vector<uint32_t> offsets, read_indices(reader, "indptr"));
    std::vector<uint32_t>& across = by_row ? column : row;
    std::vector<uint32_t>& along = by_row ? row : column;
    UPWELL_TRY(across, read_indices(reader, "indices"));
    UPWELL_TRY(along, expand(offsets, by_row ? shape[0] : shape[1], values.size()));
  } else {
    return fail(Code::kUnsupported, "sparse matrix format '" + format + "'");
  }
  if (row.size() != values.size() || column.size() != values.size())
    return bad_matrix(fmt::format("{} rows and {} columns for {} values", row.size(), column.size(),
                                  values.size()));
  UPWELL_CHECK(check_below(row, shape[0], "row of an entry"));
  UPWELL_CHECK(check_below(column, shape[1], "column of an entry"));
  return ColumnMatrix{shape[0], by_column(row, column, values, shape[1])};
}

}  // namespace upwell::produce
