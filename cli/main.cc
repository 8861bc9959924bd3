// SPDX-License-Identifier: MIT
//
// The command line. Each command is a file; this one lists them. Exit codes: 0, 1 (failed), 2 (usage). Errors go to
// standard error, and nothing else does but progress.
#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>

#include "ingot/cli/commands.h"

int main(int argc, char** argv) {
  std::signal(SIGXFSZ, SIG_IGN);  // writing past a limit is an Error that says so, not the end
  CLI::App app{"ingot: define, train, inspect and time small Keras-equivalent models"};
  app.require_subcommand(1);
  ingot::AddDemo(app);
  ingot::AddFiles(app);
  ingot::AddModel(app);
  ingot::AddLoad(app);
  ingot::AddBench(app);
  try {
    app.parse(argc, argv);
    return 0;
  } catch (const CLI::CallForHelp& e) {
    return app.exit(e);
  } catch (const CLI::CallForAllHelp& e) {
    return app.exit(e);
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "ingot: %s (see --help)\n", e.what());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ingot: %s\n", e.what());
    return 1;
  }
}
