// SPDX-License-Identifier: MIT
//
// Native files of every past version of the format still load. tests/formats/ingot holds one of each, as the ingot of
// its time wrote it, beside the same numbers as .npz.
#include <gtest/gtest.h>

#include <filesystem>

#include "ingot/ingot.h"

namespace ingot {
namespace {

TEST(IngotVersions, EveryPastVersionLoadsAndTrains) {
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(INGOT_GOLDEN_DIR) + "/../formats/ingot")) {
    if (entry.path().extension() != ".ingot") continue;
    ++files;
    SCOPED_TRACE(entry.path().filename());
    Model model = load_model(entry.path().string());
    Model same = clone_model(model);
    same.compile(model.compile_options());
    same.load_weights(entry.path().parent_path() / (entry.path().stem().string() + ".npz"));
    EXPECT_TRUE(model.get_weights() == same.get_weights());
    EXPECT_FALSE(model.get_optimizer_state().empty());
    EXPECT_TRUE(model.get_optimizer_state() == same.get_optimizer_state());
    EXPECT_GT(model.iterations(), 0);
    EXPECT_EQ(model.iterations(), same.iterations());
    const int64_t in = model.inputs()[0].shape().back(), out = model.outputs()[0].shape().back();
    const Arrays x = {Array({4, in})}, y = {Array({4, out})};
    EXPECT_TRUE(model.predict_on_batch(x) == same.predict_on_batch(x));
    model.train_on_batch(x, y);
    EXPECT_EQ(model.iterations(), same.iterations() + 1);
  }
  EXPECT_GE(files, 1);
}

}  // namespace
}  // namespace ingot
