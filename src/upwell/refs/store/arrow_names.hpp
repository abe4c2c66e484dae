#pragma once
// Numbers of Arrow's Schema.fbs, Message.fbs and File.fbs. Internal to refs/store.

#include <cstdint>
#include <string_view>

namespace upwell::refs::arrow {

inline constexpr std::string_view kMagic = "ARROW1";
inline constexpr std::string_view kEndOfStream{"\xff\xff\xff\xff\0\0\0\0", 8};
inline constexpr uint64_t kAlignment = 64;
inline constexpr uint64_t kVersion5 = 4;  // MetadataVersion.V5

inline constexpr uint16_t kMessageVersion = 0, kMessageHeaderType = 1, kMessageHeader = 2,
                          kMessageBodyLength = 3;
inline constexpr uint64_t kHeaderSchema = 1, kHeaderRecordBatch = 3;
inline constexpr uint16_t kSchemaEndianness = 0, kSchemaFields = 1;
inline constexpr uint16_t kFieldName = 0, kFieldNullable = 1, kFieldTypeType = 2, kFieldType = 3,
                          kFieldDictionary = 4, kFieldChildren = 5;
inline constexpr uint64_t kTypeInt = 2, kTypeLargeBinary = 19, kTypeLargeUtf8 = 20;
inline constexpr uint16_t kIntBits = 0, kIntSigned = 1;
inline constexpr uint16_t kBatchLength = 0, kBatchNodes = 1, kBatchBuffers = 2,
                          kBatchCompression = 3;
inline constexpr uint16_t kFooterVersion = 0, kFooterSchema = 1, kFooterBatches = 3;

}  // namespace upwell::refs::arrow
