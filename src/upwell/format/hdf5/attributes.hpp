#pragma once
// Attributes of one object, compact and dense (format specification IV.A.2.m, IV.A.2.v).

#include "cube/dataset.hpp"
#include "format/hdf5/messages.hpp"
#include "format/hdf5/shared_messages.hpp"

namespace upwell::format::hdf5 {

/// Reads them all, values of variable length too; keeps what it has read between rounds.
class AttributeReader {
 public:
  /// kNeedBytes until all are there. An error means that they cannot be listed; single attributes
  /// that cannot be read are in `problems`.
  Result<> read(Window& window, SharedMessages& shared, const ObjectHeader& header);

  /// In creation order where the file tracks it, else by name (dense) or as stored (compact).
  Attributes take();
  std::vector<Error>& problems() { return problems_; }

 private:
  struct Pending {
    MessageBody body;
    uint64_t order = 0;
    bool done = false;
    Attribute attribute = {};
    bool good = false;
  };
  Result<> list(Window& window, SharedMessages& shared, const ObjectHeader& header);
  Result<> list_dense(Window& window, SharedMessages& shared, const DenseInfo& info,
                      std::vector<Pending>& out);

  bool listed_ = false;
  bool by_order_ = false;
  bool by_name_ = false;
  std::vector<Pending> pending_;
  std::vector<Error> problems_;
};

}  // namespace upwell::format::hdf5
