#pragma once
// Array values in memory, and attributes, which are small ones.

#include <optional>
#include <string>
#include <vector>

#include "cube/data_type.hpp"

namespace upwell {

using Shape = std::vector<uint64_t>;

/// Product of the extents; 1 for a scalar.
uint64_t element_count(const Shape& shape);

/// C-order values. `type` is a memory_type(): native order, packed. Variable-length parts are
/// VlenHandle into `heap` (nested ones too: the same heap).
struct Values {
  DataType type;
  Shape shape;
  Bytes data;
  Bytes heap;

  uint64_t count() const { return element_count(shape); }
  /// Text of element i of a string type of any kind, without padding.
  std::string text(size_t i) const;
  /// Element i of a number, bool, enum or bitfield type. NaN for others.
  double number(size_t i) const;
  /// Exact; 0 for types that are not integers.
  int64_t integer(size_t i) const;
};

/// Whether these are the texts of netCDF's classic model: single bytes along a last axis of their
/// own.
bool are_characters(const DataType& type, const Shape& shape);
/// Such texts, each as one element.
Values joined_characters(Values values);

/// Builders for the common cases.
Values make_text(std::string_view text);
Values make_texts(const std::vector<std::string>& texts);
Values make_number(double value);
Values make_integer(int64_t value);

struct Attribute {
  std::string name;
  Values value;
  bool null_space = false;  ///< HDF5 null dataspace: a type, but no value
};

using Attributes = std::vector<Attribute>;

const Attribute* find_attribute(const Attributes& attributes, std::string_view name);
/// The attribute as text, when it is one string.
std::optional<std::string> text_attribute(const Attributes& attributes, std::string_view name);
/// The attribute as a number, when it is one number.
std::optional<double> number_attribute(const Attributes& attributes, std::string_view name);

/// Converts `count` elements from their stored form (any order, layout, gaps) to memory form. Not
/// for types with has_vlen().
Result<> to_memory(const DataType& stored, ByteSpan in, size_t count, MutableByteSpan out);
/// The reverse, for writing: memory form to `stored`.
Result<> from_memory(const DataType& stored, ByteSpan in, size_t count, MutableByteSpan out);

/// The narrowest type of numbers that holds every value of both exactly; nullopt where there is
/// none (a 64-bit integer beside a float or beside one of other sign). In memory form.
std::optional<DataType> common_number_type(const DataType& a, const DataType& b);
/// Converts `count` numbers between memory types. Exact where common_number_type gave `to`.
Result<> convert_numbers(const DataType& from, ByteSpan in, size_t count, const DataType& to,
                         MutableByteSpan out);
/// `values` as numbers of memory type `type`; nullopt where one of them would change.
std::optional<Values> exact_numbers(const Values& values, const DataType& type);

}  // namespace upwell
