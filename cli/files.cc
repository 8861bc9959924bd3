// SPDX-License-Identifier: MIT
//
// `ingot info` and `convert`: what saved models hold, in any format. What ingot cannot build a model of is still looked
// at, and its tensors taken out, by the names they have in the file.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "ingot/cli/commands.h"
#include "ingot/cli/output.h"
#include "ingot/core/memory.h"
#include "ingot/core/plural.h"
#include "ingot/ingot.h"
#include "ingot/io/contents.h"

namespace ingot {
namespace {

struct Options {
  std::string a, b, model;
  bool json = false, no_compile = false, weights = false, self_test = false, pytorch = false;
};

Json ShapeOf(const Shape& shape) { return std::vector<int64_t>(shape.begin(), shape.end()); }

// A model as far as ingot knows its classes; what it does not know is said in `why`.
std::optional<Model> ModelOf(const Contents& contents, const Options& o, std::string& why) {
  if (contents.model.is_null()) return std::nullopt;
  for (const bool compile : {true, false}) {
    if (compile && o.no_compile) continue;
    try {
      return load_model(o.a, {.compile = compile});
    } catch (const Error& e) {
      why = e.what();
    }
  }
  return std::nullopt;
}

void InfoOfTensors(const Contents& contents, const std::string& why, const Options& o) {
  const size_t bytes = contents.file->bytes().size();
  if (o.json) {
    Json json = {{"file", o.a}, {"bytes", bytes}, {"format", contents.format}, {"model", nullptr}};
    json["why"] = why.empty() ? "the file holds weights alone" : why;
    if (!contents.optimizer.empty()) json["optimizer"] = contents.optimizer;
    json["tensors"] = Json::array();
    for (const StoredTensor& t : contents.tensors)
      json["tensors"].push_back(
          {{"name", t.name}, {"dtype", Name(t.type)}, {"shape", ShapeOf(t.shape)}, {"bytes", t.bytes.size()}});
    std::printf("%s\n", Line(json).c_str());
    return;
  }
  std::printf("%s: %s, %s\n", o.a.c_str(), HumanBytes(bytes).c_str(),
              Counted(contents.tensors.size(), "tensor").c_str());
  if (!why.empty()) std::printf("Its model cannot be built: %s\n", Printable(why, true).c_str());
  if (!contents.optimizer.empty()) std::printf("Optimizer: %s\n", Printable(contents.optimizer).c_str());
  std::printf("\n");
  for (const StoredTensor& t : contents.tensors)
    std::printf("%s %s %s %zu bytes\n", Printable(t.name).c_str(), Name(t.type), t.shape.str().c_str(), t.bytes.size());
}

void Info(const Options& o) {
  const Contents contents = ReadContents(o.a);
  std::string why;
  const std::optional<Model> found = ModelOf(contents, o, why);
  if (!found) return InfoOfTensors(contents, why, o);
  const Model& model = *found;
  const size_t bytes = contents.file->bytes().size();
  if (!o.json) {
    std::printf("%s: %s\n\n%s\n", o.a.c_str(), HumanBytes(bytes).c_str(), Printable(model.summary(), true).c_str());
    if (model.compiled())
      std::printf("Optimizer %s, %s done, learning rate %g\n",
                  model.compile_options().optimizer.def().class_name().c_str(),
                  Counted(static_cast<size_t>(model.iterations()), "step").c_str(), model.learning_rate());
    else if (!why.empty())
      std::printf("Optimizer: %s (not supported)\n%s\n", Printable(contents.optimizer).c_str(),
                  Printable(why, true).c_str());
    else if (!contents.optimizer.empty())
      std::printf("Optimizer: %s (left alone)\n", Printable(contents.optimizer).c_str());
    else
      std::printf("Not compiled: no optimizer, loss or metrics\n");
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
  } else if (!contents.optimizer.empty()) {
    json["optimizer"] = contents.optimizer;
    if (!why.empty()) json["not_supported"] = why;
  }
  json["weights"] = Json::array();
  const std::vector<std::string> names = Layout(model.variables()).names();
  const std::vector<VariablePtr> variables = model.variables();
  for (size_t i = 0; i < variables.size(); ++i)
    json["weights"].push_back(
        {{"name", names[i]}, {"dtype", Name(variables[i]->dtype)}, {"shape", ShapeOf(variables[i]->shape)}});
  std::printf("%s\n", Line(json).c_str());
}

void Convert(const Options& o) {
  FormatOf(o.b);
  const auto before = HumanBytes(std::filesystem::exists(o.a) ? std::filesystem::file_size(o.a) : 0);
  if (o.weights) {
    WriteTensors(o.b, ReadContents(o.a).tensors);
  } else {
    if (o.model.empty() && !FormatOf(o.a).read)
      Fail(o.a,
           ": holds weights alone; say with --model into which model, or with --weights that they are all you want");
    Model model = load_model(o.model.empty() ? o.a : o.model, {.compile = !o.no_compile});
    if (!o.model.empty()) model.load_weights(o.a, {.pytorch = o.pytorch});
    model.save(o.b, {.self_test = o.self_test});
  }
  std::printf("%s (%s) -> %s (%s)\n", o.a.c_str(), before.c_str(), o.b.c_str(),
              HumanBytes(std::filesystem::file_size(o.b)).c_str());
}

}  // namespace

void AddFiles(CLI::App& app) {
  auto o = std::make_shared<Options>();
  CLI::App* info = app.add_subcommand("info", "what a file holds: its model, or else its tensors");
  info->add_option("FILE", o->a, "a saved model or weights, in any format")->required();
  info->add_flag("--json", o->json, "as one line of JSON");
  info->add_flag("--no-compile", o->no_compile, "leave optimizer, loss and metrics alone");
  info->callback([o] { Info(*o); });

  CLI::App* convert = app.add_subcommand("convert", "a saved model into another format, by the extensions");
  convert->add_option("IN", o->a, ".ingot, .keras, .h5; with --model or --weights also .weights.h5, .safetensors, .npz")
      ->required();
  convert->add_option("OUT", o->b)->required();
  CLI::Option* into =
      convert->add_option("--model", o->model, "where IN holds weights alone: a saved model to load them into");
  convert->add_flag("--no-compile", o->no_compile, "leave optimizer, loss and metrics behind");
  convert
      ->add_flag("--pytorch", o->pytorch,
                 "IN (.safetensors, .npz) has PyTorch's names and layouts: OIHW, out x in; see ingot/io/pytorch.h")
      ->needs(into);
  CLI::Option* test =
      convert->add_flag("--self-test", o->self_test, "into .ingot: note what the model computes, for verify --run");
  convert
      ->add_flag("--weights", o->weights,
                 "the tensors alone, by their names in IN, into .npz or .safetensors; no model is built")
      ->excludes(into)
      ->excludes(test);
  convert->callback([o] { Convert(*o); });
}

}  // namespace ingot
