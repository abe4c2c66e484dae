#pragma once
// Sparse matrices as scipy.sparse.save_npz writes them.

#include "produce/factors/npz.hpp"

namespace upwell::produce {

/// Rows of (index, value) pairs: row r has the entries offsets[r] to offsets[r + 1].
struct SparseRows {
  std::vector<uint32_t> offsets;
  std::vector<uint32_t> indices;
  std::vector<double> values;
};

/// A matrix by its columns: row r of `columns` is column r of the matrix, its indices in ascending
/// order.
struct ColumnMatrix {
  uint64_t rows = 0;
  SparseRows columns;
};

/// Reads csr, csc and coo. Values become double, as they do where scipy multiplies with a vector of
/// double. kInvalidData names the member and the place of what is wrong.
Result<ColumnMatrix> read_scipy_sparse(SharedBytes npz);

}  // namespace upwell::produce
