// SPDX-License-Identifier: MIT
//
// `ingot report`: a model and its run as one page that opens from disk, without a network: curves, confusion matrix,
// time by layer, memory, the weights' histograms, the plan.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>

#include "ingot/cli/arrays.h"
#include "ingot/cli/commands.h"
#include "ingot/cli/confusion.h"
#include "ingot/cli/curves.h"
#include "ingot/cli/output.h"
#include "ingot/core/bars.h"
#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/core/plural.h"
#include "ingot/ingot.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/svg.h"
#include "ingot/train/profile.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr size_t kMostHistograms = 200, kMostLayers = 40;
constexpr int kBars = 30;

struct Options {
  std::string model, out, history;
  std::vector<std::string> x, y;
  int batch_size = 32;
};

constexpr char kStyle[] = R"(
body { font: 15px/1.5 sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; color: #222; background: #fff; }
h1 { font-size: 1.6em; } h2 { font-size: 1.2em; margin-top: 2em; border-bottom: 1px solid #ddd; }
pre { background: #f6f6f6; padding: 1em; overflow-x: auto; font-size: 12px; }
table { border-collapse: collapse; } td, th { padding: 2px 8px; text-align: right; font-weight: normal; }
th { color: #666; } .weights svg { margin: 4px; border: 1px solid #eee; } svg { max-width: 100%; height: auto; }
)";

std::string Section(const std::string& title, const std::string& body) {
  return "<h2>" + Escaped(title) + "</h2>\n" + body + "\n";
}

std::string Paragraph(const std::string& text) { return "<p>" + Escaped(text) + "</p>\n"; }

// Files that belong together: a row of each for a row of the others.
void CheckRows(const Arrays& arrays, const std::vector<std::string>& files, const std::string& option,
               const std::string& first, int64_t rows) {
  for (size_t i = 0; i < arrays.size(); ++i)
    if (arrays[i].rows() != rows)
      Fail(option, ": ", files[i], " has ", Counted(static_cast<size_t>(arrays[i].rows()), "row"), ", ", first, " has ",
           rows, "; give files with a row for each");
}

std::string TimeByLayer(const Profile& profile, bool training) {
  std::vector<Bar> bars;
  double sum = 0;
  for (const Profile::Part& layer : profile.layers()) {
    bars.push_back({layer.layer, layer.ms});
    sum += layer.ms;
  }
  if (bars.size() > kMostLayers) bars.resize(kMostLayers);
  char line[160];
  for (Bar& bar : bars) {
    std::snprintf(line, sizeof line, "%.4f ms, %.1f %%", bar.value, 100 * bar.value / sum);
    bar.shown = line;
  }
  std::snprintf(line, sizeof line,
                "%s: %.4f ms (least %.4f), %.2f GFLOP/s. Each layer forward, backward and updated; ms.",
                training ? "A step of training" : "A prediction", profile.ms_median, profile.ms_min,
                profile.flops / profile.ms_median / 1e6);
  return Paragraph(line) + Draw(BarChart{"time by layer", bars}, 900);
}

std::string Weights(const Model& model) {
  const std::vector<VariablePtr> variables = model.variables();
  const std::vector<std::string> names = model.state().layout.names();
  std::string html = "<div class=\"weights\">\n";
  for (size_t i = 0; i < std::min(kMostHistograms, variables.size()); ++i) {
    const Variable& v = *variables[i];
    if (v.dtype != DType::kFloat32 || v.shape.count() == 0) continue;
    const std::span<const float> values(v.data(), static_cast<size_t>(v.shape.count()));
    const Spread spread = SpreadOf(values);
    Histogram histogram{names[i] + " " + v.shape.str(), spread.low, spread.high, std::vector<double>(kBars)};
    if (spread.low < spread.high)
      histogram.counts = CountBars(values, spread.low, spread.high, kBars);
    else  // all are the same
      histogram.counts[kBars / 2] =
          static_cast<double>(std::count_if(values.begin(), values.end(), [](float x) { return std::isfinite(x); }));
    html += Draw(histogram);
  }
  if (variables.size() > kMostHistograms)
    html += Paragraph(Text("The first ", kMostHistograms, " of ", variables.size()));
  return html + "</div>\n";
}

std::string Memory(const Model& model) {
  const ModelState& s = model.state();
  std::vector<Bar> bars;
  const auto bar = [&](const char* name, size_t bytes) {
    if (bytes) bars.push_back({name, static_cast<double>(bytes), HumanBytes(bytes)});
  };
  bar("weights", s.layout.bytes());
  bar("gradients", s.gradient.size());
  bar("optimizer", s.slots.size());
  bar("activations", s.session.activation_.size());
  const ProcessMemory process = MemoryOfProcess();
  bar("resident, all of it", process.resident);
  bar("of that shared with files", process.shared);
  return Draw(BarChart{"memory of this process, with one plan for each batch size used", bars}, 900);
}

void Report(const Options& o) {
  std::vector<std::string> inputs = o.x;
  inputs.insert(inputs.end(), o.y.begin(), o.y.end());
  inputs.push_back(o.model);
  if (!o.history.empty()) inputs.push_back(o.history);
  CheckTarget("--out", o.out, inputs);
  if (!o.out.ends_with(".html")) Fail("--out: ", o.out, " is no .html");
  Model model = load_model(o.model);

  std::string html = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" +
                     Escaped(model.name()) + "</title><style>" + kStyle + "</style></head><body>\n<h1>" +
                     Escaped(model.name()) + "</h1>\n";
  html += Paragraph(Text(o.model, ", ", model.count_params(), " parameters",
                         model.compiled() ? Text(", ", model.iterations(), " steps done") : std::string()));
  if (!o.history.empty()) {
    std::string charts;
    for (const LineChart& chart : ChartsOf(ReadCurves(o.history))) charts += Draw(chart, 900, 300);
    html += Section("Curves", charts);
  }
  if (!o.x.empty()) {
    const Arrays x = ReadNpyFiles(o.x), y = ReadNpyFiles(o.y);
    CheckRows(x, o.x, "--x", o.x[0], x.at(0).rows());
    CheckRows(y, o.y, "--y", o.x[0], x.at(0).rows());
    const Arrays predicted = model.predict(x, o.batch_size);
    const bool training = model.compiled() && !y.empty();
    if (training) {
      std::vector<Bar> bars;
      for (const auto& [name, value] : model.evaluate(Dataset(x, y), o.batch_size)) bars.push_back({name, value});
      std::string rows = "<table>\n";
      for (const Bar& bar : bars) rows += Text("<tr><th>", Escaped(bar.name), "</th><td>", bar.value, "</td></tr>\n");
      html += Section("On these data", rows + "</table>\n");
    }
    if (y.size() == 1 && predicted.size() == 1)
      html += Section("Confusion matrix", ConfusionMatrix(model, predicted[0], y[0]));
    Arrays some_x, some_y;
    const int64_t rows = std::min<int64_t>(o.batch_size, x.at(0).rows());
    for (const Array& a : x) some_x.push_back(a.slice(0, rows));
    for (const Array& a : y) some_y.push_back(a.slice(0, rows));
    // Training changes weights: those of another handle, from the file again.
    Model timed = load_model(o.model);
    const Profile times = profile(timed, Dataset(some_x, training ? some_y : Arrays{}), {.training = training});
    html += Section("Time", TimeByLayer(times, training));
    html += Section("Memory", Memory(timed));
  }
  html += Section("Weights", Weights(model));
  html += Section("Summary", "<pre>" + Escaped(model.summary()) + "</pre>");
  html += Section("Plan", "<pre>" + Escaped(model.plan(o.batch_size, model.compiled())) + "</pre>");
  html += "</body></html>\n";
  AtomicFile file(o.out);
  file.Write(html.data(), html.size());
  file.Commit();
  std::printf("%s: %s\n", o.out.c_str(), HumanBytes(html.size()).c_str());
}

}  // namespace

void AddReport(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* report = app.add_subcommand("report", "a model and its run as one page of HTML, which needs no network");
  report->add_option("MODEL", o->model, "a file that holds a model")->required();
  report->add_option("--out", o->out, "where to write the page, a .html")->required()->check(NamesAFile());
  report->add_option("--history", o->history,
                     "its curves: .json of `ingot fit --history` or of Keras, or .csv of CSVLogger");
  CLI::Option* x = report->add_option("--x", o->x, "inputs, as .npy: to predict and to time");
  report->add_option("--y", o->y, "targets, as .npy: for the confusion matrix and a step of training")->needs(x);
  report->add_option("--batch-size", o->batch_size, "rows at once")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 24));
  report->callback([o] { Report(*o); });
}

}  // namespace ingot
