#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace upwell::cli {
namespace {

struct Command {
  std::string_view name;
  void (*add)(Program&);
};
constexpr std::array<Command, 14> kCommands{{
    {"search", add_search_command},
    {"download", add_download_command},
    {"info", add_info_command},
    {"read", add_read_command},
    {"aggregate", add_aggregate_command},
    {"virtualize", add_virtualize_command},
    {"append", add_append_command},
    {"verify", add_verify_command},
    {"compare", add_compare_command},
    {"doctor", add_doctor_command},
    {"serve", add_serve_command},
    {"produce", add_produce_commands},
    {"generate", add_generate_command},
    {"login", add_login_command},
}};

/// Programs of ECCO dataset production whose options a command takes.
struct OtherName {
  std::string_view name;
  std::array<const char*, 2> command;
};
constexpr std::array<OtherName, 5> kOtherNames{{
    {"edp_create_factors", {"produce", "factors"}},
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
  std::vector<char*> arguments = arguments_of(argc, argv);
  const std::string_view word = arguments.size() > 1 ? arguments[1] : "";
  const auto named =
      std::ranges::find_if(kCommands, [&](const Command& command) { return command.name == word; });
  Program program;
  // To describe the options of all commands takes longer than to index a small granule.
  for (const Command& command : kCommands)
    if (named == kCommands.end() || command.name == word) command.add(program);
  return program.run(static_cast<int>(arguments.size()), arguments.data());
}

}  // namespace upwell::cli
