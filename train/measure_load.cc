// SPDX-License-Identifier: MIT
//
// What loading costs to the end of its first use. A mapped file costs nothing to load and everything to touch, so a
// time of loading alone says little.
#include "ingot/core/threads.h"
#include "ingot/train/trainer.h"

namespace ingot {
namespace {

// Reads something of every page of the weights, as the first prediction would.
uint64_t TouchWeights(const ModelState& s) {
  uint64_t bytes = 0;
  for (const VariablePtr& v : s.layout.variables()) {
    const auto* data = reinterpret_cast<const volatile char*>(v->data());
    const size_t pages = (v->bytes() + kPage - 1) / kPage;
    constexpr size_t kPages = 256;  // of a tile
    ThreadPool::Default().For(static_cast<int64_t>((pages + kPages - 1) / kPages), [&](int64_t tile) {
      const size_t first = static_cast<size_t>(tile) * kPages;
      for (size_t p = first; p < std::min(pages, first + kPages); ++p) (void)data[p * kPage];
    });
    bytes += v->bytes();
  }
  return bytes;
}

}  // namespace

LoadReport measure_load(const std::string& path, const FirstUse& use) {
  if (use.batch_size <= 0) Fail("measure_load: batch_size is ", use.batch_size, ", a positive number was expected");
  LoadReport report;
  Model model = load_model(path, {.mode = use.mode, .report = &report});
  ModelState& s = model.state();
  const Dataset data = ExampleBatch(s, use.batch_size, model.compiled(), "measure_load");
  if (use.touch) {
    PhaseTimer phase(&report, "first touch");
    phase.AddBytes(TouchWeights(s));
  }
  if (use.predict) {
    const PhaseTimer phase(&report, "first prediction");
    model.predict_on_batch(data.x);
  }
  if (use.train && model.compiled() && use.mode != LoadMode::kShare) {
    {
      PhaseTimer phase(&report, "move to memory");
      phase.AddBytes(s.layout.bytes() + s.slots.size());
      s.EnsureTrainingArenas();
    }
    const PhaseTimer phase(&report, "first training step");
    model.train_on_batch(data.x, data.y);
  }
  return report;
}

}  // namespace ingot
