// SPDX-License-Identifier: MIT
//
// Every golden optimizer: read from Keras's configuration, written again as Keras wrote it, and 20 steps of given
// gradients held against Keras's: weights after some of them, slots at the end. The operations that EmitUpdate writes
// run one after the other over arenas made here. An optimizer without a golden case fails.
#include "ingot/optim/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "ingot/core/threads.h"
#include "ingot/kernels/cpu/cpu.h"
#include "ingot/optim/optimizers.h"
#include "ingot/optim/update_plan.h"
#include "ingot/tests/fixture.h"

namespace ingot {
namespace {

using testing::Compare;
using testing::Difference;
using testing::Golden;

// Variables, gradients and slots in arenas, and the update of one optimizer over them.
class Trainer {
 public:
  Trainer(const Optimizer& optimizer, const std::vector<Array>& start, int threads = 2)
      : optimizer_(optimizer), pool_(threads), layout_(Variables(start)), slots_of_(SlotsOf(def())) {
    layout_.Place("test");
    for (size_t i = 0; i < start.size(); ++i) std::memcpy(variable(i).writable(), start[i].data(), start[i].bytes());
    gradient_ = Block(layout_.trainable_bytes(), "gradients");
    slots_ = Block(layout_.slot_stride() * std::max<size_t>(1, slots_of_.size()), "slots");
    for (size_t s = 0; s < slots_of_.size(); ++s) {
      std::byte* first = slots_.data() + s * layout_.slot_stride();
      std::fill_n(reinterpret_cast<float*>(first), layout_.trainable_bytes() / sizeof(float), slots_of_[s].initial);
      if (!slots_of_[s].from_weights) continue;
      for (size_t i = 0; i < start.size(); ++i)
        std::memcpy(first + layout_.offset(i), start[i].data(), start[i].bytes());
    }
    std::vector<size_t> order(start.size());
    std::iota(order.begin(), order.end(), size_t{0});
    update_ = std::make_unique<Graph>(layout_, true);
    EmitUpdate(*update_, def(), order);
    accumulate_ = std::make_unique<Graph>(layout_, true);
    if (def().accumulation_steps() > 1) EmitAccumulate(*accumulate_, def(), order);
  }

  void Step(const std::vector<Array>& gradients) {
    for (size_t i = 0; i < gradients.size(); ++i)
      std::memcpy(gradient_.data() + layout_.offset(i), gradients[i].data(), gradients[i].bytes());
    std::vector<float> hyper(kMaxHyper);
    def().Prepare(iterations_, def().learning_rate_at(iterations_), hyper.data());
    const Run run = {.pool = &pool_, .step = static_cast<uint32_t>(iterations_), .hyper = hyper.data()};
    Graph& graph = def().apply_due(iterations_) ? *update_ : *accumulate_;
    for (const Op& op : graph.ops()) Execute(graph, op, run);
    ++iterations_;
    if (!def().overwrite_due(iterations_)) return;
    for (size_t i = 0; i < layout_.variables().size(); ++i) {
      const Array average = Slot("average", i);
      std::memcpy(variable(i).writable(), average.data(), average.bytes());
    }
  }

  Array Weight(size_t i) { return Array::View(variable(i).shape, DType::kFloat32, variable(i).data()).copy(); }
  // REQUIRES: there is a slot of that name.
  Array Slot(const std::string& name, size_t i) {
    const auto at = std::find_if(slots_of_.begin(), slots_of_.end(), [&](const SlotSpec& s) { return s.name == name; });
    if (at == slots_of_.end()) Fail("there is no slot ", name);
    const std::byte* data =
        slots_.data() + static_cast<size_t>(at - slots_of_.begin()) * layout_.slot_stride() + layout_.offset(i);
    return Array::View(variable(i).shape, DType::kFloat32, data).copy();
  }

 private:
  const OptimizerDef& def() const { return optimizer_.def(); }
  Variable& variable(size_t i) { return *layout_.variables()[i]; }

  static std::vector<VariablePtr> Variables(const std::vector<Array>& start) {
    std::vector<VariablePtr> all;
    for (const Array& a : start) {
      all.push_back(std::make_shared<Variable>());
      all.back()->name = "v" + std::to_string(all.size() - 1);
      all.back()->shape = a.shape();
    }
    return all;
  }

  Operand Where(const Graph& g, Value v) {
    const ValueInfo& info = g.info(v);
    std::byte* data = nullptr;
    if (info.space == Space::kWeight)
      data = reinterpret_cast<std::byte*>(variable(static_cast<size_t>(info.variable)).writable());
    if (info.space == Space::kGradient) data = gradient_.data() + info.offset;
    if (info.space == Space::kSlot) data = slots_.data() + info.offset;
    EXPECT_NE(data, nullptr) << "an update works on weights, gradients and slots";
    return {data, info.shape, info.dtype};
  }

  void Execute(const Graph& g, const Op& op, const Run& run) {
    std::vector<Operand> in, out;
    for (const Value v : op.in) in.push_back(Where(g, v));
    for (const Value v : op.out) out.push_back(Where(g, v));
    Call call = {.in = in, .out = out, .attrs = &op.attrs, .run = &run};
    std::vector<double> workspace;
    const auto with_workspace = [&](size_t bytes) {
      workspace.resize(bytes / sizeof(double) + 1);
      call.workspace = workspace.data();
    };
    switch (op.kernel) {
      case Kernel::kUpdate:
        return cpu::Update(call);
      case Kernel::kClipByValue:
        return cpu::ClipByValue(call);
      case Kernel::kClipByNorm:
        return with_workspace(cpu::ClipByNormWorkspace(call)), cpu::ClipByNorm(call);
      case Kernel::kClipByGlobalNorm:
        return with_workspace(cpu::ClipByGlobalNormWorkspace(call)), cpu::ClipByGlobalNorm(call);
      case Kernel::kCustom:
        return op.attrs.as<CustomAttrs>().fn(call, op.attrs.as<CustomAttrs>().self);
      default:
        FAIL() << "unexpected kernel " << Name(op.kernel);
    }
  }

  Optimizer optimizer_;
  ThreadPool pool_;
  Layout layout_;
  std::vector<SlotSpec> slots_of_;
  Block gradient_, slots_;
  std::unique_ptr<Graph> update_, accumulate_;
  int64_t iterations_ = 0;
};

void Check(const std::string& what, const Array& got, const Array& want) {
  const Difference d = Compare(got, want, 1e-5, 1e-6);
  EXPECT_TRUE(d.ok) << what << ": " << d.text;
}

std::vector<Array> GradientsOf(const Golden& golden, const Json& c, int step) {
  return golden.list(c, "g" + std::to_string(step) + "_");
}

class GoldenOptimizer : public ::testing::TestWithParam<size_t> {
 public:
  static const Golden& golden() {
    static const Golden g("optimizers");
    return g;
  }
};

TEST_P(GoldenOptimizer, AgreesWithKeras) {
  const Json& c = golden().cases()[GetParam()];
  const std::vector<Array> start = golden().list(c, "v");
  const Optimizer optimizer = OptimizerFromConfig(c["config"]);
  Trainer trainer(optimizer, start);
  const std::vector<int> recorded = c["recorded"];
  for (int step = 1; step <= c["steps"].get<int>(); ++step) {
    trainer.Step(GradientsOf(golden(), c, step));
    if (std::find(recorded.begin(), recorded.end(), step) == recorded.end()) continue;
    for (size_t i = 0; i < start.size(); ++i) {
      const std::string name = "r" + std::to_string(step) + "_" + std::to_string(i);
      Check(name, trainer.Weight(i), golden().at(c, name));
    }
  }
  // Keras's list of variables, but for the count of iterations and the rate.
  const OptimizerDef& def = optimizer.def();
  std::vector<OptimizerVariable> variables = KerasVariables(def, static_cast<int>(start.size()));
  std::erase_if(variables, [](const OptimizerVariable& v) { return v.kind < OptimizerVariable::kSlot; });
  ASSERT_EQ(variables.size(), c["slots"].size());
  for (size_t s = 0; s < variables.size(); ++s) {
    const OptimizerVariable& v = variables[s];
    const Array& want = golden().at(c, "s" + std::to_string(s));
    const std::string path = c["slots"][s].get<std::string>();
    if (v.kind == OptimizerVariable::kScalar) {
      const std::vector<float> scalars = def.scalars(c["steps"].get<int>() / def.accumulation_steps());
      Check(path, Array(want.shape(), std::vector<float>{scalars[static_cast<size_t>(v.index)]}), want);
      continue;
    }
    const std::string slot = SlotsOf(def)[static_cast<size_t>(v.index)].name;
    EXPECT_EQ(path, def.name + "/v" + std::to_string(v.variable) + "_" + slot);
    Check(path, trainer.Slot(slot, static_cast<size_t>(v.variable)), want);
  }
}

TEST_P(GoldenOptimizer, IsWrittenAsKerasWritesIt) {
  const Json& config = golden().cases()[GetParam()]["config"];
  EXPECT_EQ(ToConfig(OptimizerFromConfig(config)).dump(), config.dump());
}

INSTANTIATE_TEST_SUITE_P(Keras, GoldenOptimizer, ::testing::Range(size_t{0}, GoldenOptimizer::golden().cases().size()),
                         [](const auto& param) {
                           return GoldenOptimizer::golden().cases()[param.param]["name"].template get<std::string>();
                         });

TEST(Optimizer, EachHasAGoldenCase) {
  std::set<std::string> covered;
  for (const Json& c : GoldenOptimizer::golden().cases()) covered.insert(c["config"]["class_name"].get<std::string>());
  for (const OptimizerClass& o : AllOptimizers())
    EXPECT_TRUE(covered.contains(o.class_name)) << o.class_name << " has no golden case";
}

// Nothing but the name given: Keras's name for the object, made of the class.
TEST(Optimizer, DefaultsAreKeras) {
  for (const Json& c : GoldenOptimizer::golden().cases()) {
    if (!c["name"].get<std::string>().ends_with("_default")) continue;
    EXPECT_EQ(ToConfig(Optimizer(c["config"]["class_name"].get<std::string>())).dump(), c["config"].dump());
  }
}

TEST(Optimizer, RefusesWhatCannotBe) {
  EXPECT_THROW(Optimizer("no_such_optimizer"), Error);
  EXPECT_THROW(Adam({.clipnorm = 1.0, .clipvalue = 1.0}), Error);
  EXPECT_THROW(Adam({.use_ema = true, .ema_momentum = 1.5}), Error);
  for (const int steps : {1, 0, -1}) EXPECT_THROW(Adam({.gradient_accumulation_steps = steps}), Error);
  EXPECT_THROW(SGD({.momentum = 1.5}), Error);
  EXPECT_THROW(Lion({.beta_1 = 0}), Error);
  Json config = ToConfig(Adam());
  config["config"]["no_such_option"] = 3;
  EXPECT_THROW(OptimizerFromConfig(config), Error);
}

std::vector<Array> Some(std::initializer_list<int64_t> sizes, float scale) {
  std::vector<Array> all;
  for (const int64_t n : sizes) {
    all.emplace_back(Shape{n});
    for (int64_t i = 0; i < n; ++i)
      all.back().floats()[static_cast<size_t>(i)] = scale * static_cast<float>((i * 7919 + n) % 1009 - 500) / 500;
  }
  return all;
}

// Ranges that end within a vector, span tiles and have padding between: the same bits on any number of threads.
TEST(Optimizer, SameBitsOnAnyNumberOfThreads) {
  for (const Optimizer& o : {Adam({.weight_decay = 0.01, .clipnorm = 0.5}), Lion({.global_clipnorm = 0.5})}) {
    const std::vector<Array> start = Some({100003, 1, 17, 40000}, 1), gradients = Some({100003, 1, 17, 40000}, 0.1f);
    std::vector<Array> first;
    for (const int threads : {1, 2, 3, 5}) {
      Trainer trainer(o, start, threads);
      for (int step = 0; step < 3; ++step) trainer.Step(gradients);
      for (size_t i = 0; i < start.size(); ++i) {
        const Array got = trainer.Weight(i);
        if (threads == 1) {
          first.push_back(got);
        } else {
          EXPECT_EQ(std::memcmp(got.data(), first[i].data(), got.bytes()), 0)
              << o.def().class_name() << ", weight " << i;
        }
      }
    }
  }
}

// As a program outside would: the sign of the gradient, with a slot that counts.
class SignDescent : public OptimizerDef {
 public:
  std::string class_name() const override { return "SignDescent"; }
  void fields(Fields& f) override { f("gain", gain); }
  std::vector<SlotSpec> slots() const override { return {{"count", 3}}; }
  bool custom() const override { return true; }
  void update(std::span<float> w, std::span<const float> g, std::span<float* const> slots, float lr,
              int64_t) const override {
    for (size_t i = 0; i < w.size(); ++i) {
      w[i] -= lr * static_cast<float>(gain) * static_cast<float>((g[i] > 0) - (g[i] < 0));
      slots[0][i] += 1;
    }
  }
  double gain = 1;
};

TEST(Optimizer, WeightDecayLeavesAloneWhatItIsTold) {
  auto def = std::make_shared<SignDescent>();
  def->learning_rate = 0.5;
  def->common.weight_decay = 0.5;
  def->no_decay = {"1"};
  Trainer trainer(Optimizer(def), Some({3, 3, 3}, 1));
  trainer.Step(Some({3, 3, 3}, 0));
  const std::vector<Array> start = Some({3, 3, 3}, 1);
  for (size_t i = 0; i < 3; ++i) {
    const Array got = trainer.Weight(i);
    for (size_t k = 0; k < 3; ++k) EXPECT_EQ(got.floats()[k], start[i].floats()[k] * (i == 1 ? 1.0f : 0.75f));
  }
  // As Keras's exclude_from_weight_decay it is told, not written down.
  CustomObjects custom;
  custom.add<OptimizerFactory>("SignDescent", [] { return std::make_shared<SignDescent>(); });
  const Json config = ToConfig(Optimizer(def));
  EXPECT_EQ(config.dump().find("decay\":["), std::string::npos) << config;
  EXPECT_TRUE(OptimizerFromConfig(config, &custom).def().no_decay.empty());
}

// Keras takes any number for these, as 1 for beta_1; so does ingot, as long as it is one.
TEST(Optimizer, TakesWhatKerasTakes) {
  for (const double odd : {-1.0, 0.0, 1.0, 1.5}) {
    Adam({.beta_1 = odd}), Adam({.beta_2 = odd}), Adam({.epsilon = odd}), Adamax({.beta_1 = odd}),
        Nadam({.beta_2 = odd});
    RMSprop({.rho = odd}), RMSprop({.momentum = odd}), Adadelta({.rho = odd}),
        Adagrad({.initial_accumulator_value = odd});
  }
  const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
  for (const double none : {nan, infinite}) {
    EXPECT_THROW(Adam({.beta_1 = none}), Error);
    EXPECT_THROW(Adam({.epsilon = none}), Error);
    EXPECT_THROW(AdamW({.weight_decay = none}), Error);
    EXPECT_THROW(RMSprop({.rho = none}), Error);
    EXPECT_THROW(RMSprop({.momentum = none}), Error);
    EXPECT_THROW(Adagrad({.initial_accumulator_value = none}), Error);
    EXPECT_THROW(Lion({.beta_2 = none}), Error);
    EXPECT_THROW(Adam({.learning_rate = none}), Error);
    EXPECT_THROW(Adam({.learning_rate = ExponentialDecay(none, 10, 0.5)}), Error);
  }
  for (const double refused : {-0.1, 1.1}) {  // as Keras does
    EXPECT_THROW(SGD({.momentum = refused}), Error);
    EXPECT_THROW(Lion({.beta_1 = refused}), Error);
  }
  EXPECT_THROW(Lion({.beta_1 = 0}), Error);
}

TEST(Optimizer, OnesOwn) {
  auto mine = std::make_shared<SignDescent>();
  mine->learning_rate = 0.5;
  mine->gain = 2;
  mine->common.clipvalue = 1.0;
  mine->common.weight_decay = 0.5;
  mine->common.loss_scale_factor = 4.0;
  CustomObjects custom;
  custom.add<OptimizerFactory>("SignDescent", [] { return std::make_shared<SignDescent>(); });
  const Optimizer again = OptimizerFromConfig(ToConfig(Optimizer(mine)), &custom);
  Trainer trainer(again, {Array({3}, std::vector<float>{1, 2, 3})});
  trainer.Step({Array({3}, std::vector<float>{10, 0, -10})});
  const Array w = trainer.Weight(0), count = trainer.Slot("count", 0);
  EXPECT_EQ((std::vector<float>(w.floats().begin(), w.floats().end())), (std::vector<float>{-0.25f, 1.5f, 3.25f}));
  EXPECT_EQ(count.floats()[0], 4);
}

}  // namespace
}  // namespace ingot
