// Pages of catalogues, UMM-JSON and STAC: what is read can be chosen from, and written as a STAC
// item that is JSON again.

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "access/stac_records.hpp"
#include "access/umm_files.hpp"
#include "access/umm_page.hpp"

namespace {

upwell::Result<> use_granule(const upwell::access::Granule& granule, std::string_view text) {
  (void)upwell::access::data_files(granule, {});
  (void)upwell::access::data_files(granule, {.preference = {"tif"}, .pattern = {}});
  if (auto item = upwell::access::stac_item(granule, "https://host/search"))
    if (!nlohmann::json::accept(*item)) std::abort();
  if (auto geometry = upwell::access::geojson_geometry(granule.footprint);
      !nlohmann::json::accept(geometry))
    std::abort();
  (void)upwell::access::one_line(text);
  return {};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  const ByteSpan page{data, size};
  (void)access::read_granule_page(to_bytes(page), use_granule);
  (void)access::read_collection_page(
      to_bytes(page), [](const access::Collection&, std::string_view) { return Result<>(); });
  (void)access::read_stac_page(to_bytes(page), use_granule);
  (void)access::error_text(as_text(page));
  return 0;
}
