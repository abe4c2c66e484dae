#pragma once
// The templates of kerchunk's version 1 JSON: "{{name}}", calls "{{f(c='text')}}" and whole-number
// arithmetic "{{ (i + 1) * 1000 }}". Not Jinja: no filters, statements or attributes, nothing is
// ever evaluated beyond this grammar.

#include <map>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.hpp"

namespace upwell::refs {

/// A whole number, or text.
using TemplateValue = std::variant<int64_t, std::string>;

class Templates {
 public:
  /// A template; one that itself holds "{{" takes arguments.
  void define(std::string name, std::string text);
  bool empty() const { return templates_.empty(); }

  /// `text` with every "{{...}}" replaced. Variables hide templates of their name. kInvalidData
  /// when a name is unknown, kUnsupported when an expression goes beyond the grammar, both with the
  /// expression; bounded in depth (8 calls, 32 parentheses) and length (64 KiB).
  Result<std::string> render(std::string_view text,
                             const std::map<std::string, TemplateValue>& variables = {}) const;

 private:
  friend class TemplateExpression;
  Result<std::string> render_at(std::string_view text,
                                const std::map<std::string, TemplateValue>& variables,
                                int depth) const;
  std::map<std::string, std::string, std::less<>> templates_;
};

}  // namespace upwell::refs
