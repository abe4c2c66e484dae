#include <array>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace upwell::cli {
namespace {

/// Programs of ECCO dataset production whose options a command takes.
struct OtherName {
  std::string_view name;
  std::array<const char*, 2> command;
};
constexpr std::array<OtherName, 4> kOtherNames{{
    {"edp_create_job_task_list", {"produce", "tasks"}},
    {"edp_generate_dataproducts", {"produce", "granules"}},
    {"edp_generate_datasets", {"produce", "granules"}},
    {"edp_subset_tasklists", {"produce", "subset"}},
}};

/// The arguments with the command in front that the program's name stands for.
std::vector<char*> arguments_of(int argc, char** argv) {
  std::vector<char*> arguments(argv, argv + argc);
  if (argc < 1) return arguments;
  std::string_view name = argv[0];
  name.remove_prefix(name.rfind('/') + 1);  // npos + 1 is 0
  for (const OtherName& other : kOtherNames) {
    if (name != other.name) continue;
    std::vector<char*> words;
    for (const char* word : other.command) words.push_back(const_cast<char*>(word));
    arguments.insert(arguments.begin() + 1, words.begin(), words.end());
  }
  return arguments;
}

}  // namespace

int run_program(int argc, char** argv) {
  Program program;
  add_info_command(program);
  add_read_command(program);
  add_aggregate_command(program);
  add_virtualize_command(program);
  add_append_command(program);
  add_verify_command(program);
  add_doctor_command(program);
  add_serve_command(program);
  add_produce_commands(program);
  std::vector<char*> arguments = arguments_of(argc, argv);
  return program.run(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace upwell::cli
