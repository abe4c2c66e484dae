#include "cli/command.hpp"

int main(int argc, char** argv) { return upwell::cli::run_program(argc, argv); }
