# SPDX-License-Identifier: MIT
"""Writes the golden fixtures: what real Keras 3.15.1 computes, for the C++ tests to compare with.

    python tests/golden/make.py [group ...]        all groups, or those named
    GOLDEN_FLOAT64=1 python tests/golden/make.py   writes nothing: how far are they from float64?

Needs keras 3.15.1, jax and numpy (the float64 check also safetensors); runs on the CPU in fp32.
Every number is seeded by the name of its case, so a case added or removed changes no other. A
value that is not finite, a duplicate name and another Keras version are errors.

Format. GROUP.safetensors holds float32 and int32 tensors in C order, named CASE/TENSOR, and the
metadata "keras" (its version) and "cases": a JSON array of objects with "kind" and "name". Every
"config" is exactly what Keras serializes; no NaN or Infinity stands in the JSON.

  layers, models  kind "model"
      covers      the class names that this case is meant to prove (a few are other words)
      config      model.to_json(), parsed: class_name "Sequential" or "Functional", config, ...
      inputs, outputs, weights      their numbers; the paths, in the order of get_weights()
      compile     model.get_compile_config(), or null; then also:
      steps, batch, targets         step i trains on rows [i * batch % rows, + batch) of x, y, sw
      evaluate    {name: value} of evaluate(x, y, sw, batch_size=batch) after training
      note        absent, or what a reader must know
    w<i>          the weights, in that order: random ones, set before anything else is done
                  (a Normalization then derives its constants from them, as on loading a file)
    x<i>          the inputs; all rows
    predict<i>    the outputs with training=False
    train<i>      the outputs with training=True; absent, with the next four, for random layers
    cot<i>        a cotangent for each; s = sum_i sum(train_i * cot_i), without regularizers
    gw<i>         ds/dw, for every weight (zeros where it is not trainable)
    gx<i>         ds/dx, for every float input
    u<i>          the value of weight i after that training=True call, where the call changed it
    y<i>, sw<i>   targets; sample weights, if any
    losses        (steps,) the total loss of each train_on_batch alone, regularizers included
    f<i>          the weights after the last step
  activations     kind "activation": config is a string; args, if any, are the function's arguments
    x, y, dy, dx  y = f(x) on a 2-D x; dx is the gradient of sum(y * dy). Kinks follow jax.
  losses          kind "loss": config is the serialized loss
    y_true, y_pred, sample_weight (if any), value (scalar, or unreduced for reduction "none")
    grad          d sum(value) / d y_pred
  metrics         kind "metric": config, updates
    y_true<i>, y_pred<i>, sw<i> (if any), result<i>: the cumulative result after update i
  optimizers      kind "optimizer": config, steps, recorded (list of steps), slots (paths)
    v<i>          initial variables
    g<n>_<i>      gradient of variable i at step n = 1, 2, ..., steps
    r<n>_<i>      variable i after step n, for each n in recorded
    s<i>          optimizer.variables after the last step, without iteration and learning_rate
    iterations    scalar
  initializers    kind "initializer": config; those that draw nothing
    value         what it gives for value's shape
  fits            kind "fit": config, compile; fit: arguments of fit(); history: what it returned
    w<i>, x, y    initial weights; data; sw: sample weights, vx, vy: validation data, if any
    f<i>          the weights after it
  schedules       kind "schedule": config
    steps, values int32 steps and the learning rate at each
"""

import sys

import fit_cases
import function_cases
import layer_cases
import metric_cases
import model_cases
import optimizer_cases

GROUPS = {
    "layers": layer_cases.make,
    "models": model_cases.make,
    "activations": function_cases.make_activations,
    "losses": function_cases.make_losses,
    "metrics": metric_cases.make,
    "optimizers": optimizer_cases.make,
    "schedules": function_cases.make_schedules,
    "initializers": function_cases.make_initializers,
    "fits": fit_cases.make,
}


def main(names):
    unknown = [n for n in names if n not in GROUPS]
    if unknown:
        sys.exit(f"unknown group {unknown[0]}; there are: {', '.join(GROUPS)}")
    for name in names or GROUPS:
        GROUPS[name]()


if __name__ == "__main__":
    main(sys.argv[1:])
