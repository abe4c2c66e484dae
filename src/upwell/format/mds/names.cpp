#include "format/mds/names.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>

namespace upwell::format::mds {
namespace {

constexpr size_t kStepDigits = 10;

struct KnownField {
  std::string_view name;    ///< a '*' at the end stands for anything
  std::string_view points;  ///< "u" west, "v" south, "w" upper face; "f": all faces of a column
};

// The first that fits holds. Diagnostics as their codes in available_diagnostics.log say (U, V, Z
// for the second point, W for the level), grid files, and fields of pickups.
constexpr std::array kKnownFields = std::to_array<KnownField>({
    {"GM_PsiX", "uw"}, {"GM_PsiY", "vw"},  {"GM_Kuz*", "uw"},  {"GM_Kvz*", "vw"},
    {"WU_VEL", "uw"},  {"WV_VEL", "vw"},   {"VISrI_Um", "uw"}, {"VISrI_Vm", "vw"},
    {"UVEL*", "u"},    {"ADVx*", "u"},     {"DFxE*", "u"},     {"Um_*", "u"},
    {"SIuice", "u"},   {"SIuheff", "u"},   {"SIfu", "u"},      {"oceTAUX", "u"},
    {"GM_Kux", "u"},   {"GM_ubT", "u"},    {"UBotDrag", "u"},  {"USidDrag", "u"},
    {"TOTUTEND", "u"}, {"AB_gU", "u"},     {"URHOMASS", "u"},  {"USLTMASS", "u"},
    {"UTHMASS", "u"},  {"Uvel", "u"},      {"GuNm*", "u"},     {"siUICE", "u"},
    {"DXC", "u"},      {"DYG", "u"},       {"RAW", "u"},       {"hFacW", "u"},
    {"maskW", "u"},    {"maskCtrlW", "u"}, {"VVEL*", "v"},     {"ADVy*", "v"},
    {"DFyE*", "v"},    {"Vm_*", "v"},      {"SIvice", "v"},    {"SIvheff", "v"},
    {"SIfv", "v"},     {"oceTAUY", "v"},   {"GM_Kvy", "v"},    {"GM_vbT", "v"},
    {"VBotDrag", "v"}, {"VSidDrag", "v"},  {"TOTVTEND", "v"},  {"AB_gV", "v"},
    {"VRHOMASS", "v"}, {"VSLTMASS", "v"},  {"VTHMASS", "v"},   {"Vvel", "v"},
    {"GvNm*", "v"},    {"siVICE", "v"},    {"DYC", "v"},       {"DXG", "v"},
    {"RAS", "v"},      {"hFacS", "v"},     {"maskS", "v"},     {"maskCtrlS", "v"},
    {"XG", "uv"},      {"YG", "uv"},       {"RAZ", "uv"},      {"momVort3", "uv"},
    {"Strain", "uv"},  {"UV_VEL_Z", "uv"}, {"PsiVEL", "uv"},   {"VA4Z*", "uv"},
    {"VAHZ*", "uv"},   {"VISCA4Z", "uv"},  {"VISCAHZ", "uv"},  {"WVEL*", "w"},
    {"ADVr*", "w"},    {"DFrE*", "w"},     {"DFrI*", "w"},     {"GM_Kwz*", "w"},
    {"VISCA4W", "w"},  {"VISCAHW", "w"},   {"WRHOMASS", "w"},  {"WSLTMASS", "w"},
    {"WTHMASS", "w"},  {"WdRHO*", "w"},    {"RF", "f"},        {"DRC", "f"},
    {"PHrefF", "f"},
});

constexpr std::array<std::string_view, 9> kFlatInPickup = {
    "EtaN", "dEtaHdt", "EtaH", "siAREA", "siHEFF", "siHSNOW", "siUICE", "siVICE", "siHSALT"};

bool fits(std::string_view pattern, std::string_view name) {
  if (!pattern.ends_with('*')) return name == pattern;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

std::string_view last_part(std::string_view url) {
  url = url.substr(0, url.find('?'));
  return url.substr(url.rfind('/') + 1);
}

/// Without ".001" at the end; empty when there is none.
std::string_view without_number(std::string_view name) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return {};
  const std::string_view digits = name.substr(dot + 1);
  const bool number =
      digits.size() == 3 && std::all_of(digits.begin(), digits.end(),
                                        [](unsigned char c) { return std::isdigit(c) != 0; });
  return number ? name.substr(0, dot) : std::string_view();
}

}  // namespace

std::string_view whole_name(std::string_view url) {
  std::string_view name = last_part(url);
  if (!name.ends_with(".data") && !name.ends_with(".meta")) return {};
  name.remove_suffix(std::string_view(".data").size());
  return without_number(without_number(name));
}

FileName split_file_name(std::string_view url) {
  std::string_view name = last_part(url);
  for (const std::string_view end : {".data", ".meta"})
    if (name.ends_with(end)) name.remove_suffix(end.size());
  if (const std::string_view whole = whole_name(url); !whole.empty()) name = whole;
  FileName out{std::string(name.empty() ? "data" : name), {}};
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos || dot == 0) return out;
  const std::string_view digits = name.substr(dot + 1);
  const bool numeric = std::all_of(digits.begin(), digits.end(),
                                   [](unsigned char c) { return std::isdigit(c) != 0; });
  if (digits.size() != kStepDigits || !numeric) return out;
  int64_t step = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), step);
  out.step = step;
  out.prefix = name.substr(0, dot);
  return out;
}

FieldPlace place_of(std::string_view field) {
  FieldPlace out{"i", "j", "k"};
  const auto* known = std::find_if(kKnownFields.begin(), kKnownFields.end(),
                                   [&](const KnownField& one) { return fits(one.name, field); });
  if (known == kKnownFields.end()) return out;
  for (const char point : known->points) {
    if (point == 'u') out.x = "i_g";
    if (point == 'v') out.y = "j_g";
    if (point == 'w') out.z = "k_l";
    if (point == 'f') out.z = "k_p1";
  }
  return out;
}

bool is_flat_in_pickup(std::string_view field) {
  return std::find(kFlatInPickup.begin(), kFlatInPickup.end(), field) != kFlatInPickup.end();
}

}  // namespace upwell::format::mds
