// SPDX-License-Identifier: MIT
//
// The command line. Each command is a file; this one lists them. Exit codes: 0, 1 (failed), 2 (usage). Errors go to
// standard error, and nothing else does but progress.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/progress.h"

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

// A command that is none, or none where one is needed: CLI11 would not say which there are. Empty if all is
// well.
std::string WrongCommand(const CLI::App& app, const std::vector<std::string>& words) {
  const CLI::App* at = &app;
  std::string of;
  for (size_t i = 0;; ++i) {
    const auto commands = at->get_subcommands([](const CLI::App*) { return true; });
    if (commands.empty() || (i < words.size() && words[i].starts_with("-"))) return "";
    std::string known;
    const CLI::App* found = nullptr;
    for (const CLI::App* command : commands) {
      known += (known.empty() ? "" : ", ") + command->get_name();
      if (i < words.size() && command->get_name() == words[i]) found = command;
    }
    if (i == words.size())
      return of.empty() ? "a subcommand is needed; one of: " + known : of + " needs a subcommand; one of: " + known;
    if (!found) return "no command '" + of + (of.empty() ? "" : " ") + words[i] + "'; one of: " + known;
    of += (of.empty() ? "" : " ") + words[i];
    at = found;
  }
}

}  // namespace

int main(int argc, char** argv) {
  ingot::OpenStandardStreams();
  std::signal(SIGBUS, SayLost);
  std::signal(SIGXFSZ, SIG_IGN);  // writing past a limit is an Error that says so, not the end
  if (isatty(STDERR_FILENO)) ingot::on_progress(ingot::ShowProgress);
  CLI::App app{"ingot " INGOT_VERSION ": define, train, inspect and time small Keras-equivalent models", "ingot"};
  app.formatter(std::make_shared<ingot::HelpFormatter>());
  app.set_version_flag("--version", "ingot " INGOT_VERSION, "Print the version and exit");
  app.require_subcommand(1);
  ingot::AddDemo(app);
  ingot::AddFiles(app);
  ingot::AddDiff(app);
  ingot::AddVerify(app);
  ingot::AddModel(app);
  ingot::AddLoad(app);
  ingot::AddMachine(app);
  ingot::AddPlot(app);
  ingot::AddReport(app);
  ingot::AddProfile(app);
  ingot::AddExplain(app);
  ingot::AddBench(app);
  std::vector<std::string> words(argv + 1, argv + argc);
  app.add_subcommand("help", "`help COMMAND`: the same as COMMAND --help");
  if (!words.empty() && words[0] == "help" && (words.size() == 1 || !words[1].starts_with("-"))) {
    words.erase(words.begin());
    words.push_back("--help");
  }
  if (const std::string wrong = WrongCommand(app, words); !wrong.empty()) {
    std::fprintf(stderr, "ingot: %s\n", OneLine(wrong).c_str());
    return 2;
  }
  std::reverse(words.begin(), words.end());  // as CLI11 takes them
  try {
    try {
      app.parse(words);
    } catch (const CLI::Success& e) {  // --help, --version
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
