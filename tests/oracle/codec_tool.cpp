// Runs codec pipelines for tests in other languages. Reads requests from stdin until its end:
//   u32 length, then a JSON object {"op":"decode"|"decode_unsized"|"encode","codecs":[{"id":...}],
//   "item_size":n,"size":n,"mask":n}, or with "filters":[{"id":n,"cd_values":[...]}] in place of
//   "codecs",
//   u64 length, then that many bytes.
// {"op":"split_vlen","size":n} answers with the items, each as u64 length and bytes;
// {"op":"join_vlen"} takes such a list.
// Answers each with one status byte (0 done, 1 error), u64 length, and bytes or the error's text.

#include <cstdio>
#include <nlohmann/json.hpp>

#include "codec/codec.hpp"
#include "codec/hdf5_filters.hpp"

namespace {

using upwell::Bytes;
using upwell::Code;
using upwell::Result;
using upwell::codec::CodecSpec;
using upwell::codec::Pipeline;

bool read_exactly(void* to, size_t size) {
  return size == 0 || std::fread(to, 1, size, stdin) == size;
}

Result<std::vector<CodecSpec>> specs_of(const nlohmann::json& request) {
  std::vector<CodecSpec> specs;
  for (nlohmann::json config : request.value("codecs", nlohmann::json::array())) {
    CodecSpec spec;
    spec.id = config.at("id").get<std::string>();
    config.erase("id");
    spec.config = config.dump();
    specs.push_back(std::move(spec));
  }
  for (const auto& filter : request.value("filters", nlohmann::json::array())) {
    const auto values = filter.at("cd_values").get<std::vector<uint32_t>>();
    UPWELL_TRY(auto spec, upwell::codec::from_hdf5_filter(filter.at("id").get<uint16_t>(), values,
                                                          request.value("item_size", 1U),
                                                          filter.value("name", "")));
    specs.push_back(std::move(spec));
  }
  return specs;
}

Result<Bytes> split_items(const Bytes& in, size_t max_items) {
  UPWELL_TRY(const auto items, upwell::codec::split_vlen(in, max_items));
  Bytes out;
  for (const std::string_view item : items) {
    uint8_t length[8];
    upwell::store_le<uint64_t>(length, item.size());
    out.insert(out.end(), std::begin(length), std::end(length));
    out.insert(out.end(), item.begin(), item.end());
  }
  return out;
}

Bytes join_items(const Bytes& in) {
  std::vector<std::string_view> items;
  for (size_t at = 0; at + 8 <= in.size();) {
    const auto length = upwell::load_le<uint64_t>(in.data() + at);
    items.push_back(upwell::as_text(upwell::ByteSpan(in).subspan(at + 8, length)));
    at += 8 + length;
  }
  return upwell::codec::join_vlen(items);
}

Result<Bytes> answer(const nlohmann::json& request, const Bytes& in) {
  const auto op = request.at("op").get<std::string>();
  const auto size = request.value("size", size_t{0});
  if (op == "split_vlen") return split_items(in, size);
  if (op == "join_vlen") return join_items(in);
  UPWELL_TRY(const auto specs, specs_of(request));
  UPWELL_TRY(const auto pipeline, Pipeline::make(specs, request.value("item_size", size_t{1})));
  const auto mask = request.value("mask", uint32_t{0});
  if (op == "encode") return pipeline.encode(in);
  if (op == "decode_unsized") return pipeline.decode_unsized(in, mask, size);
  if (op != "decode") return upwell::fail(Code::kInvalidArgument, "unknown operation " + op);
  Bytes out(size);
  UPWELL_CHECK(pipeline.decode(in, mask, out));
  return out;
}

void write_answer(bool done, const void* data, uint64_t size) {
  const uint8_t status = done ? 0 : 1;
  std::fwrite(&status, 1, 1, stdout);
  std::fwrite(&size, 1, sizeof(size), stdout);
  if (size > 0) std::fwrite(data, 1, size, stdout);
  std::fflush(stdout);
}

}  // namespace

int main() {
  uint32_t request_size = 0;
  while (read_exactly(&request_size, sizeof(request_size))) {
    std::string text(request_size, '\0');
    uint64_t size = 0;
    if (!read_exactly(text.data(), text.size()) || !read_exactly(&size, sizeof(size))) return 1;
    Bytes in(size);
    if (!read_exactly(in.data(), in.size())) return 1;
    const auto result = answer(nlohmann::json::parse(text), in);
    if (result) {
      write_answer(true, result->data(), result->size());
    } else {
      const std::string message = result.error().to_string();
      write_answer(false, message.data(), message.size());
    }
  }
  return 0;
}
