#include "produce/granules/raw.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/mds/meta.hpp"
#include "io/digest.hpp"
#include "produce/granules/names.hpp"

namespace upwell::produce {
namespace {

using format::mds::Meta;

/// Whether the file holds whole compact levels of this grid.
Result<> check_shape(const Meta& meta, uint32_t n, uint32_t levels) {
  const uint64_t wanted[] = {n, uint64_t{kLlcTiles} * n, levels};
  const size_t rank = meta.dimensions.size();
  bool fits = rank == 3 || (rank == 2 && levels == 1);
  std::vector<uint64_t> sizes;
  for (size_t d = 0; d < rank; ++d) {
    sizes.push_back(meta.dimensions[d].size);
    fits = fits && d < 3 && meta.dimensions[d].whole() && meta.dimensions[d].size == wanted[d];
  }
  if (fits) return {};
  return fail(Code::kInvalidData,
              fmt::format("{}dimList has {}, where this variable on the grid has {}",
                          meta.at("dimList"), fmt::join(sizes, " x "),
                          levels == 1 ? fmt::format("{} x {}", wanted[0], wanted[1])
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
  if (!meta.step || *meta.step == name.step) return {};
  return fail(Code::kInvalidData,
              fmt::format("{}timeStepNumber is {}, where the file's name says {}",
                          meta.at("timeStepNumber"), *meta.step, name.step));
}

}  // namespace

Result<RawField> read_raw_field(io::Session& session, const MdsPair& pair, uint32_t n,
                                uint32_t levels) {
  const std::vector<io::ReadRequest> requests{{io::normal_url(pair.meta), {}},
                                              {io::normal_url(pair.data), {}}};
  std::vector<Result<SharedBytes>> answers = session.read(requests);
  for (Result<SharedBytes>& answer : answers) {
    if (!answer) return fail(std::move(answer).error());
  }
  UPWELL_TRY(RawField raw,
             raw_field(as_text(answers[0]->span()), answers[1]->span(), pair, n, levels));
  for (size_t i = 0; i < requests.size(); ++i) {
    UPWELL_TRY(io::ObjectInfo info, session.stat(requests[i].url));
    raw.files.push_back({requests[i].url, info.size, info.mtime_ns, info.etag,
                         io::hex_digest(io::DigestKind::kSha256, answers[i]->span())});
  }
  return raw;
}

Result<RawField> raw_field(std::string_view meta_text, ByteSpan data, const MdsPair& pair,
                           uint32_t n, uint32_t levels) {
  UPWELL_TRY(RawName name, parse_raw_name(pair.data));
  const auto with_meta = [&](Error error) { return fail(std::move(error).with(pair.meta)); };
  auto meta = format::mds::parse_meta(meta_text);
  if (!meta) return with_meta(std::move(meta).error());
  if (auto shape = check_shape(*meta, n, levels); !shape) return with_meta(shape.error());
  if (auto step = check_step(*meta, name); !step) return with_meta(step.error());
  auto record = record_of(*meta, name);
  if (!record) return with_meta(std::move(record).error());
  if (data.size() != meta->data_bytes()) {
    return fail(Code::kInvalidData, fmt::format("{}: {} bytes, where {} says {}", pair.data,
                                                data.size(), pair.meta, meta->data_bytes()));
  }
  const uint64_t size = meta->record_elements() * meta->item_size;
  auto field = field_from_compact(data.subspan(*record * size, size), n, levels, meta->item_size);
  if (!field) return fail(std::move(field).error().with(pair.data));
  return RawField{std::move(*field), meta->interval, {}};
}

}  // namespace upwell::produce
