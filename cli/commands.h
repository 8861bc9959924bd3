// SPDX-License-Identifier: MIT
#pragma once

namespace CLI {
class App;
}

namespace ingot {

// Each adds a command, with its options and what it does when it is called.
void AddDemo(CLI::App& app);
void AddBench(CLI::App& app);
void AddFiles(CLI::App& app);  // info, convert
void AddDiff(CLI::App& app);
void AddVerify(CLI::App& app);
void AddModel(CLI::App& app);  // predict, evaluate, fit
void AddLoad(CLI::App& app);   // load-report
void AddMachine(CLI::App& app);
void AddPlot(CLI::App& app);
void AddReport(CLI::App& app);
void AddProfile(CLI::App& app);
void AddExplain(CLI::App& app);
void AddBenchKernels(CLI::App& bench);
void AddBenchLoad(CLI::App& bench);
void AddBenchData(CLI::App& bench);
void AddBenchStep(CLI::App& bench);  // step, predict

}  // namespace ingot
