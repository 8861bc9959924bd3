// SPDX-License-Identifier: MIT
//
// Why is training time anomalous? The slow case: a generator that prepares image after image for every batch of every
// epoch, one core, and a CNN of 1024 and 512 filters on 28x28x1. The mended one: a map on threads, batched and made
// ready ahead, all cores, 64 and 32 filters with L2, batch-norm and dropout, early stopping.
//
// So that it ends in less than a minute the big CNN is cut down in images and epochs, never in filters: both networks
// are compared on as few images. A GPU is not there to be tested.
#include <cstdlib>
#include <thread>

#include "measure.h"
#include "processes.h"

using namespace ingot;
using namespace measure;

namespace {

constexpr int kBatch = 32;
const Shape kImage = {28, 28, 1};

const CompileOptions kCompile{.optimizer = "adam", .loss = "sparse_categorical_crossentropy", .metrics = {"accuracy"}};

Model BigCnn() {
  Model model = Sequential(
      {Input(kImage), Conv2D(1024, 3, {.activation = "relu"}), MaxPooling2D(2), Conv2D(512, 3, {.activation = "relu"}),
       MaxPooling2D(2), Flatten(), Dense(10, {.activation = "softmax"})},
      {.seed = 2});
  model.compile(kCompile);
  return model;
}

// Keras's momentum, 0.99, has statistics that predictions can use only behind some 300 steps; there are fewer here.
Model SmallCnn(bool norm = true) {
  std::vector<Layer> layers = {Input(kImage)};
  for (const int filters : {64, 32}) {
    layers.push_back(Conv2D(filters, 3, {.activation = "relu", .kernel_regularizer = L2(1e-3f)}));
    if (norm) layers.push_back(BatchNormalization({.momentum = 0.9}));
    layers.push_back(MaxPooling2D(2));
  }
  for (const Layer& layer : {Layer(Flatten()), Layer(Dropout(0.5)), Layer(Dense(10, {.activation = "softmax"}))})
    layers.push_back(layer);
  Model model = Sequential(layers, {.seed = 2});
  model.compile(kCompile);
  return model;
}

// What is done to an image, or to a batch of them: made larger, turned a little, made as small as it was.
void Prepare(Sample& s) {
  static const auto enlarge = resize(84, 84), turn = random_rotation(10, {.seed = 2}), reduce = resize(28, 28);
  enlarge(s), turn(s), reduce(s);
}

Dataset OneByOne(const Samples& digits) {
  return Dataset::from_generator([digits] {
    return [digits, i = int64_t{0}](Sample& s) mutable {
      if (i == digits.rows()) return false;
      s.x = {digits.x[0].slice(i, i + 1).reshape(kImage).copy()};
      s.y = {digits.y[0].slice(i, i + 1).reshape({})};
      Prepare(s);
      ++i;
      return true;
    };
  });
}
Dataset Ahead(const Samples& digits, int threads) {
  return Dataset(digits).batch(kBatch).map(Prepare, {.threads = threads}).prefetch(4);
}

void Epoch(Model& model, const Dataset& data) { model.fit(data, {.batch_size = kBatch}); }

// The slow case, as people have it: an epoch of it. Run in a process that has one core.
double SlowCase(const Samples& digits) {
  Model model = BigCnn();
  return Seconds([&] { model.fit(OneByOne(digits), {.batch_size = kBatch}); });
}

// In a process of its own, for threads are chosen at its start: seconds of an epoch.
void Work(const std::string& what, const Samples& digits) {
  if (what == "slow") return Worker::Answer({SlowCase(digits)});
  Model model = SmallCnn();
  Epoch(model, digits);
  Worker::Answer(InTurns(3, {[&] { Epoch(model, digits); }}));
}
double OnCores(int cores, const std::string& what, int64_t images) {
  return Worker({"work", what, std::to_string(images)}, cores).Number();
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc == 4 && argv[1] == std::string("work")) return Work(argv[2], Digits(std::atoi(argv[3]), 2)), 0;
  const bool small = Small(argc, argv);
  const int rounds = small ? 1 : 5, cores = ThreadPool::Default().threads();
  const int64_t few = small ? 64 : 384, many = small ? 256 : 2048;
  const Samples digits = Digits(many, 2), part = digits.slice(0, few), test = Digits(small ? 100 : 500, 2, many);
  Report report("2. Why is training time anomalous?");

  // The data, each way with a CNN of its own, and without any: what preparing alone takes.
  Model a = SmallCnn(), b = SmallCnn(), c = SmallCnn();
  const Dataset one = OneByOne(digits), ahead = Ahead(digits, cores), once = Dataset(digits).map(Prepare).cache();
  Epoch(a, one), Epoch(b, ahead), Epoch(c, once);
  const auto drain = [](const Dataset& data) {
    auto reader = data.read();
    for (Sample s; reader.next(s);) {
    }
  };
  const auto epochs = InTurns(rounds, {[&] { Epoch(a, one); }, [&] { Epoch(b, ahead); }, [&] { Epoch(c, once); },
                                       [&] { drain(one); }, [&] { drain(ahead); }});
  const std::string images = std::to_string(many) + " images: ";
  report.Row(images + "prepared one by one : by a map on threads", epochs[3], epochs[4]);
  const double mapped = report.Row("the same, trained on: generator : map, prefetch", epochs[0], epochs[1]);
  const double cached = report.Row("the same: generator : prepared once, cached", epochs[0], epochs[2]);
  report.Claim("Prefetch and parallel map took 60 % off one project's training time.", Times(mapped, 1 / (1 - 0.6)),
               Printed("%.0f %% off here, of an epoch of which preparing was %.0f %%; prepared once %.0f %%. A step "
                       "that keeps all cores busy leaves none to prepare on",
                       100 * (1 - 1 / mapped), 100 * epochs[3] / epochs[0], 100 * (1 - 1 / cached)));

  std::vector<double> on_one, on_all;
  for (int round = 0; round < (rounds + 1) / 2; ++round)
    on_one.push_back(OnCores(1, "small", many / 4)), on_all.push_back(OnCores(cores, "small", many / 4));
  const double more =
      report.Row(Printed("an epoch of the small CNN: 1 core : %d cores", cores), Median(on_one), Median(on_all));
  report.Claim("The framework uses a single core unless told otherwise.",
               std::thread::hardware_concurrency() == 1 ? Verdict::kNotTested
               : cores == 1                             ? Verdict::kHolds
                                                        : Verdict::kDoesNot,
               Printed("told nothing, ingot uses %d of %u; that is %.2f times as fast as one", cores,
                       std::thread::hardware_concurrency(), more));

  // The networks on as few images and epochs; then the small one until it no longer gets better.
  const int big_epochs = small ? 1 : 4;
  Model big = BigCnn(), little = SmallCnn(), stopped = SmallCnn();
  const FitOptions same{.batch_size = kBatch, .epochs = big_epochs};
  const double big_seconds = Seconds([&] { big.fit(part, same); });
  const double little_seconds = Seconds([&] { little.fit(part, same); });
  const auto stop = EarlyStopping({.patience = 5, .restore_best_weights = true});
  size_t ran = 0;
  const double stopped_seconds = Seconds([&] {
    const FitOptions options{
        .batch_size = kBatch, .epochs = small ? 10 : 100, .callbacks = {stop}, .validation_data = test};
    ran = stopped.fit(part, options).epoch.size();
  });
  const auto right = [&](Model& model) { return 100 * model.evaluate(test)["accuracy"]; };
  const double big_right = right(big), little_right = right(little), stopped_right = right(stopped);
  const std::string of = Printed("%d images, %d epochs: ", static_cast<int>(few), big_epochs);
  const double network = report.Row(of + "1024 and 512 filters : 64 and 32", big_seconds, little_seconds);
  report.Row(Printed("the same : 64 and 32 until stopped early, %d epochs", static_cast<int>(ran)), big_seconds,
             stopped_seconds);
  report.Row("right of images not seen: 1024 and 512 : stopped early", big_right, stopped_right, "%");
  report.Claim(
      "The smaller network trains far faster and loses no accuracy.",
      Both(network >= 3, stopped_right >= big_right - 0.5),
      Printed("%.0f times as fast an epoch; %.1f %% right after as many epochs, %.1f %% when stopped early after "
              "%d; the big one %.1f %%",
              network, little_right, stopped_right, static_cast<int>(ran), big_right));

  const auto race = [&](bool norm) {
    return Race([=] { return SmallCnn(norm); }, [&] { return part; }, {.batch_size = kBatch, .epochs = small ? 10 : 60},
                /*goal=*/0.7, rounds);
  };
  const Race without = race(false), with = race(true);
  const double norm =
      report.Row("to a loss of 0.7: without batch-norm : with it", without.epochs, with.epochs, "epochs");
  report.Claim("Batch-norm converges faster.", Times(norm, kNoticed),
               "without: " + without.str() + "; with: " + with.str());

  const double slow = OnCores(1, "slow", few);
  Model mended = SmallCnn();
  const double fast = InTurns(rounds, {[&] { Epoch(mended, Ahead(part, cores)); }})[0];
  report.Row(Printed("all of it, an epoch of %d images", static_cast<int>(few)), slow, fast);
  report.Explained("the small CNN on images prepared one by one", explain(a, one, {.fit = {.batch_size = kBatch}}));
  if (!small && stopped_right < 60) Fail("the small CNN learned too little: ", stopped_right, " % right");
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "question_2_training: %s\n", e.what());
  return 1;
}
