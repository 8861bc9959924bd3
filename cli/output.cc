// SPDX-License-Identifier: MIT
#include "ingot/cli/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "ingot/core/error.h"
#include "ingot/io/atomic_file.h"

namespace ingot {
namespace {

namespace fs = std::filesystem;

bool SameFile(const std::string& a, const std::string& b) {
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  // Of a relative path that leads nowhere weakly_canonical makes nothing absolute.
  const auto whole = [&](const std::string& path) { return fs::weakly_canonical(fs::absolute(path, error), error); };
  const fs::path x = whole(a);
  return !x.empty() && x == whole(b);
}

template <class Json>
std::string LineOf(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string Line(const nlohmann::json& json) { return LineOf(json); }
std::string Line(const nlohmann::ordered_json& json) { return LineOf(json); }

CLI::Validator NamesAFile() {
  return CLI::Validator([](std::string& text) { return text.empty() ? "the path is empty; name a file" : ""; }, "FILE");
}

CLI::Validator NamesAnNpyFile() {
  return CLI::Validator(
      [](std::string& text) { return text.ends_with(".npy") ? "" : text + " does not end in .npy, which is written"; },
      ".npy FILE");
}

CLI::Validator NumberFrom(double least, double most) {
  return CLI::Validator(
      [least, most](std::string& text) {
        double value = 0;
        if (CLI::detail::lexical_cast(text, value) && value >= least && value <= most) return std::string();
        return Text("is ", text, ", a number from ", least, " to ", most, " was expected");
      },
      Text("FLOAT in [", least, " - ", most, "]"));
}

CLI::Option* AddBatch(CLI::App& app, const std::string& shown, int& rows, const std::string& about) {
  const std::string other = shown == "--batch" ? "--batch-size" : "--batch";
  return app.add_option(shown + "," + other, rows, about)->capture_default_str()->check(CLI::Range(1, 1 << 24));
}

std::string HelpFormatter::make_option_name(const CLI::Option* option, bool positional) const {
  std::string name = CLI::Formatter::make_option_name(option, positional);
  // A flag's other name turns it off and is shown; but not how CLI11 writes that down.
  if (const size_t at = name.find("{false}"); at != std::string::npos) return name.erase(at, 7);
  const std::vector<std::string>& names = option->get_lnames();
  return !positional && names.size() > 1 ? "--" + names[0] : name;
}

std::string HelpFormatter::make_option_opts(const CLI::Option* option) const {
  std::string text = CLI::Formatter::make_option_opts(option);
  for (const char* type : {" INT:", " UINT:", " FLOAT:", " TEXT:"})  // what follows the colon says more
    if (text.starts_with(type)) text.erase(1, std::strlen(type) - 1);
  return text;
}

void CheckTarget(const std::string& option, const std::string& path, const std::vector<std::string>& inputs) {
  for (const std::string& input : inputs)
    if (SameFile(path, input))
      Fail(option, ": ", path, " is the same file as ", input, ", which would be lost; name another");
  AtomicFile probe(path);  // goes without a trace, and without touching what is there
}

void OpenStandardStreams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) != -1 || errno != EBADF) continue;
    // The lowest that is free, which is this one. Writing fails there, as it did.
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(1);
  }
}

void FlushOutput() {
  errno = 0;
  if (std::fflush(stdout) == 0 && !std::ferror(stdout)) return;
  Fail("standard output could not be written", errno ? ": " : "", errno ? std::strerror(errno) : "",
       "; what was to be printed is lost");
}

}  // namespace ingot
