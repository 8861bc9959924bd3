// SPDX-License-Identifier: MIT
//
// Why is loading and retraining a model 6 times slower? The slow case scales images one by one, loads an HDF5 file
// without the optimizer's state, and goes on training in small batches; the mended one scales all at once, loads an
// .ingot file with the state, and trains in larger batches, to the same loss. Each cause is also measured by itself.
//
// TensorFlow's SavedModel holds the graph of a model. Its like here is .ingot: description, weights and optimizer as
// they lie in memory, which is mapped; the plan is made when it is first needed, in well under a millisecond.
#include <cmath>

#include "measure.h"

using namespace ingot;
using namespace measure;

namespace {

const std::string kH5 = "question_1.h5", kIngot = "question_1.ingot";

// Pictures of bytes, as files have them.
Samples Pictures(int64_t n) {
  const Samples digits = Digits(n, /*seed=*/1);
  std::vector<uint8_t> bytes;
  for (const float v : digits.x[0].floats()) bytes.push_back(static_cast<uint8_t>(std::lround(255 * v)));
  return {{Array({n, 784}, bytes)}, digits.y, {}};
}

Array OneByOne(const Scaler& scaler, const Array& pictures) {
  std::vector<Array> scaled;
  for (int64_t i = 0; i < pictures.rows(); ++i) scaled.push_back(scaler.transform(pictures.slice(i, i + 1)));
  Array all(pictures.shape());
  for (int64_t i = 0; i < pictures.rows(); ++i)
    std::ranges::copy(scaled[static_cast<size_t>(i)].floats(), all.floats().begin() + 784 * i);
  return all;
}

const CompileOptions kCompile{.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}};

Model Mlp(int depth, int64_t width) {
  std::vector<Layer> layers = {Input({784})};
  for (int i = 0; i < depth; ++i) layers.push_back(Dense(width, {.activation = "relu"}));
  layers.push_back(Dense(10, {.activation = "softmax"}));
  Model model = Sequential(layers, {.seed = 1});
  model.compile(kCompile);
  return model;
}

// Goes on training until the loss of all data is at most `goal`: after how many steps. A step is looked at as it ends.
double StepsUntil(Model model, const Samples& data, double goal, int batch) {
  double steps = 0;
  const auto watch = LambdaCallback({.on_train_batch_end = [&](Model& m, int64_t, const Logs&) {
    ++steps;
    m.set_stop_training(m.evaluate(data, 512)["loss"] <= goal);
  }});
  model.fit(data, {.batch_size = batch, .epochs = 20, .callbacks = {watch}});
  return steps;
}

Model WithoutState(const std::string& path, const CompileOptions& compile = kCompile) {
  Model model = load_model(path, {.compile = false});
  model.compile(compile);
  return model;
}

// After each of some epochs: how many steps it takes to come back to the loss of that moment. Medians.
struct Regained {
  double with, without;
  Regained(const Samples& data, const Optimizer& optimizer) {
    CompileOptions options = kCompile;
    options.optimizer = optimizer;
    Model model = Mlp(1, 64);
    model.compile(options);
    std::vector<double> kept, lost;
    for (int epoch = 0; epoch < 8; ++epoch) {
      model.fit(data, {.batch_size = 32});
      if (epoch < 3) continue;
      model.save(kIngot);
      const double goal = model.evaluate(data)["loss"];
      kept.push_back(StepsUntil(load_model(kIngot), data, goal, 32));
      lost.push_back(StepsUntil(WithoutState(kIngot, options), data, goal, 32));
    }
    with = Median(kept), without = Median(lost);
  }
};

}  // namespace

int main(int argc, char** argv) try {
  const bool small = Small(argc, argv);
  const int rounds = small ? 3 : 11;
  const Leftovers leftovers{{kH5, kIngot}};
  const Samples pictures = Pictures(small ? 2000 : 20000);
  const Scaler scaler = MinMaxScaler::fit(pictures);
  const Samples data{{scaler.transform(pictures.x[0])}, pictures.y, {}};
  if (!(OneByOne(scaler, pictures.x[0]) == data.x[0])) Fail("one by one gives other numbers");

  Report report("1. Why is loading and retraining a model 6 times slower?");
  const auto scaling =
      InTurns(rounds, {[&] { OneByOne(scaler, pictures.x[0]); }, [&] { scaler.transform(pictures.x[0]); }});
  const double vectorized =
      report.Row(std::to_string(data.rows()) + " images scaled: one by one : all at once", scaling[0], scaling[1]);
  report.Claim(
      "Vectorized scaling beats a loop per image by a large factor.", Times(vectorized, 5),
      Printed("%.1f times (\"large\" is taken as 5). Within an image ingot's loop is vectorized either way; in "
              "Python each image is a call of the interpreter, which cannot be tested here",
              vectorized));

  // About as many weights in few layers and in many, Adam's state beside them.
  double loads[2], mapped[2], steps[2];
  bool same_state = true;
  for (const bool many : {false, true}) {
    Model model = many ? Mlp(60, 176) : Mlp(2, 1024);
    model.train_on_batch({data.x[0].slice(0, 32)}, {data.y[0].slice(0, 32)});
    model.save(kH5), model.save(kIngot);
    same_state = same_state && load_model(kH5).get_optimizer_state() == model.get_optimizer_state();
    const auto load = [](const std::string& path, LoadMode mode) { load_model(path, {.mode = mode}); };
    const auto step = [](const std::string& path, LoadMode mode) {
      measure_load(path, {.mode = mode, .predict = false});
    };
    const auto times = InTurns(rounds, {[&] { load(kH5, LoadMode::kRead); }, [&] { load(kH5, LoadMode::kMap); },
                                        [&] { load(kIngot, LoadMode::kMap); }, [&] { step(kH5, LoadMode::kRead); },
                                        [&] { step(kIngot, LoadMode::kMap); }});
    const std::string what = many ? "61 layers, as many weights: " : "3 layers, 1.9 million weights: ";
    loads[many] = report.Row(what + ".h5 read : .ingot mapped", times[0], times[2]);
    mapped[many] = report.Row("the same, both mapped", times[1], times[2]);
    steps[many] = report.Row("loading and a first step: .h5 read : .ingot mapped", times[3], times[4]);
  }
  report.Claim("HDF5 loads architecture and weights quickly but handles optimizer state poorly.",
               Both(std::max(mapped[0], mapped[1]) < 3, !same_state),
               Printed("mapped, it takes %.2f and %.2f times as long as .ingot (\"quickly\" is taken as 3); the "
                       "optimizer's state comes back %s",
                       mapped[0], mapped[1], same_state ? "bit for bit" : "otherwise than it was saved"));
  report.Claim("A format that holds the graph loads up to 3 times faster, more so with many layers.",
               Both(std::max(loads[0], loads[1]) >= 3, loads[1] >= kNoticed * loads[0]),
               Printed(".ingot mapped, against HDF5 read: %.1f times with few layers, %.1f with many; to the end of a "
                       "first step %.1f and %.1f. SavedModel itself is TensorFlow's, and not tested here",
                       loads[0], loads[1], steps[0], steps[1]));

  std::vector<int> batches = {8, 32, 128, 512, 2048};
  std::vector<Race> races;
  std::vector<double> arenas_mb;
  for (const int batch : batches) {
    races.emplace_back([] { return Mlp(1, 64); }, [&] { return data; }, FitOptions{.batch_size = batch, .epochs = 100},
                       /*goal=*/0.3, small ? 1 : 3);
    arenas_mb.push_back(Mlp(1, 64).fit(data, {.batch_size = batch, .callbacks = {MemoryReport()}})["arenas_mb"][0]);
  }
  const auto seconds = [&](size_t i) { return races[i].seconds; };
  const auto first =
      std::ranges::min_element(races, {}, [](const Race& r) { return std::pair(!r.reached, r.seconds); });
  if (!first->reached) Fail("no batch came to a loss of 0.3");
  const auto best = static_cast<size_t>(first - races.begin());
  for (size_t i = 0; i < batches.size(); ++i)
    if (i != best)
      report.Row(Printed("%sto a loss of 0.3: batch %d : %d, the best", races[i].reached ? "" : "not ", batches[i],
                         batches[best]),
                 seconds(i), seconds(best));
  const auto epoch = [&](size_t i) { return races[i].seconds / races[i].epochs; };
  report.Claim("Small batches mean many fetches; too large ones exhaust memory: there is a best size.",
               Both(epoch(0) >= kNoticed * epoch(best), best > 0 && best + 1 < batches.size()),
               Printed("an epoch takes %s at batch %d and %s at %d, the best; the arenas take %.1f MB at batch %d and "
                       "%.1f at %d",
                       Figure(epoch(0), "s").c_str(), batches[0], Figure(epoch(best), "s").c_str(), batches[best],
                       arenas_mb[0], batches[0], arenas_mb.back(), batches.back()));
  const History watched = Mlp(1, 64).fit(data, {.epochs = 5, .callbacks = {MemoryReport()}});
  report.Claim("Too little memory means swapping; watch memory every epoch, the device's too.", Verdict::kNotTested,
               Printed("nothing is filled up here to make it swap. MemoryReport: %.1f MB resident behind the first "
                       "epoch, %.1f behind the fifth",
                       watched["resident_mb"].front(), watched["resident_mb"].back()));

  const Samples part = data.slice(0, std::min<int64_t>(data.rows(), 5000));
  const double epoch_steps = std::ceil(static_cast<double>(part.rows()) / 32);
  const Regained adam(part, "adam"), decaying(part, Adam({.learning_rate = ExponentialDecay(1e-2, 200, 0.5)}));
  report.Row("Adam, back to the loss: without its state : with it", adam.without, adam.with, "steps");
  report.Row("Adam, whose rate decays: without its state : with it", decaying.without, decaying.with, "steps");
  report.Claim("Without the optimizer's state the first epochs repeat work.",
               Both(adam.without >= epoch_steps, decaying.without >= epoch_steps / 2),
               Printed("%.2f of an epoch at a constant rate, %.2f where the rate had decayed and begins anew",
                       adam.without / epoch_steps, decaying.without / epoch_steps));

  // All of it: from the files to half of the loss at which the model was saved.
  Model model = Mlp(1, 64);
  model.fit(data, {.epochs = 2});
  model.save(kH5), model.save(kIngot);
  const double half = model.evaluate(data)["loss"] / 2;
  const Race slow([] { return WithoutState(kH5); },
                  [&] {
                    return Samples{{OneByOne(scaler, pictures.x[0])}, data.y, {}};
                  },
                  {.batch_size = 8, .epochs = 50}, half, rounds);
  const Race mended([] { return load_model(kIngot); },
                    [&] {
                      return Samples{{scaler.transform(pictures.x[0])}, data.y, {}};
                    },
                    {.batch_size = batches[best], .epochs = 50}, half, rounds);
  report.Row("scaled, loaded, trained to half of the loss", slow.seconds, mended.seconds);
  Model lost = WithoutState(kH5);
  report.Explained("training on without the optimizer's state, in batches of 8",
                   explain(lost, data, {.fit = {.batch_size = 8}}));
  if (!slow.reached || !mended.reached) Fail("half of the loss was not reached");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "question_1_loading: %s\n", e.what());
  return 1;
}
