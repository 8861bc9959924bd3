// SPDX-License-Identifier: MIT
//
// What a run has logged, from the files that fit and CSVLogger write, and Keras: as charts.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "ingot/io/svg.h"

namespace ingot {

struct Curves {
  std::vector<double> epoch;                                        // of each value; empty: 0, 1, 2, ...
  std::vector<std::pair<std::string, std::vector<double>>> values;  // by name, as logged
};

// .json: an object of lists, as `ingot fit --history` and json.dump(history.history) write it. .csv: as CSVLogger does.
Curves ReadCurves(const std::string& path);

// A chart for each metric, with its validation; "batch_loss" by batch. Error where one of `only` was not logged.
std::vector<LineChart> ChartsOf(const Curves& curves, const std::vector<std::string>& only = {});

// One below the other.
std::string Column(const std::vector<LineChart>& charts, int width = 640, int height = 320);

}  // namespace ingot
