// SPDX-License-Identifier: MIT
//
// The confusion matrix of `ingot report`: what it counts, and where it is not shown.
#include "ingot/cli/confusion.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ingot/ingot.h"

namespace ingot {
namespace {

Model Of(int64_t outputs, const Loss& loss) {
  Model model = Sequential({Input({2}), Dense(outputs)}, {.seed = 1});
  model.compile({.optimizer = "sgd", .loss = loss});
  return model;
}

Array Rows(int64_t columns, const std::vector<float>& values) {
  return Array({static_cast<int64_t>(values.size()) / columns, columns}, values);
}

// The numbers of the table, row after row.
std::vector<int> Counts(const std::string& html) {
  std::vector<int> counts;
  for (size_t at = 0; (at = html.find("\">", at)) != html.npos;) counts.push_back(std::stoi(html.substr(at += 2)));
  return counts;
}

using Ints = std::vector<int>;

TEST(Confusion, LabelsAndOneHotRowsOfAnyType) {
  const Array said = Rows(3, {9, 1, 0, 0, 9, 1, 9, 0, 1, 0, 0, 9});
  const Ints want = {1, 0, 0, 0, 1, 0, 1, 0, 1};
  const Model sparse = Of(3, "sparse_categorical_crossentropy"), dense = Of(3, "categorical_crossentropy");
  EXPECT_EQ(Counts(ConfusionMatrix(sparse, said, Rows(1, {0, 1, 2, 2}))), want);
  EXPECT_EQ(Counts(ConfusionMatrix(sparse, said, Array({4}, std::vector<int32_t>{0, 1, 2, 2}))), want);
  EXPECT_EQ(Counts(ConfusionMatrix(sparse, said, Array({4, 1}, std::vector<uint8_t>{0, 1, 2, 2}))), want);
  EXPECT_EQ(Counts(ConfusionMatrix(dense, said, Rows(3, {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1}))), want);
  const std::vector<uint8_t> bytes = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 1};
  EXPECT_EQ(Counts(ConfusionMatrix(dense, said, Array({4, 3}, bytes))), want);
  EXPECT_EQ(Counts(ConfusionMatrix(dense, said, Array({4, 3}, std::vector<int32_t>(bytes.begin(), bytes.end())))),
            want);
  const Model bare = Sequential({Input({2}), Dense(3)}, {.seed = 1});
  EXPECT_EQ(Counts(ConfusionMatrix(bare, said, Array({4, 3}, bytes))), want);
}

TEST(Confusion, PredictionsThatAreNoNumbersAreLeftOut) {
  const std::string html = ConfusionMatrix(Of(2, "sparse_categorical_crossentropy"),
                                           Rows(2, {9, 0, NAN, NAN, 0, NAN, 0, 9, 0, 9}), Rows(1, {0, 0, 1, 1, 7}));
  EXPECT_EQ(Counts(html), (Ints{1, 0, 0, 1}));
  EXPECT_NE(html.find("2 of 2 right, 100.00 %"), html.npos) << html;
  EXPECT_NE(html.find("2 predictions of 5 are NaN, and left out"), html.npos) << html;
  EXPECT_NE(html.find("1 row is of no class, and left out"), html.npos) << html;
}

TEST(Confusion, ASingleNumberHasTheThresholdOfItsLoss) {
  const Array said = Rows(1, {-1, 0.25, 0.75, NAN}), truth = Rows(1, {0, 1, 1, 1});
  EXPECT_EQ(Counts(ConfusionMatrix(Of(1, "binary_crossentropy"), said, truth)), (Ints{1, 0, 1, 1}));
  EXPECT_EQ(Counts(ConfusionMatrix(Of(1, "crossentropy"), said, truth)), (Ints{1, 0, 1, 1}));
  EXPECT_EQ(Counts(ConfusionMatrix(Of(1, BinaryCrossentropy({.from_logits = true})), said, truth)), (Ints{1, 0, 0, 2}));
}

TEST(Confusion, IsNotShownWhereNothingIsClassified) {
  const auto refused = [](const Model& model, const Array& said, const Array& truth, const std::string& why) {
    const std::string html = ConfusionMatrix(model, said, truth);
    EXPECT_NE(html.find("Not shown: "), html.npos) << html;
    EXPECT_NE(html.find(why), html.npos) << html;
    EXPECT_EQ(html.find("<table"), html.npos);
  };
  const Array one = Rows(1, {1, 2}), two = Rows(2, {1, 0, 0, 1});
  refused(Of(1, "mse"), one, one, "the loss is m");
  refused(Of(2, "mse"), two, two, "the loss is m");
  refused(Of(2, "binary_crossentropy"), two, two, "by itself");
  refused(Of(2, "categorical_crossentropy"), two, Rows(3, {1, 0, 0, 0, 1, 0}), "3 numbers a row");
  refused(Of(41, "categorical_crossentropy"), Array({2, 41}), Array({2, 41}), "41 classes");
  refused(Sequential({Input({2}), Dense(1)}, {.seed = 1}), one, one, "not compiled");
}

}  // namespace
}  // namespace ingot
