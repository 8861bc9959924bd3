// SPDX-License-Identifier: MIT
//
// `ingot info`, `convert` and `diff`: what saved models hold, in any format.
#include <CLI/CLI.hpp>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "ingot/cli/commands.h"
#include "ingot/core/memory.h"
#include "ingot/ingot.h"

namespace ingot {
namespace {

struct Options {
  std::string a, b, model;
  bool json = false;
};

void Info(const Options& o) {
  const Model model = load_model(o.a);
  const auto bytes = std::filesystem::file_size(o.a);
  if (!o.json && !model.compiled()) {
    std::printf("%s: %s\n\n%s\nNot compiled: no optimizer, loss or metrics\n", o.a.c_str(), HumanBytes(bytes).c_str(),
                model.summary().c_str());
    return;
  }
  if (!o.json) {
    std::printf("%s: %s\n\n%s", o.a.c_str(), HumanBytes(bytes).c_str(), model.summary().c_str());
    std::printf("\nOptimizer %s, %lld steps done, learning rate %g\n",
                model.compile_options().optimizer.def().class_name().c_str(),
                static_cast<long long>(model.iterations()), model.learning_rate());
    return;
  }
  Json json = {{"file", o.a},
               {"bytes", bytes},
               {"model", model.name()},
               {"class", model.network().class_name()},
               {"parameters", model.count_params()},
               {"compiled", model.compiled()}};
  if (model.compiled()) {
    json["optimizer"] = model.compile_options().optimizer.def().class_name();
    json["iterations"] = model.iterations();
    json["learning_rate"] = model.learning_rate();
  }
  json["weights"] = Json::array();
  const std::vector<std::string> names = Layout(model.variables()).names();
  const std::vector<VariablePtr> variables = model.variables();
  for (size_t i = 0; i < variables.size(); ++i) {
    Json shape = Json::array();
    for (const int64_t dim : variables[i]->shape) shape.push_back(dim);
    json["weights"].push_back({{"name", names[i]}, {"dtype", Name(variables[i]->dtype)}, {"shape", shape}});
  }
  std::printf("%s\n", json.dump().c_str());
}

void Convert(const Options& o) {
  if (o.model.empty() && !FormatOf(o.a).read) Fail(o.a, ": holds weights alone; say with --model into which model");
  FormatOf(o.b);
  const auto before = std::filesystem::file_size(o.a);
  Model model = load_model(o.model.empty() ? o.a : o.model);
  if (!o.model.empty()) model.load_weights(o.a);
  model.save(o.b);
  std::printf("%s (%s) -> %s (%s)\n", o.a.c_str(), HumanBytes(before).c_str(), o.b.c_str(),
              HumanBytes(std::filesystem::file_size(o.b)).c_str());
}

// Weights by name; those that differ, and by how much.
void Diff(const Options& o) {
  const Model a = load_model(o.a), b = load_model(o.b);
  const std::vector<std::string> names = Layout(a.variables()).names(), others = Layout(b.variables()).names();
  const Arrays values = a.get_weights(), other_values = b.get_weights();
  int differences = 0;
  std::map<std::string, size_t> at;
  for (size_t i = 0; i < others.size(); ++i) at[others[i]] = i;
  for (size_t i = 0; i < names.size(); ++i) {
    const auto found = at.find(names[i]);
    if (found == at.end()) {
      std::printf("only in %s: %s %s\n", o.a.c_str(), names[i].c_str(), values[i].shape().str().c_str());
      ++differences;
      continue;
    }
    const Array &x = values[i], &y = other_values[found->second];
    at.erase(found);
    if (x == y) continue;
    ++differences;
    if (!(x.shape() == y.shape()) || x.dtype() != y.dtype()) {
      std::printf("%s: %s %s against %s %s\n", names[i].c_str(), Name(x.dtype()), x.shape().str().c_str(),
                  Name(y.dtype()), y.shape().str().c_str());
    } else if (x.dtype() == DType::kFloat32) {
      double most = 0;
      int64_t count = 0;
      for (size_t k = 0; k < x.floats().size(); ++k) {
        const double d = std::fabs(static_cast<double>(x.floats()[k]) - static_cast<double>(y.floats()[k]));
        count += d != 0 || std::isnan(d);
        if (!(d <= most)) most = d;
      }
      std::printf("%s: %lld of %lld elements differ, by up to %g\n", names[i].c_str(), static_cast<long long>(count),
                  static_cast<long long>(x.size()), most);
    } else {
      std::printf("%s: differs\n", names[i].c_str());
    }
  }
  for (const auto& [name, i] : at) {
    std::printf("only in %s: %s %s\n", o.b.c_str(), name.c_str(), other_values[i].shape().str().c_str());
    ++differences;
  }
  if (a.iterations() != b.iterations()) {
    std::printf("steps done: %lld against %lld\n", static_cast<long long>(a.iterations()),
                static_cast<long long>(b.iterations()));
    ++differences;
  }
  const auto name = [](const Model& m) {
    return m.compiled() ? m.compile_options().optimizer.def().class_name() : std::string("not compiled");
  };
  if (name(a) != name(b)) {
    std::printf("optimizer: %s against %s\n", name(a).c_str(), name(b).c_str());
    ++differences;
  } else if (a.compiled()) {
    const Arrays slots = a.get_optimizer_state(), other_slots = b.get_optimizer_state();
    if (slots != other_slots) {
      std::printf("optimizer: the state of %s differs\n", name(a).c_str());
      ++differences;
    }
  }
  if (differences) Fail(o.a, " and ", o.b, " differ in ", differences, " places");
  std::printf("the same: %zu weights, optimizer and its state, %lld steps\n", names.size(),
              static_cast<long long>(a.iterations()));
}

}  // namespace

void AddFiles(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* info = app.add_subcommand("info", "what a saved model holds");
  info->add_option("FILE", o->a, "a saved model: .ingot, .keras or .h5")->required();
  info->add_flag("--json", o->json, "as one line of JSON");
  info->callback([o] { Info(*o); });

  CLI::App* convert = app.add_subcommand("convert", "a saved model into another format, by the extensions");
  convert->add_option("IN", o->a, ".ingot, .keras, .h5; with --model also .weights.h5, .safetensors, .npz")->required();
  convert->add_option("OUT", o->b)->required();
  convert->add_option("--model", o->model, "where IN holds weights alone: a saved model to load them into");
  convert->callback([o] { Convert(*o); });

  CLI::App* diff = app.add_subcommand("diff", "weights that differ between two saved models; fails if any does");
  diff->add_option("A", o->a)->required();
  diff->add_option("B", o->b)->required();
  diff->callback([o] { Diff(*o); });
}

}  // namespace ingot
