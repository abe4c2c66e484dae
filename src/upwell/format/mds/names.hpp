#pragma once
// What names of files and fields of MITgcm say. Internal.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace upwell::format::mds {

/// "SSH_mon_mean.0000000732.data": a prefix and, where there are ten digits, the time step.
struct FileName {
  std::string prefix;
  std::optional<int64_t> step;
};
/// Of a path or URL, with or without .data or .meta at its end.
FileName split_file_name(std::string_view url);

/// "x.0000000012" of ".../x.0000000012.001.002.data", a piece of tiled output; empty for names
/// without the two numbers.
std::string_view whole_name(std::string_view url);

/// The dimensions of a field on the staggered C grid: of cell centres ("i", "j", "k") or of what
/// lies half a cell to the west ("i_g"), south ("j_g") or up ("k_l"), as xmitgcm and ECCO name
/// them. Centres where nothing is known of the name.
struct FieldPlace {
  std::string_view x, y, z;
};
FieldPlace place_of(std::string_view field);

/// Fields of a pickup that have one level where the others have all.
bool is_flat_in_pickup(std::string_view field);

}  // namespace upwell::format::mds
