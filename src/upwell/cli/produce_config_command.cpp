#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.hpp"
#include "produce/config.hpp"

namespace upwell::cli {

// Called in produce_command.cpp.
void add_produce_config_command(Program& program, CLI::App* group);

namespace {

constexpr const char* kConfigFooter =
    "Examples:\n"
    "  upwell produce config                                      all keys that are read, as a "
    "table\n"
    "  upwell produce config product_generation_config.yaml       what of this file is read\n"
    "\n"
    "A key that is written wrong is one that nobody reads, and what it should say is then the "
    "default.\n"
    "Values of another type than the key's are errors (78).";

void print_keys() {
  fmt::print("| key | type | without it | needed by | of | |\n|---|---|---|---|---|---|\n");
  for (const produce::ConfigKey& key : produce::kConfigKeys)
    fmt::print("| `{}` | {} | {} | {} | {} | {} |\n", key.name, key.type, key.fallback, key.needed,
               key.dialect, key.meaning);
}

Result<> check_file(const std::string& place, Context& context) {
  UPWELL_TRY(const SharedBytes text, context.session().read_one(io::normal_url(place)));
  UPWELL_TRY(const produce::Config config,
             produce::Config::parse(std::string(as_text(text.span())), place));
  const produce::Config::Check check = config.check();
  for (const std::string& line : check.unread) fmt::print("{}: not read\n", line);
  for (const std::string& name : check.absent) {
    for (const produce::ConfigKey& key : produce::kConfigKeys) {
      if (key.name != name) continue;
      const std::string dialect = key.dialect == "both" ? "" : fmt::format(" ({})", key.dialect);
      if (key.needed.empty()) {
        fmt::print("{}: {}{} is not there: {}\n", place, name, dialect, key.fallback);
      } else {
        fmt::print("{}: {}{} is not there; needed by {}\n", place, name, dialect, key.needed);
      }
    }
  }
  for (const std::string& line : check.wrong) fmt::print("{}\n", line);
  fmt::print("{}: {} of {} keys are read\n", place, check.read, check.read + check.unread.size());
  if (check.wrong.empty()) return {};
  return fail(Code::kBadConfiguration,
              fmt::format("{}: {} values are of the wrong type", place, check.wrong.size()));
}

}  // namespace

void add_produce_config_command(Program& program, CLI::App* group) {
  auto file = std::make_shared<std::string>();
  CLI::App* app = program.add(
      "config", "Which keys of a configuration are read, and what is wrong with one", kConfigFooter,
      [file](Context& context) -> Result<> {
        if (!file->empty()) return check_file(*file, context);
        print_keys();
        return {};
      },
      group);
  app->add_option("FILE", *file, "Configuration (YAML): a path or URL. Default: the table of keys");
}

}  // namespace upwell::cli
