#pragma once
// The pages: every cube with pictures, and one page a cube. Plain HTML, no scripts, nothing loaded
// from elsewhere.

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "serve/served_dataset.hpp"

namespace upwell::serve {

/// `&<>"'` as entities; control characters become spaces. For text and attribute values.
std::string escape_html(std::string_view text);
/// Percent-encoded, '/' kept.
std::string escape_path(std::string_view text);

/// `base`: "http://host:port" as the client reaches the server.
std::string index_page(const std::vector<std::shared_ptr<const ServedDataset>>& datasets);
std::string dataset_page(const ServedDataset& dataset, const std::string& base);

}  // namespace upwell::serve
