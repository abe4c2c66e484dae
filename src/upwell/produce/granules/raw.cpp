#include "produce/granules/raw.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/digest.hpp"

namespace upwell::produce {
namespace {

using format::mds::Meta;

/// How many levels the file has, which holds whole compact ones of this grid.
Result<uint32_t> levels_of(const Meta& meta, uint32_t n, std::span<const uint32_t> choices) {
  const size_t rank = meta.dimensions.size();
  std::vector<uint64_t> sizes;
  for (const format::mds::MetaDimension& dimension : meta.dimensions)
    sizes.push_back(dimension.size);
  for (const uint32_t levels : choices) {
    const uint64_t wanted[] = {n, uint64_t{kLlcTiles} * n, levels};
    bool fits = rank == 3 || (rank == 2 && levels == 1);
    for (size_t d = 0; fits && d < rank; ++d)
      fits = meta.dimensions[d].whole() && sizes[d] == wanted[d];
    if (fits) return levels;
  }
  const uint64_t wanted[] = {n, uint64_t{kLlcTiles} * n, choices.back()};
  return fail(Code::kInvalidData,
              fmt::format("{}dimList has {}, where this variable on the grid has {}",
                          meta.at("dimList"), fmt::join(sizes, " x "),
                          choices.back() == 1 ? fmt::format("{} x {}", wanted[0], wanted[1])
                                              : fmt::format("{}", fmt::join(wanted, " x "))));
}

/// The record of a file that holds the variable; of several by fldList.
Result<uint64_t> record_of(const Meta& meta, const RawName& name) {
  if (meta.fields.empty() && meta.records == 1) return 0;
  const auto found = std::find(meta.fields.begin(), meta.fields.end(), name.variable);
  if (found != meta.fields.end() && meta.fields.size() == meta.records)
    return static_cast<uint64_t>(found - meta.fields.begin());
  return fail(
      Code::kInvalidData,
      fmt::format("{}fldList names {}, {} records; none is {}", meta.at("fldList"),
                  meta.fields.empty() ? "nothing" : fmt::format("{}", fmt::join(meta.fields, ", ")),
                  meta.records, name.variable));
}

Result<> check_step(const Meta& meta, const RawName& name) {
  if (!meta.step || !name.step || *meta.step == *name.step) return {};
  return fail(Code::kInvalidData,
              fmt::format("{}timeStepNumber is {}, where the file's name says {}",
                          meta.at("timeStepNumber"), *meta.step, *name.step));
}

}  // namespace

Result<RawField> read_raw_field(io::Session& session, const MdsPair& pair, const RawName& name,
                                uint32_t n, std::span<const uint32_t> levels) {
  const std::vector<io::ReadRequest> requests{{io::normal_url(pair.meta), {}},
                                              {io::normal_url(pair.data), {}}};
  std::vector<Result<SharedBytes>> answers = session.read(requests);
  for (Result<SharedBytes>& answer : answers) {
    if (!answer) return fail(std::move(answer).error());
  }
  UPWELL_TRY(RawField raw,
             raw_field(as_text(answers[0]->span()), answers[1]->span(), pair, name, n, levels));
  for (size_t i = 0; i < requests.size(); ++i) {
    UPWELL_TRY(io::ObjectInfo info, session.stat(requests[i].url));
    raw.files.push_back({requests[i].url, info.size, info.mtime_ns, info.etag,
                         io::hex_digest(io::DigestKind::kSha256, answers[i]->span())});
  }
  return raw;
}

Result<RawField> raw_field(std::string_view meta_text, ByteSpan data, const MdsPair& pair,
                           const RawName& name, uint32_t n, std::span<const uint32_t> levels) {
  auto meta = format::mds::parse_meta(meta_text);
  if (!meta) return fail(std::move(meta).error().with(pair.meta));
  auto count = levels_of(*meta, n, levels);
  if (!count) return fail(std::move(count).error().with(pair.meta));
  UPWELL_TRY(const ByteSpan record, raw_record(*meta, data, pair, name));
  auto field = field_from_compact(record, n, *count, meta->item_size);
  if (!field) return fail(std::move(field).error().with(pair.data));
  return RawField{std::move(*field), meta->interval, {}};
}

Result<ByteSpan> raw_record(const Meta& meta, ByteSpan data, const MdsPair& pair,
                            const RawName& name) {
  const auto with_meta = [&](Error error) { return fail(std::move(error).with(pair.meta)); };
  if (auto step = check_step(meta, name); !step) return with_meta(step.error());
  auto record = record_of(meta, name);
  if (!record) return with_meta(std::move(record).error());
  if (data.size() != meta.data_bytes()) {
    return fail(Code::kInvalidData, fmt::format("{}: {} bytes, where {} says {}", pair.data,
                                                data.size(), pair.meta, meta.data_bytes()));
  }
  const uint64_t size = meta.record_elements() * meta.item_size;
  return data.subspan(*record * size, size);
}

}  // namespace upwell::produce
