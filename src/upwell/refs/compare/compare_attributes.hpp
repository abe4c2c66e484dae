#pragma once
// Attributes of two objects.

#include "refs/compare/compare.hpp"

namespace upwell::refs {

/// What the formats of both datasets can say.
struct SharedAbilities {
  bool types = true;      ///< of attributes
  bool order = true;      ///< of names
  bool unlimited = true;  ///< dimensions
};
SharedAbilities shared_abilities(const Dataset& first, const Dataset& second);

/// The value on one line; of long text what stands around `around`.
std::string attribute_shown(const Attribute& attribute, size_t around = 0);

/// `owner`: "SSH", "group/SSH", "" for the root. Attributes that options.ignore names do not count.
void compare_attributes(const std::string& owner, const Attributes& first, const Attributes& second,
                        const SharedAbilities& abilities, const CompareOptions& options,
                        std::vector<Difference>& differences);

/// Notes when names that both have come in another order.
void compare_order(const std::string& owner, const char* what,
                   const std::vector<std::string>& first, const std::vector<std::string>& second,
                   std::vector<Difference>& differences);

}  // namespace upwell::refs
