// SPDX-License-Identifier: MIT
//
// The list of all optimizers, with Keras's names and defaults: Adam({.learning_rate = 1e-3, .clipnorm = 1.0}).
//
// The options that all have in common stand in each struct, through a macro: C++20 cannot name inherited members in
// braces, and a nested `.common = {...}` would not be what a Keras user writes.
#pragma once

#include <span>

#include "ingot/optim/optimizer.h"

namespace ingot {

#define INGOT_COMMON_OPTIMIZER_OPTIONS                                              \
  std::optional<double> weight_decay{}, clipnorm{}, clipvalue{}, global_clipnorm{}; \
  bool use_ema = false;                                                             \
  double ema_momentum = 0.99;                                                       \
  std::optional<int64_t> ema_overwrite_frequency{};                                 \
  std::optional<double> loss_scale_factor{};                                        \
  std::optional<int64_t> gradient_accumulation_steps{};                             \
  std::string name{};

struct SGDOptions {
  LearningRate learning_rate = 0.01;
  double momentum = 0;
  bool nesterov = false;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct AdamOptions {
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  bool amsgrad = false;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct BetaOptions {
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9, beta_2 = 0.999, epsilon = 1e-7;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct RMSpropOptions {
  LearningRate learning_rate = 0.001;
  double rho = 0.9, momentum = 0, epsilon = 1e-7;
  bool centered = false;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct AdagradOptions {
  LearningRate learning_rate = 0.001;
  double initial_accumulator_value = 0.1, epsilon = 1e-7;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct AdadeltaOptions {
  LearningRate learning_rate = 0.001;
  double rho = 0.95, epsilon = 1e-7;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};
struct LionOptions {
  LearningRate learning_rate = 0.001;
  double beta_1 = 0.9, beta_2 = 0.99;
  INGOT_COMMON_OPTIMIZER_OPTIONS
};

Optimizer SGD(const SGDOptions& o = {});
Optimizer Adam(const AdamOptions& o = {});
Optimizer AdamW(const AdamOptions& o = {});  // weight_decay 0.004 unless given
Optimizer Nadam(const BetaOptions& o = {});
Optimizer Adamax(const BetaOptions& o = {});
Optimizer RMSprop(const RMSpropOptions& o = {});
Optimizer Adagrad(const AdagradOptions& o = {});
Optimizer Adadelta(const AdadeltaOptions& o = {});
Optimizer Lion(const LionOptions& o = {});

struct OptimizerClass {
  const char *class_name, *alias;
  std::shared_ptr<OptimizerDef> (*make)();
};
std::span<const OptimizerClass> AllOptimizers();

}  // namespace ingot
