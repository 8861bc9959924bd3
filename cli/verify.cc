// SPDX-License-Identifier: MIT
//
// `ingot verify`: whether a file is whole, and with --run whether its model computes here what it did there.
#include "ingot/io/verify.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/memory.h"
#include "ingot/core/plural.h"
#include "ingot/train/selftest.h"

namespace ingot {
namespace {

struct Options {
  std::string file;
  bool run = false, json = false;
};

void Verify(const Options& o) {
  const VerifyReport report = VerifyFile(o.file);
  SelfTestResult test;
  if (o.run) test = RunSelfTest(o.file);
  const double rate = report.seconds > 0 ? static_cast<double>(report.bytes) / report.seconds / 1e9 : 0;
  if (o.json) {
    Json json = {{"file", o.file},
                 {"format", report.format},
                 {"bytes", report.bytes},
                 {"tensors", report.tensors},
                 {"tensor_bytes", report.tensor_bytes},
                 {"seconds", report.seconds},
                 {"gb_per_s", rate},
                 {"checksums", report.checksums},
                 {"checked", report.checked},
                 {"warnings", report.warnings}};
    if (o.run)
      json["self_test"] = {{"values", test.values},
                           {"gradient", test.gradient},
                           {"identical", test.identical},
                           {"largest_difference", test.largest}};
    std::printf("%s\n", Line(json).c_str());
    return;
  }
  std::printf("%s: %s\n", o.file.c_str(), report.checksums ? "whole" : "nothing wrong to be seen");
  std::printf("checked: %s\n", report.checked.c_str());
  std::printf("%s of %s, a file of %s, in %.3f s", Counted(report.tensors, "tensor").c_str(),
              HumanBytes(report.tensor_bytes).c_str(), HumanBytes(report.bytes).c_str(), report.seconds);
  if (report.bytes >= 1000000) std::printf(" (%.2f GB/s)", rate);  // of less, it is the time to open the file
  std::printf("\n");
  for (const std::string& warning : report.warnings) std::printf("warning: %s\n", Printable(warning, true).c_str());
  if (!o.run) return;
  std::printf("self-test: %lld value%s%s, ", static_cast<long long>(test.values), test.values == 1 ? "" : "s",
              test.gradient ? ", the norm of the gradient among them" : "");
  if (test.identical)
    std::printf("bit-identical\n");
  else
    std::printf("the largest difference is %.2g of the largest value\n", test.largest);
}

}  // namespace

void AddVerify(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* verify =
      app.add_subcommand("verify", "reads and checks everything in a file of any format; fails if it is damaged");
  verify->add_option("FILE", o->file, "a saved model or weights, in any format")->required();
  verify->add_flag("--run", o->run, "repeat the self-test that the .ingot file holds as well");
  verify->add_flag("--json", o->json, "as one line of JSON");
  verify->callback([o] { Verify(*o); });
}

}  // namespace ingot
