# SPDX-License-Identifier: MIT
"""Activations, losses, schedules and initializers: functions of tensors, with their gradients."""

from common import Fixture, f32, fresh, integers, jax, keras, normal, np, rng_for
from keras import losses
from keras.optimizers import schedules

# ---- activations ---------------------------------------------------------------------------------

# Arguments that no config string carries: name of the case -> (function, arguments).
ARGUMENTS = {
    "gelu_exact": ("gelu", dict(approximate=False)),
    "leaky_relu_slope": ("leaky_relu", dict(negative_slope=0.05)),
    "relu_options": ("relu", dict(negative_slope=0.1, max_value=3.0, threshold=0.5)),
    "elu_alpha": ("elu", dict(alpha=0.3)),
    "celu_alpha": ("celu", dict(alpha=2.0)),
    "threshold": ("threshold", dict(threshold=0.25, default_value=-1.5)),
    "hard_shrink_wide": ("hard_shrink", dict(threshold=1.5)),
    "soft_shrink_wide": ("soft_shrink", dict(threshold=1.5)),
    "squareplus_b1": ("squareplus", dict(b=1)),
    "softmax_axis0": ("softmax", dict(axis=0)),
    "log_softmax_axis0": ("log_softmax", dict(axis=0)),
    "sparsemax_axis0": ("sparsemax", dict(axis=0)),
    "glu_axis0": ("glu", dict(axis=0)),
}
BOUNDED = 60.0  # exp() of it is still a float32


def activation_input(name):
    """Rows of 10: normal values, wide ones, kinks and zeros, tiny ones, huge ones."""
    rng = rng_for("activation/" + name)
    huge = BOUNDED if name == "exponential" else 1e3
    kinks = [0.0, 0.5, -0.5, 1.0, -1.0, 3.0, -3.0, 6.0, 2.5, -2.5]
    tiny = [1e-30, -1e-30, 1e-20, -1e-20, 1e-6, -1e-6, 1e-3, -1e-3, 1e-2, -1e-2]
    large = [BOUNDED, -BOUNDED, 20.0, -20.0, huge, -huge, 9.0, -9.0, 15.0, -15.0]
    wide = list(normal(rng, 10, 6.0))
    return f32([*normal(rng, (4, 10)), wide, kinks, tiny, large])


def make_activations():
    fixture = Fixture("activations")
    skip = ("get", "serialize", "deserialize")
    names = [n for n in dir(keras.activations) if not n.startswith("_") and n not in skip]
    table = {n: (n, {}) for n in names if n != "threshold"} | ARGUMENTS
    assert {function for function, _ in table.values()} == set(names)
    for name, (function_name, arguments) in table.items():
        function = getattr(keras.activations, function_name)
        x = activation_input(name)
        y, pull = jax.vjp(jax.jit(lambda x: function(x, **arguments)), x)
        dy = normal(rng_for(name + "/dy"), y.shape).astype(y.dtype)
        case = {"kind": "activation", "name": name, "config": function_name}
        if arguments:
            case["args"] = arguments
        else:
            case["config"] = keras.activations.serialize(function)
        fixture.add(case, {"x": x, "y": y, "dy": dy, "dx": pull(dy)[0]})
    fixture.save()


# ---- losses: what each is fed --------------------------------------------------------------------


def with_extremes(p):
    """Puts exact 0 and 1 into a table of probabilities."""
    p[0, 0], p[1, -1] = 0.0, 1.0
    return p


def regression(rng):
    return normal(rng, (4, 5)), normal(rng, (4, 5))


def positive(rng):
    y_true, y_pred = rng.uniform(0, 4, (4, 5)), rng.uniform(0, 4, (4, 5))
    y_true[0, 0] = y_pred[1, 1] = 0.0
    return f32(y_true), f32(y_pred)


def negative_too(rng):
    return normal(rng, (4, 5), 2.0), normal(rng, (4, 5), 2.0)


def rank1(rng):
    return normal(rng, (6,)), normal(rng, (6,))


def expand(rng):
    return normal(rng, (6,)), normal(rng, (6, 1))


def rank3(rng):
    return normal(rng, (3, 4, 2)), normal(rng, (3, 4, 2))


def zero_rows(rng):
    y_true, y_pred = regression(rng)
    y_true[1] = 0.0
    y_pred[2] *= 1e-3
    return y_true, y_pred


def bits(rng):
    return f32(rng.integers(0, 2, (5, 3))), f32(with_extremes(rng.uniform(0, 1, (5, 3))))


def bits_flat(rng):
    return integers(rng, 2, (6,)), f32(rng.uniform(0.02, 0.98, (6, 1)))


def bits_rank3(rng):
    return f32(rng.integers(0, 2, (2, 4, 3))), f32(rng.uniform(0, 1, (2, 4, 3)))


def bit_logits(rng):
    y_pred = normal(rng, (5, 3), 3.0)
    y_pred[0], y_pred[1, 0] = [40.0, -40.0, 0.0], 200.0
    return f32(rng.integers(0, 2, (5, 3))), y_pred


def signs(rng):
    return f32(rng.integers(0, 2, (5, 3)) * 2 - 1), normal(rng, (5, 3))


def dists(rng):
    return f32(rng.dirichlet(np.ones(4), 5)), f32(rng.dirichlet(np.ones(4), 5))


def dists_extreme(rng):
    y_pred = rng.dirichlet(np.ones(4), 5)
    y_pred[0], y_pred[1] = [0, 1, 0, 0], [0.5, 0.5, 0, 0]
    return f32(np.eye(4)[[1, 2, 0, 3, 3]]), f32(y_pred)


def unnormalized(rng):
    return f32(np.eye(4)[rng.integers(0, 4, 5)]), f32(rng.uniform(0.1, 2, (5, 4)))


def one_hot_logits(rng):
    y_pred = normal(rng, (5, 4), 3.0)
    y_pred[0] = [90.0, -90.0, 0.0, 1.0]
    return f32(np.eye(4)[rng.integers(0, 4, 5)]), y_pred


def one_hot_logits_rank3(rng):
    return f32(np.eye(4)[rng.integers(0, 4, (2, 3))]), normal(rng, (2, 3, 4), 2.0)


def one_hot_logits_axis1(rng):
    y_true, y_pred = one_hot_logits_rank3(rng)
    return f32(y_true.transpose(0, 2, 1)), f32(y_pred.transpose(0, 2, 1))


def ids(rng):
    y_pred = rng.dirichlet(np.ones(4), 5)
    y_pred[0], y_pred[1] = [0, 1, 0, 0], [0.5, 0.5, 0, 0]
    return np.array([1, 2, 0, 3, 1], np.int32), f32(y_pred)


def ids_column(rng):
    y_true, y_pred = ids(rng)
    return y_true[:, None], y_pred


def id_logits(rng):
    y_pred = normal(rng, (5, 4), 3.0)
    y_pred[0] = [90.0, -90.0, 0.0, 1.0]
    return integers(rng, 4, (5,)), y_pred


def id_maps(rng):
    return integers(rng, 4, (2, 3)), f32(rng.dirichlet(np.ones(4), (2, 3)))


def id_maps_column(rng):
    y_true, y_pred = id_maps(rng)
    return y_true[..., None], y_pred


def id_logit_images(rng):
    return integers(rng, 3, (2, 3, 4)), normal(rng, (2, 3, 4, 3))


def ids_ignored(rng):
    y_true, y_pred = id_logit_images(rng)
    y_true[0, 0, 1] = y_true[1, 2, :2] = 1
    return y_true, y_pred


def ids_negative(rng):
    y_true, y_pred = id_maps(rng)
    y_true[0, 1] = y_true[1, 2] = -1
    return y_true, y_pred


# ---- losses: rows of (class, variant, data, arguments, weights) -------------------------------------

W1, W01 = "rows", "rows with zeros"  # one weight a sample
WFULL, WCOLUMN = "each", "column"  # shaped as the unreduced loss; shape (N, 1)
SUM, NONE, MEAN, WMEAN = "sum", "none", "mean", "mean_with_sample_weight"

LOSSES = []
for cls, data in (
    ("MeanSquaredError", regression), ("MeanAbsoluteError", regression),
    ("MeanAbsolutePercentageError", regression), ("MeanSquaredLogarithmicError", positive),
    ("Huber", regression), ("LogCosh", regression), ("CosineSimilarity", regression),
    ("Poisson", positive), ("KLDivergence", dists), ("Hinge", signs), ("SquaredHinge", signs),
    ("CategoricalHinge", unnormalized), ("BinaryCrossentropy", bits),
    ("BinaryFocalCrossentropy", bits), ("CategoricalCrossentropy", dists),
    ("CategoricalFocalCrossentropy", dists), ("SparseCategoricalCrossentropy", ids),
):  # fmt: skip
    LOSSES += [
        (cls, "plain", data, {}, None),
        (cls, "none_weighted", data, dict(reduction=NONE), W1),
        (cls, "sum", data, dict(reduction=SUM), None),
        (cls, "weighted", data, {}, W01),
    ]
LOSSES += [
    ("MeanSquaredError", "mean_weighted", regression, dict(reduction=MEAN), W1),
    ("MeanSquaredError", "sum_weighted", regression, dict(reduction=SUM), W1),
    ("MeanSquaredError", "weight_mean", regression, dict(reduction=WMEAN), W1),
    ("MeanSquaredError", "weight_mean_without", regression, dict(reduction=WMEAN), None),
    ("MeanSquaredError", "weight_column", regression, {}, WCOLUMN),
    ("MeanSquaredError", "rank3_weighted", rank3, {}, WFULL),
    ("MeanSquaredError", "rank3_weight_mean", rank3, dict(reduction=WMEAN), WFULL),
    ("MeanSquaredError", "rank1", rank1, {}, None),
    ("MeanSquaredError", "expand", expand, {}, None),
    ("MeanAbsoluteError", "expand", expand, dict(reduction=NONE), None),
    ("MeanAbsolutePercentageError", "zeros", positive, {}, None),
    ("MeanSquaredLogarithmicError", "negative", negative_too, {}, None),
    ("Huber", "delta", regression, dict(delta=0.3), None),
    ("Huber", "delta3", negative_too, dict(delta=3.0), None),
    ("LogCosh", "wide", lambda rng: (normal(rng, (4, 5)), normal(rng, (4, 5), 40.0)), {}, None),
    ("CosineSimilarity", "axis1", rank3, dict(axis=1), None),
    ("CosineSimilarity", "small", zero_rows, {}, None),
    ("KLDivergence", "extreme", dists_extreme, {}, None),
    ("Poisson", "rank3", lambda rng: (f32(rng.uniform(0, 3, (2, 3, 4))),
                                      f32(rng.uniform(0.1, 3, (2, 3, 4)))), {}, None),
    ("Hinge", "zero_one", bits, {}, None),
    ("SquaredHinge", "zero_one", bits, {}, None),
    ("Hinge", "real", regression, {}, None),
    ("CategoricalHinge", "real", regression, {}, None),
    ("BinaryCrossentropy", "logits", bit_logits, dict(from_logits=True), None),
    ("BinaryCrossentropy", "smooth", bits, dict(label_smoothing=0.2), None),
    ("BinaryCrossentropy", "logits_smooth", bit_logits,
     dict(from_logits=True, label_smoothing=0.1), W1),
    ("BinaryCrossentropy", "flat", bits_flat, {}, None),
    ("BinaryCrossentropy", "rank3_weighted", bits_rank3, {}, WFULL),
    ("BinaryCrossentropy", "axis1", bits_rank3, dict(axis=1), None),
    ("BinaryFocalCrossentropy", "logits", bit_logits, dict(from_logits=True), None),
    ("BinaryFocalCrossentropy", "balanced", bits,
     dict(apply_class_balancing=True, alpha=0.4, gamma=1.5), None),
    ("BinaryFocalCrossentropy", "smooth", bits, dict(label_smoothing=0.1, gamma=3.0), None),
    ("BinaryFocalCrossentropy", "gamma0", bits, dict(gamma=0.0), None),
    ("CategoricalCrossentropy", "extreme", dists_extreme, {}, None),
    ("CategoricalCrossentropy", "unnormalized", unnormalized, {}, None),
    ("CategoricalCrossentropy", "logits", one_hot_logits, dict(from_logits=True), None),
    ("CategoricalCrossentropy", "smooth", dists_extreme, dict(label_smoothing=0.1), None),
    ("CategoricalCrossentropy", "logits_smooth", one_hot_logits,
     dict(from_logits=True, label_smoothing=0.3), W1),
    ("CategoricalCrossentropy", "logits_rank3", one_hot_logits_rank3,
     dict(from_logits=True), WFULL),
    ("CategoricalCrossentropy", "logits_axis1", one_hot_logits_axis1,
     dict(from_logits=True, axis=1), None),
    ("CategoricalFocalCrossentropy", "extreme", dists_extreme, {}, None),
    ("CategoricalFocalCrossentropy", "logits", one_hot_logits, dict(from_logits=True), None),
    ("CategoricalFocalCrossentropy", "options", unnormalized,
     dict(alpha=0.5, gamma=1.0, label_smoothing=0.1), None),
    ("CategoricalFocalCrossentropy", "logits_axis1", one_hot_logits_axis1,
     dict(from_logits=True, axis=1), None),
    ("SparseCategoricalCrossentropy", "column", ids_column, {}, None),
    ("SparseCategoricalCrossentropy", "column_weighted", ids_column, {}, W1),
    ("SparseCategoricalCrossentropy", "logits", id_logits, dict(from_logits=True), None),
    ("SparseCategoricalCrossentropy", "maps", id_maps, {}, WFULL),
    ("SparseCategoricalCrossentropy", "maps_column", id_maps_column, {}, None),
    ("SparseCategoricalCrossentropy", "images_logits", id_logit_images,
     dict(from_logits=True), None),
    ("SparseCategoricalCrossentropy", "ignore", ids_ignored,
     dict(from_logits=True, ignore_class=1), None),
    ("SparseCategoricalCrossentropy", "ignore_weighted", ids_ignored,
     dict(from_logits=True, ignore_class=1), WFULL),
    ("SparseCategoricalCrossentropy", "ignore_sum", ids_ignored,
     dict(from_logits=True, ignore_class=1, reduction=SUM), None),
    ("SparseCategoricalCrossentropy", "ignore_none", ids_negative,
     dict(ignore_class=-1, reduction=NONE), None),
    ("SparseCategoricalCrossentropy", "ignore_weight_mean", ids_ignored,
     dict(from_logits=True, ignore_class=1, reduction=WMEAN), WFULL),
]  # fmt: skip


def loss_weights(kind, rng, y_true, y_pred, loss):
    """The sample weights of a loss case."""
    rows = len(y_pred)
    if kind == WFULL:
        unreduced = type(loss).from_config({**loss.get_config(), "reduction": NONE})
        return f32(rng.uniform(0.1, 2, unreduced(y_true, y_pred).shape))
    w = f32(rng.uniform(0.1, 2, rows))
    if kind == W01:
        w[1] = 0.0
    return w[:, None] if kind == WCOLUMN else w


def make_losses():
    fixture = Fixture("losses")
    for cls, variant, data, arguments, weighting in LOSSES:
        name = f"{cls}_{variant}"
        fresh(name)
        rng, loss = rng_for(name), getattr(losses, cls)(**arguments)
        y_true, y_pred = data(rng)
        tensors = {"y_true": y_true, "y_pred": y_pred}
        weights = None
        if weighting:
            weights = tensors["sample_weight"] = loss_weights(weighting, rng, y_true, y_pred, loss)

        def total(y_pred):
            value = loss(y_true, y_pred, weights)
            return value.sum(), value

        (_, value), grad = jax.jit(jax.value_and_grad(total, has_aux=True))(y_pred)
        case = {"kind": "loss", "name": name, "config": losses.serialize(loss)}
        fixture.add(case, {**tensors, "value": value, "grad": grad})
    fixture.save()


# ---- schedules -----------------------------------------------------------------------------------

SCHEDULES = [
    ("ExponentialDecay", "smooth", dict(
        initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9)),
    ("ExponentialDecay", "staircase", dict(
        initial_learning_rate=0.1, decay_steps=7, decay_rate=0.5, staircase=True)),
    ("CosineDecay", "plain", dict(initial_learning_rate=0.1, decay_steps=23)),
    ("CosineDecay", "alpha", dict(initial_learning_rate=0.1, decay_steps=30, alpha=0.2)),
    ("CosineDecay", "warmup", dict(
        initial_learning_rate=0.0, decay_steps=20, warmup_target=0.1, warmup_steps=6)),
    ("CosineDecay", "warmup_alpha", dict(
        initial_learning_rate=0.01, decay_steps=25, alpha=0.1, warmup_target=0.2,
        warmup_steps=9)),
    ("CosineDecayRestarts", "plain", dict(initial_learning_rate=0.1, first_decay_steps=5)),
    ("CosineDecayRestarts", "options", dict(
        initial_learning_rate=0.1, first_decay_steps=7, t_mul=1.5, m_mul=0.8, alpha=0.05)),
    ("CosineDecayRestarts", "t1", dict(
        initial_learning_rate=0.1, first_decay_steps=6, t_mul=1.0, m_mul=0.5)),
    ("PiecewiseConstantDecay", "three", dict(
        boundaries=[5, 13, 30], values=[0.1, 0.05, 0.01, 0.002])),
    ("PiecewiseConstantDecay", "one", dict(boundaries=[10], values=[1.0, 0.5])),
    ("PolynomialDecay", "plain", dict(initial_learning_rate=0.1, decay_steps=19)),
    ("PolynomialDecay", "power", dict(
        initial_learning_rate=0.1, decay_steps=19, end_learning_rate=0.01, power=2.5)),
    ("PolynomialDecay", "cycle", dict(
        initial_learning_rate=0.1, decay_steps=8, end_learning_rate=0.01, power=0.5,
        cycle=True)),
    ("InverseTimeDecay", "smooth", dict(
        initial_learning_rate=0.1, decay_steps=7, decay_rate=0.9)),
    ("InverseTimeDecay", "staircase", dict(
        initial_learning_rate=0.1, decay_steps=7, decay_rate=0.5, staircase=True)),
]  # fmt: skip


def make_schedules():
    fixture = Fixture("schedules")
    steps = np.array([*range(42), 60, 77, 100, 1000], np.int32)
    for cls, variant, arguments in SCHEDULES:
        schedule = getattr(schedules, cls)(**arguments)
        values = [np.asarray(schedule(jax.numpy.asarray(s))) for s in steps]
        config = schedules.serialize(schedule)
        case = {"kind": "schedule", "name": f"{cls}_{variant}", "config": config}
        fixture.add(case, {"steps": steps, "values": np.array(values)})
    fixture.save()


# ---- initializers --------------------------------------------------------------------------------

INITIALIZERS = [
    ("zeros", "Zeros", {}, (2, 3)),
    ("ones", "Ones", {}, (2, 3)),
    ("constant", "Constant", dict(value=0.3), (2, 3)),
    ("identity", "Identity", {}, (3, 4)),  # its configuration does not hold the gain
    ("stft", "STFT", {}, (16, 1, 9)),
    ("stft_imag", "STFT", dict(side="imag"), (16, 1, 9)),
    ("stft_periodic", "STFT", dict(periodic=True, scaling="spectrum"), (12, 1, 9)),
    ("stft_none", "STFT", dict(window=None), (8, 1, 5)),
    ("stft_unscaled", "STFT", dict(scaling=None, side="imag"), (5, 1, 4)),
    ("stft_long", "STFT", dict(window="hamming"), (400, 1, 9)),
    ("stft_values", "STFT", dict(window=[0.5, -1.0, 2.0, 0.25]), (4, 1, 3)),
] + [
    ("stft_" + window, "STFT", dict(window=window), (11, 1, 5))
    for window in ("hann_periodic", "rect", "bartlett", "blackman", "nuttall", "blackmanharris", "flattop")
]  # fmt: skip


def make_initializers():
    fixture = Fixture("initializers")
    for name, cls, arguments, shape in INITIALIZERS:
        initializer = getattr(keras.initializers, cls)(**arguments)
        config = keras.initializers.serialize(initializer)
        case = {"kind": "initializer", "name": name, "config": config}
        fixture.add(case, {"value": initializer(shape)})
    fixture.save()
