// SPDX-License-Identifier: MIT
//
// What commands print and where they write. A file chooses the names that are in it: a terminal and a script that reads
// line by line must see them as text.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "ingot/core/printable.h"

namespace ingot {

// As one line. A path need not be UTF-8, JSON must be: what is not becomes U+FFFD.
std::string Line(const nlohmann::json& json);
std::string Line(const nlohmann::ordered_json& json);

// Of options: an empty path would be taken for an option that was not given, and CLI::Range takes NaN.
CLI::Validator NamesAFile();
CLI::Validator NamesAnNpyFile();
CLI::Validator NumberFrom(double least, double most);

// How many rows at once: --batch-size or --batch, whichever a caller is used to; --help shows `shown`.
CLI::Option* AddBatch(CLI::App& app, const std::string& shown, int& rows, const std::string& about);

// --help in plain words: "INT in [1 - 9]", where CLI11 has "INT:INT in [1 - 9]", and one name of an option that has
// two.
class HelpFormatter : public CLI::Formatter {
 public:
  std::string make_option_name(const CLI::Option* option, bool positional) const override;
  std::string make_option_opts(const CLI::Option* option) const override;
};

// Before hours of work, not behind them: that a file can be made or replaced there, and that it is none of `inputs`.
void CheckTarget(const std::string& option, const std::string& path, const std::vector<std::string>& inputs = {});

// A file that is opened must not take the place of a standard stream that the caller closed: what is printed would go
// into it.
void OpenStandardStreams();

// Throws if something that was printed did not arrive.
void FlushOutput();

}  // namespace ingot
