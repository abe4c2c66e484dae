#include "format/hdf5/links.hpp"

#include <algorithm>
#include <unordered_set>

#include "format/hdf5/btree2.hpp"

namespace upwell::format::hdf5 {
namespace {

/// The local heap that holds the names of a symbol table.
Result<ByteSpan> read_local_heap(Window& window, const FileFacts& facts, uint64_t address) {
  if (address == kUndefined) return fail(Code::kInvalidData, "symbol table without a local heap");
  uint64_t at = facts.base_address + address;
  size_t size = 8 + 2 * facts.length_size + facts.offset_size;
  UPWELL_TRY(ByteSpan head, window.get(at, size, 512));
  if (as_text(head.first(4)) != "HEAP")
    return fail(Code::kInvalidData, fmt::format("no local heap at offset {}", at));
  Cursor in(head, at, facts);
  in.skip(8);
  uint64_t length = in.length();
  in.length();
  uint64_t data = in.address();
  UPWELL_CHECK(in.check("local heap"));
  if (data == kUndefined) return ByteSpan{};
  return window.get(facts.base_address + data, length);
}

Result<std::string> heap_text(ByteSpan heap, uint64_t offset, uint64_t at) {
  if (offset >= heap.size())
    return fail(Code::kInvalidData,
                fmt::format("symbol table node at offset {}: a name lies outside of its heap", at));
  auto text = as_text(heap.subspan(offset));
  auto end = text.find('\0');
  if (end == std::string_view::npos)
    return fail(Code::kInvalidData,
                fmt::format("symbol table node at offset {}: a name has no end", at));
  return std::string(text.substr(0, end));
}

/// Walks a version 1 group B-tree; collects symbol table nodes.
class GroupTree {
 public:
  GroupTree(Window& window, const FileFacts& facts) : window_(window), facts_(facts) {}

  Result<> walk(uint64_t root) {
    struct Node {
      uint64_t address;
      int level;  // -1: not known
    };
    std::vector<Node> level{{root, -1}};
    while (!level.empty()) {
      std::vector<Node> below;
      for (const Node& node : level) {
        auto children = read_node(node.address, node.level);
        if (!children) {
          if (children.error().code != Code::kNeedBytes) return fail(std::move(children).error());
          need_ = std::move(children).error();
          continue;
        }
        for (uint64_t child : children->second)
          if (children->first > 0)
            below.push_back({child, children->first - 1});
          else
            leaves_.push_back(child);
      }
      level = std::move(below);
    }
    return {};
  }

  Result<> read_leaves(ByteSpan heap, std::vector<Link>& links) {
    for (uint64_t leaf : leaves_) {
      auto read = read_leaf(leaf, heap, links);
      if (read) continue;
      if (read.error().code != Code::kNeedBytes) return read;
      need_ = std::move(read).error();
    }
    return {};
  }

  Result<> finish() {
    if (need_) return fail(std::move(*need_));
    return {};
  }

 private:
  Result<std::pair<int, std::vector<uint64_t>>> read_node(uint64_t address, int expected) {
    if (address == kUndefined || address > window_.object_size())
      return fail(Code::kInvalidData, fmt::format("group B-tree points to address {}", address));
    if (!visited_.insert(address).second)
      return fail(Code::kInvalidData,
                  fmt::format("group B-tree reaches the node at address {} twice", address));
    uint64_t at = facts_.base_address + address;
    size_t head_size = 8 + 2 * facts_.offset_size;
    size_t pair = facts_.length_size + facts_.offset_size;
    UPWELL_TRY(ByteSpan head,
               window_.get(at, head_size, head_size + 2 * facts_.group_internal_k * pair + 8));
    if (as_text(head.first(4)) != "TREE" || head[4] != 0)
      return fail(Code::kInvalidData, fmt::format("no group B-tree node at offset {}", at));
    int level = head[5];
    if (expected >= 0 && level != expected)
      return fail(Code::kInvalidData,
                  fmt::format("group B-tree node at offset {} has level {} instead of {}", at,
                              level, expected));
    size_t used = load_le<uint16_t>(head.data() + 6);
    UPWELL_TRY(ByteSpan node, window_.get(at, head_size + used * pair + facts_.length_size));
    Cursor in(node, at, facts_);
    in.skip(head_size);
    std::vector<uint64_t> children;
    for (size_t i = 0; i < used; ++i) {
      in.length();
      children.push_back(in.address());
    }
    UPWELL_CHECK(in.check("group B-tree node"));
    return std::pair{level, std::move(children)};
  }

  Result<> read_leaf(uint64_t address, ByteSpan heap, std::vector<Link>& links) {
    if (address == kUndefined || address > window_.object_size())
      return fail(Code::kInvalidData, fmt::format("group B-tree points to address {}", address));
    if (!visited_.insert(address).second)
      return fail(Code::kInvalidData,
                  fmt::format("group B-tree reaches the node at address {} twice", address));
    uint64_t at = facts_.base_address + address;
    size_t entry = facts_.length_size + facts_.offset_size + 24;
    UPWELL_TRY(ByteSpan head, window_.get(at, 8, 8 + 2 * facts_.group_leaf_k * entry));
    if (as_text(head.first(4)) != "SNOD")
      return fail(Code::kInvalidData, fmt::format("no symbol table node at offset {}", at));
    size_t count = load_le<uint16_t>(head.data() + 6);
    UPWELL_TRY(ByteSpan node, window_.get(at, 8 + count * entry));
    Cursor in(node, at, facts_);
    in.skip(8);
    for (size_t i = 0; i < count; ++i) {
      Link link;
      uint64_t name = in.length();
      link.address = in.address();
      uint32_t cache = in.u32();
      in.skip(4);
      uint32_t value = in.u32();
      in.skip(12);
      if (heap.empty() && need_) continue;  // the heap is not there yet
      UPWELL_TRY(link.name, heap_text(heap, name, at));
      if (cache == 2) {
        link.kind = Link::Kind::kSoft;
        UPWELL_TRY(link.path, heap_text(heap, value, at));
      }
      links.push_back(std::move(link));
    }
    return in.check("symbol table node");
  }

  Window& window_;
  const FileFacts& facts_;
  std::vector<uint64_t> leaves_;
  std::unordered_set<uint64_t> visited_;
  std::optional<Error> need_;
  friend Result<std::vector<Link>> read_symbol_table(Window&, const FileFacts&, const Message&);
};

Result<std::vector<Link>> read_symbol_table(Window& window, const FileFacts& facts,
                                            const Message& message) {
  Cursor in(message.body, message.offset, facts);
  uint64_t tree_address = in.address();
  uint64_t heap_address = in.address();
  UPWELL_CHECK(in.check("symbol table message"));
  std::vector<Link> links;
  GroupTree tree(window, facts);
  ByteSpan heap;
  auto heap_read = read_local_heap(window, facts, heap_address);
  if (heap_read) {
    heap = *heap_read;
  } else {
    if (heap_read.error().code != Code::kNeedBytes) return fail(std::move(heap_read).error());
    tree.need_ = std::move(heap_read).error();
  }
  UPWELL_CHECK(tree.walk(tree_address));
  UPWELL_CHECK(tree.read_leaves(heap, links));
  UPWELL_CHECK(tree.finish());
  return links;
}

Result<> read_dense_links(Window& window, SharedMessages& shared, const DenseInfo& info,
                          std::vector<Link>& links) {
  if (info.heap == kUndefined || info.names == kUndefined) return {};
  auto records = read_btree2(window, shared.facts(), info.names, Btree2Type::kLinkName);
  auto heap = shared.heap(window, info.heap);
  if (!records) return fail(std::move(records).error());
  if (!heap) return fail(std::move(heap).error());
  std::vector<ByteSpan> ids;
  for (ByteSpan record : *records) {
    if (record.size() < 4 + (*heap)->id_size())
      return fail(Code::kInvalidData,
                  fmt::format("link record of {} bytes in the B-tree at offset {}", record.size(),
                              shared.facts().base_address + info.names));
    ids.push_back(record.subspan(4, (*heap)->id_size()));
  }
  UPWELL_TRY(auto bodies, (*heap)->get_all(window, ids));
  for (ByteSpan body : bodies) {
    Cursor in(body, shared.facts().base_address + info.heap, shared.facts());
    UPWELL_TRY(Link link, read_link(in));
    links.push_back(std::move(link));
  }
  return {};
}

}  // namespace

Result<std::vector<Link>> read_links(Window& window, SharedMessages& shared,
                                     const ObjectHeader& header) {
  std::vector<Link> links;
  if (const Message* table = header.find(kMsgSymbolTable)) {
    UPWELL_TRY(links, read_symbol_table(window, shared.facts(), *table));
  }
  for (const Message& message : header.messages()) {
    if (message.type != kMsgLink) continue;
    Cursor in(message.body, message.offset, shared.facts());
    UPWELL_TRY(Link link, read_link(in));
    links.push_back(std::move(link));
  }
  if (const Message* message = header.find(kMsgLinkInfo)) {
    Cursor in(message->body, message->offset, shared.facts());
    UPWELL_TRY(DenseInfo info, read_link_info(in));
    UPWELL_CHECK(read_dense_links(window, shared, info, links));
  }
  bool ordered = std::all_of(links.begin(), links.end(), [](const Link& l) { return l.order; });
  std::stable_sort(links.begin(), links.end(), [ordered](const Link& a, const Link& b) {
    return ordered ? *a.order < *b.order : a.name < b.name;
  });
  return links;
}

}  // namespace upwell::format::hdf5
