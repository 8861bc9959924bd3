// SPDX-License-Identifier: MIT
//
// A callback of one's own: it writes a line of CSV for each epoch, saves the model whenever the validation loss is the
// best so far, and stops training once that loss has not fallen by a hundredth for three epochs. Callbacks belong to a
// call of fit, not to the model: they are not saved, so there is nothing to register.
#include <ingot/ingot.h>

#include <cstdio>
#include <fstream>
#include <limits>

using namespace ingot;

namespace {

class KeepBest : public Callback {
 public:
  KeepBest(std::string path, const std::string& log) : path_(std::move(path)), log_(log) {
    if (!log_) Fail("KeepBest: cannot write ", log);
  }

  void on_epoch_end(Model& model, int epoch, const Logs& logs) override {
    if (epoch == 0) {
      log_ << "epoch";
      for (const auto& [name, value] : logs) log_ << ',' << name;
      log_ << '\n';
    }
    log_ << epoch;
    for (const auto& [name, value] : logs) log_ << ',' << value;
    log_ << std::endl;  // at once: who follows the file sees each epoch as it ends

    const double loss = logs["val_loss"];
    waited_ = loss < 0.99 * best_ ? 0 : waited_ + 1;
    if (loss < best_) {
      best_ = loss;
      model.save(path_);
    }
    if (waited_ >= 3) model.set_stop_training(true);
  }

  double best() const { return best_; }

 private:
  std::string path_;
  std::ofstream log_;
  double best_ = std::numeric_limits<double>::infinity();
  int waited_ = 0;
};

}  // namespace

int main() try {
  // So few digits are soon known by heart: the validation loss falls, then rises again.
  const Dataset train = Digits(300, 1), test = Digits(300, 1, 300);
  Model model = Sequential(
      {Input({28, 28, 1}), Flatten(), Dense(64, {.activation = "relu"}), Dense(10, {.activation = "softmax"})},
      {.seed = 1});
  model.compile({.optimizer = Adam({.learning_rate = 3e-3}), .loss = "sparse_categorical_crossentropy"});

  const auto keep = std::make_shared<KeepBest>("custom_callback.ingot", "custom_callback.csv");
  const History history = model.fit(train, {.epochs = 200, .callbacks = {keep}, .validation_data = test});
  std::printf("Stopped after %zu epochs of 200, with a validation loss of %.4f\n", history.epoch.size(),
              history["val_loss"].back());
  if (history.epoch.size() == 200) Fail("training was not stopped");

  std::ifstream log("custom_callback.csv");
  size_t lines = 0;
  for (std::string line; std::getline(log, line); ++lines)
    if (lines < 3) std::printf("  %s\n", line.c_str());
  if (lines != history.epoch.size() + 1) Fail("the log has ", lines, " lines, not a head and one for each epoch");

  Model best = load_model("custom_callback.ingot");
  std::remove("custom_callback.ingot");
  std::remove("custom_callback.csv");
  const double loss = best.evaluate(test)["loss"];
  std::printf("The model that was kept has %.4f\n", loss);
  if (loss != keep->best()) Fail("the model that was kept has the loss ", loss, ", the callback saw ", keep->best());
  best.fit(train);  // goes on training, optimizer and all
  return 0;
} catch (const std::exception& e) {
  std::fprintf(stderr, "custom_callback: %s\n", e.what());
  return 1;
}
