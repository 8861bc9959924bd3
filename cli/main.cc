// SPDX-License-Identifier: MIT
//
// The command line. Each command is a file; this one lists them. Exit codes: 0, 1 (failed), 2 (usage). Errors go to
// standard error, and nothing else does but progress.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"

namespace {

// Lists in an error are indented lines, which scripts that read standard error line by line would take for several.
std::string OneLine(const std::string& text) {
  std::string line;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\n') {
      line += text[i];
      continue;
    }
    while (i + 1 < text.size() && (text[i + 1] == ' ' || text[i + 1] == '\n')) ++i;
    if (i + 1 < text.size()) line += line.ends_with(':') ? " " : "; ";
  }
  return ingot::Printable(line);
}

// A mapped file of which a part is gone, or cannot be read from its disk: nothing can go on, but it can be said.
void SayLost(int) {
  constexpr char kText[] =
      "ingot: a file was cut, or its disk failed, while it was used; get it whole, and replace files by renaming\n";
  if (write(STDERR_FILENO, kText, sizeof kText - 1) < 0) {
  }  // nobody to tell
  _exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  ingot::OpenStandardStreams();
  std::signal(SIGBUS, SayLost);
  std::signal(SIGXFSZ, SIG_IGN);  // writing past a limit is an Error that says so, not the end
  CLI::App app{"ingot: define, train, inspect and time small Keras-equivalent models"};
  app.require_subcommand(1);
  ingot::AddDemo(app);
  ingot::AddFiles(app);
  ingot::AddDiff(app);
  ingot::AddVerify(app);
  ingot::AddModel(app);
  ingot::AddLoad(app);
  ingot::AddMachine(app);
  ingot::AddBench(app);
  if (argc > 1 && argv[1][0] != '-') {
    std::string known;
    bool found = false;
    for (const CLI::App* command : app.get_subcommands([](CLI::App*) { return true; })) {
      known += (known.empty() ? "" : ", ") + command->get_name();
      found = found || command->get_name() == argv[1];
    }
    if (!found) {
      std::fprintf(stderr, "ingot: no command '%s'; one of: %s\n", OneLine(argv[1]).c_str(), known.c_str());
      return 2;
    }
  }
  try {
    try {
      app.parse(argc, argv);
    } catch (const CLI::CallForHelp& e) {
      app.exit(e);
    } catch (const CLI::CallForAllHelp& e) {
      app.exit(e);
    }
    ingot::FlushOutput();
    return 0;
  } catch (const CLI::ParseError& e) {
    std::fprintf(stderr, "ingot: %s (see --help)\n", OneLine(e.what()).c_str());
    return 2;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ingot: %s\n", OneLine(e.what()).c_str());
    return 1;
  }
}
