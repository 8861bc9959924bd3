// SPDX-License-Identifier: MIT
//
// All of ingot:
//   #include <ingot/ingot.h>
//   using namespace ingot;
//   Model model = Sequential({Input({784}), Dense(64, {.activation = "relu"}), Dense(10, {.activation = "softmax"})});
#pragma once

#include "ingot/core/array.h"
#include "ingot/core/custom.h"
#include "ingot/core/error.h"
#include "ingot/core/progress.h"
#include "ingot/core/threads.h"
#include "ingot/data/dataset.h"
#include "ingot/data/digits.h"
#include "ingot/data/preprocess.h"
#include "ingot/io/format.h"
#include "ingot/layers/layers.h"
#include "ingot/optim/optimizers.h"
#include "ingot/optim/schedules.h"
#include "ingot/train/callbacks.h"
#include "ingot/train/explain.h"
#include "ingot/train/losses.h"
#include "ingot/train/metrics.h"
#include "ingot/train/model.h"
#include "ingot/train/profile.h"
