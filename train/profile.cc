// SPDX-License-Identifier: MIT
#include "ingot/train/profile.h"

#include <chrono>

#include "ingot/train/check.h"
#include "ingot/train/recorder.h"

namespace ingot {

Profile profile(Model& model, const Dataset& data, const ProfileOptions& options) {
  using Clock = std::chrono::steady_clock;
  ModelState& s = model.state();
  if (data.staged()) Fail("profile: the data has stages; read a batch of it, or profile a fit: FitOptions::profile");
  if (!(options.seconds >= 0 && options.seconds <= 1e6))
    Fail("profile: seconds is ", options.seconds, ", 0 to 1e6 was expected");
  if (options.training) s.RequireCompiled("profile");
  CheckData(s, data, options.training, "profile");
  if (options.training) {
    s.LeaveFile();
    s.EnsureTrainingArenas();
    CheckLabels(s, data);
  }
  const Mode mode = options.training ? Mode::kTrain : Mode::kPredict;
  const Rows rows{nullptr, 0, data.x.at(0).rows()};
  for (int i = 0; i < 3; ++i) RunStep(s, s.session, mode, data, rows);
  Profile result;
  Recorder recorder(result, s, options.training, "profile", 2);
  const Watch none;
  const auto begin = Clock::now();
  const auto spent = [&] { return std::chrono::duration<double>(Clock::now() - begin).count(); };
  for (int64_t i = 0; i < 8 || spent() < options.seconds; ++i) {
    const Recorder::Step step(&recorder, i, rows.last, none);
    RunStep(s, s.session, mode, data, rows, nullptr, step.watch());
  }
  recorder.Finish();
  return result;
}

double Profile::phase(const std::string& wanted) const {
  for (const Phase& p : phases)
    if (p.name == wanted) return p.seconds;
  return 0;
}

}  // namespace ingot
