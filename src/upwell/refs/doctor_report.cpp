#include <nlohmann/json.hpp>

#include "refs/doctor.hpp"

namespace upwell::refs {
namespace {

using DoctorJson = nlohmann::ordered_json;

DoctorJson cost_json(const LineCost& cost) {
  return {{"rounds", cost.rounds},
          {"requests", cost.requests},
          {"bytes", cost.bytes},
          {"seconds", cost.seconds}};
}

DoctorJson variable_json(const VariableHealth& v) {
  DoctorJson out{{"path", v.path},
                 {"type", v.type},
                 {"shape", v.shape},
                 {"dimensions", v.dimensions},
                 {"chunk_shape", v.chunk_shape},
                 {"one_run", v.one_run},
                 {"chunk_bytes", v.chunk_bytes},
                 {"bytes", v.raw_bytes}};
  out["codecs"] = DoctorJson::array();
  for (const codec::CodecSpec& spec : v.codecs) {
    DoctorJson one{{"id", spec.id}};
    one.update(DoctorJson::parse(spec.config, nullptr, false));
    out["codecs"].push_back(std::move(one));
  }
  if (v.counted) {
    out["chunks"] = v.chunks;
    out["chunks_stored"] = v.stored;
    out["chunks_inline"] = v.inlined;
    out["stored_bytes"] = v.stored_bytes;
  }
  for (const ReadPattern& read : v.reads) {
    DoctorJson one = cost_json(read.cost);
    one["chunks"] = read.chunks;
    one["wanted_bytes"] = read.wanted;
    out["reads"][read.name] = std::move(one);
  }
  if (v.trial)
    out["trial"] = {{"stored_bytes", v.trial->stored}, {"encoded_bytes", v.trial->encoded}};
  return out;
}

}  // namespace

std::string DoctorReport::to_json() const {
  DoctorJson out{{"source", source}, {"format", format}, {"size", size}};
  out["line"] = {{"latency_s", latency_s}, {"bytes_per_s", bytes_per_s}};
  out["opening"] = cost_json(opening);
  if (metadata)
    out["metadata"] = {{"bytes", metadata->bytes},   {"extents", metadata->extents},
                       {"places", metadata->places}, {"first", metadata->first},
                       {"end", metadata->end},       {"rounds", metadata->rounds}};
  out["variables"] = DoctorJson::array();
  for (const VariableHealth& v : variables) out["variables"].push_back(variable_json(v));
  out["problems"] = DoctorJson::array();
  for (const Problem& p : problems)
    out["problems"].push_back({{"path", p.path}, {"error", p.error.to_string()}});
  out["advice"] = DoctorJson::array();
  for (const Advice& a : advice)
    out["advice"].push_back({{"kind", a.kind}, {"path", a.path}, {"text", a.text}});
  out["command"] = command;
  return out.dump(1, ' ', false, DoctorJson::error_handler_t::replace) + "\n";
}

}  // namespace upwell::refs
