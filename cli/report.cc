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
#include "ingot/cli/curves.h"
#include "ingot/cli/output.h"
#include "ingot/core/bars.h"
#include "ingot/core/error.h"
#include "ingot/core/memory.h"
#include "ingot/ingot.h"
#include "ingot/io/atomic_file.h"
#include "ingot/io/svg.h"
#include "ingot/train/profile.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

constexpr int64_t kMostClasses = 40;  // of a matrix that is still read
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

// The class of a row: the largest of several numbers, or whether one is above a half; a label is one already.
int64_t ClassOf(const Array& a, int64_t row, bool labels) {
  const int64_t n = a.size() / std::max<int64_t>(1, a.rows());
  if (labels && n == 1) {
    const double label = a.dtype() == DType::kInt32   ? a.as<int32_t>()[static_cast<size_t>(row)]
                         : a.dtype() == DType::kUint8 ? a.as<uint8_t>()[static_cast<size_t>(row)]
                                                      : std::floor(a.floats()[static_cast<size_t>(row)] + 0.5);
    return label >= 0 && label < 1e9 ? static_cast<int64_t>(label) : -1;
  }
  if (a.dtype() != DType::kFloat32) return -1;
  const auto values = a.floats().subspan(static_cast<size_t>(row * n), static_cast<size_t>(n));
  if (n == 1) return values[0] > 0.5f;
  return std::max_element(values.begin(), values.end()) - values.begin();
}

std::string Matrix(const Array& predicted, const Array& truth) {
  const int64_t rows = predicted.rows();
  const int64_t outputs = predicted.size() / std::max<int64_t>(1, rows), classes = std::max<int64_t>(2, outputs);
  if (predicted.shape().rank() != 2 || truth.rows() != rows || classes > kMostClasses)
    return Paragraph(Text("Not shown: classes of rows were expected, ", kMostClasses, " at most; the model gives ",
                          predicted.shape()));
  std::vector<int64_t> counts(static_cast<size_t>(classes * classes)), of(static_cast<size_t>(classes));
  int64_t right = 0, left_out = 0;
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t t = ClassOf(truth, i, true), p = ClassOf(predicted, i, false);
    if (t < 0 || t >= classes || p < 0) {
      ++left_out;
      continue;
    }
    ++counts[static_cast<size_t>(t * classes + p)], ++of[static_cast<size_t>(t)];
    right += t == p;
  }
  char line[128];
  std::snprintf(line, sizeof line, "%lld of %lld right, %.2f %%. Rows are the truth, columns what was predicted.",
                static_cast<long long>(right), static_cast<long long>(rows - left_out),
                100.0 * static_cast<double>(right) / static_cast<double>(std::max<int64_t>(1, rows - left_out)));
  std::string html = Paragraph(line);
  if (left_out) html += Paragraph(Text(left_out, " rows are of no class and were left out."));
  html += "<table>\n<tr><th></th>";
  for (int64_t p = 0; p < classes; ++p) html += Text("<th>", p, "</th>");
  html += "</tr>\n";
  for (int64_t t = 0; t < classes; ++t) {
    html += Text("<tr><th>", t, "</th>");
    for (int64_t p = 0; p < classes; ++p) {
      const int64_t count = counts[static_cast<size_t>(t * classes + p)];
      const double part =
          static_cast<double>(count) / static_cast<double>(std::max<int64_t>(1, of[static_cast<size_t>(t)]));
      std::snprintf(line, sizeof line, "<td style=\"background: rgba(%s, %.2f)\">%lld</td>",
                    t == p ? "60,141,64" : "209,102,43", count ? std::max(0.08, part) : 0.0,
                    static_cast<long long>(count));
      html += line;
    }
    html += "</tr>\n";
  }
  return html + "</table>\n";
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
    const Arrays predicted = model.predict(x, o.batch_size);
    const bool training = model.compiled() && !y.empty();
    if (training) {
      std::vector<Bar> bars;
      for (const auto& [name, value] : model.evaluate(Dataset(x, y), o.batch_size)) bars.push_back({name, value});
      std::string rows = "<table>\n";
      for (const Bar& bar : bars) rows += Text("<tr><th>", Escaped(bar.name), "</th><td>", bar.value, "</td></tr>\n");
      html += Section("On these data", rows + "</table>\n");
    }
    if (y.size() == 1 && predicted.size() == 1) html += Section("Confusion matrix", Matrix(predicted[0], y[0]));
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
