#pragma once
// What makes one granule unfit to stand beside another in one array.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// Why a granule cannot be part of the cube as references.
struct Reason {
  std::string kind;     ///< "type", "codecs", "duplicate", ...: see docs/guide/virtualize.md
  std::string path;     ///< of the array or group, "/a/v"; empty: the granule as a whole
  std::string message;  ///< what is different, with both values
};

/// What the audit compares of one array.
struct ArrayFacts {
  std::string path;
  Array head;                  ///< without segments
  SegmentLayout layout;        ///< used when `referenced`
  bool referenced = false;     ///< chunks are referenced: how they are stored must agree
  bool contiguous = false;     ///< referenced, and any run of bytes can be a chunk
  std::optional<size_t> axis;  ///< concat axis
  bool converts_time = false;  ///< read and brought to the first granule's epoch: units may differ
};

/// Compares with the first granule: data type, byte order, codecs, chunk shape, fill, packing,
/// units, calendar, flags, dimension names, sizes of dimensions other than the concat one.
void compare_facts(const ArrayFacts& first, const ArrayFacts& other, std::vector<Reason>& reasons,
                   std::string_view whose = "the first granule");

/// Whether an attribute of an array of this type is a fill value of NaN, which says nothing: NaN is
/// missing anyway.
bool is_nan_fill(const DataType& type, const Attribute& attribute);

/// An attribute that does not change what values mean (those that do are Reasons), kept from the
/// first granule.
struct AttributeDifference {
  std::string path;       ///< of the array or group
  std::string name;       ///< of the attribute
  std::string first;      ///< JSON of the first granule's value; empty: it has none
  std::string other;      ///< JSON of a value that differs; empty: it has none
  std::string example;    ///< URL of a granule with `other`
  uint64_t granules = 0;  ///< how many differ
};

/// Attributes that decide what stored values mean: a difference is a Reason.
bool decides_values(const std::string& attribute);
/// JSON of an attribute's value; empty text where the attribute is not there.
std::string attribute_json(const Attributes& attributes, const std::string& name);
/// Names (sorted) with different values, without those that decide values.
std::vector<std::string> differing_attributes(const Attributes& first, const Attributes& other);

}  // namespace upwell::refs
