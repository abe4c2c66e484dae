#include "cli/command.hpp"

namespace upwell::cli {

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
  return program.run(argc, argv);
}

}  // namespace upwell::cli
