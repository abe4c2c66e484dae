// The only place that knows pugixml.

#include "refs/dmrpp_xml.hpp"

#include <fmt/format.h>

#include <pugixml.hpp>

namespace upwell::refs {
namespace {

constexpr size_t kMaxXmlBytes = size_t{1} << 30;

pugi::xml_node pugi_node(void* node) {
  return pugi::xml_node(static_cast<pugi::xml_node_struct*>(node));
}

std::string_view local_name(std::string_view name) { return name.substr(name.rfind(':') + 1); }

void* first_element(pugi::xml_node node) {
  while (node && node.type() != pugi::node_element) node = node.next_sibling();
  return node.internal_object();
}

}  // namespace

std::string_view XmlElement::name() const { return local_name(pugi_node(node_).name()); }

std::optional<std::string_view> XmlElement::attribute(std::string_view name) const {
  for (const pugi::xml_attribute& attribute : pugi_node(node_).attributes()) {
    if (local_name(attribute.name()) == name) return std::string_view(attribute.value());
  }
  return std::nullopt;
}

std::string XmlElement::text() const {
  std::string text;
  for (const pugi::xml_node& child : pugi_node(node_).children()) {
    if (child.type() == pugi::node_pcdata || child.type() == pugi::node_cdata) {
      text += child.value();
    }
  }
  return text;
}

XmlElement XmlElement::first_child() const {
  return XmlElement(first_element(pugi_node(node_).first_child()));
}
XmlElement XmlElement::next() const {
  return XmlElement(first_element(pugi_node(node_).next_sibling()));
}
XmlElement XmlElement::child(std::string_view name) const {
  XmlElement child = first_child();
  while (child && child.name() != name) child = child.next();
  return child;
}

Result<XmlDocument> XmlDocument::parse(ByteSpan text) {
  if (text.size() > kMaxXmlBytes) return fail(Code::kUnsupported, "XML of more than 1 GiB");
  auto document = std::make_shared<pugi::xml_document>();
  constexpr unsigned kOptions = pugi::parse_cdata | pugi::parse_escapes | pugi::parse_eol |
                                pugi::parse_ws_pcdata_single | pugi::parse_doctype;
  const pugi::xml_parse_result result =
      document->load_buffer(text.data(), text.size(), kOptions, pugi::encoding_utf8);
  if (result.status == pugi::status_out_of_memory) {
    return fail(Code::kResourceExhausted, "no memory for the XML document");
  }
  if (!result) {
    return fail(Code::kInvalidData, fmt::format("not well-formed XML at byte {}: {}", result.offset,
                                                result.description()));
  }
  for (const pugi::xml_node& node : document->children()) {
    if (node.type() == pugi::node_doctype) {
      return fail(Code::kInvalidData, "XML with a document type is not read");
    }
  }
  if (!document->document_element()) return fail(Code::kInvalidData, "XML without an element");
  XmlDocument out;
  out.document_ = std::move(document);
  return out;
}

XmlElement XmlDocument::root() const {
  return XmlElement(static_cast<const pugi::xml_document*>(document_.get())
                        ->document_element()
                        .internal_object());
}

}  // namespace upwell::refs
