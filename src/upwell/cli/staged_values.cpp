#include "cli/staged_values.hpp"

#include <algorithm>
#include <functional>

namespace upwell::cli {
namespace {

/// Calls run(first element of the whole, first element of the box, count) for every run of elements
/// that is contiguous in both.
Result<> for_each_run(const Shape& whole, const Shape& origin, const Shape& shape,
                      const std::function<Result<>(uint64_t, uint64_t, uint64_t)>& run) {
  const uint64_t total = element_count(shape);
  if (total == 0) return {};
  size_t outer = shape.size();  // axes before the runs
  uint64_t length = 1;
  while (outer > 0) {
    --outer;
    length *= shape[outer];
    if (shape[outer] != whole[outer]) break;
  }
  Shape at(outer, 0);
  for (uint64_t done = 0; done < total; done += length) {
    uint64_t first = 0;
    for (size_t d = 0; d < whole.size(); ++d)
      first = first * whole[d] + origin[d] + (d < outer ? at[d] : 0);
    UPWELL_CHECK(run(first, done, length));
    for (size_t d = outer; d-- > 0;) {
      if (++at[d] < shape[d]) break;
      at[d] = 0;
    }
  }
  return {};
}

}  // namespace

Result<StagedValues> StagedValues::create(const std::filesystem::path& directory,
                                          const format::netcdf4::File& file) {
  std::vector<uint64_t> offsets;
  uint64_t end = 0;
  for (const format::netcdf4::Variable& variable : file.variables) {
    offsets.push_back(end);
    if (!variable.later) continue;
    uint64_t bytes = variable.values.type.size;
    for (const uint64_t extent : variable.values.shape)
      if (__builtin_mul_overflow(bytes, extent, &bytes)) bytes = UINT64_MAX;
    if (__builtin_add_overflow(end, bytes, &end) || end > INT64_MAX)
      return fail(Code::kResourceExhausted, variable.name + ": more elements than can be counted");
  }
  UPWELL_TRY(ScratchFile scratch, ScratchFile::create(directory));
  return StagedValues(file, std::move(scratch), std::move(offsets));
}

Result<> StagedValues::put(size_t variable, const Shape& origin, const Shape& shape,
                           ByteSpan elements) {
  const Values& values = file_->variables[variable].values;
  const uint64_t size = values.type.size;
  return for_each_run(values.shape, origin, shape,
                      [&](uint64_t first, uint64_t from, uint64_t count) {
                        return scratch_.write(offsets_[variable] + first * size,
                                              elements.subspan(from * size, count * size));
                      });
}

Result<> StagedValues::read_box(size_t variable, const Shape& origin, const Shape& shape,
                                MutableByteSpan elements) const {
  const format::netcdf4::Variable& source = file_->variables[variable];
  const Values& values = source.data();
  const uint64_t size = values.type.size;
  return for_each_run(values.shape, origin, shape,
                      [&](uint64_t first, uint64_t to, uint64_t count) -> Result<> {
                        const MutableByteSpan out = elements.subspan(to * size, count * size);
                        if (source.later)
                          return scratch_.read(offsets_[variable] + first * size, out);
                        std::copy_n(values.data.begin() + static_cast<int64_t>(first * size),
                                    out.size(), out.begin());
                        return {};
                      });
}

Result<Values> StagedValues::read_run(size_t variable, uint64_t begin, uint64_t count) const {
  const format::netcdf4::Variable& source = file_->variables[variable];
  const Values& values = source.data();
  const uint64_t size = values.type.size;
  Values run{values.type, {count}, Bytes(count * size), {}};
  if (source.later) {
    UPWELL_CHECK(scratch_.read(offsets_[variable] + begin * size, run.data));
  } else {
    std::copy_n(values.data.begin() + static_cast<int64_t>(begin * size), run.data.size(),
                run.data.begin());
    run.heap = values.heap;
  }
  return run;
}

}  // namespace upwell::cli
