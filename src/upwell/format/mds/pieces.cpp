#include "format/mds/pieces.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/mds/mds.hpp"
#include "format/mds/names.hpp"

namespace upwell::format::mds {
namespace {

constexpr size_t kMaxPieces = 1 << 14;
constexpr uint64_t kMaxPieceMeta = 1 << 20;

std::string_view name_of(std::string_view url) {
  url = url.substr(0, url.find('?'));
  return url.substr(url.rfind('/') + 1);
}

/// What differs from the first piece in what they must share; empty: nothing.
std::string difference_of(const Meta& first, const Meta& other) {
  const auto text = [](const char* what, const auto& here, const auto& there) {
    return fmt::format("{} is {}, in the first piece {}", what, here, there);
  };
  if (first.dimensions.size() != other.dimensions.size())
    return text("nDims", other.dimensions.size(), first.dimensions.size());
  for (size_t d = 0; d < first.dimensions.size(); ++d)
    if (first.dimensions[d].size != other.dimensions[d].size)
      return text("the size of a dimension", other.dimensions[d].size, first.dimensions[d].size);
  if (first.item_size != other.item_size)
    return text("the number of bytes of a value", other.item_size, first.item_size);
  if (first.records != other.records) return text("nrecords", other.records, first.records);
  if (first.step != other.step)
    return text("timeStepNumber", other.step.value_or(-1), first.step.value_or(-1));
  if (first.interval != other.interval)
    return text("timeInterval", fmt::format("{}", fmt::join(other.interval, " ")),
                fmt::format("{}", fmt::join(first.interval, " ")));
  if (first.date != other.date) return text("timeStepDate", other.date, first.date);
  if (first.missing != other.missing) return "missingValue is another than in the first piece";
  if (first.fields != other.fields)
    return text("fldList", fmt::format("{}", fmt::join(other.fields, " ")),
                fmt::format("{}", fmt::join(first.fields, " ")));
  return {};
}

Result<> check_size(const Piece& piece) {
  const Meta& meta = piece.meta;
  const uint64_t wanted = meta.data_bytes();
  if (piece.data.info.size == wanted) return {};
  std::string sizes;
  for (const MetaDimension& one : meta.dimensions)
    sizes += fmt::format("{}{}", sizes.empty() ? "" : " x ", one.extent());
  return fail(Code::kInvalidData,
              fmt::format("{} has {} bytes, but the .meta says {}: {} record{} of {} float{}",
                          name_of(piece.data.url), piece.data.info.size, wanted, meta.records,
                          meta.records == 1 ? "" : "s", sizes, 8 * meta.item_size));
}

bool is_whole(const Meta& meta) {
  return std::all_of(meta.dimensions.begin(), meta.dimensions.end(),
                     [](const MetaDimension& d) { return d.whole(); });
}

bool overlap(const MetaDimension& a, const MetaDimension& b) {
  return a.start <= b.end && b.start <= a.end;
}

/// Boxes that do not overlap cover the plane when they have as many values.
Result<> check_cover(const std::vector<Piece>& pieces) {
  const auto& whole = pieces[0].meta.dimensions;
  uint64_t held = 0, wanted = 1;
  for (const MetaDimension& d : whole) wanted *= d.size;
  for (size_t i = 0; i < pieces.size(); ++i) {
    const auto& mine = pieces[i].meta.dimensions;
    held += pieces[i].meta.record_elements();
    for (size_t k = 0; k < i; ++k) {
      const auto& other = pieces[k].meta.dimensions;
      bool all = true;
      for (size_t d = 0; d < mine.size(); ++d) all = all && overlap(mine[d], other[d]);
      if (all)
        return fail(Code::kInvalidData,
                    fmt::format("{} and {} hold the same values", name_of(pieces[k].data.url),
                                name_of(pieces[i].data.url)));
    }
  }
  if (held == wanted) return {};
  return fail(Code::kInvalidData,
              fmt::format("{} piece{} hold{} {} of the {} values of a record: others are missing",
                          pieces.size(), pieces.size() == 1 ? "" : "s",
                          pieces.size() == 1 ? "s" : "", held, wanted));
}

/// Pieces of cubed spheres can lie in the whole in another way than as boxes (exch2).
Result<> check_map(const Meta& meta) {
  for (const MetaItem& item : meta.others)
    if (item.key == "map2glob" && item.numbers != std::vector<double>{0, 1})
      return fail(Code::kUnsupported,
                  fmt::format("{}map2glob = [ {} ]: pieces that are no boxes of the field are not "
                              "put together here",
                              meta.at(item.key), fmt::join(item.numbers, ", ")));
  return {};
}

}  // namespace

Result<std::vector<Piece>> find_pieces(io::Session& session, Piece named) {
  std::vector<Piece> pieces;
  const std::string whole(whole_name(named.data.url));
  if (whole.empty() || is_whole(named.meta)) {
    pieces.push_back(std::move(named));
    return pieces;
  }
  const std::string& url = named.data.url;
  const std::string directory = url.substr(0, url.substr(0, url.find('?')).rfind('/') + 1);
  UPWELL_TRY(const std::vector<std::string> names, session.list_directory(directory));
  std::vector<io::ReadRequest> texts;
  std::vector<std::string> data_urls;
  for (const std::string& name : names) {
    if (!name.ends_with(".meta") || whole_name(name) != whole) continue;
    texts.push_back({directory + name, {}, named.data.reach});
    data_urls.push_back(data_url(directory + name));
    if (texts.size() > kMaxPieces)
      return fail(Code::kUnsupported, fmt::format("more than {} pieces", kMaxPieces));
  }
  auto answers = session.read(texts);
  auto states = session.stat_many(data_urls, named.data.reach);
  for (size_t i = 0; i < texts.size(); ++i) {
    if (!answers[i]) return fail(std::move(answers[i]).error().with(texts[i].url));
    if (answers[i]->size() > kMaxPieceMeta)
      return fail(Code::kInvalidData, texts[i].url + ": too many bytes for a .meta");
    auto meta = parse_meta(as_text(answers[i]->span()));
    if (!meta) return fail(std::move(meta).error().with(texts[i].url));
    if (!states[i] && states[i].error().code == Code::kNotFound)
      return fail(Code::kInvalidData, fmt::format("a lone .meta: {} is not there", data_urls[i]));
    if (!states[i]) return fail(std::move(states[i]).error());
    pieces.push_back({std::move(*meta), {data_urls[i], *states[i], named.data.reach}});
  }
  return pieces;
}

Result<> check_pieces(const std::vector<Piece>& pieces) {
  if (pieces.empty()) return fail(Code::kInvalidData, "no pieces of the field are there");
  for (const Piece& piece : pieces) {
    if (pieces.size() > 1 || !is_whole(piece.meta)) UPWELL_CHECK(check_map(piece.meta));
    const std::string difference = difference_of(pieces[0].meta, piece.meta);
    if (!difference.empty())
      return fail(Code::kInvalidData, fmt::format("{}: {}", name_of(piece.data.url), difference));
    UPWELL_CHECK(check_size(piece));
    for (size_t d = 2; d < piece.meta.dimensions.size(); ++d)
      if (!piece.meta.dimensions[d].whole())
        return fail(Code::kUnsupported, piece.meta.at("dimList") + "a piece of the levels");
  }
  return check_cover(pieces);
}

}  // namespace upwell::format::mds
