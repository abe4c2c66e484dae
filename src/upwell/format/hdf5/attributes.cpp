#include "format/hdf5/attributes.hpp"

#include <algorithm>

#include "format/hdf5/btree2.hpp"
#include "format/hdf5/datatype.hpp"
#include "format/hdf5/heap_resolver.hpp"

namespace upwell::format::hdf5 {
namespace {

struct AttributeParts {
  std::string name;
  MessageBody type, space;
  ByteSpan data;
};

/// Splits the message; types and spaces that are shared are followed.
Result<AttributeParts> split_attribute(Window& window, SharedMessages& shared,
                                       const MessageBody& body) {
  AttributeParts parts;
  Cursor in(body.bytes, body.offset, shared.facts());
  uint8_t version = in.u8();
  uint8_t flags = in.u8();
  if (version == 1) flags = 0;
  size_t name_size = in.u16();
  size_t type_size = in.u16();
  size_t space_size = in.u16();
  if (version == 3) in.skip(1);
  UPWELL_CHECK(in.check("attribute message"));
  if (version < 1 || version > 3)
    return fail(Code::kInvalidData,
                fmt::format("attribute message at offset {} has version {}", body.offset, version));
  auto padding = [version](size_t size) { return version == 1 ? (8 - size % 8) % 8 : 0; };
  auto name = as_text(in.bytes(name_size));
  parts.name = std::string(name.substr(0, name.find('\0')));
  in.skip(padding(name_size));
  parts.type.offset = in.file_offset();
  parts.type.bytes = in.bytes(type_size);
  in.skip(padding(type_size));
  parts.space.offset = in.file_offset();
  parts.space.bytes = in.bytes(space_size);
  in.skip(padding(space_size));
  auto checked = in.check("attribute message");
  if (!checked) return fail(std::move(checked).error().with("attribute '" + parts.name + "'"));
  parts.data = in.bytes(in.left());
  if (flags & 1) {
    UPWELL_TRY(parts.type,
               shared.follow(window, parts.type.bytes, parts.type.offset, kMsgDatatype));
  }
  if (flags & 2) {
    UPWELL_TRY(parts.space,
               shared.follow(window, parts.space.bytes, parts.space.offset, kMsgDataspace));
  }
  return parts;
}

Result<Attribute> attribute_value(Window& window, SharedMessages& shared,
                                  const AttributeParts& parts) {
  Attribute attribute;
  attribute.name = parts.name;
  Cursor type_in(parts.type.bytes, parts.type.offset, shared.facts());
  UPWELL_TRY(DataType type, read_datatype(type_in));
  Cursor space_in(parts.space.bytes, parts.space.offset, shared.facts());
  UPWELL_TRY(Dataspace space, read_dataspace(space_in));
  attribute.value.type = memory_type(type);
  if (space.null_space) {
    attribute.null_space = true;
    attribute.value.shape = {0};
    return attribute;
  }
  attribute.value.shape = space.shape;
  uint64_t count = element_count(space.shape);
  if (count > parts.data.size() / type.size)
    return fail(Code::kInvalidData, fmt::format("{} elements of {} bytes, but {} bytes of data",
                                                count, type.size, parts.data.size()));
  ByteSpan stored = parts.data.first(count * type.size);
  if (type.has_vlen()) {
    UPWELL_CHECK(resolve_in_window(window, shared.facts(), type, stored, count, attribute.value));
    return attribute;
  }
  attribute.value.data.resize(count * attribute.value.type.size);
  UPWELL_CHECK(to_memory(type, stored, count, attribute.value.data));
  return attribute;
}

Result<Attribute> read_attribute(Window& window, SharedMessages& shared, const MessageBody& body) {
  UPWELL_TRY(AttributeParts parts, split_attribute(window, shared, body));
  auto attribute = attribute_value(window, shared, parts);
  if (!attribute && attribute.error().code != Code::kNeedBytes)
    return fail(std::move(attribute).error().with(
        fmt::format("attribute '{}' at offset {}", parts.name, body.offset)));
  return attribute;
}

}  // namespace

Result<> AttributeReader::list_dense(Window& window, SharedMessages& shared, const DenseInfo& info,
                                     std::vector<Pending>& out) {
  if (info.heap == kUndefined || info.names == kUndefined) return {};
  auto records = read_btree2(window, shared.facts(), info.names, Btree2Type::kAttributeName);
  auto heap = shared.heap(window, info.heap);
  if (!records) return fail(std::move(records).error());
  if (!heap) return fail(std::move(heap).error());
  std::vector<ByteSpan> own_ids;
  std::vector<size_t> own;
  for (ByteSpan record : *records) {
    Cursor in(record, 0, shared.facts());
    ByteSpan id = in.bytes(8);
    uint8_t flags = in.u8();
    Pending pending;
    pending.order = in.u32();
    UPWELL_CHECK(in.check("attribute record"));
    if (flags & 2) {
      UPWELL_TRY(pending.body, shared.in_shared_heap(window, id, kMsgAttribute));
    } else {
      own_ids.push_back(id.first(std::min<size_t>(id.size(), (*heap)->id_size())));
      own.push_back(out.size());
    }
    out.push_back(std::move(pending));
  }
  UPWELL_TRY(auto bodies, (*heap)->get_all(window, own_ids));
  for (size_t i = 0; i < own.size(); ++i)
    out[own[i]].body = {bodies[i], shared.facts().base_address + info.heap};
  return {};
}

Result<> AttributeReader::list(Window& window, SharedMessages& shared, const ObjectHeader& header) {
  std::vector<Pending> found;
  std::optional<Error> need;
  for (const Message& message : header.messages()) {
    if (message.type != kMsgAttribute) continue;
    auto body = shared.body(window, message);
    if (!body) {
      if (body.error().code != Code::kNeedBytes) return fail(std::move(body).error());
      need = std::move(body).error();
      continue;
    }
    Pending pending;
    pending.body = *body;
    pending.order = message.creation_order;
    found.push_back(std::move(pending));
  }
  by_order_ = header.tracks_order();
  if (const Message* message = header.find(kMsgAttributeInfo)) {
    Cursor in(message->body, message->offset, shared.facts());
    UPWELL_TRY(DenseInfo info, read_attribute_info(in));
    UPWELL_CHECK(list_dense(window, shared, info, found));
    if (info.heap != kUndefined) by_name_ = !info.tracks_order;
    by_order_ = info.tracks_order;
  }
  if (need) return fail(std::move(*need));
  pending_ = std::move(found);
  listed_ = true;
  return {};
}

Result<> AttributeReader::read(Window& window, SharedMessages& shared, const ObjectHeader& header) {
  if (!listed_) UPWELL_CHECK(list(window, shared, header));
  std::optional<Error> need;
  for (Pending& pending : pending_) {
    if (pending.done) continue;
    auto attribute = read_attribute(window, shared, pending.body);
    if (!attribute && attribute.error().code == Code::kNeedBytes) {
      need = std::move(attribute).error();
      continue;
    }
    pending.done = true;
    pending.good = attribute.has_value();
    if (attribute)
      pending.attribute = std::move(*attribute);
    else
      problems_.push_back(std::move(attribute).error());
  }
  if (need) return fail(std::move(*need));
  return {};
}

Attributes AttributeReader::take() {
  if (by_order_)
    std::stable_sort(pending_.begin(), pending_.end(),
                     [](const Pending& a, const Pending& b) { return a.order < b.order; });
  else if (by_name_)
    std::stable_sort(pending_.begin(), pending_.end(), [](const Pending& a, const Pending& b) {
      return a.attribute.name < b.attribute.name;
    });
  Attributes attributes;
  for (Pending& pending : pending_)
    if (pending.good) attributes.push_back(std::move(pending.attribute));
  pending_.clear();
  return attributes;
}

}  // namespace upwell::format::hdf5
