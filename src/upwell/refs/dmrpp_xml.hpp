#pragma once
// XML as far as DMR++ documents need it. Internal to refs/.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::refs {

/// An element of an XmlDocument, which must outlive it. Cheap to copy; empty past the last one.
class XmlElement {
 public:
  XmlElement() = default;
  explicit operator bool() const { return node_ != nullptr; }
  /// Without the prefix of a namespace: "chunks" of "dmrpp:chunks".
  std::string_view name() const;
  /// By name without prefix; nullopt when it is not there.
  std::optional<std::string_view> attribute(std::string_view name) const;
  /// All text directly in it.
  std::string text() const;
  XmlElement first_child() const;
  XmlElement next() const;
  /// The first child element of this name.
  XmlElement child(std::string_view name) const;

 private:
  friend class XmlDocument;
  explicit XmlElement(void* node) : node_(node) {}
  void* node_ = nullptr;
};

class XmlDocument {
 public:
  /// At most 1 GiB; text stays in the bytes that it has, whatever encoding the document claims.
  /// kInvalidData with the position when it is not well-formed; document types are refused, so that
  /// there are no entities but the five of XML.
  static Result<XmlDocument> parse(ByteSpan text);
  XmlElement root() const;

 private:
  std::shared_ptr<void> document_;
};

}  // namespace upwell::refs
