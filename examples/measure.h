// SPDX-License-Identifier: MIT
//
// What the programs question_*.cc share: a clock, sides that are timed in turns, and the table. Its columns are the
// slow case, the mended one, and how many times the first is the second. Below it stands what people say, each with
// what this run measured: a verdict is computed from figures of the table, and no time is ever taken for granted.
#pragma once

#include <ingot/ingot.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

namespace measure {

// The small size of a test: `--small` is the only argument there is.
inline bool Small(int argc, char** argv) {
  if (argc > 2 || (argc == 2 && std::string(argv[1]) != "--small"))
    ingot::Fail("the only argument is --small, for a run of a few seconds");
  return argc == 2;
}

// Files and folders that go when main ends, by an error too.
struct Leftovers {
  std::vector<std::string> paths;
  ~Leftovers() {
    std::error_code ignored;
    for (const std::string& path : paths) std::filesystem::remove_all(path, ignored);
  }
};

template <class F>
double Seconds(const F& f) {
  const auto begin = std::chrono::steady_clock::now();
  f();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

// The median of each side's seconds. The sides take turns, so that what disturbs the machine disturbs all of them.
inline std::vector<double> InTurns(int rounds, const std::vector<std::function<void()>>& sides) {
  std::vector<std::vector<double>> seconds(sides.size());
  for (int round = 0; round < rounds; ++round)
    for (size_t i = 0; i < sides.size(); ++i) seconds[i].push_back(Seconds(sides[i]));
  std::vector<double> medians;
  for (const auto& of_side : seconds) medians.push_back(Median(of_side));
  return medians;
}

// "12.3 ms": a figure with its unit.
__attribute__((format(printf, 1, 2))) inline std::string Printed(const char* format, ...) {
  char text[512];
  __builtin_va_list arguments;
  __builtin_va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  __builtin_va_end(arguments);
  return text;
}
inline std::string Figure(double value, const std::string& unit) {
  if (unit == "s" && value < 1e-3) return Printed("%.3g us", value * 1e6);
  if (unit == "s" && value < 1) return Printed("%.3g ms", value * 1e3);
  return Printed(value >= 1000 ? "%.0f" : "%.3g", value) + (unit.empty() ? "" : " " + unit);
}

enum class Verdict { kHolds, kInPart, kDoesNot, kNotTested };

// The least ratio that counts as one: less is within what else runs on a machine.
constexpr double kNoticed = 1.2;

// Of "this is `claimed` times as much": in part where it is noticeably more, but not as much.
inline Verdict Times(double ratio, double claimed) {
  return ratio >= claimed ? Verdict::kHolds : ratio >= kNoticed ? Verdict::kInPart : Verdict::kDoesNot;
}
// Of a claim that says two things.
inline Verdict Both(bool one, bool other) {
  return one && other ? Verdict::kHolds : one || other ? Verdict::kInPart : Verdict::kDoesNot;
}

// Models made and trained until the loss of an epoch is at most `goal`, `times` over: what it took, in the median, and
// how good the model is then.
struct Race {
  double epochs = 0, seconds = 0, accuracy = 0;
  bool reached = false;
  Race(const std::function<ingot::Model()>& model, const std::function<ingot::Dataset()>& data,
       ingot::FitOptions options, double goal, int times = 5) {
    options.callbacks.push_back(
        ingot::LambdaCallback({.on_epoch_end = [&](ingot::Model& m, int, const ingot::Logs& logs) {
          reached = logs["loss"] <= goal, accuracy = logs["accuracy"];
          m.set_stop_training(reached);
        }}));
    seconds = InTurns(times, {[&] { epochs = static_cast<double>(model().fit(data(), options).epoch.size()); }})[0];
  }
  std::string str() const {
    return Printed("%s%.0f epochs, %s, accuracy %.2f", reached ? "" : "not in ", epochs, Figure(seconds, "s").c_str(),
                   accuracy);
  }
};

class Report {
 public:
  explicit Report(const char* question) {
    std::printf("%s\n\n%-62s %12s %12s %7s\n", question, "measured", "slow", "mended", "ratio");
  }

  // A row of the table; returns slow / mended.
  double Row(const std::string& what, double slow, double mended, const std::string& unit = "s") {
    const double ratio = mended > 0 ? slow / mended : 0;
    std::printf("%-62s %12s %12s %7s\n", what.c_str(), Figure(slow, unit).c_str(), Figure(mended, unit).c_str(),
                mended > 0 ? Figure(ratio, "").c_str() : "");
    std::fflush(stdout);
    return ratio;
  }

  // What people say, and what the figures say to it.
  void Claim(const std::string& claim, Verdict verdict, const std::string& figures) {
    static const char* const kNames[] = {"holds", "holds in part", "does not hold", "not tested"};
    claims_ +=
        Printed("%-14s", kNames[static_cast<int>(verdict)]) + Wrapped(claim) + Wrapped(figures, "              ");
  }

  // What ingot itself says of the slow case.
  void Explained(const std::string& what, const ingot::Explanation& e) {
    explained_ += "explain() of " + what + "\n";
    for (const ingot::Finding& finding : e.findings)
      explained_ += Wrapped(finding.text, Printed("%-14s", finding.name.c_str()));
    if (e.findings.empty()) explained_ += Wrapped("nothing holds it back", "              ");
  }

  ~Report() {
    std::printf("\nWhat people say, and what this run measured\n%s", claims_.c_str());
    if (!explained_.empty()) std::printf("\n%s", explained_.c_str());
  }

 private:
  // In lines, the later ones below the first.
  static std::string Wrapped(const std::string& text, const std::string& before = "") {
    std::istringstream words(text);
    std::string lines = before;
    size_t width = 0;
    for (std::string word; words >> word; width += word.size() + 1) {
      if (width + word.size() > 100) lines += "\n              ", width = 0;
      lines += " " + word;
    }
    return lines + "\n";
  }

  std::string claims_, explained_;
};

}  // namespace measure
