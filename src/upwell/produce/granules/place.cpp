#include "produce/granules/place.hpp"

#include <fmt/format.h>

#include <map>

namespace upwell::produce {

std::string place_text(uint64_t index, const std::vector<std::string>& dimensions,
                       const Shape& shape, const ModelGrid& grid, const LatLonGrid* target) {
  std::vector<uint64_t> at(shape.size());
  for (size_t d = shape.size(); d-- > 0; index /= shape[d]) at[d] = index % shape[d];
  std::vector<std::string> words;
  std::map<char, uint64_t> horizontal;  // tile, j and i, whichever points of the cell these are
  for (size_t d = 0; d < shape.size(); ++d) {
    const std::string& name = dimensions[d];
    if (name == "time") continue;
    if (name == "latitude" && target != nullptr) {
      words.push_back(fmt::format("latitude {}", target->latitude[at[d]]));
    } else if (name == "longitude" && target != nullptr) {
      words.push_back(fmt::format("longitude {}", target->longitude[at[d]]));
    } else if ((name == "Z" || name == "k") && at[d] < grid.z->count()) {
      words.push_back(
          fmt::format("{} {} ({} m)", name, at[d], static_cast<float>(-grid.z->number(at[d]))));
    } else {
      words.push_back(fmt::format("{} {}", name, at[d]));
      horizontal[name[0]] = at[d];
    }
  }
  std::string text = fmt::format("{}", fmt::join(words, ", "));
  if (!horizontal.contains('t') || !horizontal.contains('j') || !horizontal.contains('i'))
    return text;
  const uint64_t cell = (horizontal['t'] * grid.n + horizontal['j']) * grid.n + horizontal['i'];
  return fmt::format("{} (longitude {}, latitude {})", text,
                     static_cast<float>(grid.xc->number(cell)),
                     static_cast<float>(grid.yc->number(cell)));
}

}  // namespace upwell::produce
