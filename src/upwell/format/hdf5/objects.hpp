#pragma once
// The objects of a file while it is read. Internal to the reader.

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "format/hdf5/attributes.hpp"
#include "format/hdf5/dataset_reader.hpp"
#include "format/hdf5/links.hpp"

namespace upwell::format::hdf5 {

/// One object header and all that belongs to it. Several links may lead to it.
struct Object {
  enum class What : uint8_t { kUnknown, kGroup, kDataset, kType };

  Object(uint64_t address, std::string first_path) : header(address), path(std::move(first_path)) {}

  ObjectHeader header;
  std::string path;  ///< by which it was found first
  What what = What::kUnknown;
  std::optional<Error> error;  ///< it cannot be read
  std::vector<Error> attribute_errors;
  Attributes attributes;  ///< all of them
  AttributeReader attribute_reader;
  std::vector<Link> links;                          ///< of a group
  std::unordered_map<std::string, size_t> by_name;  ///< into links
  std::unique_ptr<DatasetReader> dataset;
  std::unique_ptr<ChunkWalk> scout;  ///< while the header lacks a part
  bool used = false;  ///< of a dataset: its chunks are wanted, not only what describes it
  std::optional<DataType> type;  ///< of a named type
};

/// All objects by address.
struct Objects {
  std::deque<Object> all;
  std::unordered_map<uint64_t, Object*> by_address;
  Object* root = nullptr;
  /// Of a part of a file: datasets of which only the extent is known, by address.
  std::unordered_map<uint64_t, Shape> measured;

  Object* find(uint64_t address) const {
    auto found = by_address.find(address);
    return found == by_address.end() ? nullptr : found->second;
  }
};

}  // namespace upwell::format::hdf5
