# SPDX-License-Identifier: MIT
"""Optimizers with their options: three variables, twenty steps of given gradients."""

from common import Fixture, f32, fresh, jax, keras, normal, np, rng_for
from keras import optimizers
from keras.optimizers import schedules

STEPS, RECORDED = 20, (1, 2, 5, 20)
SHAPES = [(5, 7), (7,), (3, 3, 2, 4)]

OPTIONS = {  # what every optimizer takes
    "weight_decay": dict(weight_decay=0.05),
    "clipnorm": dict(clipnorm=0.7),
    "clipvalue": dict(clipvalue=0.2),
    "global_clipnorm": dict(global_clipnorm=1.5),
    "ema": dict(use_ema=True, ema_momentum=0.8),
    "ema_overwrite": dict(use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=4),
    "accumulate": dict(gradient_accumulation_steps=3),
    "all": dict(
        weight_decay=0.02, clipnorm=1.0, use_ema=True, ema_momentum=0.9,
        ema_overwrite_frequency=6, gradient_accumulation_steps=2, loss_scale_factor=8.0),
}  # fmt: skip

OWN = {  # class -> {variant: arguments}
    "SGD": {
        "plain": dict(learning_rate=0.05),
        "momentum": dict(learning_rate=0.05, momentum=0.9),
        "nesterov": dict(learning_rate=0.05, momentum=0.8, nesterov=True),
        "scaled": dict(learning_rate=0.05, loss_scale_factor=16.0),
        "exponential": dict(learning_rate=schedules.ExponentialDecay(0.1, 4, 0.7)),
        "warmup": dict(learning_rate=schedules.CosineDecay(
            0.0, 10, warmup_target=0.1, warmup_steps=5), momentum=0.5, weight_decay=0.1),
    },
    "Adam": {
        "default": dict(),
        "betas": dict(learning_rate=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
        "amsgrad": dict(learning_rate=0.02, amsgrad=True, beta_2=0.7),
        "piecewise": dict(
            learning_rate=schedules.PiecewiseConstantDecay([3, 9], [0.1, 0.03, 0.01])),
    },
    "AdamW": {
        "default": dict(),
        "decay": dict(learning_rate=0.02, weight_decay=0.1),
        "amsgrad": dict(learning_rate=0.02, amsgrad=True, beta_2=0.7),
    },
    "Nadam": {
        "default": dict(),
        "options": dict(learning_rate=0.02, beta_1=0.8, beta_2=0.95, epsilon=1e-4),
    },
    "Adamax": {
        "default": dict(),
        "options": dict(learning_rate=0.02, beta_1=0.8, beta_2=0.9, epsilon=1e-3),
    },
    "RMSprop": {
        "default": dict(),
        "momentum": dict(learning_rate=0.01, momentum=0.9, rho=0.8),
        "centered": dict(learning_rate=0.01, centered=True, epsilon=1e-3),
        "centered_momentum": dict(
            learning_rate=0.01, centered=True, momentum=0.5, epsilon=1e-3, weight_decay=0.01),
    },
    "Adagrad": {
        "default": dict(),
        "options": dict(learning_rate=0.1, initial_accumulator_value=0.5, epsilon=1e-3),
    },
    "Adadelta": {
        "default": dict(),
        "options": dict(learning_rate=1.0, rho=0.8, epsilon=1e-4),
    },
    "Lion": {
        "default": dict(),
        "options": dict(learning_rate=0.02, beta_1=0.7, beta_2=0.9),
    },
}  # fmt: skip

# SGD and Adam meet every option; the others those that touch their own slots differently.
COMMON = {cls: ("weight_decay", "accumulate", "all") for cls in OWN} | {
    "SGD": tuple(OPTIONS), "Adam": tuple(OPTIONS)}  # fmt: skip


def gradients(rng, step, scale):
    """Normal values of varied scale; some zeros, at times a huge or an all-zero one."""
    result = []
    for i, shape in enumerate(SHAPES):
        g = rng.standard_normal(shape) * rng.choice([1e-3, 0.1, 1.0])
        g[rng.uniform(size=shape) < 0.15] = 0.0
        if step % 7 == 3 and i == 0:
            g *= 1e3
        if step % 9 == 5 and i == 1:
            g[:] = 0.0
        result.append(f32(g * scale))
    return result


def add_optimizer(fixture, cls, variant, arguments):
    name = f"{cls}_{variant}"
    fresh(name)
    rng = rng_for(name)
    optimizer = getattr(optimizers, cls)(**arguments)
    config = optimizers.serialize(optimizer)
    start = [normal(rng, shape) for shape in SHAPES]
    variables = [keras.Variable(v, name=f"v{i}") for i, v in enumerate(start)]
    optimizer.build(variables)
    tensors = {f"v{i}": v for i, v in enumerate(start)}
    tv, ov = [v.value for v in variables], [v.value for v in optimizer.variables]
    apply = jax.jit(optimizer.stateless_apply)
    for step in range(1, STEPS + 1):
        grads = gradients(rng, step, optimizer.loss_scale_factor or 1.0)
        tensors |= {f"g{step}_{i}": g for i, g in enumerate(grads)}
        tv, ov = apply(ov, grads, tv)
        if step in RECORDED:
            tensors |= {f"r{step}_{i}": v for i, v in enumerate(tv)}
    slots = []
    for variable, value in zip(optimizer.variables, ov):
        if variable.name == "iteration":
            tensors["iterations"] = np.asarray(value, np.int32)
        elif variable.name != "learning_rate":
            tensors[f"s{len(slots)}"] = value
            slots.append(variable.path)
    case = {
        "kind": "optimizer", "name": name, "config": config, "steps": STEPS,
        "recorded": list(RECORDED), "slots": slots,
    }  # fmt: skip
    fixture.add(case, tensors)


def make():
    fixture = Fixture("optimizers")
    for cls, variants in OWN.items():
        rows = variants | {option: OPTIONS[option] for option in COMMON[cls]}
        for variant, arguments in rows.items():
            arguments = dict(arguments)
            if variant in OPTIONS and cls == "SGD":
                arguments |= dict(momentum=0.9)
            if variant in OPTIONS and cls == "RMSprop":
                arguments |= dict(momentum=0.3, centered=True)
            add_optimizer(fixture, cls, variant, arguments)
    fixture.save()
