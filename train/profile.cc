// SPDX-License-Identifier: MIT
#include "ingot/train/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "ingot/train/check.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

using Clock = std::chrono::steady_clock;

double Ms(Clock::time_point since) { return std::chrono::duration<double, std::milli>(Clock::now() - since).count(); }

double Median(std::vector<double>& values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

}  // namespace

Profile profile(Model& model, const Dataset& data, const ProfileOptions& options) {
  ModelState& s = model.state();
  if (options.training) s.RequireCompiled("profile");
  CheckData(s, data, options.training, "profile");
  if (options.training) {
    s.LeaveFile();
    s.EnsureTrainingArenas();
    CheckLabels(s, data);
  }
  const Mode mode = options.training ? Mode::kTrain : Mode::kPredict;
  const Rows rows{nullptr, 0, data.x.at(0).rows()};
  const auto run = [&] { RunStep(s, s.session, mode, data, rows); };

  Profile result;
  for (int i = 0; i < 3; ++i) run();
  std::vector<double> whole;
  for (const auto begin = Clock::now(); whole.size() < 3 || Ms(begin) < 500 * options.seconds;) {
    const auto at = Clock::now();
    run();
    whole.push_back(Ms(at));
  }
  result.ms_min = *std::min_element(whole.begin(), whole.end());
  result.ms_median = Median(whole);

  const Plan& plan = *s.session.Find(s, mode, data, rows.last, !data.sample_weight.empty()).plan;
  std::vector<std::vector<double>> times(plan.steps().size());
  int passes = 0;
  for (const auto begin = Clock::now(); passes < 3 || Ms(begin) < 500 * options.seconds; ++passes) {
    auto at = Clock::now();
    RunStep(s, s.session, mode, data, rows, nullptr, [&](const Program&, const Step* step) {
      const auto now = Clock::now();
      if (step)
        times[static_cast<size_t>(step - plan.steps().data())].push_back(
            std::chrono::duration<double, std::milli>(now - at).count());
      at = now;
    });
  }
  static const char* const phases[] = {"forward", "backward", "update"};
  for (size_t i = 0; i < times.size(); ++i) {
    if (times[i].empty()) continue;  // made of the weights alone, before
    const Step& step = plan.steps()[i];
    result.steps.push_back({phases[static_cast<int>(step.phase)], plan.layer(step), Fused(step), Shapes(step),
                            Median(times[i]), step.cost.flops, step.cost.bytes});
    result.flops += step.cost.flops;
    result.bytes += step.cost.bytes;
  }
  return result;
}

std::string Profile::str(double peak_gflops) const {
  std::vector<size_t> order(steps.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return steps[a].ms > steps[b].ms; });
  double sum = 0;
  for (const Step& step : steps) sum += step.ms;
  std::string text;
  char line[320];
  std::snprintf(line, sizeof line, "%9s %6s %8s %6s %8s  %-8s  %-20s  %-24s  %s\n", "ms", "share", "GFLOP/s", "peak",
                "GB/s", "phase", "layer", "kernel", "shapes");
  text += line;
  for (const size_t i : order) {
    const Step& s = steps[i];
    const double gflops = s.flops / s.ms / 1e6;
    std::snprintf(line, sizeof line, "%9.4f %5.1f%% %8.1f %5.1f%% %8.1f  %-8s  %-20s  %-24s  %s\n", s.ms,
                  100 * s.ms / sum, gflops, peak_gflops > 0 ? 100 * gflops / peak_gflops : 0.0, s.bytes / s.ms / 1e6,
                  s.phase.c_str(), s.layer.substr(0, 20).c_str(), s.kernel.c_str(), s.shapes.c_str());
    text += line;
  }
  std::snprintf(line, sizeof line, "%zu steps, %.4f ms by themselves; the whole: median %.4f ms, least %.4f ms\n",
                steps.size(), sum, ms_median, ms_min);
  return text + line;
}

}  // namespace ingot
