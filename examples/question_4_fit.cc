// SPDX-License-Identifier: MIT
//
// Why is fit slow? The slow case trains on features of 0..1000 as they come, in small batches, looks words up anew in
// every epoch, and lets TensorBoard write histograms of every epoch. The mended one scales once, takes larger batches,
// encodes once, and writes scalars. Each cause is also measured by itself.
#include <cmath>
#include <map>

#include "measure.h"

using namespace ingot;
using namespace measure;

namespace {

const char* const kLogs = "question_4_logs";
constexpr double kGoal = 0.3;  // the loss to which sides race

// Rows of 10 features in 0..1000; the class is 1 where a sum of them, bent by a product, is above its middle.
Samples Rows(int64_t n) {
  Random random({4});
  Array x({n, 10}), y({n, 1});
  for (int64_t i = 0; i < n; ++i) {
    float* row = x.floats().data() + 10 * i;
    for (int j = 0; j < 10; ++j) row[j] = random.Uniform(0, 1000);
    y.floats()[i] = row[0] + row[1] - row[2] - row[3] + (row[4] - 500) * (row[5] - 500) / 250 > 0;
  }
  return {{x}, {y}, {}};
}

Samples Scaled(const Samples& data) { return {{MinMaxScaler::fit(data).transform(data.x[0])}, data.y, {}}; }

// The same rows with a column of words beside the numbers, looked up each time they are read: 8 more features.
Dataset WithWords(const Samples& rows) {
  return Dataset::from_generator([rows] {
    static const std::vector<std::string> kWords = {"black", "blue", "green", "grey", "red", "violet", "white"};
    std::map<std::string, int> places;
    for (const std::string& word : kWords) places.emplace(word, static_cast<int>(places.size()));
    return [rows, places, i = int64_t{0}](Sample& s) mutable {
      if (i == rows.rows()) return false;
      const std::string word = kWords[static_cast<size_t>(i) % kWords.size()];
      Array x({18});
      std::ranges::copy(rows.x[0].floats().subspan(10 * i, 10), x.floats().begin());
      x.floats()[10 + places.at(word)] = 1000;
      s.x = {x}, s.y = {rows.y[0].slice(i, i + 1).reshape({1})};
      ++i;
      return true;
    };
  });
}
Samples Once(const Dataset& data, int64_t rows) {  // all of it as arrays
  auto reader = data.batch(rows).read();
  Sample all;
  reader.next(all);
  return {all.x, all.y, {}};
}

Model Compiled(int64_t features, const Optimizer& optimizer = "adam") {
  Model model = Sequential({Input({features}), Dense(64, {.activation = "relu"}), Dense(1, {.activation = "sigmoid"})},
                           {.seed = 4});
  model.compile({.optimizer = optimizer, .loss = "binary_crossentropy", .metrics = {"accuracy"}});
  return model;
}

Race ToTheGoal(const Samples& data, int batch, const Optimizer& optimizer = "adam") {
  return Race([&] { return Compiled(10, optimizer); }, [&] { return data; }, {.batch_size = batch, .epochs = 150},
              kGoal);
}

// The slow case whole, as people have it, and the mended one.
Race SlowCase(const Samples& rows) {
  return Race([] { return Compiled(18); }, [&] { return WithWords(rows); },
              {.batch_size = 32, .epochs = 150, .callbacks = {TensorBoard(kLogs, {.histogram_freq = 1})}}, kGoal);
}
Race MendedCase(const Samples& rows) {
  return Race([] { return Compiled(18); }, [&] { return Scaled(Once(WithWords(rows), rows.rows())); },
              {.batch_size = 256, .epochs = 150, .callbacks = {TensorBoard(kLogs)}}, kGoal);
}

// How far the gradient of a batch is from that of all rows, as a part of the latter: the median of 20 batches.
double GradientNoise(const Samples& rows, int64_t batch) {
  Model model = Compiled(10);
  const auto of = [&](const Samples& s) {
    Arrays g = model.gradients(s.x, s.y).weights;
    return std::vector<float>(g[0].floats().begin(), g[0].floats().end());
  };
  const std::vector<float> all = of(rows);
  std::vector<double> far;
  for (int64_t i = 0; i < 20; ++i) {
    const int64_t first = i * batch % (rows.rows() - batch);
    const std::vector<float> some = of(rows.slice(first, first + batch));
    double distance = 0, length = 0;
    for (size_t k = 0; k < all.size(); ++k)
      distance += (some[k] - all[k]) * (some[k] - all[k]), length += all[k] * all[k];
    far.push_back(std::sqrt(distance / length));
  }
  return Median(far);
}

}  // namespace

int main(int argc, char** argv) try {
  const bool small = Small(argc, argv);
  const Leftovers leftovers{{kLogs}};
  const int rounds = small ? 3 : 15;
  const Samples few = Rows(1000), few_scaled = Scaled(few);
  const Samples many = Rows(small ? 2000 : 10000), many_scaled = Scaled(many);
  Report report("4. Why is fit slow? (\"to the goal\": until the loss is 0.3)");

  Model a = Compiled(10), b = Compiled(10);
  const auto epoch = [](Model& m, const Dataset& data, int batch, int epochs = 1, const Callbacks& callbacks = {}) {
    m.fit(data, {.batch_size = batch, .epochs = epochs, .callbacks = callbacks});
  };
  const auto steps = InTurns(3 * rounds, {[&] { epoch(a, few, 32); }, [&] { epoch(b, few_scaled, 32); }});
  const double step = report.Row("1000 rows of 0..1000, an epoch: unscaled : min-max scaled", steps[0], steps[1]);
  const Race raw = ToTheGoal(few, 32), scaled = ToTheGoal(few_scaled, 32);
  const Race standard = ToTheGoal({{StandardScaler::fit(few).transform(few.x[0])}, few.y, {}}, 32);
  const double epochs = report.Row("the same, to the goal", raw.epochs, scaled.epochs, "epochs");
  report.Row("the same: min-max scaled : to mean 0 and deviation 1", scaled.epochs, standard.epochs, "epochs");
  const std::string races = Printed("an epoch takes %.2f times as long unscaled; to the goal: unscaled %s; scaled %s",
                                    step, raw.str().c_str(), scaled.str().c_str());
  report.Claim("Unscaled data makes each step cost more calculations.", Times(step, kNoticed), races);
  report.Claim("Min-max scaling speeds training and perhaps convergence.", Both(step >= kNoticed, epochs >= kNoticed),
               races);

  const auto batches = InTurns(rounds, {[&] { epoch(a, many_scaled, 32); }, [&] { epoch(b, many_scaled, 256); }});
  const double larger =
      report.Row(std::to_string(many.rows()) + " rows, an epoch: batch 32 : 256", batches[0], batches[1]);
  const Race one = ToTheGoal(many_scaled, 1), some = ToTheGoal(many_scaled, 32), lots = ToTheGoal(many_scaled, 256);
  report.Row("the same, to the goal", some.seconds, lots.seconds);
  const double tiny = report.Row("to the goal: batch 1 : 32", one.seconds, some.seconds);
  report.Claim(
      "Batch 256 makes epochs faster than 32; too small a batch is noisy and converges slowly.",
      Both(larger >= kNoticed, tiny >= kNoticed),
      Printed("to the goal: batch 256 %s; 32 %s; 1 %s; a batch's gradient is off by %.2f, %.2f and %.2f of its length",
              lots.str().c_str(), some.str().c_str(), one.str().c_str(), GradientNoise(many_scaled, 256),
              GradientNoise(many_scaled, 32), GradientNoise(many_scaled, 1)));

  const Race plain = ToTheGoal(many_scaled, 32, SGD());
  const Race momentum = ToTheGoal(many_scaled, 32, SGD({.momentum = 0.9}));
  const double adam = report.Row("to the goal: SGD without momentum : Adam", plain.seconds, some.seconds);
  const double with = report.Row("to the goal: SGD without momentum : with 0.9", plain.seconds, momentum.seconds);
  report.Claim("SGD without momentum is slow on large data.", Both(adam >= kNoticed, with >= kNoticed),
               "at Keras's rates: SGD " + plain.str() + "; momentum 0.9 " + momentum.str() + "; Adam " + some.str());

  Model c = Compiled(18), d = Compiled(18);
  const Dataset words = WithWords(many), cached = words.cache();
  epoch(d, cached, 128);
  const auto encoded = InTurns(rounds, {[&] { epoch(c, words, 128); }, [&] { epoch(d, cached, 128); }});
  const double anew = report.Row("an epoch at 128: words looked up : cached", encoded[0], encoded[1]);
  report.Claim("Categories encoded anew each epoch cost time.", Times(anew, kNoticed),
               Printed("an epoch takes %.2f times as long", anew));

  const int board_epochs = small ? 5 : 50;
  const auto boards =
      InTurns(rounds, {[&] { epoch(a, many_scaled, 128, board_epochs, {TensorBoard(kLogs, {.histogram_freq = 1})}); },
                       [&] { epoch(a, many_scaled, 128, board_epochs, {TensorBoard(kLogs)}); },
                       [&] { epoch(b, many_scaled, 128, board_epochs); }});
  const double histograms = report.Row(
      Printed("%d epochs at 128: TensorBoard with histograms : without it", board_epochs), boards[0], boards[2]);
  const double scalars = report.Row("the same, TensorBoard without histograms : without it", boards[1], boards[2]);
  report.Claim("TensorBoard shows the bottleneck (and what does writing histograms cost?)", Verdict::kNotTested,
               Printed("its page is not looked at here; where a step's time goes, profile() says (train/profile.h). "
                       "Histograms every epoch make fit take %.2f times as long, scalars alone %.2f",
                       histograms, scalars));

  const Race slow = SlowCase(many), mended = MendedCase(many);
  report.Row("all of it, to the goal", slow.seconds, mended.seconds);
  Model blamed = Compiled(18);
  report.Explained("the slow case",
                   explain(blamed, WithWords(many),
                           {.fit = {.batch_size = 32, .callbacks = {TensorBoard(kLogs, {.histogram_freq = 1})}}}));
  if (!mended.reached) Fail("the mended case did not learn: ", mended.str());
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "question_4_fit: %s\n", e.what());
  return 1;
}
