// SPDX-License-Identifier: MIT
//
// Why does creating models in a loop get slower and slower? The slow case makes and compiles 100 models of
// 784-64-10 and keeps them; the mended one makes one, and gives it other weights.
//
// In ingot a model is a value: there is no global graph to which it could be added, and what it held is free when its
// last handle is gone. So the slow case should not grow. Whether it does is measured here.
#include <cstdlib>

#include "measure.h"
#include "processes.h"

using namespace ingot;
using namespace measure;
using namespace std::string_literals;

namespace {

Model Made() {
  Model model =
      Sequential({Input({784}), Dense(64, {.activation = "relu"}), Dense(10, {.activation = "softmax"})}, {.seed = 1});
  model.compile({.optimizer = "adam", .loss = "categorical_crossentropy"});
  return model;
}

double ResidentMb() { return static_cast<double>(MemoryOfProcess().resident) / (1 << 20); }

Array RandomRows(int64_t n) {
  Random random({1});
  Array x({n, 784});
  for (float& v : x.floats()) v = random.Uniform();
  return x;
}

// A loop that makes models: the median of their seconds in its first quarter, in its last, and in all of it; and the
// memory that a model leaves behind. In a process of its own, for memory that an earlier loop gave back is ready to be
// used again, which would make the first models look cheap.
struct Loop {
  double first, last, all, mb;
  Loop(int count, const char* keep, const char* step) {
    Worker worker({std::to_string(count), keep, step});
    first = worker.Number(), last = worker.Number(), all = worker.Number(), mb = worker.Number();
  }
  static void Run(int count, bool keep, bool step) {
    const Array x = RandomRows(32), y({32, 10});
    std::vector<Model> kept;
    std::vector<double> seconds;
    double before = 0;  // behind the first half: what the first models of a process bring in is no growth
    for (int i = 0; i < count; ++i) {
      if (i == count / 2) before = ResidentMb();
      seconds.push_back(Seconds([&] {
        Model model = Made();
        if (step) model.train_on_batch({x}, {y});
        if (keep) kept.push_back(model);
      }));
    }
    const auto median = [&](int from, int to) { return Median({seconds.begin() + from, seconds.begin() + to}); };
    Worker::Answer({median(0, count / 4), median(count - count / 4, count), median(0, count),
                    std::max(0.0, (ResidentMb() - before) / (count - count / 2))});
  }
};

// The same noise for every way, so that they differ in nothing but the model.
struct Noise {
  Arrays noise;
  explicit Noise(const Arrays& like) {
    Random random({1});
    for (const Array& w : like) {
      noise.emplace_back(w.shape());
      for (float& v : noise.back().floats()) v = random.Uniform(-1e-3f, 1e-3f);
    }
  }
  Arrays On(Arrays weights) const {
    for (size_t i = 0; i < weights.size(); ++i)
      std::ranges::transform(weights[i].floats(), noise[i].floats(), weights[i].floats().begin(), std::plus());
    return weights;
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 4) return Loop::Run(std::atoi(argv[1]), argv[2] == "kept"s, argv[3] == "trained"s), 0;
  const bool small = Small(argc, argv);
  const int count = small ? 40 : 100, rounds = small ? 10 : 50;
  const Array x = RandomRows(32);

  Report report("5. Why does creating models in a loop get slower and slower?");
  const Loop dropped(count, "dropped", "made"), kept(count, "kept", "made");
  const Loop stepped(count, "dropped", "trained"), both(count, "kept", "trained");
  const std::string last = ", last quarter : first of " + std::to_string(count);
  const double slower = std::max({report.Row("made, compiled" + last, dropped.last, dropped.first),
                                  report.Row("the same, all kept" + last, kept.last, kept.first),
                                  report.Row("and trained for a step, all kept" + last, both.last, both.first)});
  const double pages = report.Row("made and trained for a step, median of all: kept : dropped", both.all, stepped.all);
  report.Row("memory that stays, a model: all kept and trained : dropped", both.mb, stepped.mb, "MB");
  const double own_mb = 4.0 * static_cast<double>(Made().count_params()) / (1 << 20);
  report.Claim(
      "Each model adds to a global graph that is not freed; time and memory grow.",
      Both(slower > 1.5, stepped.mb > own_mb / 2),
      Printed("the last quarter took at most %.2f times as long as the first; of a model that is dropped %.3f MB "
              "stay, its weights are %.2f MB",
              slower, stepped.mb, own_mb));

  // A variation of a model, in three ways; then with a prediction, for which a new model needs a plan of its own.
  Model base = Made(), place = Made();
  const Noise noise(base.get_weights());
  const auto make = [&] {
    Model model = Made();
    model.set_weights(noise.On(base.get_weights()));
    return model;
  };
  const auto clone = [&] {
    Model model = clone_model(base, {.initialize = false});  // no weights are drawn, they come from base
    model.set_weights(noise.On(base.get_weights()));
    return model;
  };
  const auto change = [&] { place.set_weights(noise.On(place.get_weights())); };
  const Array before = base.predict(x), after = make().predict(x);
  change();
  if (!(clone().predict(x) == after) || !(place.predict(x) == after)) Fail("the ways give models that differ");
  if (after == before) Fail("noise on the weights changed nothing");

  const auto made = InTurns(rounds, {[&] { make(); }, [&] { clone(); }, change});
  const auto used =
      InTurns(rounds, {[&] { make().predict(x); }, [&] { clone().predict(x); }, [&] { change(), place.predict(x); }});
  const double clone_made = report.Row("a variation: a new model : clone_model, set_weights", made[0], made[1]);
  const double clone_used = report.Row("the same, then a prediction of 32 rows", used[0], used[1]);
  report.Claim("clone_model with set_weights(get_weights) avoids building the graph.", Times(clone_made, kNoticed),
               Printed("a new model takes %.2f times as long as a clone, which is built of the description, too; %.2f "
                       "times with the first prediction",
                       clone_made, clone_used));
  const double place_made = report.Row("a variation: a new model : weights set in place", made[0], made[2]);
  const double place_used = report.Row("the same, then a prediction of 32 rows", used[0], used[2]);
  report.Claim("Changing one model's weights in place is faster by far.", Times(std::min(place_made, place_used), 3),
               Printed("a new model takes %.2f times as long, %.2f times with a prediction (\"far\" is taken as 3)",
                       place_made, place_used));

  // There is no device here; the machine's own memory stands for it. Pages must come from the system in any case.
  const int64_t few = 50890, many = small ? 4'000'000 : 32'000'000;
  Array kept_few({few}), kept_many({many});
  const auto fill = [](Array& a) { std::ranges::fill(a.floats(), 1.0f); };
  const auto blocks = InTurns(rounds / 5 + 2, {[&] {
                                                 Array a({few});
                                                 fill(a);
                                               },
                                               [&] { fill(kept_few); },
                                               [&] {
                                                 Array a({many});
                                                 fill(a);
                                               },
                                               [&] { fill(kept_many); }});
  const double small_block = report.Row("0.2 MB (this model): taken, filled, freed : filled", blocks[0], blocks[1]);
  const double large_block = report.Row(
      Printed("%.0f MB: taken, filled, freed : filled", 4e-6 * static_cast<double>(many)), blocks[2], blocks[3]);
  report.Claim(
      "Allocating and freeing device memory over and over costs much.",
      Both(std::max(small_block, large_block) >= 2, pages >= 2),
      Printed("of the machine's memory (a device's cannot be tested here): %.1f times the time of filling what "
              "is kept for a small block, %.1f times for a large one",
              small_block, large_block));
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "question_5_models_in_a_loop: %s\n", e.what());
  return 1;
}
