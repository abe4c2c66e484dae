#pragma once
// HDF5 filter numbers as codecs, and what Python readers can be told of them.

#include <cstdint>
#include <span>
#include <string_view>

#include "codec/codec.hpp"

namespace upwell::codec {

/// The codec of one filter of an HDF5 filter pipeline message (HDF5 file format IV.A.2.l).
/// `element_size`: bytes of one element of the dataset; `name`: the filter's name in the file, for
/// messages. kUnsupported, naming number and name, for filters that are not read; kInvalidData when
/// client data that the filter needs are missing.
Result<CodecSpec> from_hdf5_filter(uint16_t id, std::span<const uint32_t> cd_values,
                                   uint32_t element_size, std::string_view name);

/// Whether numcodecs has this codec under this name with these parameters, so that a reference set
/// may carry it.
bool is_numcodecs(const CodecSpec& spec);

}  // namespace upwell::codec
