// SPDX-License-Identifier: MIT
//
// `ingot plot`: what a run has logged, as a picture.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "ingot/cli/commands.h"
#include "ingot/cli/curves.h"
#include "ingot/cli/output.h"
#include "ingot/core/error.h"
#include "ingot/core/plural.h"
#include "ingot/io/atomic_file.h"

namespace ingot {
namespace {

struct Options {
  std::string file, out;
  std::vector<std::string> metrics;
};

void Plot(const Options& o) {
  CheckTarget("--out", o.out, {o.file});
  if (!o.out.ends_with(".svg")) Fail("--out: ", o.out, " is no .svg, and ingot draws nothing else");
  const std::vector<LineChart> charts = ChartsOf(ReadCurves(o.file), o.metrics);
  const std::string svg = Column(charts);
  AtomicFile file(o.out);
  file.Write(svg.data(), svg.size());
  file.Commit();
  std::printf("%s: %s\n", o.out.c_str(), Counted(charts.size(), "chart").c_str());
}

}  // namespace

void AddPlot(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* plot = app.add_subcommand("plot", "draw what a run has logged, as SVG");
  plot->add_option("HISTORY", o->file, ".json of `ingot fit --history` or of Keras, or .csv of CSVLogger")
      ->required()
      ->check(CLI::ExistingFile);
  plot->add_option("--out", o->out, "where to draw it, a .svg")->required()->check(NamesAFile());
  plot->add_option("--metrics", o->metrics, "these alone; by default all that were logged");
  plot->callback([o] { Plot(*o); });
}

}  // namespace ingot
